// Softmax cross-entropy of rows of class scores with one class each, and its gradient.
//
//   most = max_i x[i],  log_sum = log sum_i exp(x[i] - most)         both kept for the gradient
//   loss = log_sum - (x[target] - most)
//   dx[i] = g exp((x[i] - most) - log_sum), less g where i is the target
//
// Forward reads the scores once, from memory; backward reads them once and writes as much.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::softmax {

/// Element i of row r of the scores lies at x + r * x_row + i * x_along. What there is one of in a row lies
/// `step` apart, the upstream gradient g_row.
template <class T>
struct CrossEntropyArgs {
  const T* x;
  T* dx;       // of the gradient
  const T* g;  // of the gradient
  const int64_t* target;
  T *most, *log_sum, *loss;
  int64_t x_along, dx_along;
  int64_t x_row, dx_row, g_row, step;
  int64_t count;  // classes, at least 1
  int64_t rows;
  T* scratch;  // 2 * count elements
};

template <class T>
struct CrossEntropyKernel {
  void (*forward)(const CrossEntropyArgs<T>&) noexcept;
  void (*grad)(const CrossEntropyArgs<T>&) noexcept;
};

struct CrossEntropyTable {
  CrossEntropyKernel<float> f32;
  CrossEntropyKernel<double> f64;
};

}  // namespace striate::softmax

STRIATE_KERNEL_TABLE(striate::softmax::CrossEntropyTable, cross_entropy_table)
