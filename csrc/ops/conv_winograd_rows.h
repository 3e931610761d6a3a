// Winograd's convolution along the width alone, of any stride: kernels/conv/winograd_rows.h.
#pragma once

#include <span>

#include "kernels/conv/product.h"
#include "kernels/conv/winograd_rows.h"
#include "ops/conv_tiles.h"

namespace striate {

/// `phases` share their input and strides: a forward convolution is one, an input gradient one for each phase of its
/// strides. Kernels of one plane, up to kMostRowTaps taps a phase of the width, without dilation.
void correlate_winograd_rows(std::span<const Correlation<float>> phases, const conv::WinogradRowsKernel& rows,
                             const conv::Product<float>& product);

}  // namespace striate
