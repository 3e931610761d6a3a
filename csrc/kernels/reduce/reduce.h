// Sums over a run or over rows: the inner loops of bias gradients and batch statistics.
// The order of additions depends on counts only.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::reduce {

template <class T>
struct Kernel {
  /// Sum of `count` elements, `stride` apart.
  T (*sum)(const T* from, int64_t count, int64_t stride) noexcept;
  /// sums[c] += from[r * row_stride + c] for all rows r, columns c.
  void (*add_rows)(const T* from, int64_t rows, int64_t row_stride, int64_t columns, T* sums) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::reduce

STRIATE_KERNEL_TABLE(striate::reduce::Table, reduce_table)
