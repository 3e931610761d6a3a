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

// Lanes of a block that holds `channels` channels.
template <class T>
STRIATE_INLINE int block_width(int channels) {
  return channels <= kLanes<T> ? kLanes<T> : kBlock<T>;
}

// Channels are neighbours: pixel by pixel, so that memory is read in order.
template <class T>
void copy_lanes(const LanesArgs<T>& a) {
  const int whole = a.channels / kBlock<T> * kBlock<T>;
  const int rest = a.channels - whole;
  const int width = block_width<T>(rest);
  T* to = a.to + static_cast<int64_t>(a.first_pixel) * kBlock<T>;
  T* last = a.to + whole / kBlock<T> * a.to_block + static_cast<int64_t>(a.first_pixel) * width;
  for (int i = 0; i < a.pixels; ++i) {
    const T* from = a.from + i * a.from_w;
    T* block = to + i * kBlock<T>;
    for (int c = 0; c < whole; c += kBlock<T>, block += a.to_block)
#pragma GCC unroll 2
      for (int v = 0; v < kBlock<T>; v += kLanes<T>) store(block + v, load<native<T>>(from + c + v));
    if (rest == 0) continue;
    store(last + width - kLanes<T>, native<T>{});
    copy_run(from + whole, last, rest);
    last += width;
  }
}

template <class T>
void pack_lanes(const LanesArgs<T>& a) noexcept {
  if (a.from_c == 1 && a.from_w != 1) return copy_lanes(a);
  T* block = a.to;
  for (int c = 0; c < a.channels; c += kBlock<T>, block += a.to_block) {
    const int used = smaller(kBlock<T>, a.channels - c);
    const int width = block_width<T>(used);
    const T* from = a.from + c * a.from_c;
    T* to = block + static_cast<int64_t>(a.first_pixel) * width;
    if (a.from_w == 1)
      transpose_matrix<1>(from, a.from_c, 1, used, a.pixels, to, width, true);
    else if (a.from_w == 2)
      transpose_matrix<2>(from, a.from_c, 2, used, a.pixels, to, width, true);
    else
      transpose_matrix<kAnyStep>(from, a.from_c, a.from_w, used, a.pixels, to, width, true);
  }
}

// Sums [row][lane] of one lane block, to lanes that are not neighbours.
template <class T>
void put_block(const PutArgs<T>& a, const T* acc, int channels, T* out) {
  if (a.out_row == 1) {
    // A vector of lanes at a time: as few streams of memory as can be.
    constexpr int n = kLanes<T>;
    for (int lane = 0; lane < channels; lane += n) {
      if (lane + n > channels) lane = larger(0, channels - n);
      transpose_matrix<1>(acc + lane, kBlock<T>, 1, a.rows, smaller(n, channels - lane), out + lane * a.out_lane,
                          a.out_lane, false);
    }
  } else {
    for (int lane = 0; lane < channels; ++lane)
      for (int r = 0; r < a.rows; ++r) out[lane * a.out_lane + r * a.out_row] = acc[r * kBlock<T> + lane];
  }
}

template <class T>
void put(const PutArgs<T>& a) noexcept {
  if (a.out_lane == 1) {
    for (int r = 0; r < a.rows; ++r) {
      const T* acc = a.acc + r * kBlock<T>;
      T* out = a.out + r * a.out_row;
      int c = 0;
      for (; c + kBlock<T> <= a.channels; c += kBlock<T>, acc += a.acc_block_stride)
        copy_run(acc, out + c, kBlock<T>);
      copy_run(acc, out + c, a.channels - c);
    }
    return;
  }
  const T* acc = a.acc;
  for (int c = 0; c < a.channels; c += kBlock<T>, acc += a.acc_block_stride)
    put_block(a, acc, smaller(kBlock<T>, a.channels - c), a.out + c * a.out_lane);
}

}  // namespace
}  // namespace striate::STRIATE_ISA
