// Whether a NaN was met: masks of comparisons that hold for numbers only, gathered and asked once.
// Included by the pooling kernels only.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

/// Lane by lane: neither is a NaN.
template <class V>
STRIATE_INLINE auto both_ordered(V a, V b) {
  return (a <= b) | (a > b);  // one comparison
}

template <class M>
STRIATE_INLINE bool all_set(M mask) {
  const auto words = reinterpret_cast<vec<int64_t, sizeof(M) / 8>>(mask);
  int64_t all = -1;
#pragma GCC unroll 8
  for (size_t i = 0; i < sizeof(M) / 8; ++i) all &= words[i];
  return all == -1;
}

}  // namespace
}  // namespace striate::STRIATE_ISA
