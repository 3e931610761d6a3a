#include "ops/conv_weight_panels.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace striate {

PixelGrid::Tile PixelGrid::tile(int64_t index) const {
  const int64_t col_tiles = ceil_div(width, cols), row_tiles = ceil_div(height, rows);
  Tile t{};
  t.col = index % col_tiles * cols;
  t.row = index / col_tiles % row_tiles * rows;
  t.depth = index / col_tiles / row_tiles % depths;
  t.image = index / col_tiles / row_tiles / depths * images;
  t.images = std::min(images, n - t.image);
  t.rows = std::min(rows, height - t.row);
  t.cols = std::min(cols, width - t.col);
  return t;
}

namespace {

constexpr int64_t kNarrow = 3;  // pixels: only such short runs cost more than the copies that make longer ones

constexpr int64_t kLongInPlace = 32;  // pixels of a run that need not be copied to become longer

constexpr int64_t kStrip = 64;  // pixels of a run where any would do: see WeightTileArgs::ahead

// Input rows of a tile in planes, so ordered that the rows of one tap are neighbours: all those that are equal
// modulo the stride together; or, where taps lie far apart, those of each tap by themselves.
struct PlaneRows {
  PlaneRows(int64_t tile_rows, const CorrelationAxis& axis) : a(axis) {
    const int64_t span = (tile_rows - 1) * a.stride + (a.taps - 1) * a.dilation + 1;
    each_tap = ceil_div(span, a.stride) * std::min(a.stride, span) >= tile_rows * a.taps;
    part = each_tap ? tile_rows : ceil_div(span, a.stride);
    count = part * (each_tap ? a.taps : std::min(a.stride, span));
  }
  /// The input row at `index`, counted from the tile's first without padding.
  int64_t input(int64_t index) const {
    const int64_t p = index / part, i = index % part;
    return i * a.stride + (each_tap ? p * a.dilation : p);
  }
  /// Where the rows of a tap begin.
  int64_t tap(int64_t k) const {
    if (each_tap) return k * part;
    return k * a.dilation % a.stride * part + k * a.dilation / a.stride;
  }
  const CorrelationAxis& a;
  bool each_tap;
  int64_t part, count;
};

}  // namespace

SlabLayout slab_layout(const CorrelationAxes& axes) {
  const auto& [d, h, w] = axes;
  if (d.taps * h.taps * w.taps == 1 && d.pad == 0 && h.pad == 0 && w.pad == 0) {
    // One tap, yet it may begin outside where the padding is all at the end.
    const auto inside = [](const CorrelationAxis& a) { return (a.out - 1) * a.stride < a.in; };
    if (inside(d) && inside(h) && inside(w)) return SlabLayout::matrix;
  }
  if (w.out <= kNarrow || !slab_axis(w.out, w).dense) return SlabLayout::planes;
  return SlabLayout::lines;
}

int64_t slab_channel(const CorrelationAxes& axes, const PixelGrid& grid, SlabLayout layout) {
  switch (layout) {
    case SlabLayout::matrix: return grid.pixels();
    case SlabLayout::planes:
      return axes[0].taps * axes[2].taps * grid.images * PlaneRows(grid.rows, axes[1]).count * grid.cols;
    case SlabLayout::lines:
      return grid.images * axes[0].taps * slab_axis(grid.rows, axes[1]).extent *
             slab_axis(grid.cols, axes[2]).extent;
  }
  return 0;
}

PixelRuns::PixelRuns(const PixelGrid::Tile& tile, const std::array<int64_t, 5>& stride)
    : pixels(tile.cols), pixel_step(stride[kW]) {
  size_t outer = 2;  // the first used of count, step
  const auto wrap = [&](int64_t n, int64_t s) {
    if (n == 1) return;
    if (outer == 2 && (pixels == 1 || s == pixels * pixel_step)) {
      pixel_step = pixels == 1 ? s : pixel_step;
      pixels *= n;
    } else if (outer < 2 && s == count[outer] * step[outer]) {
      count[outer] *= n;
    } else {
      --outer;
      count[outer] = n;
      step[outer] = s;
    }
  };
  wrap(tile.rows, stride[kH]);
  wrap(tile.images, stride[kN]);
}

template <class T>
WeightSlab<T>::WeightSlab(const CorrelationAxes& axes, const PixelGrid& grid, SlabLayout layout,
                          int64_t channels)
    : axes_(axes), layout_(layout) {
  const int64_t planes = layout == SlabLayout::planes ? axes[0].taps * axes[2].taps : 1;
  const int64_t channel = slab_channel(axes, grid, layout);
  slab_ = Scratch<T>(layout == SlabLayout::lines ? channel * channels
                                                 : padded_count<T>(channel / planes) * planes * channels);
  row_offset_ = Scratch<int32_t>(channels * axes[0].taps * axes[1].taps * axes[2].taps);
  run_offset_ = Scratch<int32_t>(std::max(ceil_div(grid.pixels(), kStrip), grid.images * grid.rows));
}

template <class T>
void WeightSlab<T>::pack(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                         const PixelGrid::Tile& tile) {
  data_ = slab_.get();
  if (layout_ == SlabLayout::matrix)
    pack_matrix(kernel, from, channels, tile);
  else if (layout_ == SlabLayout::planes)
    pack_planes(kernel, from, channels, tile);
  else
    pack_lines(kernel, from, channels, tile);
}

template <class T>
void WeightSlab<T>::pack_matrix(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from,
                                int64_t channels, const PixelGrid::Tile& tile) {
  const auto& [d, h, w] = axes_;
  auto stride = from.stride;  // from output pixel to output pixel
  stride[kH] *= h.stride;
  stride[kW] *= w.stride;
  const T* first = from.data + tile.image * stride[kN] + tile.depth * d.stride * stride[kD] +
                   tile.row * stride[kH] + tile.col * stride[kW];
  const PixelRuns lines(tile, stride);
  if (take_in_place(first, stride[kC], channels, lines)) return;
  pitch_ = padded_count<T>(tile.pixels());
  T* to = slab_.get();
  for (int64_t i = 0; i < lines.count[0]; ++i)
    for (int64_t j = 0; j < lines.count[1]; ++j, to += lines.pixels)
      kernel.pack_line({.from = first + i * lines.step[0] + j * lines.step[1],
                        .from_c = stride[kC],
                        .from_w = lines.pixel_step,
                        .channels = static_cast<int>(channels),
                        .zeros_before = 0,
                        .pixels = static_cast<int>(lines.pixels),
                        .zeros_after = 0,
                        .to = to,
                        .to_c = pitch_,
                        .may_spill = true});
  for (int64_t c = 0; c < channels; ++c) row_offset_.get()[c] = static_cast<int32_t>(c * pitch_);
  lines_ = 1;
  line_pixels_ = tile.pixels();
  cut_strips(tile.pixels());
}

// A single line of pixels, in runs.
template <class T>
void WeightSlab<T>::cut_strips(int64_t pixels) {
  for (int64_t i = 0; i * kStrip < pixels; ++i) run_offset_.get()[i] = static_cast<int32_t>(i * kStrip);
  runs = static_cast<int>(ceil_div(pixels, kStrip));
  run = static_cast<int>(kStrip);
  last_run = static_cast<int>(pixels - (runs - 1) * kStrip);
  step = 1;
}

// Planes of neighbouring pixels need no copy, if offsets reach as far as they do.
template <class T>
bool WeightSlab<T>::take_in_place(const T* first, int64_t channel_step, int64_t channels, const PixelRuns& lines) {
  constexpr int64_t farthest = std::numeric_limits<int32_t>::max() / 4;
  const auto reach = [](int64_t count, int64_t step) { return (count - 1) * std::abs(step); };
  if (lines.pixel_step != 1 || lines.pixels < kLongInPlace) return false;
  if (reach(channels, channel_step) > farthest || reach(lines.count[0], lines.step[0]) > farthest ||
      reach(lines.count[1], lines.step[1]) > farthest)
    return false;
  data_ = first;
  pitch_ = channel_step;
  lines_ = lines.count[0] * lines.count[1];
  line_pixels_ = lines.pixels;
  for (int64_t c = 0; c < channels; ++c) row_offset_.get()[c] = static_cast<int32_t>(c * pitch_);
  if (lines_ == 1) {
    cut_strips(lines.pixels);
    return true;
  }
  for (int64_t i = 0; i < lines_; ++i)
    run_offset_.get()[i] = static_cast<int32_t>(i / lines.count[1] * lines.step[0] +
                                                i % lines.count[1] * lines.step[1]);
  runs = static_cast<int>(lines_);
  run = last_run = static_cast<int>(lines.pixels);
  step = 1;
  return true;
}

template <class T>
void WeightSlab<T>::add_sums(const conv::WeightKernel<T>& kernel, int64_t channels, T* sums) const {
  for (int64_t i = 0; i < lines_; ++i)
    kernel.add_lines(data_ + run_offset_.get()[i], pitch_, static_cast<int>(channels),
                     static_cast<int>(line_pixels_), sums);
}

// `count` pixels, `step` apart, of a line that may begin before the image and end after it.
template <class T>
void WeightSlab<T>::pack_line(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from,
                              int64_t channels, int64_t image, int64_t d, int64_t h, int64_t first_w,
                              int64_t step_w, int64_t count, T* to, int64_t to_c, bool may_spill) const {
  const int64_t in = axes_[2].in;
  int64_t begin = 0, end = 0;
  if (d >= 0 && d < axes_[0].in && h >= 0 && h < axes_[1].in && first_w < in) {
    begin = first_w < 0 ? std::min(count, ceil_div(-first_w, step_w)) : 0;
    end = std::clamp(ceil_div(in - first_w, step_w), begin, count);
  }
  if (begin == end) begin = end = count;
  const auto& s = from.stride;
  const T* line = from.data;
  if (begin < end) line += image * s[kN] + d * s[kD] + h * s[kH] + (first_w + begin * step_w) * s[kW];
  kernel.pack_line({.from = line,
                    .from_c = s[kC],
                    .from_w = step_w * s[kW],
                    .channels = static_cast<int>(channels),
                    .zeros_before = static_cast<int>(begin),
                    .pixels = static_cast<int>(end - begin),
                    .zeros_after = static_cast<int>(count - end),
                    .to = to,
                    .to_c = to_c,
                    .may_spill = may_spill});
}

template <class T>
void WeightSlab<T>::pack_planes(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from,
                                int64_t channels, const PixelGrid::Tile& tile) {
  const auto& [d, h, w] = axes_;
  const PlaneRows plane(tile.rows, h);
  const int64_t image_step = plane.count * tile.cols;
  pitch_ = padded_count<T>(tile.images * image_step);
  for (int64_t kd = 0; kd < d.taps; ++kd)
    for (int64_t kw = 0; kw < w.taps; ++kw) {
      T* to = slab_.get() + (kd * w.taps + kw) * channels * pitch_;
      for (int64_t image = 0; image < tile.images; ++image)
        for (int64_t i = 0; i < plane.count; ++i, to += tile.cols)
          pack_line(kernel, from, channels, tile.image + image,
                    tile.depth * d.stride + kd * d.dilation - d.pad,
                    tile.row * h.stride + plane.input(i) - h.pad,
                    tile.col * w.stride + kw * w.dilation - w.pad, w.stride, tile.cols, to, pitch_, true);
    }
  int32_t* row = row_offset_.get();
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t kd = 0; kd < d.taps; ++kd)
      for (int64_t kh = 0; kh < h.taps; ++kh)
        for (int64_t kw = 0; kw < w.taps; ++kw)
          *row++ = static_cast<int32_t>(((kd * w.taps + kw) * channels + c) * pitch_ +
                                        plane.tap(kh) * tile.cols);
  for (int64_t image = 0; image < tile.images; ++image)
    run_offset_.get()[image] = static_cast<int32_t>(image * image_step);
  runs = static_cast<int>(tile.images);
  run = last_run = static_cast<int>(tile.rows * tile.cols);
  step = 1;
}

template <class T>
void WeightSlab<T>::pack_lines(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from,
                               int64_t channels, const PixelGrid::Tile& tile) {
  const auto& [d, h, w] = axes_;
  const SlabAxis rows = slab_axis(tile.rows, h), cols = slab_axis(tile.cols, w);
  const int64_t line_step = channels * cols.extent;
  T* to = slab_.get();
  for (int64_t image = 0; image < tile.images; ++image)
    for (int64_t kd = 0; kd < d.taps; ++kd)
      for (int64_t i = 0; i < rows.extent; ++i, to += line_step) {
        const int64_t row = rows.dense ? i : i / h.taps * h.stride + i % h.taps * h.dilation;
        pack_line(kernel, from, channels, tile.image + image,
                  tile.depth * d.stride + kd * d.dilation - d.pad, tile.row * h.stride + row - h.pad,
                  tile.col * w.stride - w.pad, 1, cols.extent, to, cols.extent, false);
      }
  int32_t* offset = row_offset_.get();
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t kd = 0; kd < d.taps; ++kd)
      for (int64_t kh = 0; kh < h.taps; ++kh)
        for (int64_t kw = 0; kw < w.taps; ++kw)
          *offset++ = static_cast<int32_t>((kd * rows.extent + kh * rows.tap_step) * line_step +
                                           c * cols.extent + kw * cols.tap_step);
  int32_t* line = run_offset_.get();
  for (int64_t image = 0; image < tile.images; ++image)
    for (int64_t i = 0; i < tile.rows; ++i)
      *line++ = static_cast<int32_t>((image * d.taps * rows.extent + i * rows.pixel_step) * line_step);
  runs = static_cast<int>(tile.images * tile.rows);
  run = last_run = static_cast<int>(tile.cols);
  step = static_cast<int>(cols.pixel_step);
}

template <class T>
void pack_lane_blocks(const conv::WeightKernel<T>& kernel, const ChannelView<T>& from, int64_t channels,
                      const PixelGrid::Tile& tile, T* to, int64_t block_stride) {
  const auto& s = from.stride;
  const T* first = from.data + tile.image * s[kN] + tile.depth * s[kD] + tile.row * s[kH] + tile.col * s[kW];
  const PixelRuns lines(tile, s);
  int64_t pixel = 0;
  for (int64_t i = 0; i < lines.count[0]; ++i)
    for (int64_t j = 0; j < lines.count[1]; ++j, pixel += lines.pixels)
      kernel.pack_lanes({.from = first + i * lines.step[0] + j * lines.step[1],
                         .from_c = s[kC],
                         .from_w = lines.pixel_step,
                         .channels = static_cast<int>(channels),
                         .first_pixel = static_cast<int>(pixel),
                         .pixels = static_cast<int>(lines.pixels),
                         .to = to,
                         .to_block = block_stride});
}

template <class T>
void add_stretches(const ChannelView<T>& from, int64_t channels, const PixelGrid::Tile& tile, int64_t length,
                   Stretches<T>& stretches) {
  const auto& s = from.stride;
  const T* first = from.data + tile.image * s[kN] + tile.depth * s[kD] + tile.row * s[kH] + tile.col * s[kW];
  const PixelRuns runs(tile, s);
  const bool whole_pixels = s[kC] == 1 && runs.pixel_step == channels;
  const bool parts_of_pixels = s[kC] == 1 && runs.pixel_step > std::max<int64_t>(channels, 2);
  const int64_t run = parts_of_pixels ? channels : runs.pixels * runs.pixel_step;
  if (!whole_pixels && !parts_of_pixels && runs.pixel_step != 1 && runs.pixel_step != 2) return;
  const int64_t count = whole_pixels ? 1 : parts_of_pixels ? runs.pixels : channels;
  const int64_t step = parts_of_pixels ? runs.pixel_step : s[kC];
  if (2 * run < length) return;  // most of a stretch would lie elsewhere
  for (int64_t i = 0; i < runs.count[0]; ++i)
    for (int64_t j = 0; j < runs.count[1]; ++j)
      for (int64_t k = 0; k < count; ++k) {
        const T* at = first + i * runs.step[0] + j * runs.step[1] + k * step;
        for (int64_t done = 0; done < run; done += length) stretches.add(at + done);
      }
}

template void add_stretches(const ChannelView<float>&, int64_t, const PixelGrid::Tile&, int64_t,
                            Stretches<float>&);
template void add_stretches(const ChannelView<double>&, int64_t, const PixelGrid::Tile&, int64_t,
                            Stretches<double>&);
template class WeightSlab<float>;
template class WeightSlab<double>;
template void pack_lane_blocks(const conv::WeightKernel<float>&, const ChannelView<float>&, int64_t,
                               const PixelGrid::Tile&, float*, int64_t);
template void pack_lane_blocks(const conv::WeightKernel<double>&, const ChannelView<double>&, int64_t,
                               const PixelGrid::Tile&, double*, int64_t);

}  // namespace striate
