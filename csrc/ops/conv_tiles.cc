// Forward convolution by tiles. A task is (image, group, block of output pixels, chunk of output
// channels); for each block of input channels it packs the slab and adds to its sums, then stores them.
#include "ops/conv_tiles.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/scratch.h"

namespace striate {

SlabAxis slab_axis(int64_t tile, int64_t taps, int64_t stride, int64_t dilation) {
  const int64_t span = (tile - 1) * stride + (taps - 1) * dilation + 1;
  const int64_t compact = tile * taps;
  if (span <= compact) return {span, stride, dilation, true};
  return {compact, taps, 1, false};
}

MapRun fill_map(const CorrelationAxis& axis, const SlabAxis& slab, int64_t first, int32_t* map) {
  const int64_t origin = first * axis.stride - axis.pad;
  for (int64_t i = 0; i < slab.extent; ++i) {
    const int64_t at = slab.dense ? origin + i
                                  : origin + i / axis.taps * axis.stride + i % axis.taps * axis.dilation;
    map[i] = at >= 0 && at < axis.in ? static_cast<int32_t>(at) : -1;
  }
  if (!slab.dense && axis.taps > 1) return {0, 0, 1};
  const auto extent = static_cast<int>(slab.extent);
  int begin = 0;
  while (begin < extent && map[begin] < 0) ++begin;
  int end = extent;
  while (end > begin && map[end - 1] < 0) --end;
  return {begin, end, slab.dense ? 1 : static_cast<int>(axis.stride)};
}

namespace {

// Measured on AVX2 cores with 32 KiB L1d and 512 KiB L2: weights of one lane block and channel block stay
// in L1 while all pixels pass, slab and sums stay in L2.
constexpr int64_t kWeightSliceBytes = 24 * 1024;
constexpr int64_t kSlabBytes = 128 * 1024;
constexpr int64_t kSumBytes = 128 * 1024;
constexpr int64_t kLargestTile = 512;     // pixels
constexpr int64_t kLargestOcChunk = 256;  // output channels
constexpr int64_t kEnoughTasks = 16;      // keep up to a few cores busy evenly
constexpr double kSmallTask = 1e6;        // multiply-adds

struct Blocking {
  int64_t ic_block, oc_chunk;
  int64_t rows, cols;  // of output pixels in a tile; one depth at a time
  int64_t ic_blocks, oc_chunks, row_tiles, col_tiles;
  bool flat;  // taps along the width and their channels are one run of the slab
};

template <class T>
Blocking choose_blocking(const Correlation<T>& c, int64_t lanes) {
  const auto& [d, h, w] = c.axis;
  const int64_t taps = d.taps * h.taps * w.taps;
  const auto size = static_cast<int64_t>(sizeof(T));
  Blocking b{};
  b.ic_block = even_piece(c.ic, std::clamp<int64_t>(kWeightSliceBytes / (taps * lanes * size), 1, 256));
  b.oc_chunk = ceil_div(even_piece(c.oc, kLargestOcChunk), lanes) * lanes;
  b.cols = even_piece(w.out, kLargestTile / 2);

  const auto slab_bytes = [&](int64_t rows) {
    return slab_axis(1, d.taps, d.stride, d.dilation).extent *
           slab_axis(rows, h.taps, h.stride, h.dilation).extent *
           slab_axis(b.cols, w.taps, w.stride, w.dilation).extent * b.ic_block * size;
  };
  b.rows = std::max<int64_t>(1, std::min(kLargestTile / b.cols, kSumBytes / (b.cols * b.oc_chunk * size)));
  b.rows = std::min(b.rows, h.out);
  while (b.rows > 1 && slab_bytes(b.rows) > kSlabBytes) b.rows = ceil_div(b.rows, 2);
  b.rows = even_piece(h.out, b.rows);

  const auto tasks = [&] {
    return c.n * c.g * d.out * ceil_div(h.out, b.rows) * ceil_div(w.out, b.cols) *
           ceil_div(c.oc, b.oc_chunk);
  };
  const auto task_work = [&] {
    return static_cast<double>(b.rows * b.cols) * static_cast<double>(b.oc_chunk) *
           static_cast<double>(c.ic * taps);
  };
  while (tasks() < kEnoughTasks && task_work() > kSmallTask) {
    if (b.rows > 4)
      b.rows = ceil_div(b.rows, 2);
    else if (b.oc_chunk > lanes)
      b.oc_chunk = ceil_div(ceil_div(b.oc_chunk, 2), lanes) * lanes;
    else if (b.rows > 1)
      b.rows = ceil_div(b.rows, 2);
    else
      break;
  }
  b.ic_blocks = ceil_div(c.ic, b.ic_block);
  b.oc_chunks = ceil_div(c.oc, b.oc_chunk);
  b.row_tiles = ceil_div(h.out, b.rows);
  b.col_tiles = ceil_div(w.out, b.cols);
  b.flat = b.ic_blocks == 1 && slab_axis(b.cols, w.taps, w.stride, w.dilation).tap_step == 1;
  return b;
}

// Packed weights: [group][lane block][channel block][tap][channel][lane].
template <class T>
class PackedWeight {
 public:
  PackedWeight(const Correlation<T>& c, const conv::Kernel<T>& kernel, const Blocking& b)
      : lanes_(kernel.lanes),
        taps_(c.axis[0].taps * c.axis[1].taps * c.axis[2].taps),
        block_stride_(padded_count<T>(taps_ * c.ic * lanes_)),
        blocks_(ceil_div(c.oc, lanes_)),
        ic_block_(b.ic_block),
        data_(c.g * blocks_ * block_stride_) {
    const int64_t tasks = c.g * blocks_ * b.ic_blocks;
    const double work = static_cast<double>(c.g * c.oc * c.ic * taps_);
    parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
      const int64_t ic_begin = task % b.ic_blocks * b.ic_block;
      const int64_t block = task / b.ic_blocks % blocks_;
      const int64_t group = task / b.ic_blocks / blocks_;
      kernel.pack_weight({
          .weight = c.weight + group * c.weight_g + block * lanes_ * c.weight_o + ic_begin * c.weight_i,
          .o = c.weight_o,
          .i = c.weight_i,
          .d = c.weight_tap[0],
          .h = c.weight_tap[1],
          .w = c.weight_tap[2],
          .lanes_used = static_cast<int>(std::min(lanes_, c.oc - block * lanes_)),
          .channels = static_cast<int>(std::min(b.ic_block, c.ic - ic_begin)),
          .kd = static_cast<int>(c.axis[0].taps),
          .kh = static_cast<int>(c.axis[1].taps),
          .kw = static_cast<int>(c.axis[2].taps),
          .packed = at(group, block, ic_begin),
      });
    });
  }
  T* at(int64_t group, int64_t lane_block, int64_t ic_begin) const {
    return data_.get() + (group * blocks_ + lane_block) * block_stride_ + taps_ * ic_begin * lanes_;
  }
  int64_t block_stride() const { return block_stride_; }

 private:
  int64_t lanes_, taps_, block_stride_, blocks_, ic_block_;
  Scratch<T> data_;
};

// What one worker needs for its tasks, allocated before the parallel region.
template <class T>
struct Workspace {
  Scratch<T> slab, sums;
  Scratch<int32_t> map_d, map_h, map_w, pixel_offset, tap_offset;
};

template <class T>
class TileTask {
 public:
  TileTask(const Correlation<T>& c, const conv::Kernel<T>& kernel, const Blocking& b,
           const PackedWeight<T>& weight)
      : c_(c),
        kernel_(kernel),
        b_(b),
        weight_(weight),
        slab_d_(slab_axis(1, c.axis[0].taps, c.axis[0].stride, c.axis[0].dilation)) {}

  Workspace<T> make_workspace() const {
    const auto& [d, h, w] = c_.axis;
    const SlabAxis sh = slab_axis(b_.rows, h.taps, h.stride, h.dilation);
    const SlabAxis sw = slab_axis(b_.cols, w.taps, w.stride, w.dilation);
    return {Scratch<T>(padded_count<T>(slab_d_.extent * sh.extent * sw.extent * b_.ic_block)),
            Scratch<T>(padded_count<T>(b_.rows * b_.cols * kernel_.lanes) *
                       ceil_div(b_.oc_chunk, kernel_.lanes)),
            Scratch<int32_t>(slab_d_.extent),
            Scratch<int32_t>(sh.extent),
            Scratch<int32_t>(sw.extent),
            Scratch<int32_t>(b_.rows * b_.cols),
            Scratch<int32_t>(d.taps * h.taps * w.taps)};
  }

  int64_t count() const {
    return c_.n * c_.g * c_.axis[0].out * b_.row_tiles * b_.col_tiles * b_.oc_chunks;
  }

  void run(int64_t task, const Workspace<T>& ws) const {
    // Channel chunks outside, pixels inside: neighbouring tasks share weights.
    int64_t rest = task;
    const auto take = [&rest](int64_t extent) {
      const int64_t index = rest % extent;
      rest /= extent;
      return index;
    };
    const int64_t col = take(b_.col_tiles) * b_.cols;
    const int64_t row = take(b_.row_tiles) * b_.rows;
    const int64_t depth = take(c_.axis[0].out);
    const int64_t image = take(c_.n);
    const int64_t oc_begin = take(b_.oc_chunks) * b_.oc_chunk;
    const int64_t group = rest;

    const auto& [d, h, w] = c_.axis;
    const int64_t rows = std::min(b_.rows, h.out - row);
    const int64_t cols = std::min(b_.cols, w.out - col);
    const int64_t channels = std::min(b_.oc_chunk, c_.oc - oc_begin);
    const int64_t lanes = kernel_.lanes;
    const int64_t lane_blocks = ceil_div(channels, lanes);
    const SlabAxis sh = slab_axis(rows, h.taps, h.stride, h.dilation);
    const SlabAxis sw = slab_axis(cols, w.taps, w.stride, w.dilation);
    fill_map(d, slab_d_, depth, ws.map_d.get());
    fill_map(h, sh, row, ws.map_h.get());
    const MapRun run = fill_map(w, sw, col, ws.map_w.get());

    const int64_t pitch_w = b_.ic_block;
    const int64_t pitch_h = sw.extent * pitch_w;
    const int64_t pitch_d = sh.extent * pitch_h;
    for (int64_t r = 0, p = 0; r < rows; ++r)
      for (int64_t x = 0; x < cols; ++x, ++p)
        ws.pixel_offset.get()[p] =
            static_cast<int32_t>(r * sh.pixel_step * pitch_h + x * sw.pixel_step * pitch_w);
    int64_t taps = 0;
    for (int64_t kd = 0; kd < d.taps; ++kd)
      for (int64_t kh = 0; kh < h.taps; ++kh)
        for (int64_t kw = 0; kw < (b_.flat ? 1 : w.taps); ++kw)
          ws.tap_offset.get()[taps++] = static_cast<int32_t>(
              kd * slab_d_.tap_step * pitch_d + kh * sh.tap_step * pitch_h + kw * sw.tap_step * pitch_w);

    const int64_t acc_stride = padded_count<T>(rows * cols * lanes);
    const T* input = c_.input + image * c_.input_stride[kN] + group * c_.ic * c_.input_stride[kC];
    for (int64_t ic = 0; ic < c_.ic; ic += b_.ic_block) {
      const int64_t ic_count = std::min(b_.ic_block, c_.ic - ic);
      kernel_.pack({.src = input + ic * c_.input_stride[kC],
                    .src_c = c_.input_stride[kC],
                    .src_d = c_.input_stride[kD],
                    .src_h = c_.input_stride[kH],
                    .src_w = c_.input_stride[kW],
                    .channels = static_cast<int>(ic_count),
                    .map_d = ws.map_d.get(),
                    .map_h = ws.map_h.get(),
                    .map_w = ws.map_w.get(),
                    .d = static_cast<int>(slab_d_.extent),
                    .h = static_cast<int>(sh.extent),
                    .w = static_cast<int>(sw.extent),
                    .run_begin = run.begin,
                    .run_end = run.end,
                    .run_step = run.step,
                    .slab = ws.slab.get(),
                    .slab_c = 1,
                    .slab_d = pitch_d,
                    .slab_h = pitch_h,
                    .slab_w = pitch_w});
      kernel_.tile({.slab = ws.slab.get(),
                    .pixel_offset = ws.pixel_offset.get(),
                    .pixels = static_cast<int>(rows * cols),
                    .tap_offset = ws.tap_offset.get(),
                    .taps = static_cast<int>(taps),
                    .run = static_cast<int>(b_.flat ? w.taps * ic_count : ic_count),
                    .weight = weight_.at(group, oc_begin / lanes, ic),
                    .weight_block_stride = weight_.block_stride(),
                    .lane_blocks = static_cast<int>(lane_blocks),
                    .last_block_channels = static_cast<int>(channels - (lane_blocks - 1) * lanes),
                    .acc = ws.sums.get(),
                    .acc_block_stride = acc_stride,
                    .accumulate = ic > 0});
    }
    const int64_t first_channel = group * c_.oc + oc_begin;
    kernel_.store({.acc = ws.sums.get(),
                   .acc_block_stride = acc_stride,
                   .d = 1,
                   .h = static_cast<int>(rows),
                   .w = static_cast<int>(cols),
                   .channels = static_cast<int>(channels),
                   .bias = c_.bias ? c_.bias + first_channel : nullptr,
                   .out = c_.output + image * c_.output_stride[kN] + first_channel * c_.output_stride[kC] +
                          depth * c_.output_stride[kD] + row * c_.output_stride[kH] +
                          col * c_.output_stride[kW],
                   .out_c = c_.output_stride[kC],
                   .out_d = c_.output_stride[kD],
                   .out_h = c_.output_stride[kH],
                   .out_w = c_.output_stride[kW]});
  }

 private:
  const Correlation<T>& c_;
  const conv::Kernel<T>& kernel_;
  const Blocking& b_;
  const PackedWeight<T>& weight_;
  SlabAxis slab_d_;
};

}  // namespace

template <class T>
void correlate(const Correlation<T>& c, const conv::Kernel<T>& kernel) {
  const Blocking blocking = choose_blocking(c, kernel.lanes);
  const PackedWeight<T> weight(c, kernel, blocking);
  const TileTask<T> tiles(c, kernel, blocking, weight);
  const auto& [d, h, w] = c.axis;
  const double work = static_cast<double>(c.n * d.out * h.out * w.out) * static_cast<double>(c.g * c.oc) *
                      static_cast<double>(c.ic * d.taps * h.taps * w.taps);
  const int workers = workers_for(tiles.count(), work / 8);  // eight multiply-adds an instruction
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(tiles.make_workspace());
  parallel_for(tiles.count(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    tiles.run(task, workspaces[static_cast<size_t>(worker)]);
  });
}

template void correlate(const Correlation<float>&, const conv::Kernel<float>&);
template void correlate(const Correlation<double>&, const conv::Kernel<double>&);

}  // namespace striate
