// Vectors from elements that are not neighbours, and back. Nothing reads past the last element asked for.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

/// Steps known at compile time are 1 and 2; kAnyStep takes the run-time step, lane by lane.
constexpr int kAnyStep = 0;

template <class V, int... I>
STRIATE_INLINE V every_second(V first, V second, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I));
  return __builtin_shufflevector(first, second, (I < n / 2 ? 2 * I : 2 * I + 1)...);
}

/// Lanes from[0], from[step], from[2 * step], ...
template <int Step, int N, class T>
STRIATE_INLINE vec<T, N> load_strided(const T* from, int64_t step) {
  using V = vec<T, N>;
  if constexpr (Step == 1 || N == 1) {
    return load<V>(from);
  } else if constexpr (Step == 2) {
    // The second load starts one element early and so ends with the last element wanted.
    return every_second(load<V>(from), load<V>(from + N - 1), typename make_indices<N>::type{});
  } else {
    V value{};
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) value[i] = from[i * step];
    return value;
  }
}

template <int N, class T, class V>
STRIATE_INLINE void store_strided(T* to, int64_t step, V value) {
  if (step == 1) {
    store(to, value);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) to[i * step] = value[i];
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
