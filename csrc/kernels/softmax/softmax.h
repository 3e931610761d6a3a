// Softmax and log-softmax along one axis, for many rows. A row is a line along the axis.
//
//   softmax      y = exp(x - max) / sum exp(x - max)       dx = y (g - sum g y)
//   log_softmax  y = (x - max) - log sum exp(x - max)      dx = g - exp(y) sum g
//
// A row with an infinite maximum has no softmax: it becomes NaN. Additions depend on counts only.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::softmax {

/// Element i of row r of an array lies at + r * row + i * along.
template <class T>
struct RowsArgs {
  const T* a;  // the input; of a gradient: the output of the softmax
  const T* g;  // the output gradient; null forward
  T* out;
  int64_t a_along, g_along, out_along;
  int64_t a_row, g_row, out_row;
  int64_t count;  // elements of a row, at least 1
  int64_t rows;
  T* scratch;  // 3 * count elements
};

template <class T>
using Rows = void (*)(const RowsArgs<T>&) noexcept;

template <class T>
struct Kernel {
  Rows<T> softmax, log_softmax, softmax_grad, log_softmax_grad;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::softmax

STRIATE_KERNEL_TABLE(striate::softmax::Table, softmax_table)
