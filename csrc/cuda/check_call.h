// Included by *.cu only.
#pragma once

#include <cuda_runtime.h>

#include "cuda/device.h"

namespace striate::cuda {

inline void check_call(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw Error(std::string("cuda: ") + what + ": " + cudaGetErrorString(status));
}

}  // namespace striate::cuda
