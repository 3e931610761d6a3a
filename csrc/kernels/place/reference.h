// Fill, then copy, element by element with any strides: the definition in code. The oracle of the native
// checks and the last row of the plan.
#pragma once

#include "ops/place.h"

namespace striate::place {

template <class T>
void reference(const PlaceProblem& problem, const TensorView& input, const TensorView& output);

}  // namespace striate::place
