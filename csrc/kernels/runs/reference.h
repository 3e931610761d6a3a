// The definitions in code, element by element with any strides: the oracles of the native checks.
#pragma once

#include "ops/take.h"
#include "ops/unfold.h"

namespace striate::runs {

template <class T>
void reference_copy(const TensorView& input, const TensorView& output);
template <class T>
void reference_take(const TakeProblem& problem, const TensorView& input, const TensorView& output);
template <class T>
void reference_spread(const TakeProblem& problem, const TensorView& input, const TensorView& output);
template <class T>
void reference_unfold(const UnfoldProblem& problem, const TensorView& image, const TensorView& columns);
template <class T>
void reference_fold(const UnfoldProblem& problem, const TensorView& columns, const TensorView& image);

}  // namespace striate::runs
