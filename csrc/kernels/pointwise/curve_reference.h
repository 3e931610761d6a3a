// The curves of curve.h by the C library, in float64, for any strides: the oracle of the native checks and the
// last row of the plan.
#pragma once

#include "ops/curve.h"

namespace striate::pointwise {

template <class T>
void curve_reference(const CurveProblem& problem, const TensorView& input, const TensorView* grad_output,
                     const TensorView& to);

}  // namespace striate::pointwise
