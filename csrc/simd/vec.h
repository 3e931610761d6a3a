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

// The same within blocks of `Block` lanes: their lower halves, or their upper ones.
template <int Block, int First, class V, int... I>
STRIATE_INLINE V zip_blocks(V a, V b, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I));
  return __builtin_shufflevector(a, b, (I / Block * Block + First + I % Block / 2 + (I % 2) * n)...);
}
// Half of `a` followed by the same half of `b`.
template <int First, class V, int... I>
STRIATE_INLINE V join_halves(V a, V b, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I));
  return __builtin_shufflevector(a, b, (First + I % (n / 2) + I / (n / 2) * n)...);
}

/// Transposes N rows of N lanes in place, square by square. One pass zips row i of a square with row i + half its side;
/// log2(side) passes make the transpose (the perfect shuffle rotates the bits of the index row * side + lane).
/// AVX2 zips within halves of 16 bytes, and crossing them takes two more instructions: there four squares are
/// transposed, then the two off the diagonal change places.
template <class T, int N>
STRIATE_INLINE void transpose(vec<T, N> (&rows)[N]) {
  using order = typename make_indices<N>::type;
  constexpr int side = N * sizeof(T) == 32 ? N / 2 : N;
#pragma GCC unroll 8
  for (int pass = 1; pass < side; pass *= 2) {
    vec<T, N> next[N];
#pragma GCC unroll 2
    for (int square = 0; square < N; square += side)
#pragma GCC unroll 16
      for (int i = 0; i < side / 2; ++i) {
        const vec<T, N> a = rows[square + i], b = rows[square + i + side / 2];
        next[square + 2 * i] = zip_blocks<side, 0>(a, b, order{});
        next[square + 2 * i + 1] = zip_blocks<side, side / 2>(a, b, order{});
      }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) rows[i] = next[i];
  }
  if constexpr (side < N) {
#pragma GCC unroll 16
    for (int i = 0; i < side; ++i) {
      const vec<T, N> a = rows[i], b = rows[i + side];
      rows[i] = join_halves<0>(a, b, order{});
      rows[i + side] = join_halves<N / 2>(a, b, order{});
    }
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
