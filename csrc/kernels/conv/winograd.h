// Winograd's convolution: what the drivers (ops/conv_winograd*.cc) ask of the kernels.
//
// A tile of m x m outputs of an r x r correlation sees (m + r - 1)^2 inputs. Transformed to as many points,
//
//      Y = A^T [ (G w G^T) . (B^T d B) ] A          S. Winograd 1980; Lavin and Gray, arXiv:1509.09308
//
// the sum over r * r taps is one multiplication a point: F(4x4, 3x3) takes 36 where direct convolution
// takes 144. The sum over input channels makes a matrix product of each point:
//
//      slab [h][w][channel] --B--> V [point][tile][channel]                                  acc [block][pixel][lane]
//                                                            --> M [point][tile][lanes] --A-->
//      weight (any strides) --G--> U [point][lane block][channel][lane]
//
// The points are {0, +-sqrt(1/2), +-sqrt(2), infinity} for forms of six points, {0, +-1, infinity} for four:
// of the usual choices those with the smallest rounding error.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::conv {

/// F(m x m, r x r), named by m and r.
enum class WinogradForm : uint8_t { f4r3, f2r5, f3r4, f2r3 };
inline constexpr int kWinogradForms = 4;

struct WinogradSize {
  int outputs;  // m
  int taps;     // r
  constexpr int points() const { return outputs + taps - 1; }  // along one axis
};
constexpr WinogradSize size_of(WinogradForm form) {
  return form == WinogradForm::f4r3   ? WinogradSize{4, 3}
         : form == WinogradForm::f2r5 ? WinogradSize{2, 5}
         : form == WinogradForm::f3r4 ? WinogradSize{3, 4}
                                      : WinogradSize{2, 3};
}

/// V = B^T d B for a strip of neighbouring tiles, `outputs` slab columns apart.
template <class T>
struct WinogradInputArgs {
  const T* slab;  // [h][w][channel]
  int64_t slab_h, slab_w;
  int tiles;
  int channels;  // readable and writable up to the next whole vector
  T* v;
  int64_t v_point, v_tile;
};

/// U = G w G^T for one lane block.
template <class T>
struct WinogradWeightArgs {
  const T* weight;  // channel 0, tap (0, 0), lane 0
  int64_t o, i, h, w;  // strides
  int lanes_used, channels;  // neighbouring lanes (o = 1) in whole blocks are read as they lie
  T* u;  // [point][channel][lane]
  int64_t u_point;
};

/// m[tile][lane] (+)= sum over k of v[tile][k] * u[k][lane], of some points.
template <class T>
struct WinogradProductArgs {
  const T* v;
  int64_t v_tile = 0;
  int tiles;
  int k;
  int chain;  // so many are summed one by one; then these sums are, which rounds less
  const T* u;
  int64_t u_block = 0;
  int channels;  // lanes of all blocks that are of use
  T* m;          // writable up to the next whole vector
  int64_t m_tile = 0;
  bool accumulate;
  int points = 1;
  int64_t v_point = 0, u_point = 0, m_point = 0;
};

/// Y = A^T M A + bias for a strip of tiles, cut to the outputs that exist; channels lie side by side.
template <class T>
struct WinogradOutputArgs {
  const T* m;
  int64_t m_point, m_tile;
  int rows, cols;  // of the strip's outputs
  int channels;
  const T* bias;  // null: none
  T* out;
  bool whole_vectors;  // may be written beyond the last channel
  int64_t out_block, out_h, out_w;  // to the next lane block, row, column
};

/// The adjoints: Y and dW change sides.  P = A dY A^T, dU = V^T P, dW = G^T dU G.
template <class T>
struct WinogradGradArgs {
  const T* grad;  // a strip of tiles, [row][column][channel]
  int64_t grad_h, grad_w;
  int rows, cols;  // outputs of the strip that exist; the others count as 0
  int channels;    // readable up to the next whole vector
  T* p;            // [point][lane block][tile][lane]
  int64_t p_point, p_block;
};

/// du[row][lane] (+)= sum over tiles of v[tile][row] * p[tile][lane], one point.
template <class T>
struct WinogradWeightProductArgs {
  const T* v;
  int64_t v_tile;
  const T* p;  // [lane block][tile][lane]
  int64_t p_block;
  const T *next_v, *next_p;  // what the next product will read, to fetch meanwhile
  int tiles;
  int rows;
  int lane_blocks;
  int last_block_channels;  // 1 ... lanes
  T* du;                    // [lane block][row][lane]
  int64_t du_block;
  bool accumulate;
};

/// acc[row * r * r + tap][lane] = G^T dU G for one lane block, dU being the sum of its parts.
template <class T>
struct WinogradWeightOutputArgs {
  const T* du;  // [part][point][row][lane]
  int64_t du_part, du_point;
  int parts;
  int rows;
  T* acc;
};

struct WinogradKernel {
  int lanes;  // in a lane block
  int tiles;  // the product's register tile: multiples waste nothing
  void (*input[kWinogradForms])(const WinogradInputArgs<float>&) noexcept;
  void (*weight[kWinogradForms])(const WinogradWeightArgs<float>&) noexcept;
  void (*output[kWinogradForms])(const WinogradOutputArgs<float>&) noexcept;
  void (*product)(const WinogradProductArgs<float>&) noexcept;
};

struct WinogradGradKernel {
  int lanes;  // in a lane block
  void (*input[kWinogradForms])(const WinogradInputArgs<float>&) noexcept;
  void (*grad[kWinogradForms])(const WinogradGradArgs<float>&) noexcept;
  void (*output[kWinogradForms])(const WinogradWeightOutputArgs<float>&) noexcept;
  void (*product)(const WinogradWeightProductArgs<float>&) noexcept;
};

}  // namespace striate::conv

STRIATE_KERNEL_TABLE(striate::conv::WinogradKernel, winograd_table)
STRIATE_KERNEL_TABLE(striate::conv::WinogradGradKernel, winograd_grad_table)
