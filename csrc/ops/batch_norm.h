// Batch normalisation over axis 1 of (n, c) or (n, c, spatial...), and its gradients (Ioffe and Szegedy 2015).
//
//   output = (input - mean) / sqrt(var + eps) * weight + bias          mean, var: one a channel
//   output = max(of that, 0)                                           with a fused ReLU
//
// Training takes two passes over memory: sums a channel, then the map (see batch_norm_passes.h). Sums are of
// deviations from a value near the channel's, so they do not cancel; they are split into parts that depend
// on the shape only and added in order, so results have the same bits for any number of threads.
//
// Forward with a fused ReLU leaves a `gate`, (2, channels): the scale and offset of its map, by which the
// gradient finds out from the input where the output was 0. So the output need not be read, nor kept.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

struct BatchNormProblem {
  DType dtype = DType::f32;
  int64_t channels = 0;
  int64_t count = 0;  // elements a channel
  double eps = 0;
  bool relu = false;

  /// ValueError that names `op`, the values and the rule. `training`: the statistics are the batch's own.
  static BatchNormProblem make(const char* op, const TensorView& input, double eps, bool training,
                               bool relu = false);
};

// Views have the shape of the input; vectors are dense, one element a channel; weight and bias may be null,
// and so may the gate where it is not wanted. `force`: "vectors" or "reference" (see plan.h).
void batch_norm_train(const BatchNormProblem& problem, const TensorView& input, const void* weight,
                      const void* bias, const TensorView& output, void* mean, void* var, void* gate,
                      const char* force = nullptr);
void batch_norm_infer(const BatchNormProblem& problem, const TensorView& input, const void* mean,
                      const void* var, const void* weight, const void* bias, const TensorView& output,
                      void* gate, const char* force = nullptr);

/// `training`: mean and var came from this input, so the gradient flows through them too. `gate`: what a
/// fused ReLU left; null without.
void batch_norm_grad(const BatchNormProblem& problem, const TensorView& input,
                     const TensorView& grad_output, const void* mean, const void* var, const void* weight,
                     const void* gate, bool training, const TensorView& grad_input, void* grad_weight,
                     void* grad_bias, const char* force = nullptr);

}  // namespace striate
