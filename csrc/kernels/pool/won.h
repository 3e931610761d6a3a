// The question that gradients of maxima ask of a window: was it won by this tap? Included by the pooling kernels only.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

/// The winners of N windows, a byte each, as wide as T. Flipped twice: GCC widens bytes that it computed in one
/// instruction, but takes a vector of bytes that it only loaded apart.
template <class T, int N>
STRIATE_INLINE auto load_winners(const uint8_t* from) {
  constexpr uint8_t flip = 1;
  return __builtin_convertvector(load<vec<uint8_t, N>>(from) ^ flip, vec<typename mask_of<T>::type, N>) ^ flip;
}

/// `grad` where the winner is `tap`, else 0.
template <class V, class M>
STRIATE_INLINE V if_won(V grad, M winner, int32_t tap) {
  return reinterpret_cast<V>((winner == tap) & reinterpret_cast<M>(grad));
}

/// The same of winners as they lie in memory, where they are asked but once: compared as bytes.
template <int N, class T>
STRIATE_INLINE vec<T, N> if_won(vec<T, N> grad, const uint8_t* winner, uint8_t tap) {
  using Mask = vec<typename mask_of<T>::type, N>;
  const auto won = __builtin_convertvector(load<vec<uint8_t, N>>(winner) == tap, Mask);
  return reinterpret_cast<vec<T, N>>(won & reinterpret_cast<Mask>(grad));
}

}  // namespace
}  // namespace striate::STRIATE_ISA
