// Batch normalisation by its definition, in float64, for any strides: the oracle of the native checks and the
// last row of the plan. Arguments as in ops/batch_norm.h.
#pragma once

#include "ops/batch_norm.h"

namespace striate::norm {

template <class T>
void reference_train(const BatchNormProblem& problem, const TensorView& input, const T* weight,
                     const T* bias, const TensorView& output, T* mean, T* var, T* gate);
template <class T>
void reference_infer(const BatchNormProblem& problem, const TensorView& input, const T* mean, const T* var,
                     const T* weight, const T* bias, const TensorView& output, T* gate);
template <class T>
void reference_grad(const BatchNormProblem& problem, const TensorView& input, const TensorView& grad_output,
                    const T* mean, const T* var, const T* weight, const T* gate, bool training,
                    const TensorView& grad_input, T* grad_weight, T* grad_bias);

}  // namespace striate::norm
