// Group norm of one group and one pixel: rows that are normalised each by itself (Ba, Kiros and Hinton 2016), with
// a weight and a bias an element. A task takes rows through all passes while its cache holds them.
#pragma once

#include "ops/group_norm.h"

namespace striate {

/// Whether the problem is one of rows, and those of the views lie side by side.
bool is_layer_norm(const GroupNormProblem& problem, std::initializer_list<const TensorView*> views);

// Arguments as in group_norm.h; is_layer_norm(), and no size is 0.
template <class T>
void layer_norm(const GroupNormProblem& problem, const TensorView& input, const T* weight, const T* bias,
                const TensorView& output, T* mean, T* var);
template <class T>
void layer_norm_grad(const GroupNormProblem& problem, const TensorView& input, const TensorView& grad_output,
                     const T* mean, const T* var, const T* weight, const TensorView& grad_input, T* grad_weight,
                     T* grad_bias);

}  // namespace striate
