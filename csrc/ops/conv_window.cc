#include "ops/conv_window.h"

#include <algorithm>

namespace striate {

SlabAxis slab_axis(int64_t tile, const CorrelationAxis& axis) {
  const int64_t span = (tile - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1;
  const int64_t compact = tile * axis.taps;
  if (span <= compact) return {span, axis.stride, axis.dilation, true};
  return {compact, axis.taps, 1, false};
}

int64_t slab_elements(const CorrelationAxes& axes, int64_t rows, int64_t cols, int64_t channels) {
  return slab_axis(1, axes[0]).extent * slab_axis(rows, axes[1]).extent * slab_axis(cols, axes[2]).extent *
         channels;
}

TileGrid fit_tiles(const CorrelationAxes& axes, int64_t rows, int64_t cols, int64_t channels,
                   int64_t element_size, int64_t bytes) {
  const auto slab_bytes = [&] { return slab_elements(axes, rows, cols, channels) * element_size; };
  rows = std::min(rows, axes[1].out);
  while (rows > 1 && slab_bytes() > bytes) rows = ceil_div(rows, 2);
  rows = even_piece(axes[1].out, rows);
  while (cols > 1 && slab_bytes() > 4 * bytes) cols = ceil_div(cols, 2);
  return tile_grid(axes, rows, even_piece(axes[2].out, cols));
}

namespace {

// Source coordinate of each slab coordinate for the tile that begins at output `first`; -1 is padding.
void fill_map(const CorrelationAxis& axis, const SlabAxis& slab, int64_t first, int32_t* map) {
  const int64_t origin = first * axis.stride - axis.pad;
  for (int64_t i = 0; i < slab.extent; ++i) {
    const int64_t at = slab.dense ? origin + i
                                  : origin + i / axis.taps * axis.stride + i % axis.taps * axis.dilation;
    map[i] = at >= 0 && at < axis.in ? static_cast<int32_t>(at) : -1;
  }
}

}  // namespace

Window::Window(const CorrelationAxes& axes, const TileGrid& grid, SlabOrder order)
    : axes_(axes),
      grid_(grid),
      order_(order),
      d_(slab_axis(1, axes[0])),
      h_(slab_axis(grid.rows, axes[1])),
      w_(slab_axis(grid.cols, axes[2])),
      map_d_(d_.extent),
      map_h_(h_.extent),
      map_w_(w_.extent),
      pixel_offset_(grid.rows * grid.cols),
      tap_offset_(axes[0].taps * axes[1].taps * axes[2].taps) {}

void Window::place(int64_t tile, int64_t channels) {
  col = tile % grid_.col_tiles * grid_.cols;
  row = tile / grid_.col_tiles % grid_.row_tiles * grid_.rows;
  depth = tile / grid_.col_tiles / grid_.row_tiles;
  rows = std::min(grid_.rows, axes_[1].out - row);
  cols = std::min(grid_.cols, axes_[2].out - col);
  h_ = slab_axis(rows, axes_[1]);
  w_ = slab_axis(cols, axes_[2]);
  fill_map(axes_[0], d_, depth, map_d_.get());
  fill_map(axes_[1], h_, row, map_h_.get());
  fill_map(axes_[2], w_, col, map_w_.get());

  const bool channels_inside = order_ == SlabOrder::channels_inside;
  pitch_c_ = channels_inside ? 1 : w_.extent;
  pitch_w_ = channels_inside ? channels : 1;
  pitch_h_ = w_.extent * channels;
  pitch_d_ = h_.extent * pitch_h_;

  // Between the padding on both sides the columns advance evenly, if they are dense or have one tap.
  run_begin_ = run_end_ = 0;
  run_step_ = 1;
  if (!w_.dense && axes_[2].taps > 1) return;
  const int32_t* map = map_w_.get();
  const auto extent = static_cast<int>(w_.extent);
  while (run_begin_ < extent && map[run_begin_] < 0) ++run_begin_;
  run_end_ = extent;
  while (run_end_ > run_begin_ && map[run_end_ - 1] < 0) --run_end_;
  run_step_ = w_.dense ? 1 : static_cast<int>(axes_[2].stride);
}

bool Window::inside() const {
  const int64_t first[3] = {depth, row, col}, size[3] = {1, rows, cols};
  for (size_t i = 0; i < 3; ++i) {
    const CorrelationAxis& a = axes_[i];
    const int64_t begin = first[i] * a.stride - a.pad;
    if (begin < 0 || begin + (size[i] - 1) * a.stride + (a.taps - 1) * a.dilation >= a.in) return false;
  }
  return true;
}

const int32_t* Window::pixel_offsets() {
  int32_t* next = pixel_offset_.get();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t x = 0; x < cols; ++x) *next++ = static_cast<int32_t>(r * row_step() + x * pixel_step());
  return pixel_offset_.get();
}

const int32_t* Window::tap_offsets(bool rows_only) {
  int32_t* next = tap_offset_.get();
  for (int64_t kd = 0; kd < axes_[0].taps; ++kd)
    for (int64_t kh = 0; kh < axes_[1].taps; ++kh)
      for (int64_t kw = 0; kw < (rows_only ? 1 : axes_[2].taps); ++kw)
        *next++ = static_cast<int32_t>(kd * d_.tap_step * pitch_d_ + kh * h_.tap_step * pitch_h_ +
                                       kw * w_.tap_step * pitch_w_);
  return tap_offset_.get();
}

}  // namespace striate
