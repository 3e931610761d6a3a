// What this machine can do, measured: the limits that results are compared with.
#pragma once

#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/tensor_view.h"

namespace striate::bench {

/// One level of memory and how fast a copy inside it runs; bytes read plus bytes written.
struct CopySpeed {
  const char* level;  // "L2", "L3", "mem"
  double footprint;   // bytes that fit this level, both sides of the copy together
  double bytes_per_second;
};

struct Limits {
  double flops_per_second;
  std::vector<CopySpeed> copy;  // smallest level first; the last one holds everything

  struct Bound {
    double seconds;
    const char* name;  // "peak" or a level
  };
  /// The least time that so much arithmetic and memory traffic can take, and which of them it is. Traffic
  /// is charged at the speed of the smallest level that holds it.
  Bound least_time(double flops, double bytes) const;
};

/// Measures with the process's current instruction set and `threads` threads; about half a second.
Limits measure_limits(DType dtype, int threads);

std::string describe(const Limits& limits, Isa isa, DType dtype, int threads);

}  // namespace striate::bench
