// Even and odd elements of two neighbouring vectors, for windows that move by two.
//
// Instructions that pick every second element work inside 16 bytes, so a pair of vectors comes out "folded":
//     a0 a1 a2 a3 a4 a5 a6 a7 | b0 ... b7    folded_even: a0 a2 b0 b2 a4 a6 b4 b6    unfold: a0 a2 a4 a6 b0 ...
// Do the arithmetic on folded vectors, which agree among themselves, and unfold the result once.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

template <class V>
constexpr int kFold = 16 / static_cast<int>(sizeof(V{}[0]));
template <class V>
constexpr int kLanesOf = static_cast<int>(sizeof(V) / sizeof(V{}[0]));

template <int Odd, class V, int... I>
STRIATE_INLINE V fold_pairs(V a, V b, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I)), fold = kFold<V>, half = fold / 2;
  return __builtin_shufflevector(
      a, b, (I / fold * fold + Odd + (I % fold < half ? 2 * (I % fold) : n + 2 * (I % fold - half)))...);
}

template <class V, int... I>
STRIATE_INLINE V unfold_pairs(V v, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I)), fold = kFold<V>, half = fold / 2;
  return __builtin_shufflevector(
      v, v, (I % (n / 2) / half * fold + I % half + (I < n / 2 ? 0 : half))...);
}

template <class V>
STRIATE_INLINE V folded_even(V a, V b) {
  return fold_pairs<0>(a, b, typename make_indices<kLanesOf<V>>::type{});
}
template <class V>
STRIATE_INLINE V folded_odd(V a, V b) {
  return fold_pairs<1>(a, b, typename make_indices<kLanesOf<V>>::type{});
}
template <class V>
STRIATE_INLINE V unfold(V v) {
  return unfold_pairs(v, typename make_indices<kLanesOf<V>>::type{});
}

}  // namespace
}  // namespace striate::STRIATE_ISA
