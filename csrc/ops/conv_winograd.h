// Driver of Winograd's convolution (kernels/conv/winograd.h): forward, and input gradients of stride 1.
#pragma once

#include "kernels/conv/winograd.h"
#include "ops/conv_tiles.h"

namespace striate {

void correlate_winograd(const Correlation<float>& correlation, conv::WinogradForm form,
                        const conv::Kernel<float>& tiles, const conv::WinogradKernel& kernel);

}  // namespace striate
