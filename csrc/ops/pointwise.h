// Activations and their gradients, on arrays of any rank and strides:
//
//   relu        y = max(x, 0)                      dx = g, but 0 where y <= 0
//   leaky_relu  y = x, but slope x where x <= 0    dx = g, but slope g where y <= 0
//   sigmoid     y = 1 / (1 + exp(-x))              dx = g y (1 - y)
//   tanh        y = tanh(x)                        dx = g (1 - y) (1 + y)
//
// Gradients are taken from the output, so the input need not be kept. And the arithmetic of two arrays; with
// add_relu = max(a + b, 0), whose gradient for both is relu's, from the output, and with
//
//   prelu       y = x, but slope x where x <= 0        slope: one number, or one a channel, repeated (strides of 0)
//               dx = g, but slope g where x <= 0       dslope = sum of prelu_weight_terms = 0, but x g where x <= 0
//
// Results may be written over an operand of the same strides. Activations with a gradient from the input are in
// curve.h.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

enum class Activation : uint8_t { relu, leaky_relu, sigmoid, tanh };

struct ActivationProblem {
  Activation activation = Activation::relu;
  DType dtype = DType::f32;
  double negative_slope = 1;  // of leaky_relu

  /// ValueError that names `op`, the value and the rule.
  static ActivationProblem make(const char* op, Activation activation, DType dtype,
                                double negative_slope = 1);
};

// All views of the problem's dtype and of one shape. `force`: "vectors" or "reference" (see plan.h).
void activate(const ActivationProblem& problem, const TensorView& input, const TensorView& output,
              const char* force = nullptr);
void activation_grad(const ActivationProblem& problem, const TensorView& output,
                     const TensorView& grad_output, const TensorView& grad_input,
                     const char* force = nullptr);

enum class Binary : uint8_t { add, subtract, multiply, divide, add_relu, prelu, prelu_weight_terms };

/// Views of one dtype and shape; an operand may repeat (strides of 0).
void binary(Binary op, const TensorView& a, const TensorView& b, const TensorView& output,
            const char* force = nullptr);
void prelu_grad(const TensorView& input, const TensorView& slope, const TensorView& grad_output,
                const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
