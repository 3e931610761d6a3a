// Direct convolution over packed tiles: what the driver (ops/conv_tiles.cc) asks of a kernel.
//
// The image is never unrolled as a whole (no im2col). One task takes a block of output pixels and packs
// the input window they see, the slab, into scratch, zero padding included:
//
//      input (any strides)            slab [d][h][w][channel block]          acc [lane block][pixel][lane]
//      . . . . . . . .    pack        0 0 0 0 0 0                 tile
//      . # # # # # # .  ------->      0 # # # # #   x  weights  ------->     pixels x output channels
//      . # # # # # # .                0 # # # # #                            `store` puts them where they go
//
// After packing, every address is linear: slab + pixel_offset[p] + tap_offset[t] + i. A register tile of
// `pixels x lanes` output values stays in registers over a whole reduction block.
//
// Lanes are output channels, and each slab element is broadcast to them. Where groups are many and small,
// lanes are groups instead: the slab holds a vector a pixel, one channel of each group.
//
// Weights are packed as [lane block][channel block][tap][channel][lane], zero beyond the last channel.
//
// One table a number type, one an instruction set: the only symbol that a kernel object exports.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::conv {

/// Copies a strided input window into a slab. An index map gives, for each slab coordinate, the source
/// coordinate or -1 for padding.
template <class T>
struct PackArgs {
  const T* src;  // channel 0 of the block, coordinate 0 of each axis
  int64_t src_c, src_d, src_h, src_w;
  int channels;
  const int32_t* map_d;
  const int32_t* map_h;
  const int32_t* map_w;
  int d, h, w;
  // map_w is first, first + step, ... on [run_begin, run_end): the part that vectorises.
  int run_begin, run_end, run_step;
  T* slab;
  int64_t slab_c, slab_d, slab_h, slab_w;
};

/// acc[lane block][pixel][lane] (+)= sum over taps and run of slab * weight.
template <class T>
struct TileArgs {
  const T* slab;
  const int32_t* pixel_offset;
  int pixels;
  const int32_t* tap_offset;  // a tap here is `run` neighbouring slab elements
  int taps;
  int run;
  const T* weight;
  int64_t weight_block_stride;
  int lane_blocks;
  int last_block_channels;  // 1 ... lanes
  T* acc;
  int64_t acc_block_stride;
  bool accumulate;
};

/// out[channel, d, h, w] = acc + bias, to any strides.
template <class T>
struct StoreArgs {
  const T* acc;
  int64_t acc_block_stride;
  int d, h, w;
  int channels;
  const T* bias;  // null: none
  int64_t bias_step;  // to the next channel's
  T* out;
  int64_t out_c, out_d, out_h, out_w;
};

/// Weights of one lane block, any strides, to [tap][channel][lane] with zeros beyond `lanes_used`.
template <class T>
struct PackWeightArgs {
  const T* weight;  // output channel 0 of the block, input channel 0, tap 0
  int64_t o, i, d, h, w;  // strides
  int lanes_used, channels;
  int kd, kh, kw;
  T* packed;
};

template <class T>
struct Kernel {
  int lanes;  // output channels in one lane block
  void (*pack)(const PackArgs<T>&) noexcept;
  void (*pack_weight)(const PackWeightArgs<T>&) noexcept;
  void (*store)(const StoreArgs<T>&) noexcept;
  // The same with a group in each lane: the slab is [d][h][w][lane], and taps of a run are `lanes` apart.
  void (*group_tile)(const TileArgs<T>&) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::conv

STRIATE_KERNEL_TABLE(striate::conv::Table, conv_table)
