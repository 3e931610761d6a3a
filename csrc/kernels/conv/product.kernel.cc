// The body of the register tile and of the movers around it. See product.h.
//
// Sizes keep accumulators, one set of `b` and a broadcast in registers, and the row offsets in address
// registers. The wider a tile, the fewer loads a multiply-add. Measured in L2 on a core with AVX2, 4 x 3 reaches
// 98 % of peak and 6 x 2 96 %; with AVX-512, 6 x 4 95 % and 9 x 2 88 %.
//     16 registers: 4 x 3 + 3 + 1, 6 x 2 + 2 + 1     32 registers: 6 x 4 + 4 + 1, 8 x 3 + 3 + 1, 9 x 2 + 2 + 1
#include "kernels/conv/product.h"

#include "kernels/conv/even_pieces.h"
#include "kernels/conv/moves.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::BiasOf;
using conv::MoveArgs;
using conv::PanelArgs;
using conv::PanelPiece;
using conv::PackLanesArgs;
using conv::ProductArgs;

constexpr int kVectors = STRIATE_REGISTERS < 32 ? 3 : 4;
template <class T>
constexpr int kBlock = kVectors * kLanes<T>;

// Rows of the register tile for blocks of that many vectors. At least eight independent sums hide the latency of
// the multiply-add.
constexpr int rows_of(int vectors) {
  if (STRIATE_REGISTERS < 32) return vectors == 3 ? 4 : vectors == 2 ? 6 : 9;
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
  if (p.accumulate) {  // at the end: what c holds is at hand by then, and two sums round less than one long one
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] = V{};
    return;
  }
  // The sums go to memory that is rarely at hand: ask for it while they are made.
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v += sizeof(V) < 64 ? 64 / sizeof(V) : 1)
      __builtin_prefetch(block.c + p.c_row[first + r] + v * n, 1);
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

// One element of the reduction: a row of `b` loaded, each row of `a` broadcast to it.
template <class T, int Rows, int Vectors>
STRIATE_INLINE void add_products(const T* a, const int64_t (&row)[Rows], const T* b,
                                 native<T> (&sum)[Rows][Vectors]) {
  using V = native<T>;
  V x[Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) x[v] = load<V>(b + v * kLanes<T>);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const V y = broadcast<V>(a[row[r]]);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] += y * x[v];
  }
}

template <class T, int Rows, int Vectors, bool Fetch>
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
  const int64_t b_step = block.b_step;
  // Two lines of the next rows, neighbours mostly, for four elements of these: that covers rows that touch and rows
  // of every other pixel.
  constexpr int kStrip = 4;
  int64_t next_first = 0, next_step = 0;
  if constexpr (Fetch) {
    next_first = p.row_offset[first + Rows];
    next_step = kStrip / 2 * ((p.row_offset[first + 2 * Rows - 1] - next_first) / p.run + 1);
  }
  for (int t = 0; t < p.taps; ++t) {
    if (p.a_tap) a = p.a + p.a_tap[t];
    if (p.b_tap) b = block.b + p.b_tap[t];
    [[maybe_unused]] const T* next = a + next_first;
    int i = 0;
    if constexpr (Fetch) {
      for (; i + kStrip <= p.run; i += kStrip) {
        __builtin_prefetch(next);
        __builtin_prefetch(next + next_step);
        next += 2 * next_step;
#pragma GCC unroll 4
        for (int j = 0; j < kStrip; ++j) {
          add_products<T>(a, row, b, sum);
          ++a;
          b += b_step;
        }
      }
    }
    if (p.a_step != 1) {
#pragma GCC unroll 1
      for (; i < p.run; ++i) {
        add_products<T>(a, row, b, sum);
        a += p.a_step;
        b += b_step;
      }
    }
#pragma GCC unroll 4
    for (; i < p.run; ++i) {
      add_products<T>(a, row, b, sum);
      ++a;
      b += b_step;
    }
  }
  if (p.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const T* c = block.c + p.c_row[first + r];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        sum[r][v] += v == Vectors - 1 && block.tail < n ? load_tail<T, n>(c + v * n, block.tail)
                                                        : load<V>(c + v * n);
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

template <class T>
constexpr int kShortestFetched = 128 / sizeof(T);
template <class T>
constexpr int kLongestFetched = 1024 / sizeof(T);

// Calls the instance for `rows`, known only at run time, out of 1 ... Rows.
template <class T, int Rows, int Vectors>
STRIATE_INLINE void rows_dispatch(int rows, const ProductArgs<T>& p, const Block<T>& block, int first) {
  if constexpr (Rows > 0) {
    // Rows that hardware does not foresee: runs too short for it, but long enough for the next rows to arrive.
    if constexpr (Vectors == kVectors && Rows == rows_of(kVectors)) {
      if (rows == Rows && p.a_is_far && p.run >= kShortestFetched<T> && p.run <= kLongestFetched<T> &&
          first + 2 * Rows <= p.rows)
        return product_rows<T, Rows, Vectors, true>(p, block, first);
    }
    if (rows == Rows) return product_rows<T, Rows, Vectors, false>(p, block, first);
    rows_dispatch<T, Rows - 1, Vectors>(rows, p, block, first);
  }
}

template <class T, int Vectors>
void product_block(const ProductArgs<T>& p, const Block<T>& block) {
  constexpr int limit = rows_of(Vectors);
  even_pieces(p.rows, limit,
              [&](int first, int rows) { rows_dispatch<T, limit, Vectors>(rows, p, block, first); });
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

// Rows outside: memory is read straight on, and its pages once. Rows lie too far apart to be foreseen by hardware.
constexpr int kRowsAhead = 4;
template <int Step, class T>
void panel_rows(const PanelArgs<T>& p) {
  constexpr int n = kLanes<T>;
  for (int r = 0; r < p.rows; ++r) {
    const T* row = p.from + r * p.from_row;
    const T* ahead = row + smaller(kRowsAhead, p.rows - 1 - r) * p.from_row;
    for (int i = 0; i < p.pieces; ++i) {
      const PanelPiece& piece = p.piece[i];
      for (int at = 0; at < piece.count * Step; at += 64 / static_cast<int>(sizeof(T)))
        __builtin_prefetch(ahead + piece.from + at);
      T* to = p.to + piece.to + static_cast<int64_t>(r) * piece.width;
      const T* from = row + piece.from;
      if (piece.count == kBlock<T>) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
          store(to + v * n, load_strided<Step, n>(from + v * n * Step, Step));
      } else {
        copy_steps<Step>(from, to, piece.count);
      }
    }
  }
}

template <class T>
void panels(const PanelArgs<T>& p) noexcept {
  if (p.step == 1) return panel_rows<1>(p);
  if (p.step == 2) return panel_rows<2>(p);
  for (int i = 0; i < p.pieces; ++i)
    move<T>({p.from + p.piece[i].from, p.from_row, p.step, p.rows, p.piece[i].count, p.to + p.piece[i].to,
             p.piece[i].width, 1});
}

// The taps of one lane and channel lie within a short run of memory, which may hold others too, in any order.
constexpr int kLongestRun = 128;
struct TapRun {
  int64_t first;  // its lowest offset
  int length;
  int tap[kLongestRun];  // which lies there, or -1
};

template <class T>
STRIATE_INLINE bool find_run(const PackLanesArgs<T>& p, TapRun& run) {
  int64_t last = run.first = p.tap[0];
  for (int t = 1; t < p.taps; ++t) {
    if (p.tap[t] < run.first) run.first = p.tap[t];
    if (p.tap[t] > last) last = p.tap[t];
  }
  const int64_t length = last - run.first + 1;
  if (length > kLongestRun || length > 6 * p.taps) return false;
  run.length = static_cast<int>(length);
  for (int i = 0; i < run.length; ++i) run.tap[i] = -1;
  for (int t = 0; t < p.taps; ++t) {
    int& at = run.tap[p.tap[t] - run.first];
    if (at >= 0) return false;  // taps that share memory
    at = t;
  }
  return true;
}

// Columns [0, columns) of full-width rows, transposed; row r must not be read at `limit` or beyond.
template <class T, class Put>
STRIATE_INLINE void transpose_columns(const T* from, int64_t from_row, int64_t limit, int columns, Put put) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  V block[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i)
    block[i] = i * from_row + n <= limit ? load<V>(from + i * from_row)
                                         : load_tail<T, n>(from + i * from_row, columns);
  transpose<T, n>(block);
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i)
    if (i < columns) put(i, block[i]);
}

// Every lane reads straight on through its run of taps, and through channels that follow each other: transpose squares
// of that, and spread the columns, since taps are outside in the packed weights.
template <class T>
void pack_runs(const PackLanesArgs<T>& p, const TapRun& run) {
  constexpr int n = kLanes<T>;
  const bool joined = p.i == run.length;
  const int channels = joined ? p.channels : 1, length = channels * run.length;
  // Lanes that adjoin leave a short piece of memory a channel, which hardware does not foresee.
  constexpr int kAhead = 6;
  const int piece = !joined && p.o == run.length ? p.lanes * run.length : 0;
  for (int outer = 0; outer < p.channels; outer += channels) {
    const T* from = p.weight + outer * p.i + run.first;
    for (int at = 0; at < piece; at += 64 / static_cast<int>(sizeof(T)))
      __builtin_prefetch(from + kAhead * p.i + at);
    for (int begin = 0; begin < length; begin += n) {
      const int columns = smaller(n, length - begin);
      T* to[n];  // of each column
      int channel = outer + begin / run.length, at = begin % run.length;
      for (int j = 0; j < columns; ++j) {
        const int tap = run.tap[at];
        to[j] = tap < 0 ? nullptr : p.packed + (static_cast<int64_t>(tap) * p.channels + channel) * p.step;
        if (++at == run.length) at = 0, ++channel;
      }
      int lane = 0;
      if (columns > n / 4 && p.o > 0) {
        for (; lane + n <= p.lanes; lane += n)
          transpose_columns(from + lane * p.o + begin, p.o, (p.lanes - lane - 1) * p.o + length - begin, columns,
                            [&](int j, native<T> value) {
                              if (to[j]) store(to[j] + lane, value);
                            });
      }
      for (int j = 0; j < columns; ++j)
        if (to[j])
          for (int l = lane; l < p.lanes; ++l) to[j][l] = from[l * p.o + begin + j];
    }
  }
}

template <class T>
void pack_lanes(const PackLanesArgs<T>& p) noexcept {
  TapRun run;
  if (p.o != 1 && !(p.taps == 1 && p.i == 1) && find_run(p, run)) {
    pack_runs(p, run);
  } else {  // lanes that are neighbours, the matrix of a single tap, or any strides: tap by tap
    for (int t = 0; t < p.taps; ++t)
      move<T>({p.weight + p.tap[t], p.i, p.o, p.channels, p.lanes, p.packed + t * p.channels * p.step, p.step, 1});
  }
  if (p.lanes == p.step) return;
  for (int64_t row = 0; row < static_cast<int64_t>(p.taps) * p.channels; ++row)
    for (int lane = p.lanes; lane < p.step; ++lane) p.packed[row * p.step + lane] = 0;
}

template <class T>
constexpr conv::Product<T> product() {
  return {kLanes<T>, kBlock<T>, rows_of(kVectors), multiply<T>, pack_lanes<T>, move<T>, panels<T>};
}

}  // namespace

constinit const conv::ProductTable product_table = {product<float>(), product<double>()};

}  // namespace striate::STRIATE_ISA
