// The register tile of direct convolution: rows x lanes sums, each row broadcast to all lanes.
//
//      c[row][lane] (+)= bias + sum over k  a[row, k] * b[k, lane]
//
//                 b   k |========|   lanes: neighbours in memory
//                       |========|
//            a    k     +--------+
//          row |------| |        |
//              |------| |  sums  |   in registers over all k
//              |------| |        |
//                       +--------+
//
// Its drivers give it two meanings. Lanes are output channels (ops/conv_tiles.cc): a row is an output pixel and
// `a` the image, in place or packed, `b` the packed weights. Or lanes are output pixels (ops/conv_pixels.cc and
// ops/conv_pointwise.cc) or images (ops/conv_images.cc): a row is an output channel and `a` the weights, `b` the packed
// image.
//
// k runs over `taps` runs of `run`. Within a run `a` and `b` advance by their steps; a table, where there is one, says
// where each run begins, otherwise it begins where the last one ended.
//
// Beside it stand the movers that lay out `a` and `b` and put sums where they go.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::conv {

enum class BiasOf : int { none, lane, row };

template <class T>
struct ProductArgs {
  const T* a;
  const int32_t* row_offset;
  int rows;
  bool a_is_far;         // not packed, so maybe not in L2: worth asking for ahead
  const int32_t* a_tap;  // or null
  int64_t a_step = 1;
  const T* b;
  int64_t b_step;
  const int32_t* b_tap;  // or null
  int64_t b_block_stride;  // to the next `block` lanes
  int64_t b_last_step;     // b_step of the last block, which may be narrower
  int lanes;               // of all blocks
  int taps;
  int run;
  T* c;
  const int64_t* c_row;    // offset of each row
  int64_t c_block_stride;
  const T* bias;           // of the first lane or row
  BiasOf bias_of;
  bool accumulate;         // to what c holds, without bias
};

/// Weights w[o, i, tap], any strides, to rows of lanes: [tap][channel][step], 0 beyond the last lane.
template <class T>
struct PackLanesArgs {
  const T* weight;
  int64_t o, i;        // strides
  const int64_t* tap;  // offset of each tap
  int taps;
  int lanes, channels;
  T* packed;
  int64_t step;
};

/// to[r * to_row + c * to_column] = from[r * from_row + c * from_column], fast where a step is 1.
template <class T>
struct MoveArgs {
  const T* from;
  int64_t from_row, from_column;
  int rows, columns;
  T* to;
  int64_t to_row, to_column;
};

/// A run of neighbouring pixels of one panel: [row][width] from `to` on.
struct PanelPiece {
  int64_t from, to;
  int count, width;
};

/// Cuts rows into panels: for each row r, each piece to[piece.to + r * width ...] = from[piece.from + r * from_row
/// + ... * step].
template <class T>
struct PanelArgs {
  const T* from;
  int64_t from_row, step;
  int rows;
  const PanelPiece* piece;
  int pieces;
  T* to;
};

template <class T>
struct Product {
  int lanes;  // of one vector
  int block;  // lanes of one block
  int rows;   // of the register tile of a full block
  void (*multiply)(const ProductArgs<T>&) noexcept;
  void (*pack_lanes)(const PackLanesArgs<T>&) noexcept;
  void (*move)(const MoveArgs<T>&) noexcept;
  void (*panels)(const PanelArgs<T>&) noexcept;
};

struct ProductTable {
  Product<float> f32;
  Product<double> f64;
};

}  // namespace striate::conv

STRIATE_KERNEL_TABLE(striate::conv::ProductTable, product_table)
