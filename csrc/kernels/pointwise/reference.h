// Activations by the C library, in float64, for any strides: the oracle of the native checks and the last row
// of the plan.
#pragma once

#include "ops/pointwise.h"

namespace striate::pointwise {

/// `from` is the input; of a gradient, which has a `grad_output`, the output.
template <class T>
void reference(const ActivationProblem& problem, const TensorView& from, const TensorView* grad_output,
               const TensorView& to);

template <class T>
void reference(Binary op, const TensorView& a, const TensorView& b, const TensorView& to);

template <class T>
void reference_prelu_grad(const TensorView& x, const TensorView& slope, const TensorView& g,
                          const TensorView& to);

}  // namespace striate::pointwise
