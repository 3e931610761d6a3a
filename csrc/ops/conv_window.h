// The window of a tile: which part of the input a block of output pixels sees, and where its pixels and
// taps lie in the packed slab. Shared by all drivers of the tile kernels (kernels/conv/conv.h).
#pragma once

#include <array>
#include <cstdint>

#include "base/scratch.h"
#include "kernels/conv/conv.h"
#include "ops/conv_problem.h"

namespace striate {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Cuts `total` into pieces of at most `largest`, as even as can be; returns the piece.
inline int64_t even_piece(int64_t total, int64_t largest) {
  return ceil_div(total, ceil_div(total, largest));
}

/// One axis of a correlation: position(x, k) = x * stride + k * dilation - pad. Unlike a ConvProblem's,
/// `pad` may be negative and `out` is free, so that a phase of a strided input gradient fits too.
struct CorrelationAxis {
  int64_t out, in, taps, stride, dilation, pad;
};
using CorrelationAxes = std::array<CorrelationAxis, 3>;  // d, h, w

/// How a tile of `tile` outputs lies in the slab along one axis: output x, tap k at x * pixel_step +
/// k * tap_step. Dense keeps every input element that the tile spans; compact (wide strides or dilations)
/// only those that some tap reads. Both are linear.
struct SlabAxis {
  int64_t extent;
  int64_t pixel_step, tap_step;
  bool dense;
};
SlabAxis slab_axis(int64_t tile, const CorrelationAxis& axis);

/// Elements of the slab of a tile of one depth, `rows` x `cols` outputs.
int64_t slab_elements(const CorrelationAxes& axes, int64_t rows, int64_t cols, int64_t channels);

/// What is neighbour to what in the slab: channels [d][h][w][c] or pixels [d][h][c][w].
enum class SlabOrder : uint8_t { channels_inside, width_inside };

/// The tiles that cover the outputs of one image, one depth at a time.
struct TileGrid {
  int64_t depths, row_tiles, col_tiles;  // how many
  int64_t rows, cols;                    // of the largest
  int64_t count() const { return depths * row_tiles * col_tiles; }
};
inline TileGrid tile_grid(const CorrelationAxes& axes, int64_t rows, int64_t cols) {
  return {axes[0].out, ceil_div(axes[1].out, rows), ceil_div(axes[2].out, cols), rows, cols};
}

/// Cuts tiles of `rows` x `cols` outputs down until their slab of `channels` takes at most `bytes`, rows
/// first; columns only where a slab of one row takes four times that (wide strides), which pays less.
TileGrid fit_tiles(const CorrelationAxes& axes, int64_t rows, int64_t cols, int64_t channels,
                   int64_t element_size, int64_t bytes);

class Window {
 public:
  /// Tables for tiles of `grid` and slabs of up to `channels` channels; allocates.
  Window(const CorrelationAxes& axes, const TileGrid& grid, SlabOrder order);

  /// Moves to tile number `tile` of the grid, with `channels` channels between neighbouring pixels.
  void place(int64_t tile, int64_t channels);

  int64_t depth = 0, row = 0, col = 0;  // first output of the tile
  int64_t rows = 0, cols = 0;           // its size
  int64_t pixels() const { return rows * cols; }

  /// Whether the tile sees no padding.
  bool inside() const;

  std::array<SlabAxis, 3> slab_axes() const { return {d_, h_, w_}; }
  std::array<int64_t, 3> pitches() const { return {pitch_d_, pitch_h_, pitch_w_}; }  // along d, h, w

  int64_t pixel_step() const { return w_.pixel_step * pitch_w_; }   // to the next pixel of a row
  int64_t row_step() const { return h_.pixel_step * pitch_h_; }     // to the next row of pixels
  int64_t channel_step() const { return pitch_c_; }
  bool taps_adjoin() const { return w_.tap_step == 1; }  // kernel columns read neighbouring slab columns

  /// Slab offset of each pixel of the tile.
  const int32_t* pixel_offsets();
  /// Slab offset of each tap in (d, h, w) order; with `rows_only` of the first in each kernel row.
  const int32_t* tap_offsets(bool rows_only);

  /// `from` is channel 0 of the block in the image; `stride` counts for axes d, h, w at [2], [3], [4].
  template <class T>
  conv::PackArgs<T> pack_args(const T* from, int64_t channel_stride, const std::array<int64_t, 5>& stride,
                              int64_t channels, T* slab) const {
    return {.src = from,
            .src_c = channel_stride,
            .src_d = stride[kD],
            .src_h = stride[kH],
            .src_w = stride[kW],
            .channels = static_cast<int>(channels),
            .map_d = map_d_.get(),
            .map_h = map_h_.get(),
            .map_w = map_w_.get(),
            .d = static_cast<int>(d_.extent),
            .h = static_cast<int>(h_.extent),
            .w = static_cast<int>(w_.extent),
            .run_begin = run_begin_,
            .run_end = run_end_,
            .run_step = run_step_,
            .slab = slab,
            .slab_c = pitch_c_,
            .slab_d = pitch_d_,
            .slab_h = pitch_h_,
            .slab_w = pitch_w_};
  }

 private:
  CorrelationAxes axes_;
  TileGrid grid_;
  SlabOrder order_;
  SlabAxis d_, h_, w_;
  int64_t pitch_c_ = 0, pitch_d_ = 0, pitch_h_ = 0, pitch_w_ = 0;
  int run_begin_ = 0, run_end_ = 0, run_step_ = 1;
  Scratch<int32_t> map_d_, map_h_, map_w_, pixel_offset_, tap_offset_;
};

}  // namespace striate
