// Moving runs and small matrices between layouts. Included by kernels only.
#pragma once

#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

/// The first `count` lanes, 0 < count < N; the others are 0. Halves instead of single lanes.
template <class T, int N>
STRIATE_INLINE vec<T, N> load_tail(const T* from, int count) {
  T buffer[N] = {};
  int at = 0;
#pragma GCC unroll 8
  for (int half = N / 2; half > 0; half /= 2)
    if (count & half) {
      __builtin_memcpy(buffer + at, from + at, half * sizeof(T));
      at += half;
    }
  return load<vec<T, N>>(buffer);
}

template <class T, int N>
STRIATE_INLINE void store_tail(T* to, vec<T, N> value, int count) {
  T buffer[N];
  store(buffer, value);
  int at = 0;
#pragma GCC unroll 8
  for (int half = N / 2; half > 0; half /= 2)
    if (count & half) {
      __builtin_memcpy(to + at, buffer + at, half * sizeof(T));
      at += half;
    }
}

/// to[i] = from[i * step], step 1 or 2. The last vector overlaps the one before, and runs shorter than a vector
/// are copied by shorter vectors.
template <int Step, class T, int N = kLanes<T>>
STRIATE_INLINE void copy_steps(const T* from, T* to, int count) {
  if constexpr (N < 2) {
    if (count > 0) to[0] = from[0];
  } else {
    if (count < N) return copy_steps<Step, T, N / 2>(from, to, count);
    for (int i = 0; i + N <= count; i += N) store(to + i, load_strided<Step, N>(from + i * Step, Step));
    if (count % N)
      store(to + count - N, load_strided<Step, N>(from + static_cast<int64_t>(count - N) * Step, Step));
  }
}

template <class T>
STRIATE_INLINE void copy_run(const T* from, T* to, int count) {
  copy_steps<1>(from, to, count);
}

/// One square of a transposition: `rows` x `columns` elements, at most kLanes<T> each way.
template <class T>
STRIATE_INLINE void transpose_square(const T* from, int64_t from_row, int rows, int columns, T* to,
                                     int64_t to_column) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  V block[n];
  if (rows == n && columns == n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) block[i] = load<V>(from + i * from_row);
    transpose<T, n>(block);
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) store(to + i * to_column, block[i]);
    return;
  }
  T square[n * n];
  for (int i = 0; i < rows; ++i)
    store(square + i * n, columns == n ? load<V>(from + i * from_row) : load_tail<T, n>(from + i * from_row, columns));
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) block[i] = i < rows ? load<V>(square + i * n) : V{};
  transpose<T, n>(block);
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) store(square + i * n, block[i]);
  for (int i = 0; i < columns; ++i) {
    const V column = load<V>(square + i * n);
    if (rows == n)
      store(to + i * to_column, column);
    else
      store_tail<T, n>(to + i * to_column, column, rows);
  }
}

/// rows x columns matrix, unit column stride in `from`, to unit row stride in `to`.
template <class T>
STRIATE_INLINE void transpose_run(const T* from, int64_t from_row, int rows, int columns, T* to,
                                  int64_t to_column) {
  constexpr int n = kLanes<T>;
  if (rows < 4 || columns < 4) {  // not worth a square
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) to[c * to_column + r] = from[r * from_row + c];
    return;
  }
  // The last square overlaps the one before.
  const auto square = [&](int r, int c) {
    if (rows >= n) r = smaller(r, rows - n);
    if (columns >= n) c = smaller(c, columns - n);
    transpose_square(from + r * from_row + c, from_row, smaller(n, rows - r), smaller(n, columns - c),
                     to + c * to_column + r, to_column);
  };
  // Walk along the side whose steps are wide (planes of an image): few pages at a time.
  if (to_column > from_row) {
    for (int c = 0; c < columns; c += n)
      for (int r = 0; r < rows; r += n) square(r, c);
  } else {
    for (int r = 0; r < rows; r += n)
      for (int c = 0; c < columns; c += n) square(r, c);
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
