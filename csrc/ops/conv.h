// Convolution and its three gradients: from a checked problem to the chosen algorithm.
#pragma once

#include "base/tensor_view.h"
#include "ops/conv_plan.h"
#include "ops/epilogue.h"
#include "ops/packed_weights.h"

namespace striate {

// `force`, here and below, names the one algorithm to use; ValueError if it is unknown or does not apply.
//
// The views are lifted (n, c, d, h, w), of the problem's dtype and shapes.
// A bare pointer is an epilogue of that bias only.
// `packed`, of this weight, keeps the forms of it that the algorithm makes; null: they are made on every call. The
// result has the same bits.
void conv_forward(const ConvProblem& problem, const TensorView& input, const TensorView& weight,
                  const Epilogue& epilogue, const TensorView& output, const char* force = nullptr,
                  PackedWeights* packed = nullptr);

/// With a bias (one a channel of the convolution's input) this is the transposed convolution.
void conv_input_grad(const ConvProblem& problem, const TensorView& weight,
                     const TensorView& grad_output, const Epilogue& epilogue, const TensorView& grad_input,
                     const char* force = nullptr, PackedWeights* packed = nullptr);

/// `bias_grad`, dense (oc), also gets the bias gradient: the sums of grad_output that channel_sum gives.
void conv_weight_grad(const ConvProblem& problem, const TensorView& input,
                      const TensorView& grad_output, const TensorView& grad_weight, void* bias_grad,
                      const char* force = nullptr);
inline void conv_weight_grad(const ConvProblem& problem, const TensorView& input,
                             const TensorView& grad_output, const TensorView& grad_weight,
                             const char* force = nullptr) {
  conv_weight_grad(problem, input, grad_output, grad_weight, nullptr, force);
}

/// The bias gradient: sums over all axes but the channels. `sums` has one axis.
void channel_sum(const TensorView& grad_output, const TensorView& sums, const char* force = nullptr);
Plan plan_channel_sum(const TensorView& grad_output, const char* force = nullptr);

}  // namespace striate
