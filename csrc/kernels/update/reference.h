// The optimiser steps of update.h element by element, in float64, for any strides: the oracle of the native
// checks and the last row of the plan. Steps and counts of the arguments are not read.
#pragma once

#include "base/tensor_view.h"
#include "kernels/update/update.h"

namespace striate::update {

template <class T>
void reference_sgd(const SgdArgs<T>& a, const TensorView& value, const TensorView& grad,
                   const TensorView* buffer);
template <class T>
void reference_adam(const AdamArgs<T>& a, const TensorView& value, const TensorView& grad,
                    const TensorView& mean, const TensorView& square, const TensorView* most);
template <class T>
void reference_adagrad(const ScaledArgs<T>& a, const TensorView& value, const TensorView& grad,
                       const TensorView& square);
template <class T>
void reference_rmsprop(const ScaledArgs<T>& a, const TensorView& value, const TensorView& grad,
                       const TensorView& square, const TensorView* mean, const TensorView* buffer);

}  // namespace striate::update
