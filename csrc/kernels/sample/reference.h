// Naive loops over pixels and taps, any sizes and strides: the last resort, and the oracle of the native checks.
#pragma once

#include "kernels/sample/sample.h"

namespace striate::sample {

template <class T>
void reference_forward(const Args<T>& args, int workers);
template <class T>
void reference_input_grad(const Args<T>& args, int workers);
template <class T>
void reference_grid_grad(const Args<T>& args, int workers);

}  // namespace striate::sample
