// The two passes of batch normalisation, for one run of a channel or for rows of neighbouring channels.
//
//   sums:  sum[c] += a,  product[c] += a * (x - center[c])      a = g, or x - center[c] where g is null
//   map:   out = (x - center[c]) * scale[c] + offset[c]         and + g * grad_scale[c] where g is not null
//
// With center = any element of the channel the sums give mean and variance without cancellation; with
// center = the mean they give the gradients of bias and weight. They run in float64 whatever T is. The
// order of additions depends on counts only.
//
//   run:   one channel; element i of x at x + i * x_step
//   rows:  row i of x at x + i * x_step, its `channels` elements side by side
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::norm {

template <class T>
struct SumArgs {
  const T* x;
  const T* g;  // or null
  int64_t x_step, g_step;
  int64_t count;
  int64_t channels;  // 1 for a run
  const T* center;
  double* sum;
  double* product;
};

template <class T>
struct MapArgs {
  const T* x;
  const T* g;  // or null
  T* out;
  int64_t x_step, g_step, out_step;
  int64_t count;
  int64_t channels;
  const T* center;
  const T* scale;
  const T* offset;
  const T* grad_scale;
};

template <class T>
struct Kernel {
  void (*sum_run)(const SumArgs<T>&) noexcept;
  void (*sum_rows)(const SumArgs<T>&) noexcept;
  void (*map_run)(const MapArgs<T>&) noexcept;
  void (*map_rows)(const MapArgs<T>&) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::norm

STRIATE_KERNEL_TABLE(striate::norm::Table, norm_table)
