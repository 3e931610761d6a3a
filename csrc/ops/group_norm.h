// Group normalisation over (n, c, spatial...), and its gradients (Wu and He 2018). With one group it normalises
// layers, with a group a channel it normalises instances.
//
//   output = (input - mean) / sqrt(var + eps) * weight + bias
//
// mean and (biased) var: one a sample and group of channels, over its channels and pixels; weight, bias: one a
// channel. It takes the passes of batch norm (batch_norm_passes.h), with every channel of every sample a channel of
// its own; between the passes the sums of a group are joined. One group without pixels is rows: layer_norm.h. Same
// bits for any number of threads.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

struct GroupNormProblem {
  DType dtype = DType::f32;
  int64_t n = 0, channels = 0, groups = 1;
  int64_t pixels = 0;  // elements of a channel of a sample
  double eps = 0;

  int64_t group() const { return channels / groups; }       // channels of a group
  int64_t count() const { return group() * pixels; }        // elements of a group
  /// ValueError that names `op`, the values and the rule.
  static GroupNormProblem make(const char* op, const TensorView& input, int64_t groups, double eps);
};

// Views have the shape of the input; weight, bias and their gradients are dense, one element a channel (weight and
// bias may be null); mean and var are dense, (n, groups). `force`: "vectors" or "reference" (see plan.h).
void group_norm(const GroupNormProblem& problem, const TensorView& input, const void* weight, const void* bias,
                const TensorView& output, void* mean, void* var, const char* force = nullptr);
void group_norm_grad(const GroupNormProblem& problem, const TensorView& input, const TensorView& grad_output,
                     const void* mean, const void* var, const void* weight, const TensorView& grad_input,
                     void* grad_weight, void* grad_bias, const char* force = nullptr);

}  // namespace striate
