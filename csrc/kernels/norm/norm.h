// The two passes of batch normalisation over memory. Element e of the channel with number c has the value x,
// of the output gradient the value g:
//
//   sums:  sum[c] += a,  product[c] += a * (x - center[c])      a = g', or x - center[c] where g is null
//   map:   out = (x - center[c]) * scale[c] + offset[c]         then max(out, 0) with relu     where g is null
//          out = g' * grad_scale[c] + (x - center[c]) * scale[c] + offset[c]                   where it is not
//          out = g' * grad_scale[c]                                                 where scale is null besides
//
// g' is g; behind a fused ReLU (gate_scale is not null) it is 0 where that gave 0, which is found out again:
//
//   g' = (x - center[c]) * gate_scale[c] + gate_offset[c] <= 0 ? 0 : g
//
// the same arithmetic as the map that went forward, so neither its output nor a mask is read.
//
// With center = any value near the channel's the sums give mean and variance without cancellation; with
// center = the mean they give the gradients of bias and weight. At most `kChain` terms are added in T before
// the sum moves on to float64. The order of additions depends on counts only.
//
//   runs:  channel c of x begins at x + c * x_channel; its elements are `runs` runs of `count`, run r at
//          offset x_at[r], steps x_step                        (contiguous arrays: a run an image)
//   rows:  `count` rows at x + r * x_step of `channels` elements side by side        (channels last)
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::norm {

/// What the sums and the map know of the channels, one element each.
template <class T>
struct Channels {
  const T* center;
  const T* gate_scale;  // or null
  const T* gate_offset;
  const T* scale;
  const T* offset;
  const T* grad_scale;
};

template <class T>
struct Args {
  const T* x;
  const T* g;  // or null
  T* out;      // of the map
  int64_t x_step, g_step, out_step;
  int64_t count;
  int64_t channels;
  Channels<T> of;  // from the first channel of this call on
  bool relu;       // of the map forward
  // Of runs only.
  int64_t x_channel, g_channel, out_channel;
  int64_t runs;
  const int64_t *x_at, *g_at, *out_at;
  bool ahead;  // each run asks the memory for the next one
  // Of the sums.
  double* sum;
  double* product;
};

template <class T>
struct Kernel {
  void (*runs)(const Args<T>&) noexcept;
  void (*rows)(const Args<T>&) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::norm

STRIATE_KERNEL_TABLE(striate::norm::Table, norm_sums_table)
STRIATE_KERNEL_TABLE(striate::norm::Table, norm_map_table)
