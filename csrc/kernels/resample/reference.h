// Naive loops over the three sparse matrices, any strides: the oracle of the native harness.
#pragma once

#include "kernels/resample/resample.h"

namespace striate::resample {

template <class T>
void reference(const Args<T>& args, int64_t images, int workers);

}  // namespace striate::resample
