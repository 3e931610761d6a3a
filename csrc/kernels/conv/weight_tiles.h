// The weight gradient as a product over pixels: what the driver (ops/conv_weight_tiles.cc) asks of a kernel.
//
// Two operands are packed so that a pixel tile of both stays in L2, and of one lane block in L1:
//
//      slab: anything in which row r at pixel i lies at        grad [lane block][pixel][lane]
//            row_offset[r] + (a run's offset) + i * step
//
//            rows x pixels        x        pixels x lanes    ->   acc [lane block][row][lane]
//
// A row is one (input channel, tap), a lane an output channel; or, with a single tap, the other way round: the
// product of two matrices may be taken either way. Each slab element is broadcast to the lanes.
//
// A lane block is `lanes` wide, and so are its rows in acc. Only a last block that one vector holds is packed
// as [pixel][lanes / 2]: no work on lanes that nobody asked for.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::conv {

/// acc[lane block][row][lane] (+)= sum over pixels of slab[row_offset + pixel] * grad[pixel][lane].
/// The pixels are `runs` runs of `run` pixels (the last may be shorter), `step` elements apart.
template <class T>
struct WeightTileArgs {
  const T* slab;
  const int32_t* row_offset;
  int rows;
  const int32_t* run_offset;
  int runs;
  int run, last_run;
  int step;
  const T* grad;
  int64_t grad_block_stride;
  int lane_blocks;
  int last_block_channels;  // 1 ... lanes
  T* acc;
  int64_t acc_block_stride;
  bool accumulate;
  // What will be packed next: stretches of memory as long as the tile has pixels, to be asked for run by run.
  const T* const* ahead;
  int aheads;
};

/// One line of pixels of many channels to to[channel * to_c + pixel], with zeros on both sides.
template <class T>
struct LineArgs {
  const T* from;  // channel 0, first pixel
  int64_t from_c, from_w;
  int channels;
  int zeros_before, pixels, zeros_after;
  T* to;
  int64_t to_c;
  // What lies behind the line may be overwritten, up to a vector: it is not written yet.
  bool may_spill;
};

/// One line of pixels of many channels to [lane block][pixel][lane], zero beyond `channels`.
template <class T>
struct LanesArgs {
  const T* from;  // channel 0, first pixel
  int64_t from_c, from_w;
  int channels;
  int first_pixel, pixels;  // where the line begins in each block
  T* to;
  int64_t to_block;
};

/// Where sums [lane block][row][lane] go: out + lane * out_lane + row * out_row.
template <class T>
struct PutArgs {
  const T* acc;
  int64_t acc_block_stride;
  int rows;
  int channels;
  T* out;
  int64_t out_lane, out_row;
};

template <class T>
struct WeightKernel {
  int lanes;  // in one lane block: two vectors
  void (*pack_line)(const LineArgs<T>&) noexcept;
  void (*pack_lanes)(const LanesArgs<T>&) noexcept;
  void (*tile)(const WeightTileArgs<T>&) noexcept;
  // The same with a group in each lane: the slab is [d][h][w][lane], grad [pixel][lane] of full blocks.
  void (*group_tile)(const WeightTileArgs<T>&) noexcept;
  void (*put)(const PutArgs<T>&) noexcept;
  // to[i] += from[i]
  void (*add)(const T* from, int64_t count, T* to) noexcept;
  // The bias gradient beside the product: sums over the pixels of packed operands, added to sums.
  void (*add_lanes)(const T* grad, int pixels, int channels, T* sums) noexcept;
  void (*add_lines)(const T* lines, int64_t line_stride, int lines_count, int pixels, T* sums) noexcept;
};

struct WeightTable {
  WeightKernel<float> f32;
  WeightKernel<double> f64;
};

}  // namespace striate::conv

STRIATE_KERNEL_TABLE(striate::conv::WeightTable, conv_weight_table)
