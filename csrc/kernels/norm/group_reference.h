// Group norm by naive loops in float64, for any strides: the oracle of the native checks and the last row of the
// plan.
#pragma once

#include "ops/group_norm.h"

namespace striate::norm {

template <class T>
void group_reference(const GroupNormProblem& p, const TensorView& input, const T* weight, const T* bias,
                     const TensorView& output, T* mean, T* var);
template <class T>
void group_reference_grad(const GroupNormProblem& p, const TensorView& input, const TensorView& grad_output,
                          const T* mean, const T* var, const T* weight, const TensorView& grad_input,
                          T* grad_weight, T* grad_bias);

}  // namespace striate::norm
