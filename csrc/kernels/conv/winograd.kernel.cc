// Winograd's convolution, forward: transforms and the products of the points. See winograd.h.
#include "kernels/conv/winograd.h"

#include "kernels/conv/even_pieces.h"
#include "kernels/conv/moves.h"
#include "kernels/conv/winograd_transform.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::WinogradInputArgs;
using conv::WinogradOutputArgs;
using conv::WinogradProductArgs;
using conv::WinogradWeightArgs;

using V = native<float>;
constexpr int kVector = kLanes<float>;
constexpr int kVectors = 2;
constexpr int kBlock = kVectors * kVector;  // a lane block
// As in tiles.kernel.cc: accumulators, one vector pair of weights and a broadcast fill the registers.
constexpr int kRows = STRIATE_REGISTERS < 32 ? 6 : 9;
// Of loops over terms; elsewhere small code counts for more.
constexpr bool kUnrolled = kVector >= 8;

// ---- U = G w G^T -------------------------------------------------------------------------------------

// One channel's taps of all lanes, [tap][lane]. Lanes with dense taps are rows of a matrix to transpose;
// `from` is then the tap that lies first in memory.
template <int Taps>
STRIATE_INLINE void gather_dense(const float* from, int64_t o, int lanes_used, float (&to)[Taps][kBlock]) {
  constexpr int n = kVector < 8 ? kVector : 8;
  using W = vec<float, n>;
  int lane = 0;
  for (; lane + n <= lanes_used; lane += n) {
    int tap = 0;
    for (; tap + n <= Taps; tap += n) {
      W block[n];
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) block[i] = load<W>(from + (lane + i) * o + tap);
      transpose<float, n>(block);
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) store(&to[tap + i][lane], block[i]);
    }
    for (; tap < Taps; ++tap)
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) to[tap][lane + i] = from[(lane + i) * o + tap];
  }
  for (; lane < lanes_used; ++lane)
    for (int tap = 0; tap < Taps; ++tap) to[tap][lane] = from[lane * o + tap];
}

// The same for kGathered channels that are neighbours, tap by tap.
constexpr int kGathered = kVector < 8 ? kVector : 8;
template <int Side>
STRIATE_INLINE void gather_channels(const float* from, const WinogradWeightArgs<float>& a,
                                    float (&to)[kGathered][Side * Side][kBlock]) {
  using W = vec<float, kGathered>;
  for (int tap = 0; tap < Side * Side; ++tap) {
    const float* lanes = from + tap / Side * a.h + tap % Side * a.w;
    int lane = 0;
    for (; lane + kGathered <= a.lanes_used; lane += kGathered) {
      W block[kGathered];
#pragma GCC unroll 8
      for (int i = 0; i < kGathered; ++i) block[i] = load<W>(lanes + (lane + i) * a.o);
      transpose<float, kGathered>(block);
#pragma GCC unroll 8
      for (int i = 0; i < kGathered; ++i) store(&to[i][tap][lane], block[i]);
    }
    for (; lane < a.lanes_used; ++lane)
      for (int i = 0; i < kGathered; ++i) to[i][tap][lane] = lanes[lane * a.o + i];
  }
}

// `from` and `u` are those of one channel; its tap (y, x) is at y * h + x * w, of all lanes.
template <WinogradForm form>
STRIATE_INLINE void transform_weight(const float* from, int64_t h, int64_t w, float* u, int64_t u_point) {
  constexpr int taps = size_of(form).taps, points = size_of(form).points();
  for (int lane = 0; lane < kBlock; lane += kVector) {
    V half[points][taps];
#pragma GCC unroll 8
    for (int x = 0; x < taps; ++x) {
      V column[taps], transformed[points];
#pragma GCC unroll 8
      for (int y = 0; y < taps; ++y) column[y] = load<V>(from + y * h + x * w + lane);
      weight_transform<taps, points>(column, transformed);
#pragma GCC unroll 8
      for (int y = 0; y < points; ++y) half[y][x] = transformed[y];
    }
#pragma GCC unroll 8
    for (int y = 0; y < points; ++y) {
      V row[points];
      weight_transform<taps, points>(half[y], row);
#pragma GCC unroll 8
      for (int x = 0; x < points; ++x) store(u + (y * points + x) * u_point + lane, row[x]);
    }
  }
}

template <WinogradForm form>
void weight(const WinogradWeightArgs<float>& a) noexcept {
  constexpr int taps = size_of(form).taps;
  if (a.o == 1 && a.lanes_used == kBlock) {
    for (int i = 0; i < a.channels; ++i)
      transform_weight<form>(a.weight + i * a.i, a.h, a.w, a.u + static_cast<int64_t>(i) * kBlock, a.u_point);
    return;
  }
  const bool ascending = a.w == 1 && a.h == taps;
  const bool descending = a.w == -1 && a.h == -taps;  // an input gradient walks the kernel backwards
  int i = 0;
  if (a.i == 1 && a.channels >= kGathered) {
    alignas(64) float w[kGathered][taps * taps][kBlock] = {};
    for (; i + kGathered <= a.channels; i += kGathered) {
      gather_channels<taps>(a.weight + i, a, w);
      for (int j = 0; j < kGathered; ++j)
        transform_weight<form>(w[j][0], taps * kBlock, kBlock, a.u + static_cast<int64_t>(i + j) * kBlock, a.u_point);
    }
  }
  alignas(64) float w[taps * taps][kBlock] = {};
  for (; i < a.channels; ++i) {
    const float* from = a.weight + i * a.i;
    if (ascending) {
      gather_dense<taps * taps>(from, a.o, a.lanes_used, w);
    } else if (descending) {
      gather_dense<taps * taps>(from - (taps * taps - 1), a.o, a.lanes_used, w);
    } else {
      for (int y = 0; y < taps; ++y)
        for (int x = 0; x < taps; ++x)
          for (int lane = 0; lane < a.lanes_used; ++lane)
            w[y * taps + x][lane] = from[lane * a.o + y * a.h + x * a.w];
    }
    const int64_t step = descending ? -kBlock : kBlock;
    transform_weight<form>(w[descending ? taps * taps - 1 : 0], taps * step, step,
                           a.u + static_cast<int64_t>(i) * kBlock, a.u_point);
  }
}

// ---- M = V U -----------------------------------------------------------------------------------------

// The products go to lines that other points have pushed out of L1.
template <int Rows, int Vectors>
STRIATE_INLINE void fetch_products(float* m, int64_t m_tile) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors * kVector; j += 16) __builtin_prefetch(m + r * m_tile + j, 1);
}

// sum[r][j] += v[r][k] * u[k][j], and the next rows are fetched.
template <int Rows, int Vectors>
STRIATE_INLINE void product_step(const float* const (&row)[Rows], const float* next, int k, const float* u,
                                 V (&sum)[Rows][Vectors]) {
  __builtin_prefetch(next + k * Rows);
  V w[Vectors];
#pragma GCC unroll 2
  for (int j = 0; j < Vectors; ++j) w[j] = load<V>(u + j * kVector);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const V value = broadcast<V>(row[r][k]);
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) sum[r][j] += value * w[j];
  }
}

template <int Rows, int Vectors>
STRIATE_INLINE void store_products(float* m, int64_t m_tile, bool accumulate, const V (&sum)[Rows][Vectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) {
      float* to = m + r * m_tile + j * kVector;
      store(to, accumulate ? load<V>(to) + sum[r][j] : sum[r][j]);
    }
}

// Bounds and strides that a store might change are kept in variables, here and in the next: 3 - 9 % of the time.
template <int Rows>
void product_rows(const WinogradProductArgs<float>& a, const float* v, const float* u, float* m) {
  const int depth = a.k;
  const int64_t m_tile = a.m_tile;
  const bool accumulate = a.accumulate;
  const float* row[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) row[r] = v + r * a.v_tile;
  fetch_products<Rows, kVectors>(m, m_tile);
  V sum[Rows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) sum[r][j] = V{};
  const float* next = v + Rows * a.v_tile;
  if constexpr (kUnrolled) {
#pragma GCC unroll 4
    for (int k = 0; k < depth; ++k, u += kBlock) product_step(row, next, k, u, sum);
  } else {
    for (int k = 0; k < depth; ++k, u += kBlock) product_step(row, next, k, u, sum);
  }
  store_products(m, m_tile, accumulate, sum);
}

// The same in chains. `total` has room for the sums of a register tile.
template <int Rows, int Vectors>
void product_chains(const WinogradProductArgs<float>& a, const float* v, const float* u, float* m, float* total) {
  const int depth = a.k, chain = a.chain;
  const int64_t m_tile = a.m_tile;
  const bool accumulate = a.accumulate;
  const float* row[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) row[r] = v + r * a.v_tile;
  fetch_products<Rows, Vectors>(m, m_tile);
  const float* next = v + Rows * a.v_tile;
  for (int k = 0;;) {
    const int first = k, end = smaller(k + chain, depth);
    V sum[Rows][Vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) sum[r][j] = V{};
    if constexpr (kUnrolled && Vectors > 1) {
#pragma GCC unroll 4
      for (; k < end; ++k, u += kBlock) product_step(row, next, k, u, sum);
    } else {
      for (; k < end; ++k, u += kBlock) product_step(row, next, k, u, sum);
    }
    if (first > 0)
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; ++j) sum[r][j] += load<V>(total + (r * Vectors + j) * kVector);
    if (end == depth) return store_products(m, m_tile, accumulate, sum);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) store(total + (r * Vectors + j) * kVector, sum[r][j]);
  }
}

// Body<rows>() for as many rows as there are.
template <int Rows, class Body>
STRIATE_INLINE void for_rows(int rows, Body body) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return body.template operator()<Rows>();
    for_rows<Rows - 1>(rows, body);
  }
}

template <int Vectors>
void product_block(const WinogradProductArgs<float>& a, const float* v, const float* u, float* m) {
  constexpr int most = Vectors == 1 ? 9 : kRows;
  alignas(64) float total[most * Vectors * kVector];
  even_pieces(a.tiles, most, [&](int begin, int rows) {
    const float* from = v + begin * a.v_tile;
    float* to = m + begin * a.m_tile;
    for_rows<most>(rows, [&]<int Rows>() {
      if constexpr (Vectors > 1)
        if (a.k <= a.chain) return product_rows<Rows>(a, from, u, to);
      product_chains<Rows, Vectors>(a, from, u, to, total);
    });
  });
}

void product(const WinogradProductArgs<float>& a) noexcept {
  for (int point = 0; point < a.points; ++point) {
    const float* v = a.v + point * a.v_point;
    const float* u = a.u + point * a.u_point;
    float* m = a.m + point * a.m_point;
    for (int lane = 0; lane < a.channels; lane += kBlock, u += a.u_block) {
      if (a.channels - lane > kVector)
        product_block<kVectors>(a, v, u, m + lane);
      else
        product_block<1>(a, v, u, m + lane);
    }
  }
}

// ---- Y = A^T M A -------------------------------------------------------------------------------------

template <WinogradForm form>
void output(const WinogradOutputArgs<float>& a) noexcept {
  constexpr int points = size_of(form).points(), outputs = size_of(form).outputs;
  for (int t = 0, x0 = 0; x0 < a.cols; ++t, x0 += outputs) {
    const int cols = smaller(outputs, a.cols - x0);
    for (int lane = 0; lane < a.channels; lane += kVector) {
      const float* from = a.m + t * a.m_tile + lane;
      float* to = a.out + lane / kBlock * a.out_block + x0 * a.out_w + lane % kBlock;
      const int used = a.whole_vectors ? kVector : smaller(kVector, a.channels - lane);
      const V bias = !a.bias            ? broadcast<V>(-0.0f)  // changes nothing
                     : used == kVector ? load<V>(a.bias + lane)
                                       : load_tail<float, kVector>(a.bias + lane, used);
      V half[outputs][points];
#pragma GCC unroll 8
      for (int x = 0; x < points; ++x) {
        V column[points], y[outputs];
#pragma GCC unroll 8
        for (int i = 0; i < points; ++i) column[i] = load<V>(from + (i * points + x) * a.m_point);
        output_transform<outputs, points>(column, y);
#pragma GCC unroll 8
        for (int i = 0; i < outputs; ++i) half[i][x] = y[i];
      }
#pragma GCC unroll 8
      for (int y = 0; y < outputs; ++y) {
        if (y >= a.rows) break;
        V row[outputs];
        output_transform<outputs, points>(half[y], row);
        float* line = to + y * a.out_h;
        if (used == kVector) {
#pragma GCC unroll 8
          for (int x = 0; x < outputs; ++x)
            if (x < cols) store(line + x * a.out_w, row[x] + bias);
        } else {
#pragma GCC unroll 8
          for (int x = 0; x < outputs; ++x)
            if (x < cols) store_tail<float, kVector>(line + x * a.out_w, row[x] + bias, used);
        }
      }
    }
  }
}

}  // namespace

constinit const conv::WinogradKernel winograd_table = {
    kBlock,
    kRows,
    {transform_input<WinogradForm::f4r3>, transform_input<WinogradForm::f2r5>,
     transform_input<WinogradForm::f3r4>, transform_input<WinogradForm::f2r3>},
    {weight<WinogradForm::f4r3>, weight<WinogradForm::f2r5>, weight<WinogradForm::f3r4>,
     weight<WinogradForm::f2r3>},
    {output<WinogradForm::f4r3>, output<WinogradForm::f2r5>, output<WinogradForm::f3r4>,
     output<WinogradForm::f2r3>},
    product,
};

}  // namespace striate::STRIATE_ISA
