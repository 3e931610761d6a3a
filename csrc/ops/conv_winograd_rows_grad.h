// The weight gradient of Winograd's convolution along rows: kernels/conv/winograd_rows.h.
#pragma once

#include "kernels/conv/product.h"
#include "kernels/conv/weight_tiles.h"
#include "kernels/conv/winograd_rows.h"
#include "ops/conv_problem.h"

namespace striate {

void weight_grad_winograd_rows(const ConvProblem& problem, const TensorView& input, const TensorView& grad_output,
                               const TensorView& grad_weight, const conv::WinogradRowsKernel& rows,
                               const conv::Product<float>& product, const conv::WeightKernel<float>& kernel);

}  // namespace striate
