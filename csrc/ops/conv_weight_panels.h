// The operands of the weight gradient, packed tile by tile for its kernel (kernels/conv/weight_tiles.h).
//
// A tile is a window of output pixels in one or several images. One operand's channels become lanes; the other's,
// times the taps, become rows of the slab, in whichever layout has the longest runs of pixels:
//
//      matrix   [channel][image, row, col]                  one tap, no padding: a run holds all pixels. Where the
//                                                           array itself is like that it is read in place
//      planes   [kd][kw][channel][image][input row][col]    narrow images: a copy for each kernel column, so
//                                                           that kernel rows are whole lines apart and a run
//                                                           holds all pixels of an image
//      lines    [image][kd][input row][channel][input col]  wide images: a run is a row of pixels
#pragma once

#include <array>
#include <cstdint>

#include "base/scratch.h"
#include "kernels/conv/weight_tiles.h"
#include "ops/conv_window.h"

namespace striate {

/// Output pixels of all images, cut into tiles of at most images x rows x cols.
struct PixelGrid {
  int64_t n, depths, height, width;
  int64_t images, rows, cols;

  struct Tile {
    int64_t image, images, depth, row, rows, col, cols;
    int64_t pixels() const { return images * rows * cols; }
  };
  int64_t pixels() const { return images * rows * cols; }  // of the largest tile
  int64_t count() const {
    return ceil_div(n, images) * depths * ceil_div(height, rows) * ceil_div(width, cols);
  }
  Tile tile(int64_t index) const;
};

enum class SlabLayout : uint8_t { matrix, planes, lines };
SlabLayout slab_layout(const CorrelationAxes& axes);

/// Slab elements that one channel takes in the largest tile.
int64_t slab_channel(const CorrelationAxes& axes, const PixelGrid& grid, SlabLayout layout);

/// An array of channels, seen where the gradient's arrays are: at (image, channel, depth, row, col).
template <class T>
struct ChannelView {
  const T* data;  // channel 0 of the chunk
  std::array<int64_t, 5> stride;
};

/// How far apart runs of neighbouring pixels are, once adjoining axes are joined into longer runs.
struct PixelRuns {
  PixelRuns(const PixelGrid::Tile& tile, const std::array<int64_t, 5>& stride);
  std::array<int64_t, 2> count{1, 1}, step{0, 0};  // of runs, outer first
  int64_t pixels, pixel_step;                      // of one run
};

template <class T>
class WeightSlab {
 public:
  /// For tiles of the grid and up to `channels` channels; allocates.
  WeightSlab(const CorrelationAxes& axes, const PixelGrid& grid, SlabLayout layout, int64_t channels);

  void pack(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
            const PixelGrid::Tile& tile);

  const T* data() const { return data_; }
  /// Offsets of rows (channel, kd, kh, kw).
  const int32_t* row_offsets() const { return row_offset_.get(); }
  const int32_t* run_offsets() const { return run_offset_.get(); }
  int runs = 0, run = 0, last_run = 0, step = 1;

  /// Sums over the pixels of each channel, added to sums. Of SlabLayout::matrix.
  void add_sums(const conv::WeightKernel<T>& kernel, int64_t channels, T* sums) const;

 private:
  void pack_matrix(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                   const PixelGrid::Tile& tile);
  bool take_in_place(const T* first, int64_t channel_step, int64_t channels, const PixelRuns& lines);
  void cut_strips(int64_t pixels);
  void pack_planes(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                   const PixelGrid::Tile& tile);
  void pack_lines(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                  const PixelGrid::Tile& tile);
  void pack_line(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                 int64_t image, int64_t d, int64_t h, int64_t first_w, int64_t step, int64_t count, T* to,
                 int64_t to_c, bool may_spill) const;

  CorrelationAxes axes_;
  SlabLayout layout_;
  const T* data_ = nullptr;
  int64_t pitch_ = 0;                   // from channel to channel
  int64_t lines_ = 1, line_pixels_ = 0;  // of a matrix: neighbours in memory
  Scratch<T> slab_;
  Scratch<int32_t> row_offset_, run_offset_;
};

/// Beginnings of stretches of memory, all of one length, that the next tile will read.
template <class T>
struct Stretches {
  explicit Stretches(int64_t most) : most_(most), at_(most) {}
  void add(const T* at) {
    if (count < most_) at_.get()[count++] = at;  // they are only asked for early: missing ones do no harm
  }
  const T* const* from(int64_t index) const { return at_.get() + index; }
  int64_t count = 0;

 private:
  int64_t most_;
  Scratch<const T*> at_;
};
template <class T>
void add_stretches(const ChannelView<T>& from, int64_t channels, const PixelGrid::Tile& tile, int64_t length,
                   Stretches<T>& stretches);

/// [lane block][pixel][lane], a last block of one vector as narrow as that.
template <class T>
void pack_lane_blocks(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                      const PixelGrid::Tile& tile, T* to, int64_t block_stride);

}  // namespace striate
