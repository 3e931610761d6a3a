// Naive loops over any strides: the definition in code. The oracle of the native harness and the last row
// of every plan. Sums run in the array's own type, over input channels, then taps.
#pragma once

#include "base/tensor_view.h"
#include "ops/conv_problem.h"

namespace striate::conv {

template <class T>
void reference_forward(const ConvProblem& problem, const TensorView& input, const TensorView& weight,
                       const T* bias, const TensorView& output);
template <class T>
void reference_input_grad(const ConvProblem& problem, const TensorView& weight,
                          const TensorView& grad_output, const T* bias, const TensorView& grad_input);
template <class T>
void reference_weight_grad(const ConvProblem& problem, const TensorView& input,
                           const TensorView& grad_output, const TensorView& grad_weight);

}  // namespace striate::conv
