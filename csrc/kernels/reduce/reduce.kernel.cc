#include "kernels/reduce/reduce.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

constexpr int kSums = 4;  // independent, to hide the latency of an addition

template <class T>
T sum(const T* from, int64_t count, int64_t stride) noexcept {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  T total = 0;
  int64_t i = 0;
  if (stride == 1) {
    V part[kSums] = {};
    for (; i + kSums * n <= count; i += kSums * n)
#pragma GCC unroll 4
      for (int k = 0; k < kSums; ++k) part[k] += load<V>(from + i + k * n);
    const V all = (part[0] + part[1]) + (part[2] + part[3]);
    for (int lane = 0; lane < n; ++lane) total += all[lane];
  }
  for (; i < count; ++i) total += from[i * stride];
  return total;
}

template <class T>
void add_rows(const T* from, int64_t rows, int64_t row_stride, int64_t columns, T* sums) noexcept {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  int64_t c = 0;
  for (; c + kSums * n <= columns; c += kSums * n) {
    V part[kSums];
#pragma GCC unroll 4
    for (int k = 0; k < kSums; ++k) part[k] = load<V>(sums + c + k * n);
    for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int k = 0; k < kSums; ++k) part[k] += load<V>(from + r * row_stride + c + k * n);
#pragma GCC unroll 4
    for (int k = 0; k < kSums; ++k) store(sums + c + k * n, part[k]);
  }
  for (; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) sums[c] += from[r * row_stride + c];
}

template <class T>
constexpr reduce::Kernel<T> kernel() {
  return {sum<T>, add_rows<T>};
}

}  // namespace

constinit const reduce::Table reduce_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
