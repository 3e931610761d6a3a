// What sums need of registers: their lanes in float64, and masks for the last, partly filled one.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

// ---- from T to float64 ----------------------------------------------------------------------------------

using Wide = native<double>;
constexpr int kWide = kLanes<double>;

/// The half of the lanes from kFirst on.
template <int kFirst, int... I>
STRIATE_INLINE Wide widened(native<float> v, indices<I...>) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, (kFirst + I)...), Wide);
}
using Half = typename make_indices<kWide>::type;

template <int N, int... I>
STRIATE_INLINE double sum_of_lanes(vec<double, N> v, indices<I...>) {
  if constexpr (N == 2)
    return v[0] + v[1];
  else
    return sum_of_lanes<N / 2>(__builtin_shufflevector(v, v, I...) + __builtin_shufflevector(v, v, (I + N / 2)...),
                               typename make_indices<N / 4>::type{});
}
STRIATE_INLINE double total(native<double> v) {
  return sum_of_lanes<kWide>(v, typename make_indices<kWide / 2>::type{});
}
STRIATE_INLINE double total(native<float> v) { return total(widened<0>(v, Half{}) + widened<kWide>(v, Half{})); }

/// sums[lane] += v[lane].
STRIATE_INLINE void add_lanes(double* sums, native<double> v) { store(sums, load<Wide>(sums) + v); }
STRIATE_INLINE void add_lanes(double* sums, native<float> v) {
  add_lanes(sums, widened<0>(v, Half{}));
  add_lanes(sums + kWide, widened<kWide>(v, Half{}));
}

// ---- the last, partly filled register -------------------------------------------------------------------

/// Zeros, ones (all bits), zeros, one register of each: masks for any group of lanes at an end.
template <class T>
struct Edges {
  typename mask_of<T>::type bits[3 * kLanes<T>] = {};
  constexpr Edges() {
    for (int i = 0; i < kLanes<T>; ++i) bits[kLanes<T> + i] = -1;
  }
};
template <class T>
constexpr Edges<T> kEdges;

template <class T>
using bits_of = vec<typename mask_of<T>::type, kLanes<T>>;

template <class T>
STRIATE_INLINE bits_of<T> first_lanes(int count) {
  return load<bits_of<T>>(kEdges<T>.bits + 2 * kLanes<T> - count);
}
template <class T>
STRIATE_INLINE bits_of<T> last_lanes(int count) {
  return load<bits_of<T>>(kEdges<T>.bits + count);
}
template <class T>
STRIATE_INLINE native<T> masked(native<T> v, bits_of<T> mask) {
  return reinterpret_cast<native<T>>(reinterpret_cast<bits_of<T>>(v) & mask);
}

}  // namespace
}  // namespace striate::STRIATE_ISA
