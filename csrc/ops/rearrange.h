// Copies between arrays of one shape and any strides: transpositions of every kind.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

/// Writes `input` to `output`, which has its shape and dtype (float32 or float64) and does not overlap it.
/// `force`, here and in the ops beside this one, names "vectors" or "reference".
void copy_elements(const TensorView& input, const TensorView& output, const char* force = nullptr);

}  // namespace striate
