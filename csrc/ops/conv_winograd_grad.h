// Driver of Winograd's weight gradient (kernels/conv/winograd.h) of convolutions of stride 1.
#pragma once

#include "kernels/conv/winograd.h"
#include "ops/conv_tiles.h"

namespace striate {

void weight_grad_winograd(const ConvProblem& problem, conv::WinogradForm form, const TensorView& input,
                          const TensorView& grad_output, const TensorView& grad_weight,
                          const conv::Kernel<float>& tiles, const conv::WinogradGradKernel& kernel);

}  // namespace striate
