// Winograd's convolution along the width alone: what its driver (ops/conv_winograd_rows.cc) asks of the kernels.
//
// Four neighbouring outputs of a row make a tile. With r taps along the row they see r + 3 inputs, and
//
//      y = A^T [ (G w) . (B^T d) ]                 F(4, r): r + 3 multiplications where direct sums take 4 r
//
// The taps along the height, and the input channels, are one long sum at each of the points, made by the register
// tile of direct convolution (kernels/conv/product.h):
//
//      line [column][channel] --B--> V [point][tile][row][channel]
//                                          --product--> M [point][tile][row][lane] --A--> outputs of a row
//      weight --G--> U [point][kernel row][channel][lane]
//
// A stride is no obstacle: the inputs that are a stride apart are a row of their own, with every stride-th tap (see
// ops/conv_polyphase.h); each of these phases has its F(4, r), and their outputs add up. r = 1 needs no transform: its
// four points are the four pixels, under one weight. Three taps of stride 2 take 5 + 4 multiplications instead of 12,
// seven take 7 + 6 instead of 28; and the transforms are a quarter of those along both axes.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::conv {

inline constexpr int kRowOutputs = 4;
inline constexpr int kMostRowTaps = 5;
constexpr int row_points(int taps) { return kRowOutputs + taps - 1; }

/// V = B^T d of neighbouring tiles of one row.
struct RowInputArgs {
  const float* line;  // the first tile's first input
  int64_t column;     // step to the next input of this phase
  int tiles;
  int channels;       // readable and writable up to the next whole vector
  float* v;
  int64_t v_point, v_tile;
};

/// U = G w, elementwise.
struct RowWeightArgs {
  const float* weight;  // [tap][count]
  int64_t count;        // whole vectors
  float* u;
  int64_t u_point;
};

/// Y (+)= A^T M + bias of neighbouring tiles of one row, cut to the outputs that exist.
struct RowOutputArgs {
  const float* m;
  int64_t m_point, m_tile;
  int cols;      // outputs
  int channels;  // of one lane block
  const float* bias;  // whole vectors; null: none
  bool add;           // to what is there, without bias
  float* out;
  bool whole_vectors;  // may be written beyond the last channel
  int64_t out_w;
};

/// The adjoints, for the weight gradient: dU = sum over pixels of V * Z, dW = G^T dU.
///
/// Z = A dY of neighbouring tiles of one row, as the tiles of the direct weight gradient want it
/// (kernels/conv/weight_tiles.h): [lane block][pixel][lane], where pixels are products (tile, row), the row inside. Of
/// one tap, all four points share their sum: they are pixels, too.
struct RowGradArgs {
  const float* grad;  // first tile's first output, channels side by side
  int64_t grad_w;
  int cols;      // outputs that exist; the others count as 0
  int channels;    // of one lane block; one vector may hold them all
  int rows;        // from one tile to the next, in pixels
  int64_t pixels;  // of a point
  float* z;        // the first tile's pixel of this row
  int64_t z_point;
};

/// dW = G^T dU of some rows of lanes.
struct RowWeightGradArgs {
  const float* du;
  int64_t du_point;
  int rows;
  float* taps;
  int64_t tap, row;  // steps to the next
};

struct WinogradRowsKernel {
  int lanes;  // in a lane block of the weight gradient: two vectors
  void (*input[kMostRowTaps])(const RowInputArgs&) noexcept;  // by taps - 1
  void (*weight[kMostRowTaps])(const RowWeightArgs&) noexcept;
  void (*output[kMostRowTaps])(const RowOutputArgs&) noexcept;
  void (*grad[kMostRowTaps])(const RowGradArgs&) noexcept;
  void (*weight_grad[kMostRowTaps])(const RowWeightGradArgs&) noexcept;
};

}  // namespace striate::conv

STRIATE_KERNEL_TABLE(striate::conv::WinogradRowsKernel, winograd_rows_table)
