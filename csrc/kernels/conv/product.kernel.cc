// The body of the register tile and of the movers around it. See product.h.
//
// Sizes keep accumulators, one set of `b` and a broadcast in registers, and the row offsets in address
// registers. The wider a tile, the fewer broadcasts a multiply-add: measured on a core with AVX-512,
// 6 x 4 reaches 95 % of peak, 9 x 2 88 %.
//     16 registers: 6 x 2 + 2 + 1           32 registers: 6 x 4 + 4 + 1, 8 x 3 + 3 + 1, 9 x 2 + 2 + 1
#include "kernels/conv/product.h"

#include "kernels/conv/moves.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::BiasOf;
using conv::MoveArgs;
using conv::PackLanesArgs;
using conv::ProductArgs;

constexpr int kVectors = STRIATE_REGISTERS < 32 ? 2 : 4;
template <class T>
constexpr int kBlock = kVectors * kLanes<T>;

// Rows of the register tile for blocks of that many vectors. At least eight independent sums hide the latency of
// the multiply-add.
constexpr int rows_of(int vectors) {
  if (STRIATE_REGISTERS < 32) return vectors == 2 ? 6 : 9;
  return vectors == 4 ? 6 : vectors == 3 ? 8 : 9;
}

// ---- multiply ---------------------------------------------------------------------------------------

// What a block of lanes has in common. The last vector holds `tail` lanes.
template <class T>
struct Block {
  const T* b;
  int64_t b_step;
  T* c;
  const T* bias;
  int tail;
};

template <class T, int Rows, int Vectors>
STRIATE_INLINE void begin_sums(const ProductArgs<T>& p, const Block<T>& block, int first,
                               native<T> (&sum)[Rows][Vectors]) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  if (p.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const T* c = block.c + p.c_row[first + r];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        sum[r][v] = v == Vectors - 1 && block.tail < n ? load_tail<T, n>(c + v * n, block.tail)
                                                       : load<V>(c + v * n);
    }
    return;
  }
  if (p.bias_of == BiasOf::lane) {
    V bias[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      bias[v] = v == Vectors - 1 && block.tail < n ? load_tail<T, n>(block.bias + v * n, block.tail)
                                                   : load<V>(block.bias + v * n);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] = bias[v];
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = p.bias_of == BiasOf::row ? broadcast<V>(p.bias[first + r]) : V{};
}

// A product over one tap is short, and its memory rarely at hand. While it runs, ask for the rows of `a` that come
// next and, a row at a time (all at once would fill the queue of misses), for the sums' place.
constexpr int kStepsBetweenPrefetches = 8;

template <class T, int Rows, int Vectors>
STRIATE_INLINE void prefetch(const ProductArgs<T>& p, const Block<T>& block, int first, const T* a, int done) {
  if (p.a_step == 1 && first + 2 * Rows <= p.rows) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) __builtin_prefetch(a + p.row_offset[first + Rows + r]);
  }
  const int r = done / kStepsBetweenPrefetches;
  if (r < Rows) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v += sizeof(native<T>) < 64 ? 64 / sizeof(native<T>) : 1)
      __builtin_prefetch(block.c + p.c_row[first + r] + v * kLanes<T>, 1);
  }
}

template <class T, int Rows, int Vectors>
void product_rows(const ProductArgs<T>& p, const Block<T>& block, int first) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  V sum[Rows][Vectors];
  begin_sums<T, Rows, Vectors>(p, block, first, sum);

  int64_t row[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) row[r] = p.row_offset[first + r];
  const T* a = p.a;
  const T* b = block.b;
  const int64_t a_step = p.a_step, b_step = block.b_step;
  const int piece = p.taps == 1 ? kStepsBetweenPrefetches : p.run;
  for (int t = 0; t < p.taps; ++t) {
    if (p.a_tap) a = p.a + p.a_tap[t];
    if (p.b_tap) b = block.b + p.b_tap[t];
    for (int done = 0; done < p.run; done += piece) {
      const int steps = smaller(piece, p.run - done);
      if (p.taps == 1) prefetch<T, Rows, Vectors>(p, block, first, a, done);
      for (int i = 0; i < steps; ++i) {
        V x[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) x[v] = load<V>(b + v * n);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const V y = broadcast<V>(a[row[r]]);
#pragma GCC unroll 4
          for (int v = 0; v < Vectors; ++v) sum[r][v] += y * x[v];
        }
        a += a_step;
        b += b_step;
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    T* c = block.c + p.c_row[first + r];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      if (v == Vectors - 1 && block.tail < n)
        store_tail<T, n>(c + v * n, sum[r][v], block.tail);
      else
        store(c + v * n, sum[r][v]);
    }
  }
}

// Calls the instance for `rows`, known only at run time, out of 1 ... Rows.
template <class T, int Rows, int Vectors>
STRIATE_INLINE void rows_dispatch(int rows, const ProductArgs<T>& p, const Block<T>& block, int first) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return product_rows<T, Rows, Vectors>(p, block, first);
    rows_dispatch<T, Rows - 1, Vectors>(rows, p, block, first);
  }
}

// Cuts the rows into the fewest pieces, as even as can be: 49 by 6 gives 6 6 6 6 5 5 5 5 5, never 6 ... 6 1, whose
// last piece would leave the multipliers idle.
template <class T, int Vectors>
void product_block(const ProductArgs<T>& p, const Block<T>& block) {
  constexpr int limit = rows_of(Vectors);
  const int pieces = (p.rows + limit - 1) / limit;
  for (int piece = 0, first = 0; piece < pieces; ++piece) {
    const int left = p.rows - first, size = (left + pieces - piece - 1) / (pieces - piece);
    rows_dispatch<T, limit, Vectors>(size, p, block, first);
    first += size;
  }
}

template <class T, int Vectors>
STRIATE_INLINE void vectors_dispatch(int vectors, const ProductArgs<T>& p, const Block<T>& block) {
  if constexpr (Vectors > 0) {
    if (vectors == Vectors) return product_block<T, Vectors>(p, block);
    vectors_dispatch<T, Vectors - 1>(vectors, p, block);
  }
}

template <class T>
void multiply(const ProductArgs<T>& p) noexcept {
  constexpr int n = kLanes<T>;
  for (int lane = 0, index = 0; lane < p.lanes; lane += kBlock<T>, ++index) {
    const int lanes = smaller(kBlock<T>, p.lanes - lane);
    const int vectors = (lanes + n - 1) / n;
    const bool last = lane + kBlock<T> >= p.lanes;
    const Block<T> block{p.b + index * p.b_block_stride, last ? p.b_last_step : p.b_step,
                         p.c + index * p.c_block_stride,
                         p.bias_of == BiasOf::lane ? p.bias + lane : nullptr, lanes - (vectors - 1) * n};
    vectors_dispatch<T, kVectors>(vectors, p, block);
  }
}

// ---- movers -----------------------------------------------------------------------------------------

template <class T>
void move(const MoveArgs<T>& m) noexcept {
  if (m.from_column == 1 && m.to_column == 1) {
    for (int r = 0; r < m.rows; ++r) copy_run(m.from + r * m.from_row, m.to + r * m.to_row, m.columns);
  } else if (m.from_column == 1 && m.to_row == 1) {
    transpose_run(m.from, m.from_row, m.rows, m.columns, m.to, m.to_column);
  } else if (m.from_row == 1 && m.to_column == 1) {
    transpose_run(m.from, m.from_column, m.columns, m.rows, m.to, m.to_row);
  } else if (m.from_column == 2 && m.to_column == 1) {
    for (int r = 0; r < m.rows; ++r) copy_steps<2>(m.from + r * m.from_row, m.to + r * m.to_row, m.columns);
  } else if (m.columns > m.rows) {
    for (int r = 0; r < m.rows; ++r)
      for (int c = 0; c < m.columns; ++c)
        m.to[r * m.to_row + c * m.to_column] = m.from[r * m.from_row + c * m.from_column];
  } else {
    for (int c = 0; c < m.columns; ++c)
      for (int r = 0; r < m.rows; ++r)
        m.to[r * m.to_row + c * m.to_column] = m.from[r * m.from_row + c * m.from_column];
  }
}

// Taps that are neighbours in memory, forwards or backwards, with all of a channel's taps in one run.
template <class T>
STRIATE_INLINE int tap_direction(const PackLanesArgs<T>& p) {
  for (int sign = 1; sign >= -1; sign -= 2)
    if ((p.kw == 1 || p.w == sign) && (p.kh == 1 || p.h == sign * p.kw) &&
        (p.kd == 1 || p.d == sign * p.kw * p.kh))
      return sign;
  return 0;
}

template <class T>
void pack_lanes(const PackLanesArgs<T>& p) noexcept {
  constexpr int n = kLanes<T>;
  const int taps = p.kd * p.kh * p.kw;
  const int direction = tap_direction(p);
  if (p.o == 1 || (taps == 1 && p.i == 1) || !direction) {
    // Lanes that are neighbours, the matrix of a single tap, or any strides: tap by tap.
    T* to = p.packed;
    for (int d = 0; d < p.kd; ++d)
      for (int h = 0; h < p.kh; ++h)
        for (int w = 0; w < p.kw; ++w, to += p.channels * p.step)
          move<T>({p.weight + d * p.d + h * p.h + w * p.w, p.i, p.o, p.channels, p.lanes, to, p.step, 1});
  } else {
    // Every lane reads straight on through channels (if they follow each other) and taps: transpose squares of
    // that run, and spread the columns, since taps are outside in the packed weights.
    const bool joined = direction > 0 && p.i == taps;
    const int run = joined ? p.channels * taps : taps;
    T square[n * n];
    for (int outer = 0; outer < (joined ? 1 : p.channels); ++outer) {
      const T* from = p.weight + outer * p.i - (direction < 0 ? taps - 1 : 0);
      for (int begin = 0; begin < run; begin += n) {
        const int columns = smaller(n, run - begin);
        for (int lane = 0; lane < p.lanes; lane += n) {
          const int lanes = smaller(n, p.lanes - lane);
          transpose_square(from + lane * p.o + begin, p.o, lanes, columns, square, n);
          int channel = joined ? begin / taps : outer, tap = joined ? begin % taps : begin;
          for (int j = 0; j < columns; ++j) {
            const int at = direction > 0 ? tap : taps - 1 - tap;
            T* to = p.packed + (static_cast<int64_t>(at) * p.channels + channel) * p.step + lane;
            if (lanes == n)
              store(to, load<native<T>>(square + j * n));
            else
              copy_run(square + j * n, to, lanes);
            if (++tap == taps) tap = 0, ++channel;
          }
        }
      }
    }
  }
  if (p.lanes == p.step) return;
  for (int64_t row = 0; row < static_cast<int64_t>(taps) * p.channels; ++row)
    for (int lane = p.lanes; lane < p.step; ++lane) p.packed[row * p.step + lane] = 0;
}

template <class T>
constexpr conv::Product<T> product() {
  return {kLanes<T>, kBlock<T>, rows_of(kVectors), multiply<T>, pack_lanes<T>, move<T>};
}

}  // namespace

constinit const conv::ProductTable product_table = {product<float>(), product<double>()};

}  // namespace striate::STRIATE_ISA
