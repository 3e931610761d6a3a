// Softmax by its definition, in float64, for any strides: the oracle of the native checks and the last row of
// the plan.
#pragma once

#include "kernels/softmax/cross_entropy.h"
#include "ops/softmax.h"

namespace striate::softmax {

/// `from` is the input; of a gradient, which has a `grad_output`, the output.
template <class T>
void reference(Softmax kind, const TensorView& from, const TensorView* grad_output, int axis,
               const TensorView& to);

/// In float64, row by row.
template <class T>
void reference_cross_entropy(const CrossEntropyArgs<T>& args) noexcept;
template <class T>
void reference_cross_entropy_grad(const CrossEntropyArgs<T>& args) noexcept;

}  // namespace striate::softmax
