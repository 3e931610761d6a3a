// Operands of the weight gradient's product: a matrix channels x pixels, copied or transposed into the slab or
// the lanes, and sums on their way out. Included by weight_tiles.kernel.cc only.
//
// Vectors that would reach past the end begin earlier and overlap the last ones: the same elements are written
// twice, which is cheaper than one by one.
#pragma once

#include "kernels/conv/weight_tiles.h"
#include "simd/strided.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::LanesArgs;
using conv::LineArgs;
using conv::PutArgs;

constexpr int kVectors = 2;
template <class T>
constexpr int kBlock = kVectors * kLanes<T>;  // channels in a lane block

template <class T>
STRIATE_INLINE void zero_run(T* to, int count) {
  for (int i = 0; i < count; ++i) to[i] = 0;
}

/// `Step` as in load_strided. Never reads beyond the last element.
template <int N, int Step, class T>
STRIATE_INLINE void copy_strided(const T* from, int64_t step, T* to, int count) {
  using V = vec<T, N>;
  if (count >= N) {
    for (int i = 0; i + N <= count; i += N) store(to + i, load_strided<Step, N>(from + i * step, step));
    if (count % N != 0) {
      const int last = count - N;
      store<V>(to + last, load_strided<Step, N>(from + last * step, step));
    }
  } else if constexpr (N > 1) {
    copy_strided<N / 2, Step>(from, step, to, count);
  }
}

template <class T>
STRIATE_INLINE void copy_run(const T* from, T* to, int count) {
  copy_strided<kLanes<T>, 1>(from, 1, to, count);
}

// A square of the transpose: lane i of `to` rows from row i of `from`, the first `rows` of them; others are 0.
template <int Step, class T>
STRIATE_INLINE void load_square(const T* from, int64_t from_row, int64_t step, int rows,
                                native<T> (&square)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  if (rows >= n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) square[i] = load_strided<Step, n>(from + i * from_row, step);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      square[i] = i < rows ? load_strided<Step, n>(from + i * from_row, step) : native<T>{};
  }
  transpose<T, n>(square);
}

/// Row r, column c of a matrix (columns `step` apart, as in load_strided) to to[c * to_column + r]. With `pad`
/// the rows fill whole vectors: zeros, or whatever may be spilled.
template <int Step, class T>
void transpose_matrix(const T* from, int64_t from_row, int64_t step, int rows, int columns, T* to,
                      int64_t to_column, bool pad) {
  constexpr int n = kLanes<T>;
  if (columns < n || (rows < n && !pad)) {
    for (int c = 0; c < columns; ++c) {
      T* line = to + c * to_column;
      for (int r = 0; r < rows; ++r) line[r] = from[r * from_row + c * step];
      if (pad)
        for (int r = rows; r % n != 0; ++r) line[r] = 0;
    }
    return;
  }
  for (int r = 0; r < rows; r += n) {
    if (r + n > rows && !pad) r = rows - n;
    for (int c = 0; c < columns; c += n) {
      if (c + n > columns) c = columns - n;
      native<T> square[n];
      load_square<Step>(from + r * from_row + c * step, from_row, step, rows - r, square);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store(to + (c + i) * to_column + r, square[i]);
    }
  }
}

template <class T>
void pack_line(const LineArgs<T>& a) noexcept {
  T* to = a.to + a.zeros_before;
  if (a.from_w == 1) {
    for (int c = 0; c < a.channels; ++c) copy_run(a.from + c * a.from_c, to + c * a.to_c, a.pixels);
  } else if (a.from_c == 1) {
    transpose_matrix<1>(a.from, a.from_w, 1, a.pixels, a.channels, to, a.to_c, a.may_spill);
  } else if (a.from_w == 2) {
    for (int c = 0; c < a.channels; ++c)
      copy_strided<kLanes<T>, 2>(a.from + c * a.from_c, 2, to + c * a.to_c, a.pixels);
  } else {
    for (int c = 0; c < a.channels; ++c)
      for (int i = 0; i < a.pixels; ++i) to[c * a.to_c + i] = a.from[c * a.from_c + i * a.from_w];
  }
  if (a.zeros_before + a.zeros_after == 0) return;
  for (int c = 0; c < a.channels; ++c) {
    zero_run(a.to + c * a.to_c, a.zeros_before);
    zero_run(to + c * a.to_c + a.pixels, a.zeros_after);
  }
}

template <class T>
void pack_lanes(const LanesArgs<T>& a) noexcept {
  const int width = a.channels <= kLanes<T> ? kLanes<T> : kBlock<T>;
  if (a.from_c == 1) {
    if (a.channels == width) {
      for (int i = 0; i < a.pixels; ++i)
        for (int lane = 0; lane < width; lane += kLanes<T>)
          store(a.to + i * width + lane, load<native<T>>(a.from + i * a.from_w + lane));
      return;
    }
    for (int i = 0; i < a.pixels; ++i) {
      T* to = a.to + i * width;
      store(to + width - kLanes<T>, native<T>{});
      copy_run(a.from + i * a.from_w, to, a.channels);
    }
    return;
  }
  if (a.from_w == 1)
    transpose_matrix<1>(a.from, a.from_c, 1, a.channels, a.pixels, a.to, width, true);
  else if (a.from_w == 2)
    transpose_matrix<2>(a.from, a.from_c, 2, a.channels, a.pixels, a.to, width, true);
  else
    transpose_matrix<kAnyStep>(a.from, a.from_c, a.from_w, a.channels, a.pixels, a.to, width, true);
}

// One lane block: sums [row][lane].
template <class T>
void put_block(const T* acc, int rows, int channels, T* out, int64_t out_lane, int64_t out_row) {
  if (out_lane == 1) {
    for (int r = 0; r < rows; ++r) {
      if (channels == kBlock<T>)
        copy_run(acc + r * kBlock<T>, out + r * out_row, kBlock<T>);
      else
        copy_run(acc + r * kBlock<T>, out + r * out_row, channels);
    }
  } else if (out_row == 1) {
    transpose_matrix<1>(acc, kBlock<T>, 1, rows, channels, out, out_lane, false);
  } else {
    for (int lane = 0; lane < channels; ++lane)
      for (int r = 0; r < rows; ++r) out[lane * out_lane + r * out_row] = acc[r * kBlock<T> + lane];
  }
}

template <class T>
void put(const PutArgs<T>& a) noexcept {
  for (int first = 0, b = 0; first < a.channels; first += kBlock<T>, ++b)
    put_block(a.acc + b * a.acc_block_stride, a.rows, smaller(kBlock<T>, a.channels - first),
              a.out + first * a.out_lane, a.out_lane, a.out_row);
}

}  // namespace
}  // namespace striate::STRIATE_ISA
