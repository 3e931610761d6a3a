// Resampling: every axis has a sparse matrix, and an output element is a weighted sum over the taps of its
// three rows. Interpolation and its gradient are the same walk with matrices transposed.
//
//     matrix of one axis, by rows           begin  0   1     3     5   6
//     (linear, 3 -> 4)                      index  0 | 0  1 | 1  2 | 2
//                                           weight 1 |1/8..|.. etc.
//
// Far from the ends rows repeat: row o + period is row o moved by `shift` columns. That part of the width,
// [inner_begin, inner_end), needs no gather.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::resample {

template <class T>
struct Matrix {
  int64_t in, out;
  const int32_t* begin;  // [out + 1]
  const int32_t* index;
  const T* weight;
};

template <class T>
struct Args {
  const T* in;
  T* out;
  int64_t in_stride[5], out_stride[5];
  int64_t c;
  Matrix<T> axis[3];
  int64_t inner_begin, inner_end;  // of the width's rows
  int period;                      // 1, or 2 with a shift of 1; 0: no inner part
  int64_t shift;
  // Width first (each input row is resampled once and kept), else depth and height first. Width first asks for
  // unit strides along the input's rows and at most two neighbouring taps in depth and height.
  bool width_first;
  T* scratch;     // [5][pitch]
  int64_t pitch;  // at least the longer row
};

template <class T>
struct Kernel {
  /// Lanes are pixels; a line is a row of the output, over (n, c, d, h); any strides.
  void (*planes)(const Args<T>&, int64_t begin, int64_t end) noexcept;
  /// Lanes are channels, neighbours in both arrays; lines over (n, d, h).
  void (*channels)(const Args<T>&, int64_t begin, int64_t end) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::resample

STRIATE_KERNEL_TABLE(striate::resample::Table, resample_table)
