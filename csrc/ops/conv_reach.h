// Which taps of a window meet the input, and which meet nothing but padding.
#pragma once

#include <algorithm>

#include "ops/conv_window.h"

namespace striate {

/// The taps of one output along one axis that lie inside the input, and where the first of them does.
struct Reach {
  int64_t tap, taps, position;
};

inline Reach reach_of(const CorrelationAxis& a, int64_t x) {
  const int64_t origin = x * a.stride - a.pad;
  const int64_t first = origin < 0 ? ceil_div(-origin, a.dilation) : 0;
  const int64_t end = origin < a.in ? std::min(a.taps, ceil_div(a.in - origin, a.dilation)) : 0;
  if (first >= end) return {0, 0, 0};
  return {first, end - first, origin + first * a.dilation};
}

}  // namespace striate
