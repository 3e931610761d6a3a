// Activations and their gradients, on arrays of any rank and strides:
//
//   relu     y = max(x, 0)               dx = g, but 0 where y <= 0
//   sigmoid  y = 1 / (1 + exp(-x))       dx = g y (1 - y)
//   tanh     y = tanh(x)                 dx = g (1 - y) (1 + y)
//
// Gradients are taken from the output, so the input need not be kept.
#pragma once

#include "base/tensor_view.h"

namespace striate {

enum class Activation : uint8_t { relu, sigmoid, tanh };

// All views of one dtype and shape.
void activate(Activation activation, const TensorView& input, const TensorView& output);
void activation_grad(Activation activation, const TensorView& output, const TensorView& grad_output,
                     const TensorView& grad_input);

}  // namespace striate
