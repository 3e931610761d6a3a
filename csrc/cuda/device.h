// Just enough of CUDA for C++ code that is not compiled by nvcc.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

struct CUstream_st;

namespace striate::cuda {

using Stream = CUstream_st*;  // cudaStream_t; null is the default stream

/// A call to CUDA failed; the message names it and CUDA's reason.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Devices {
  int count = 0;
  std::string why_none;  // CUDA's words, where count is 0
  std::string first;     // name and compute capability of device 0
};
Devices find_devices();

/// Waits for everything started so far; Error if any of it failed.
void synchronize();

/// `count` floats on the current device.
class DeviceArray {
 public:
  explicit DeviceArray(int64_t count);
  ~DeviceArray();
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  float* get() const { return data_; }
  void copy_from_host(const float* from);
  void copy_to_host(float* to) const;

 private:
  int64_t count_;
  float* data_ = nullptr;
};

}  // namespace striate::cuda
