// vec<T, N>: N numbers of type T in one register, the vocabulary of every kernel.
//
// Built on the compiler's vector extension, so + - * / < and ?: work on whole vectors and one source
// serves SSE2, AVX2, AVX-512 and NEON. The build compiles each *.kernel.cc once per instruction set with
//     -DSTRIATE_ISA=<namespace> -DSTRIATE_VECTOR_BYTES=<register width> -DSTRIATE_REGISTERS=<how many>
//
// Included by kernels only. Everything here lives in an anonymous namespace: an inline function shared
// between objects could be linked from the AVX-512 copy and kill a CPU without AVX-512.
#pragma once

#if !defined(STRIATE_ISA) || !defined(STRIATE_VECTOR_BYTES) || !defined(STRIATE_REGISTERS)
#error "simd/vec.h is for *.kernel.cc files, which the build compiles once per instruction set"
#endif

#include <stddef.h>
#include <stdint.h>

#define STRIATE_INLINE inline __attribute__((always_inline))

namespace striate::STRIATE_ISA {
namespace {

template <class T, int N>
struct vec_type {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class T, int N>
using vec = typename vec_type<T, N>::type;

/// Numbers of type T in one register of this instruction set.
template <class T>
constexpr int kLanes = STRIATE_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T>
using native = vec<T, kLanes<T>>;

/// The signed integer as wide as T: what comparisons of vec<T, N> yield, lane by lane.
template <class T>
struct mask_of;
template <>
struct mask_of<float> {
  using type = int32_t;
};
template <>
struct mask_of<double> {
  using type = int64_t;
};

template <class V, class T>
STRIATE_INLINE V load(const T* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof value);  // one unaligned load
  return value;
}

template <class V, class T>
STRIATE_INLINE void store(T* to, V value) {
  __builtin_memcpy(to, &value, sizeof value);
}

template <class V, class T>
STRIATE_INLINE V broadcast(T value) {
  return value - V{};  // x - 0 is x for every x, also for -0 and NaN
}

/// The first `count` lanes; the others are 0.
template <class V, class T>
STRIATE_INLINE V load_partial(const T* from, int count) {
  V value{};
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return value;
}

template <class V, class T>
STRIATE_INLINE void store_partial(T* to, V value, int count) {
  for (int i = 0; i < count; ++i) to[i] = value[i];
}

template <class T>
STRIATE_INLINE T smaller(T a, T b) {
  return b < a ? b : a;
}
template <class T>
STRIATE_INLINE T larger(T a, T b) {
  return a < b ? b : a;
}

// ---- transposition --------------------------------------------------------------------------------

template <int... I>
struct indices {};
template <int N, int... I>
struct make_indices : make_indices<N - 1, N - 1, I...> {};
template <int... I>
struct make_indices<0, I...> {
  using type = indices<I...>;
};

template <class V, int... I>
STRIATE_INLINE V zip_low(V a, V b, indices<I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * static_cast<int>(sizeof...(I)))...);
}
template <class V, int... I>
STRIATE_INLINE V zip_high(V a, V b, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I));
  return __builtin_shufflevector(a, b, (n / 2 + I / 2 + (I % 2) * n)...);
}

/// Transposes N rows of N lanes in place. One pass zips row i with row i + N/2; log2(N) passes make the
/// transpose (the perfect shuffle rotates the bits of the index row * N + lane).
template <class T, int N>
STRIATE_INLINE void transpose(vec<T, N> (&rows)[N]) {
  using order = typename make_indices<N>::type;
#pragma GCC unroll 8
  for (int pass = 1; pass < N; pass *= 2) {
    vec<T, N> next[N];
#pragma GCC unroll 16
    for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = zip_low(rows[i], rows[i + N / 2], order{});
      next[2 * i + 1] = zip_high(rows[i], rows[i + N / 2], order{});
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) rows[i] = next[i];
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
