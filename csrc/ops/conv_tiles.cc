// Forward convolution by tiles. A task is (image, group, block of output pixels, chunk of output
// channels); for each block of input channels it packs the slab and adds to its sums, then stores them.
#include "ops/conv_tiles.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"

namespace striate {

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
  int64_t ic_blocks, oc_chunks;
  TileGrid grid;
};

template <class T>
Blocking choose_blocking(const Correlation<T>& c, int64_t lanes) {
  const CorrelationAxis& w = c.axes[2];
  const auto size = static_cast<int64_t>(sizeof(T));
  Blocking b{};
  b.ic_block = even_piece(c.ic, std::clamp<int64_t>(kWeightSliceBytes / (c.taps() * lanes * size), 1, 256));
  b.oc_chunk = ceil_div(even_piece(c.oc, kLargestOcChunk), lanes) * lanes;

  const int64_t widest = even_piece(w.out, kLargestTile / 2);
  const int64_t most = std::min(kLargestTile / widest, kSumBytes / (widest * b.oc_chunk * size));
  const TileGrid largest =
      fit_tiles(c.axes, std::max<int64_t>(1, most), widest, b.ic_block, size, kSlabBytes);
  int64_t rows = largest.rows;
  const int64_t cols = largest.cols;

  const auto tasks = [&] {
    return c.n * c.g * tile_grid(c.axes, rows, cols).count() * ceil_div(c.oc, b.oc_chunk);
  };
  const auto task_work = [&] {
    return static_cast<double>(rows * cols * b.oc_chunk) * static_cast<double>(c.ic * c.taps());
  };
  while (tasks() < kEnoughTasks && task_work() > kSmallTask) {
    if (rows > 4)
      rows = ceil_div(rows, 2);
    else if (b.oc_chunk > lanes)
      b.oc_chunk = ceil_div(ceil_div(b.oc_chunk, 2), lanes) * lanes;
    else if (rows > 1)
      rows = ceil_div(rows, 2);
    else
      break;
  }
  b.ic_blocks = ceil_div(c.ic, b.ic_block);
  b.oc_chunks = ceil_div(c.oc, b.oc_chunk);
  b.grid = tile_grid(c.axes, rows, cols);
  return b;
}

// Packed weights: [group][lane block][channel block][tap][channel][lane].
template <class T>
class PackedWeight {
 public:
  PackedWeight(const Correlation<T>& c, const conv::Kernel<T>& kernel, const Blocking& b)
      : lanes_(kernel.lanes),
        taps_(c.taps()),
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
          .kd = static_cast<int>(c.axes[0].taps),
          .kh = static_cast<int>(c.axes[1].taps),
          .kw = static_cast<int>(c.axes[2].taps),
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
  Workspace(const Correlation<T>& c, const Blocking& b, int64_t lanes)
      : window(c.axes, b.grid, SlabOrder::channels_inside),
        slab(slab_elements(c.axes, b.grid.rows, b.grid.cols, b.ic_block)),
        sums(padded_count<T>(b.grid.rows * b.grid.cols * lanes) * ceil_div(b.oc_chunk, lanes)) {}
  Window window;
  Scratch<T> slab, sums;
};

template <class T>
void run_task(const Correlation<T>& c, const conv::Kernel<T>& kernel, const Blocking& b,
              const PackedWeight<T>& weight, int64_t task, Workspace<T>& ws) {
  // Channel chunks outside, pixels inside: neighbouring tasks share weights.
  const int64_t tile = task % b.grid.count();
  const int64_t image = task / b.grid.count() % c.n;
  const int64_t chunk = task / b.grid.count() / c.n % b.oc_chunks;
  const int64_t group = task / b.grid.count() / c.n / b.oc_chunks;
  const int64_t oc_begin = chunk * b.oc_chunk;
  const int64_t channels = std::min(b.oc_chunk, c.oc - oc_begin);
  const int64_t lanes = kernel.lanes;
  const int64_t lane_blocks = ceil_div(channels, lanes);

  Window& window = ws.window;
  window.place(tile, b.ic_block);
  // With all channels in one slab, the taps of a kernel row and their channels are one run.
  const bool flat = b.ic_blocks == 1 && window.taps_adjoin();
  const int64_t width = c.axes[2].taps;
  const int32_t* pixel_offset = window.pixel_offsets();
  const int32_t* tap_offset = window.tap_offsets(flat);
  const int64_t acc_stride = padded_count<T>(window.pixels() * lanes);
  const T* input = c.input + image * c.input_stride[kN] + group * c.ic * c.input_stride[kC];
  for (int64_t ic = 0; ic < c.ic; ic += b.ic_block) {
    const int64_t ic_count = std::min(b.ic_block, c.ic - ic);
    kernel.pack(window.pack_args(input + ic * c.input_stride[kC], c.input_stride[kC], c.input_stride,
                                 ic_count, ws.slab.get()));
    kernel.tile({.slab = ws.slab.get(),
                 .pixel_offset = pixel_offset,
                 .pixels = static_cast<int>(window.pixels()),
                 .tap_offset = tap_offset,
                 .taps = static_cast<int>(flat ? c.taps() / width : c.taps()),
                 .run = static_cast<int>(flat ? width * ic_count : ic_count),
                 .weight = weight.at(group, oc_begin / lanes, ic),
                 .weight_block_stride = weight.block_stride(),
                 .lane_blocks = static_cast<int>(lane_blocks),
                 .last_block_channels = static_cast<int>(channels - (lane_blocks - 1) * lanes),
                 .acc = ws.sums.get(),
                 .acc_block_stride = acc_stride,
                 .accumulate = ic > 0});
  }
  const auto& out = c.output_stride;
  const int64_t first_channel = group * c.oc + oc_begin;
  T* to = c.output + image * out[kN] + first_channel * out[kC] + window.depth * out[kD] + window.row * out[kH] +
          window.col * out[kW];
  kernel.store({.acc = ws.sums.get(),
                .acc_block_stride = acc_stride,
                .d = 1,
                .h = static_cast<int>(window.rows),
                .w = static_cast<int>(window.cols),
                .channels = static_cast<int>(channels),
                .bias = c.bias ? c.bias + first_channel : nullptr,
                .bias_step = 1,
                .out = to,
                .out_c = out[kC],
                .out_d = out[kD],
                .out_h = out[kH],
                .out_w = out[kW]});
  c.epilogue.apply({.out = to,
                    .position = {image, first_channel, window.depth, window.row, window.col},
                    .channel_step = 1,
                    .channels = channels,
                    .rows = window.rows,
                    .cols = window.cols},
                   out);
}

}  // namespace

template <class T>
void correlate_tiles(const Correlation<T>& c, const conv::Kernel<T>& kernel) {
  const Blocking b = choose_blocking(c, kernel.lanes);
  const PackedWeight<T> weight(c, kernel, b);
  const int64_t tasks = c.n * c.g * b.grid.count() * b.oc_chunks;
  const int workers = workers_for(tasks, c.macs() / kMacsPerInstruction);
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.emplace_back(c, b, kernel.lanes);
  parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    run_task(c, kernel, b, weight, task, workspaces[static_cast<size_t>(worker)]);
  });
}

template void correlate_tiles(const Correlation<float>&, const conv::Kernel<float>&);
template void correlate_tiles(const Correlation<double>&, const conv::Kernel<double>&);

}  // namespace striate
