// Winograd's weight gradient: transforms and the products of the points. See winograd.h.
#include "kernels/conv/winograd.h"
#include "kernels/conv/winograd_transform.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::WinogradGradArgs;
using conv::WinogradWeightOutputArgs;
using conv::WinogradWeightProductArgs;

using V = native<float>;
constexpr int kVector = kLanes<float>;
constexpr int kVectors = 2;
constexpr int kBlock = kVectors * kVector;  // a lane block

// Rows of the register tile for blocks of 1 and of 2 vectors: accumulators, the vectors of P and a broadcast
// fill the registers. Rows are neighbours in V, so one address serves them all.
constexpr int rows_of(int vectors) { return STRIATE_REGISTERS >= 32 ? 14 : vectors == 2 ? 6 : 12; }

// ---- P = A dY A^T ------------------------------------------------------------------------------------

// One tile and one vector of channels. Outputs from `rows` and `cols` on do not exist and count as 0.
template <WinogradForm form, bool whole>
STRIATE_INLINE void grad_tile(const WinogradGradArgs<float>& a, const float* from, int rows, int cols, float* to) {
  constexpr int points = size_of(form).points(), outputs = size_of(form).outputs;
  V half[points][outputs];
#pragma GCC unroll 8
  for (int x = 0; x < outputs; ++x) {
    V column[outputs], transformed[points];
#pragma GCC unroll 8
    for (int y = 0; y < outputs; ++y)
      column[y] = whole || (y < rows && x < cols) ? load<V>(from + y * a.grad_h + x * a.grad_w) : V{};
    grad_transform<outputs, points>(column, transformed);
#pragma GCC unroll 8
    for (int y = 0; y < points; ++y) half[y][x] = transformed[y];
  }
#pragma GCC unroll 8
  for (int y = 0; y < points; ++y) {
    V row[points];
    grad_transform<outputs, points>(half[y], row);
#pragma GCC unroll 8
    for (int x = 0; x < points; ++x) store(to + (y * points + x) * a.p_point, row[x]);
  }
}

template <WinogradForm form>
void transform_grad(const WinogradGradArgs<float>& a) noexcept {
  constexpr int outputs = size_of(form).outputs;
  const float* from = a.grad;
  float* to = a.p;
  for (int left = a.cols; left > 0; left -= outputs) {
    const bool whole = left >= outputs && a.rows >= outputs;
    for (int c = 0; c < a.channels; c += kVector) {
      float* at = to + c / kBlock * a.p_block + c % kBlock;
      if (whole)
        grad_tile<form, true>(a, from + c, outputs, outputs, at);
      else
        grad_tile<form, false>(a, from + c, a.rows, left, at);
    }
    from += outputs * a.grad_w;
    to += kBlock;
  }
}

// ---- dU = V^T P --------------------------------------------------------------------------------------

template <int Rows, int Vectors>
void product_rows(const WinogradWeightProductArgs<float>& a, const float* v, const float* p, float* du) {
  V sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) sum[r][j] = V{};
  const int64_t v_tile = a.v_tile;
  const bool accumulate = a.accumulate;
  const auto step = [&] {
    V lanes[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) lanes[j] = load<V>(p + j * kVector);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const V value = broadcast<V>(v[r]);
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) sum[r][j] += value * lanes[j];
    }
    v += v_tile;
    p += kBlock;
  };
  const int tiles = a.tiles;
  if constexpr (kVector == 8 && Vectors > 1) {
#pragma GCC unroll 4
    for (int t = 0; t < tiles; ++t) step();
  } else {  // small code: a step is long, or this is seldom used
    for (int t = 0; t < tiles; ++t) step();
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) {
      float* to = du + r * kBlock + j * kVector;
      // Short sums added to each other round less than one long sum.
      store(to, accumulate ? load<V>(to) + sum[r][j] : sum[r][j]);
    }
}

template <int Rows, int Vectors>
STRIATE_INLINE void product_dispatch(int rows, const WinogradWeightProductArgs<float>& a, const float* v,
                                     const float* p, float* du) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return product_rows<Rows, Vectors>(a, v, p, du);
    product_dispatch<Rows - 1, Vectors>(rows, a, v, p, du);
  }
}

/// Fetches a run of memory share by share. All at once would be more requests than the caches hold.
struct Fetch {
  const float* at;
  const float* end;
  int64_t share;

  Fetch(const float* from, int64_t count, int shares) : at(from), end(from + count) {
    share = (count / shares + kLine) / kLine * kLine;
  }
  STRIATE_INLINE void next() {
    const float* stop = at + share < end ? at + share : end;
    for (; at < stop; at += kLine) __builtin_prefetch(at, 0, 3);
  }
  static constexpr int kLine = 16;
};

template <int Vectors>
void product_block(const WinogradWeightProductArgs<float>& a, int b, Fetch& next_v) {
  constexpr int most = rows_of(Vectors);
  const int pieces = (a.rows + most - 1) / most, least = a.rows / pieces, longer = a.rows % pieces;
  const float* p = a.p + b * a.p_block;
  float* du = a.du + b * a.du_block;
  Fetch next_p(a.next_p + b * a.p_block, a.tiles * kBlock, pieces);
  for (int piece = 0, begin = 0; piece < pieces; ++piece) {
    next_v.next();
    next_p.next();
    const int rows = least + (piece < longer);
    product_dispatch<most, Vectors>(rows, a, a.v + begin, p, du + static_cast<int64_t>(begin) * kBlock);
    begin += rows;
  }
}

void product(const WinogradWeightProductArgs<float>& a) noexcept {
  constexpr int most = rows_of(1);
  Fetch next_v(a.next_v, a.tiles * a.v_tile, (a.rows + most - 1) / most * a.lane_blocks);
  for (int b = 0; b < a.lane_blocks; ++b) {
    if (b == a.lane_blocks - 1 && a.last_block_channels <= kVector)
      product_block<1>(a, b, next_v);
    else
      product_block<kVectors>(a, b, next_v);
  }
}

// ---- dW = G^T dU G -----------------------------------------------------------------------------------

template <WinogradForm form>
void output(const WinogradWeightOutputArgs<float>& a) noexcept {
  constexpr int points = size_of(form).points(), taps = size_of(form).taps;
  for (int i = 0; i < a.rows; ++i) {
    for (int lane = 0; lane < kBlock; lane += kVector) {
      const float* from = a.du + static_cast<int64_t>(i) * kBlock + lane;
      float* to = a.acc + static_cast<int64_t>(i) * taps * taps * kBlock + lane;
      V half[taps][points];
#pragma GCC unroll 8
      for (int x = 0; x < points; ++x) {
        V column[points], w[taps];
#pragma GCC unroll 8
        for (int y = 0; y < points; ++y) {
          const float* part = from + (y * points + x) * a.du_point;
          column[y] = load<V>(part);
          for (int k = 1; k < a.parts; ++k) column[y] += load<V>(part + k * a.du_part);
        }
        weight_grad_transform<taps, points>(column, w);
#pragma GCC unroll 8
        for (int y = 0; y < taps; ++y) half[y][x] = w[y];
      }
#pragma GCC unroll 8
      for (int y = 0; y < taps; ++y) {
        V row[taps];
        weight_grad_transform<taps, points>(half[y], row);
#pragma GCC unroll 8
        for (int x = 0; x < taps; ++x) store(to + (y * taps + x) * kBlock, row[x]);
      }
    }
  }
}

}  // namespace

constinit const conv::WinogradGradKernel winograd_grad_table = {
    kBlock,
    {transform_input<WinogradForm::f4r3>, transform_input<WinogradForm::f2r5>,
     transform_input<WinogradForm::f3r4>, transform_input<WinogradForm::f2r3>},
    {transform_grad<WinogradForm::f4r3>, transform_grad<WinogradForm::f2r5>,
     transform_grad<WinogradForm::f3r4>, transform_grad<WinogradForm::f2r3>},
    {output<WinogradForm::f4r3>, output<WinogradForm::f2r5>, output<WinogradForm::f3r4>,
     output<WinogradForm::f2r3>},
    product,
};

}  // namespace striate::STRIATE_ISA
