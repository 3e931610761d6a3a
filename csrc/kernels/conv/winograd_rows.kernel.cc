// The transforms of Winograd's convolution along rows. See winograd_rows.h.
#include "kernels/conv/winograd_rows.h"

#include "kernels/conv/winograd_rows_transform.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::row_points;
using conv::RowGradArgs;
using conv::RowInputArgs;
using conv::RowOutputArgs;
using conv::RowWeightArgs;
using conv::RowWeightGradArgs;
using V = native<float>;
constexpr int kN = kLanes<float>;
constexpr int kGradBlock = 2 * kN;  // as weight_tiles.kernel.cc has it

template <int Taps>
void input(const RowInputArgs& a) noexcept {
  constexpr int points = row_points(Taps);
  for (int t = 0; t < a.tiles; ++t) {
    const float* from = a.line + t * kRowOutputs * a.column;
    float* to = a.v + t * a.v_tile;
    for (int c = 0; c < a.channels; c += kN) {
      V d[points], v[points];
#pragma GCC unroll 8
      for (int i = 0; i < points; ++i) d[i] = load<V>(from + i * a.column + c);
      if constexpr (Taps == 1) {
#pragma GCC unroll 8
        for (int i = 0; i < points; ++i) v[i] = d[i];
      } else {
        row_input_transform<Taps>(d, v);
      }
#pragma GCC unroll 8
      for (int i = 0; i < points; ++i) store(to + i * a.v_point + c, v[i]);
    }
  }
}

template <int Taps>
void weight(const RowWeightArgs& a) noexcept {
  constexpr int points = row_points(Taps);
  for (int64_t at = 0; at < a.count; at += kN) {
    V w[Taps];
#pragma GCC unroll 8
    for (int i = 0; i < Taps; ++i) w[i] = load<V>(a.weight + i * a.count + at);
    if constexpr (Taps == 1) {
      store(a.u + at, w[0]);
    } else {
      V u[points];
      row_weight_transform<Taps>(w, u);
#pragma GCC unroll 8
      for (int j = 0; j < points; ++j) store(a.u + j * a.u_point + at, u[j]);
    }
  }
}

template <int Taps>
void output(const RowOutputArgs& a) noexcept {
  constexpr int points = row_points(Taps);
  for (int c = 0; c < a.channels; c += kN) {
    const V bias = a.bias && !a.add ? load<V>(a.bias + c) : V{};
    const int lanes = a.whole_vectors ? kN : smaller(kN, a.channels - c);
    for (int first = 0, t = 0; first < a.cols; first += kRowOutputs, ++t) {
      const float* from = a.m + t * a.m_tile + c;
      float* to = a.out + first * a.out_w + c;
      V m[points], y[kRowOutputs];
#pragma GCC unroll 8
      for (int i = 0; i < points; ++i) m[i] = load<V>(from + i * a.m_point);
      if constexpr (Taps == 1) {
#pragma GCC unroll 4
        for (int j = 0; j < kRowOutputs; ++j) y[j] = m[j];
      } else {
        row_output_transform<Taps>(m, y);
      }
      const int cols = smaller(kRowOutputs, a.cols - first);
      if (cols == kRowOutputs && lanes == kN) {
#pragma GCC unroll 4
        for (int j = 0; j < kRowOutputs; ++j) {
          float* at = to + j * a.out_w;
          store(at, y[j] + (a.add ? load<V>(at) : bias));
        }
      } else {
        for (int j = 0; j < cols; ++j) {
          float* at = to + j * a.out_w;
          V value{};
#pragma GCC unroll 4
          for (int k = 0; k < kRowOutputs; ++k)
            if (k == j) value = y[k];
          value += a.add ? load_partial<V>(at, lanes) : bias;
          store_partial(at, value, lanes);
        }
      }
    }
  }
}

template <int Taps>
void grad(const RowGradArgs& a) noexcept {
  constexpr int points = row_points(Taps);
  const int width = a.channels <= kN ? kN : kGradBlock;
  for (int c = 0; c < a.channels; c += kN) {
    const int lanes = smaller(kN, a.channels - c);
    float* to = a.z + c;
    for (int first = 0; first < a.cols; first += kRowOutputs, to += a.rows * width) {
      const float* from = a.grad + first * a.grad_w + c;
      V y[kRowOutputs], m[points];
#pragma GCC unroll 4
      for (int j = 0; j < kRowOutputs; ++j)
        y[j] = first + j >= a.cols ? V{} : lanes == kN ? load<V>(from + j * a.grad_w)
                                                       : load_partial<V>(from + j * a.grad_w, lanes);
      if constexpr (Taps == 1) {
#pragma GCC unroll 4
        for (int j = 0; j < points; ++j) store(to + j * a.pixels * width, y[j]);
      } else {
        row_grad_transform<Taps>(y, m);
#pragma GCC unroll 8
        for (int j = 0; j < points; ++j) store(to + j * a.z_point, m[j]);
      }
    }
  }
}

template <int Taps>
void weight_grad(const RowWeightGradArgs& a) noexcept {
  constexpr int points = row_points(Taps);
  for (int i = 0; i < a.rows; ++i)
    for (int lane = 0; lane < kGradBlock; lane += kN) {
      const float* from = a.du + static_cast<int64_t>(i) * kGradBlock + lane;
      float* to = a.taps + i * a.row + lane;
      if constexpr (Taps == 1) {
        store(to, load<V>(from));
      } else {
        V u[points], w[Taps];
#pragma GCC unroll 8
        for (int j = 0; j < points; ++j) u[j] = load<V>(from + j * a.du_point);
        row_weight_grad_transform<Taps>(u, w);
#pragma GCC unroll 8
        for (int t = 0; t < Taps; ++t) store(to + t * a.tap, w[t]);
      }
    }
}

}  // namespace

constinit const conv::WinogradRowsKernel winograd_rows_table = {
    kGradBlock,
    {input<1>, input<2>, input<3>, input<4>, input<5>},
    {weight<1>, weight<2>, weight<3>, weight<4>, weight<5>},
    {output<1>, output<2>, output<3>, output<4>, output<5>},
    {grad<1>, grad<2>, grad<3>, grad<4>, grad<5>},
    {weight_grad<1>, weight_grad<2>, weight_grad<3>, weight_grad<4>, weight_grad<5>},
};

}  // namespace striate::STRIATE_ISA
