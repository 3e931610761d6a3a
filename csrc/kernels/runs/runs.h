// Runs of elements, moved or added: what pads that mirror, im2col and its adjoint, and shuffles are made of.
//
//     from  a b c d e f g       Run{from 1, to 0, from_step 2, to_step 1, count 3}
//             |   |   |
//     to    b d f ...
//
// All runs of a call begin at the same two places and are walked in their order. Steps may be 0 or negative.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::runs {

struct Run {
  int64_t from, to;  // where it begins, in elements
  int64_t from_step, to_step;
  int64_t count;
};

template <class T>
struct Kernel {
  /// to = from
  void (*copy)(const T* from, T* to, const Run* runs, int64_t count) noexcept;
  /// to += from, element by element in the order of the run: a to_step of 0 sums a run up
  void (*add)(const T* from, T* to, const Run* runs, int64_t count) noexcept;
  void (*fill)(T* to, int64_t count, int64_t step, T value) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::runs

STRIATE_KERNEL_TABLE(striate::runs::Table, runs_table)
