// Naive loops over any strides: the definition in code. The oracle of the native harness and the last row
// of every plan.
#pragma once

#include "base/tensor_view.h"
#include "ops/pool_problem.h"

namespace striate::pool {

/// `places` may be null; int64 positions or uint8 taps.
template <class T>
void reference_max(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                   const TensorView* places);
template <class T>
void reference_mean(const PoolProblem& problem, const TensorView& input, const TensorView& output);
template <class T>
void reference_mean_grad(const PoolProblem& problem, const TensorView& grad_output,
                         const TensorView& grad_input);

/// `indices` (int64) are flat over the spatial axes of grad_input and lie inside them.
template <class T>
void reference_max_grad(const TensorView& indices, const TensorView& grad_output,
                        const TensorView& grad_input);
template <class T>
void reference_max_unpool(const TensorView& indices, const TensorView& input, const TensorView& output);

/// `taps` (uint8) are numbers of the kernel's taps; those that no window has, or lie outside, add nothing.
template <class T>
void reference_max_taps_grad(const PoolProblem& problem, const TensorView& taps, const TensorView& grad_output,
                             const TensorView& grad_input);

}  // namespace striate::pool
