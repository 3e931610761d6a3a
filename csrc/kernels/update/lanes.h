// What the kernels of optimisers share: whole registers and the lanes at the end of a run, small buffers for runs
// with gaps, square roots. For kernels only.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

constexpr int64_t kPiece = 256;  // elements that pass through small buffers where steps are not 1

// ---- square roots ---------------------------------------------------------------------------------------

STRIATE_INLINE float root_of(float x) { return __builtin_sqrtf(x); }
STRIATE_INLINE double root_of(double x) { return __builtin_sqrt(x); }

template <class T>
STRIATE_INLINE native<T> root_of_lanes(native<T> x) {
  T lanes[kLanes<T>];
  store(lanes, x);
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = root_of(lanes[i]);  // the compiler makes it one instruction
  return load<native<T>>(lanes);
}

// ---- a register, or the lanes at the end of a run ---------------------------------------------------------

/// Loads and stores of whole registers, or of the first lanes of one.
template <class T>
struct Whole {
  STRIATE_INLINE native<T> load_from(const T* from) const { return load<native<T>>(from); }
  STRIATE_INLINE void store_to(T* to, native<T> v) const { store(to, v); }
};
template <class T>
struct Part {
  int count;
  STRIATE_INLINE native<T> load_from(const T* from) const { return load_partial<native<T>>(from, count); }
  STRIATE_INLINE void store_to(T* to, native<T> v) const { store_partial(to, v, count); }
};

/// Without weight decay an infinite weight leaves its gradient alone.
template <class V, class T>
STRIATE_INLINE V decayed(V grad, T weight_decay, V w) {
  return weight_decay == 0 ? grad : grad + weight_decay * w;
}

template <class T, class Vector>
STRIATE_INLINE void for_vectors(int64_t count, Vector vector) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + n <= count; i += n) vector(i, Whole<T>{});
  if (i < count) vector(i, Part<T>{static_cast<int>(count - i)});
}

// ---- runs with gaps -------------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE void gather(const T* from, int64_t step, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i * step];
}
template <class T>
STRIATE_INLINE void scatter(const T* from, int64_t count, T* to, int64_t step) {
  for (int64_t i = 0; i < count; ++i) to[i * step] = from[i];
}

}  // namespace
}  // namespace striate::STRIATE_ISA
