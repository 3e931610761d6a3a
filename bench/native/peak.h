// Two loops that show what one core can do: multiply-adds from registers alone, and a plain copy. Both
// use the instructions that our kernels use, so "100 %" is what those could reach.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::bench {

template <class T>
struct PeakKernel {
  /// Multiply-adds (two operations each) in one round.
  int64_t per_round;
  /// Returns a number that depends on all of them.
  T (*multiply_add)(int64_t rounds, T factor, T addend) noexcept;
  void (*copy)(const T* from, T* to, int64_t count) noexcept;
};

struct PeakTable {
  PeakKernel<float> f32;
  PeakKernel<double> f64;
};

}  // namespace striate::bench

STRIATE_KERNEL_TABLE(striate::bench::PeakTable, peak_table)
