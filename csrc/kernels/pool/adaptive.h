// Maxima of windows that overlap or leave nothing out by turns: window i of m on an axis of n reaches from
// floor(i n / m) to ceil((i + 1) n / m). With each goes its flat position in the image, of equals the first, of
// NaNs the last.
//
//   planes:    lanes are columns: the maxima of all columns over a window's lines, then of each window's columns
//   channels:  lanes are channels, neighbours in memory
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::pool {

template <class T>
struct AdaptiveArgs {
  const T* x;       // one image; of planes one channel
  T* out;           // one line of windows
  int64_t* places;  // with the steps of out
  int64_t in_h, in_w, out_w;
  int64_t d_begin, d_end, h_begin, h_end;  // of the windows of this line
  int64_t x_d, x_h, x_w, out_step;         // strides
  int64_t channels;                        // of `channels`: of x and out, side by side
  T* value;                                // of planes: room for in_w numbers and a register,
  int32_t* line;                           // and for the lines they are from
};

template <class T>
struct AdaptiveKernel {
  void (*planes)(const AdaptiveArgs<T>&) noexcept;
  void (*channels)(const AdaptiveArgs<T>&) noexcept;
};

struct AdaptiveTable {
  AdaptiveKernel<float> f32;
  AdaptiveKernel<double> f64;
};

}  // namespace striate::pool

STRIATE_KERNEL_TABLE(striate::pool::AdaptiveTable, adaptive_max_table)
