// Correlation by tiles, lanes are output channels. A task is (images, group, block of output pixels, chunk of output
// channels). For each block of input channels it packs the window its pixels see, adds to its sums, and puts the sums
// where they go.
//
// Where channels are neighbours in memory (channels-last), neither detour is taken: a window that does not touch the
// padding is read in place, and sums are made in place.
//
// The phases of a strided input gradient are correlations with the same input: one window serves them all.
#include "ops/conv_tiles.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"

namespace striate {

namespace {

// Slab and sums stay in L2, as does the slice of weights that one lane block needs for one channel block.
constexpr int64_t kWeightSliceBytes = 256 * 1024;
constexpr int64_t kSlabBytes = 160 * 1024;
constexpr int64_t kSumBytes = 160 * 1024;
constexpr int64_t kLargestTile = 512;     // pixels
constexpr int64_t kPixelsWanted = 196;    // small images share a tile, so that weights serve more pixels
constexpr int64_t kLargestOcChunk = 256;  // output channels
constexpr int64_t kEnoughTasks = 16;      // keep up to a few cores busy evenly
constexpr double kSmallTask = 1e6;        // multiply-adds

// The axis on which one window serves all phases: it spans what any of them sees.
template <class T>
CorrelationAxis shared_axis(std::span<const Correlation<T>> phases, size_t i) {
  CorrelationAxis shared = phases[0].axes[i];
  bool same = true;
  int64_t first = std::numeric_limits<int64_t>::max(), last = std::numeric_limits<int64_t>::min();
  for (const Correlation<T>& c : phases) {
    const CorrelationAxis& a = c.axes[i];
    same = same && a.taps == shared.taps && a.pad == shared.pad;
    shared.out = std::max(shared.out, a.out);
    first = std::min(first, -a.pad);
    last = std::max(last, (a.taps - 1) * a.dilation - a.pad);
  }
  if (same) return shared;
  shared.pad = -first;
  shared.taps = last - first + 1;
  shared.dilation = 1;
  return shared;
}

template <class T>
CorrelationAxes shared_axes(std::span<const Correlation<T>> phases) {
  return {shared_axis(phases, 0), shared_axis(phases, 1), shared_axis(phases, 2)};
}

struct Blocking {
  int64_t ic_block, oc_chunk;
  int64_t ic_blocks, oc_chunks;
  int64_t images;  // of one tile
  TileGrid grid;
};

template <class T>
Blocking choose_blocking(std::span<const Correlation<T>> phases, const CorrelationAxes& axes,
                         const conv::Product<T>& kernel) {
  const Correlation<T>& c = phases[0];
  const auto size = static_cast<int64_t>(sizeof(T));
  int64_t taps = 0, most_taps = 0;
  for (const Correlation<T>& phase : phases) {
    taps += phase.taps();
    most_taps = std::max(most_taps, phase.taps());
  }
  Blocking b{};
  b.ic_block = even_piece(
      c.ic, std::clamp<int64_t>(kWeightSliceBytes / (most_taps * std::min(c.oc, int64_t{kernel.block}) * size), 1, 1024));
  b.oc_chunk = ceil_div(even_piece(c.oc, kLargestOcChunk), kernel.block) * kernel.block;

  const int64_t widest = even_piece(axes[2].out, kLargestTile / 2);
  const int64_t most = std::min(kLargestTile / widest, kSumBytes / (widest * b.oc_chunk * size));
  const TileGrid largest = fit_tiles(axes, std::max<int64_t>(1, most), widest, b.ic_block, size, kSlabBytes);
  int64_t rows = largest.rows;
  const int64_t cols = largest.cols;
  b.images = 1;
  if (rows == axes[1].out && cols == axes[2].out) {
    const int64_t slab = slab_elements(axes, rows, cols, b.ic_block) * size;
    b.images = std::clamp<int64_t>(std::min({kPixelsWanted / (rows * cols), kSlabBytes / slab,
                                             kSumBytes / (rows * cols * b.oc_chunk * size)}),
                                   1, c.n);
    b.images = even_piece(c.n, b.images);
  }

  const auto tasks = [&] {
    return ceil_div(c.n, b.images) * c.g * tile_grid(axes, rows, cols).count() * ceil_div(c.oc, b.oc_chunk);
  };
  const auto task_work = [&] {
    return static_cast<double>(b.images * rows * cols * b.oc_chunk) * static_cast<double>(c.ic * taps);
  };
  while (tasks() < kEnoughTasks && task_work() > kSmallTask) {
    if (rows > 16)
      rows = ceil_div(rows, 2);
    else if (b.oc_chunk > kernel.block)
      b.oc_chunk = ceil_div(ceil_div(b.oc_chunk, 2), kernel.block) * kernel.block;
    else if (b.images > 1)
      b.images = ceil_div(b.images, 2);
    else if (rows > 1)
      rows = ceil_div(rows, 2);
    else
      break;
  }
  b.ic_blocks = ceil_div(c.ic, b.ic_block);
  b.oc_chunks = ceil_div(c.oc, b.oc_chunk);
  b.grid = tile_grid(axes, rows, cols);
  return b;
}

// Packed weights: [group][lane block][channel block][tap][channel][lane]. The last lane block is as narrow as whole
// vectors allow.
template <class T>
class PackedWeight {
 public:
  PackedWeight(const Correlation<T>& c, const conv::Product<T>& kernel, const Blocking& b)
      : block_(kernel.block),
        blocks_(ceil_div(c.oc, block_)),
        last_step_(ceil_div(c.oc - (blocks_ - 1) * block_, kernel.lanes) * kernel.lanes),
        taps_(c.taps()),
        block_stride_(padded_count<T>(taps_ * c.ic * block_)),
        data_(c.g * blocks_ * block_stride_) {
    const int64_t tasks = c.g * blocks_ * b.ic_blocks;
    const double work = static_cast<double>(c.g * c.oc * c.ic * taps_);
    parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
      const int64_t ic_begin = task % b.ic_blocks * b.ic_block;
      const int64_t block = task / b.ic_blocks % blocks_;
      const int64_t group = task / b.ic_blocks / blocks_;
      kernel.pack_lanes({
          .weight = c.weight + group * c.weight_g + block * block_ * c.weight_o + ic_begin * c.weight_i,
          .o = c.weight_o,
          .i = c.weight_i,
          .d = c.weight_tap[0],
          .h = c.weight_tap[1],
          .w = c.weight_tap[2],
          .lanes = static_cast<int>(std::min(block_, c.oc - block * block_)),
          .channels = static_cast<int>(std::min(b.ic_block, c.ic - ic_begin)),
          .kd = static_cast<int>(c.axes[0].taps),
          .kh = static_cast<int>(c.axes[1].taps),
          .kw = static_cast<int>(c.axes[2].taps),
          .packed = data_.get() + (group * blocks_ + block) * block_stride_ + taps_ * ic_begin * step(block),
          .step = step(block),
      });
    });
  }
  // Blocks before the last begin `block_offset` further on for later channels, the last one less.
  const T* at(int64_t group, int64_t lane_block) const {
    return data_.get() + (group * blocks_ + lane_block) * block_stride_;
  }
  int64_t step(int64_t lane_block) const { return lane_block == blocks_ - 1 ? last_step_ : block_; }

 private:
  int64_t block_, blocks_, last_step_, taps_, block_stride_;
  Scratch<T> data_;
};

// Where the pixels and taps of a phase lie in what the tile reads: the image itself or the slab.
struct Places {
  std::array<int64_t, 3> pixel, tap;  // steps along d, h, w
  int64_t image;                      // step to the next image
  int64_t origin;                     // of the first pixel's first tap
};

// What one worker needs for its tasks, allocated before the parallel region.
template <class T>
struct Workspace {
  Workspace(const CorrelationAxes& axes, const Blocking& b, int64_t most_taps,
            int64_t sum_pitch, bool sums_needed)
      : window(axes, b.grid, SlabOrder::channels_inside),
        image_slab(padded_count<T>(slab_elements(axes, b.grid.rows, b.grid.cols, b.ic_block))),
        slab(image_slab * b.images),
        sums(sums_needed ? b.images * b.grid.rows * b.grid.cols * sum_pitch : 0),
        pixel_offset(b.images * b.grid.rows * b.grid.cols),
        tap_offset(most_taps),
        sum_offset(b.images * b.grid.rows * b.grid.cols) {}
  Window window;
  int64_t image_slab;
  Scratch<T> slab, sums;
  Scratch<int32_t> pixel_offset, tap_offset;
  Scratch<int64_t> sum_offset;
};

template <class T>
class Tiles {
 public:
  Tiles(std::span<const Correlation<T>> phases, const conv::Kernel<T>& packer, const conv::Product<T>& kernel)
      : phases_(phases),
        c_(phases[0]),
        packer_(packer),
        kernel_(kernel),
        axes_(shared_axes(phases)),
        b_(choose_blocking(phases, axes_, kernel)),
        sum_pitch_(std::min(b_.oc_chunk, ceil_div(c_.oc, kernel.lanes) * kernel.lanes) + 64 / sizeof(T)) {
    for (const Correlation<T>& phase : phases) weight_.emplace_back(phase, kernel, b_);
  }

  int64_t tasks() const { return ceil_div(c_.n, b_.images) * c_.g * b_.grid.count() * b_.oc_chunks; }

  double macs() const {
    double macs = 0;
    for (const Correlation<T>& phase : phases_) macs += phase.macs();
    return macs;
  }

  Workspace<T> make_workspace() const {
    int64_t most_taps = 0;
    bool sums_needed = false;
    for (const Correlation<T>& phase : phases_) {
      most_taps = std::max(most_taps, phase.taps());
      sums_needed = sums_needed || !in_place(phase);
    }
    return {axes_, b_, most_taps, sum_pitch_, sums_needed};
  }

  void run(int64_t task, Workspace<T>& ws) const {
    // Channel chunks outside, pixels inside: neighbouring tasks share weights.
    const int64_t image_tiles = ceil_div(c_.n, b_.images);
    const int64_t tile = task % b_.grid.count();
    const int64_t image = task / b_.grid.count() % image_tiles * b_.images;
    const int64_t chunk = task / b_.grid.count() / image_tiles % b_.oc_chunks;
    const Part part{.image = image,
                    .images = std::min(b_.images, c_.n - image),
                    .group = task / b_.grid.count() / image_tiles / b_.oc_chunks,
                    .oc = chunk * b_.oc_chunk,
                    .channels = std::min(b_.oc_chunk, c_.oc - chunk * b_.oc_chunk)};
    const T* input = c_.input + image * c_.input_stride[kN] + part.group * c_.ic * c_.input_stride[kC];
    Window& window = ws.window;
    window.place(tile, b_.ic_block);
    const bool read_in_place = c_.input_stride[kC] == 1 && window.inside() && reach_fits(part.images, window);
    for (int64_t ic = 0; ic < c_.ic; ic += b_.ic_block) {
      const int64_t ic_count = std::min(b_.ic_block, c_.ic - ic);
      const T* from = input + ic * c_.input_stride[kC];
      if (!read_in_place) {
        if (ic_count != b_.ic_block) window.place(tile, ic_count);
        for (int64_t i = 0; i < part.images; ++i)
          packer_.pack(window.pack_args(from + i * c_.input_stride[kN], c_.input_stride[kC], c_.input_stride,
                                        ic_count, ws.slab.get() + i * ws.image_slab));
      }
      for (size_t phase = 0; phase < phases_.size(); ++phase)
        multiply(phase, part, ic, ic_count, read_in_place ? from : nullptr, ws);
    }
  }

 private:
  struct Part {
    int64_t image, images, group, oc, channels;
  };

  static bool in_place(const Correlation<T>& phase) { return phase.output_stride[kC] == 1; }

  // Offsets in the image have 32 bits.
  bool reach_fits(int64_t images, const Window& window) const {
    double reach = static_cast<double>(images) * static_cast<double>(std::abs(c_.input_stride[kN]));
    const int64_t extent[3] = {axes_[0].taps * axes_[0].dilation,
                               window.rows * axes_[1].stride + axes_[1].taps * axes_[1].dilation,
                               window.cols * axes_[2].stride + axes_[2].taps * axes_[2].dilation};
    for (size_t i = 0; i < 3; ++i)
      reach += static_cast<double>(extent[i]) * static_cast<double>(std::abs(c_.input_stride[i + 2]));
    return reach < 1e9;
  }

  Places places_in_image(const Correlation<T>& phase, const Window& window) const {
    Places places{{}, {}, c_.input_stride[kN], 0};
    const int64_t first[3] = {window.depth, window.row, window.col};
    for (size_t i = 0; i < 3; ++i) {
      const CorrelationAxis& a = phase.axes[i];
      places.pixel[i] = a.stride * c_.input_stride[i + 2];
      places.tap[i] = a.dilation * c_.input_stride[i + 2];
      places.origin += (first[i] * a.stride - a.pad) * c_.input_stride[i + 2];
    }
    return places;
  }

  Places places_in_slab(const Correlation<T>& phase, const Workspace<T>& ws) const {
    Places places{{}, {}, ws.image_slab, 0};
    const std::array<int64_t, 3> pitch = ws.window.pitches();
    for (size_t i = 0; i < 3; ++i) {
      const CorrelationAxis& a = phase.axes[i];
      const SlabAxis slab = ws.window.slab_axes()[i];
      const bool same = a.taps == axes_[i].taps && a.dilation == axes_[i].dilation;
      places.pixel[i] = slab.pixel_step * pitch[i];
      places.tap[i] = (same ? slab.tap_step : a.dilation) * pitch[i];
      places.origin += (axes_[i].pad - a.pad) * pitch[i];
    }
    return places;
  }

  void multiply(size_t index, const Part& part, int64_t ic, int64_t ic_count, const T* image,
                Workspace<T>& ws) const {
    const Correlation<T>& phase = phases_[index];
    const Window& window = ws.window;
    if (window.depth >= phase.axes[0].out) return;
    const int64_t rows = std::min(window.rows, phase.axes[1].out - window.row);
    const int64_t cols = std::min(window.cols, phase.axes[2].out - window.col);
    if (rows <= 0 || cols <= 0) return;
    const Places at = image ? places_in_image(phase, window) : places_in_slab(phase, ws);
    const auto& out = phase.output_stride;
    const int64_t channel = part.group * c_.oc + part.oc;
    T* output = phase.output + part.image * out[kN] + channel * out[kC] + window.depth * out[kD] +
                window.row * out[kH] + window.col * out[kW];
    const bool direct = in_place(phase);

    int64_t pixels = 0;
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t h = 0; h < rows; ++h)
        for (int64_t w = 0; w < cols; ++w, ++pixels) {
          ws.pixel_offset.get()[pixels] =
              static_cast<int32_t>(n * at.image + h * at.pixel[1] + w * at.pixel[2]);
          ws.sum_offset.get()[pixels] =
              direct ? n * out[kN] + h * out[kH] + w * out[kW] : pixels * sum_pitch_;
        }
    // Taps of a kernel row whose channels follow each other are one run.
    const int64_t run = at.tap[2] == ic_count ? phase.axes[2].taps : 1;
    int64_t taps = 0;
    for (int64_t d = 0; d < phase.axes[0].taps; ++d)
      for (int64_t h = 0; h < phase.axes[1].taps; ++h)
        for (int64_t w = 0; w < phase.axes[2].taps; w += run)
          ws.tap_offset.get()[taps++] = static_cast<int32_t>(d * at.tap[0] + h * at.tap[1] + w * at.tap[2]);

    const PackedWeight<T>& weight = weight_[index];
    const T* from = (image ? image : ws.slab.get()) + at.origin;
    for (int64_t lane = 0; lane < part.channels; lane += kernel_.block) {
      const int64_t block = (part.oc + lane) / kernel_.block, step = weight.step(block);
      kernel_.multiply({.a = from,
                        .row_offset = ws.pixel_offset.get(),
                        .rows = static_cast<int>(pixels),
                        .a_step = 1,
                        .a_tap = ws.tap_offset.get(),
                        .b = weight.at(part.group, block) + phase.taps() * ic * step,
                        .b_step = step,
                        .b_tap = nullptr,
                        .b_block_stride = 0,
                        .b_last_step = step,
                        .lanes = static_cast<int>(std::min<int64_t>(kernel_.block, part.channels - lane)),
                        .taps = static_cast<int>(taps),
                        .run = static_cast<int>(run * ic_count),
                        .c = (direct ? output : ws.sums.get()) + lane,
                        .c_row = ws.sum_offset.get(),
                        .c_block_stride = 0,
                        .bias = phase.bias ? phase.bias + channel + lane : nullptr,
                        .bias_of = phase.bias ? conv::BiasOf::lane : conv::BiasOf::none,
                        .accumulate = ic > 0});
    }
    if (ic + ic_count < c_.ic) return;
    if (!direct) store(phase, part, rows, cols, output, ws);
    if (phase.epilogue.does_nothing()) return;
    for (int64_t n = 0; n < part.images; ++n)
      phase.epilogue.apply({.out = output + n * out[kN],
                            .position = {part.image + n, channel, window.depth, window.row, window.col},
                            .channel_step = 1,
                            .channels = part.channels,
                            .rows = rows,
                            .cols = cols},
                           out);
  }

  void store(const Correlation<T>& phase, const Part& part, int64_t rows, int64_t cols, T* output,
             Workspace<T>& ws) const {
    const auto& out = phase.output_stride;
    const bool joined = rows == 1 || out[kH] == cols * out[kW];  // rows follow each other
    const int64_t lines = joined ? 1 : rows, length = joined ? rows * cols : cols;
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t line = 0; line < lines; ++line)
        kernel_.move({.from = ws.sums.get() + (n * lines + line) * length * sum_pitch_,
                      .from_row = sum_pitch_,
                      .from_column = 1,
                      .rows = static_cast<int>(length),
                      .columns = static_cast<int>(part.channels),
                      .to = output + n * out[kN] + line * out[kH],
                      .to_row = out[kW],
                      .to_column = out[kC]});
  }

  std::span<const Correlation<T>> phases_;
  const Correlation<T>& c_;  // what all phases share
  const conv::Kernel<T>& packer_;
  const conv::Product<T>& kernel_;
  CorrelationAxes axes_;
  Blocking b_;
  int64_t sum_pitch_;
  std::vector<PackedWeight<T>> weight_;
};

}  // namespace

template <class T>
void correlate_tiles(std::span<const Correlation<T>> phases, const conv::Kernel<T>& packer,
                     const conv::Product<T>& kernel) {
  const Tiles<T> tiles(phases, packer, kernel);
  const int workers = workers_for(tiles.tasks(), tiles.macs() / kMacsPerInstruction);
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(tiles.make_workspace());
  parallel_for(tiles.tasks(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    tiles.run(task, workspaces[static_cast<size_t>(worker)]);
  });
}

template void correlate_tiles(std::span<const Correlation<float>>, const conv::Kernel<float>&,
                              const conv::Product<float>&);
template void correlate_tiles(std::span<const Correlation<double>>, const conv::Kernel<double>&,
                              const conv::Product<double>&);

}  // namespace striate
