#include "cuda/check_call.h"

namespace striate::cuda {

Devices find_devices() {
  Devices found;
  const cudaError_t status = cudaGetDeviceCount(&found.count);
  if (status != cudaSuccess || found.count == 0) {
    found.count = 0;
    found.why_none = status != cudaSuccess ? cudaGetErrorString(status) : "the driver lists none";
    return found;
  }
  cudaDeviceProp properties{};
  check_call(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  found.first = std::string(properties.name) + ", compute capability " + std::to_string(properties.major) + '.' +
                std::to_string(properties.minor);
  return found;
}

void synchronize() { check_call(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

DeviceArray::DeviceArray(int64_t count) : count_(count) {
  if (count > 0) check_call(cudaMalloc(&data_, static_cast<size_t>(count) * sizeof(float)), "cudaMalloc");
}

DeviceArray::~DeviceArray() { cudaFree(data_); }

void DeviceArray::copy_from_host(const float* from) {
  if (count_ > 0)
    check_call(cudaMemcpy(data_, from, static_cast<size_t>(count_) * sizeof(float), cudaMemcpyHostToDevice),
               "cudaMemcpy to the device");
}

void DeviceArray::copy_to_host(float* to) const {
  if (count_ > 0)
    check_call(cudaMemcpy(to, data_, static_cast<size_t>(count_) * sizeof(float), cudaMemcpyDeviceToHost),
               "cudaMemcpy from the device");
}

}  // namespace striate::cuda
