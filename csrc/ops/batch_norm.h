// Batch normalisation over axis 1 of (n, c) or (n, c, spatial...), and its gradients (Ioffe and Szegedy 2015).
//
//   output = (input - mean) / sqrt(var + eps) * weight + bias          mean, var: one a channel
//
// Two passes over memory: sums a channel, then the map. Sums are float64, of deviations from the channel's
// first element, so they do not cancel; they are split into parts that depend on the shape only and added
// in order, so results have the same bits for any number of threads.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

struct BatchNormProblem {
  DType dtype = DType::f32;
  int64_t channels = 0;
  int64_t count = 0;  // elements a channel
  double eps = 0;

  /// ValueError that names `op`, the values and the rule. `training`: the statistics are the batch's own.
  static BatchNormProblem make(const char* op, const TensorView& input, double eps, bool training);
};

// Views have the shape of the input; vectors are dense, one element a channel; weight and bias may be null.
// `force`: "vectors" or "reference" (see plan.h).
void batch_norm_train(const BatchNormProblem& problem, const TensorView& input, const void* weight,
                      const void* bias, const TensorView& output, void* mean, void* var,
                      const char* force = nullptr);
void batch_norm_infer(const BatchNormProblem& problem, const TensorView& input, const void* mean,
                      const void* var, const void* weight, const void* bias, const TensorView& output,
                      const char* force = nullptr);

/// `training`: mean and var came from this input, so the gradient flows through them too.
void batch_norm_grad(const BatchNormProblem& problem, const TensorView& input,
                     const TensorView& grad_output, const void* mean, const void* var, const void* weight,
                     bool training, const TensorView& grad_input, void* grad_weight, void* grad_bias,
                     const char* force = nullptr);

}  // namespace striate
