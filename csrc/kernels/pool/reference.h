// Naive loops over any strides: the definition in code. The oracle of the native harness and the last row
// of every plan.
#pragma once

#include "base/tensor_view.h"
#include "ops/pool_problem.h"

namespace striate::pool {

/// `indices` may be null.
template <class T>
void reference_max(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                   const TensorView* indices);
template <class T>
void reference_mean(const PoolProblem& problem, const TensorView& input, const TensorView& output);
template <class T>
void reference_mean_grad(const PoolProblem& problem, const TensorView& grad_output,
                         const TensorView& grad_input);

/// `indices` (int64) are flat over the spatial axes of grad_input and lie inside them.
template <class T>
void reference_max_grad(const TensorView& indices, const TensorView& grad_output,
                        const TensorView& grad_input);

}  // namespace striate::pool
