// Max pooling to a given size; windows as in kernels/pool/adaptive.h.
#pragma once

#include "base/tensor_view.h"

namespace striate {

/// ValueError unless the images are so small that 32 bits number their pixels.
void check_adaptive_max_pool(const char* op, const TensorView& input);

/// The views are lifted, of any strides; `places` is int64, of the shape and strides of `output`. No size is 0 but
/// that of images or channels.
void adaptive_max_pool(const TensorView& input, const TensorView& output, const TensorView& places);

}  // namespace striate
