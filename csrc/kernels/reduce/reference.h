// Sums of channels in C order, in float64, for any strides: the oracle of the native checks and the last row
// of the plan.
#pragma once

#include "base/tensor_view.h"

namespace striate::reduce {

/// sums[c] is the sum over all axes of `input` but the channels.
template <class T>
void reference_channel_sum(const TensorView& input, const TensorView& sums);

}  // namespace striate::reduce
