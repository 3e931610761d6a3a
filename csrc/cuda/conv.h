// Convolution on a CUDA device, from the same ConvProblem as on the CPU.
#pragma once

#include "cuda/device.h"
#include "ops/conv_problem.h"

namespace striate::cuda {

/// Starts the convolution on `stream` and returns; results are there once the stream is synchronised.
/// All pointers are device memory: dense C-contiguous float32 of the problem's shapes, `bias` (oc) or null.
/// ValueError for a float64 problem; Error if CUDA refuses the launch.
void conv_forward(const ConvProblem& problem, const float* input, const float* weight, const float* bias,
                  float* output, Stream stream = nullptr);

}  // namespace striate::cuda
