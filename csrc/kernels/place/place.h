// Copies a regular grid of input elements to a regular grid of the output and fills the rest: pad and crop
// (steps of 1), downsample (steps on the input), upsample_zeros (steps on the output).
//
//     in    a b c d e f             in_first 0, in_step 2, count 3
//           |   |   |
//     out   a . c . e .             out_first 0, out_step 2;  . = value
//
// A line is one row of the output, counted over (n, c, d, h), or over (n, d, h) where channels are neighbours.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::place {

/// Output element out_first + i * out_step is input element in_first + i * in_step, i < count.
struct Axis {
  int64_t in = 1, out = 1;
  int64_t out_first = 0, out_step = 1, in_first = 0, in_step = 1;
  int64_t count = 1;
};

template <class T>
struct Args {
  const T* in;
  T* out;
  int64_t in_stride[5], out_stride[5];
  int64_t c;
  Axis axis[3];
  T value;
};

template <class T>
struct Kernel {
  void (*planes)(const Args<T>&, int64_t begin, int64_t end) noexcept;
  void (*channels)(const Args<T>&, int64_t begin, int64_t end) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::place

STRIATE_KERNEL_TABLE(striate::place::Table, place_table)
