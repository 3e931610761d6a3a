#include "ops/conv_tile_blocking.h"

#include <algorithm>
#include <limits>

namespace striate {
namespace {

// Slab, sums and the weights that one lane block needs for one block of channels stay in L2. Weights are read straight
// on, which L2 can bear; what would fit in L1 leaves shorter sums and shorter runs to pack, and is 3 - 20 % slower.
constexpr int64_t kWeightSliceBytes = 64 * 1024;
constexpr int64_t kLeastIcBlock = 16;  // shorter sums would be loaded and stored too often
constexpr int64_t kLargestIcBlock = 512;
constexpr int64_t kSlabBytes = 256 * 1024;
constexpr int64_t kSumBytes = 160 * 1024;
constexpr int64_t kLargestTile = 512;     // pixels
constexpr int64_t kPixelsWanted = 196;    // small images share a tile, so that weights serve more pixels
constexpr int64_t kLargestOcChunk = 256;  // output channels
constexpr int64_t kEnoughTasks = 16;      // keep up to a few cores busy evenly
constexpr double kSmallTask = 1e6;        // multiply-adds

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

}  // namespace

template <class T>
CorrelationAxes shared_axes(std::span<const Correlation<T>> phases) {
  return {shared_axis(phases, 0), shared_axis(phases, 1), shared_axis(phases, 2)};
}

template <class T>
std::vector<Interleave> interleave_phases(std::span<const Correlation<T>> phases) {
  std::vector<Interleave> found;
  while (found.size() < phases.size()) {
    // Neighbours in the list that begin within one step of the first, and where the lowest of them begins.
    const size_t first = found.size();
    const Correlation<T>& c = phases[first];
    const int64_t width = std::abs(c.output_stride[kW]), sign = c.output_stride[kW] < 0 ? -1 : 1;
    const auto begin = [&](size_t phase) { return (phases[phase].output - c.output) * sign; };
    size_t end = first + 1;
    int64_t lowest = 0, total = c.axes[2].out;
    for (; end < phases.size() && std::abs(begin(end)) < width; ++end) {
      lowest = std::min<int64_t>(lowest, begin(end));
      total += phases[end].axes[2].out;
    }
    const auto count = static_cast<int64_t>(end - first), step = width / count;
    std::vector<Interleave> row(static_cast<size_t>(count));
    std::vector<bool> taken(static_cast<size_t>(count));
    bool alternate = count > 1 && width % count == 0;
    for (size_t phase = first; phase < end && alternate; ++phase) {
      const int64_t index = (begin(phase) - lowest) / step;
      const CorrelationAxes& axes = phases[phase].axes;
      alternate = begin(phase) - lowest == index * step && index < count && !taken[static_cast<size_t>(index)] &&
                  axes[0].out == c.axes[0].out && axes[1].out == c.axes[1].out &&
                  axes[2].out == ceil_div(total - index, count);
      if (!alternate) break;
      taken[static_cast<size_t>(index)] = true;
      row[phase - first] = {first, index, count};
    }
    if (!alternate) row.assign(1, {first, 0, 1});
    found.insert(found.end(), row.begin(), row.end());
  }
  return found;
}

template <class T>
TileBlocking block_tiles(std::span<const Correlation<T>> phases, const CorrelationAxes& axes,
                         const conv::Product<T>& kernel) {
  const Correlation<T>& c = phases[0];
  const auto size = static_cast<int64_t>(sizeof(T)), count = static_cast<int64_t>(phases.size());
  int64_t taps = 0, most_taps = 0;
  for (const Correlation<T>& phase : phases) {
    taps += phase.taps();
    most_taps = std::max(most_taps, phase.taps());
  }
  TileBlocking b{};
  const int64_t lanes = b.lane_block = lane_block(c.oc, kernel.lanes, kernel.block);
  b.ic_block = even_piece(c.ic, std::clamp(kWeightSliceBytes / (most_taps * std::min(c.oc, lanes) * size),
                                           kLeastIcBlock, kLargestIcBlock));
  b.oc_chunk = ceil_div(even_piece(c.oc, kLargestOcChunk), lanes) * lanes;

  const int64_t widest = even_piece(axes[2].out, std::max<int64_t>(16, kLargestTile / 2 / count));
  const int64_t most = std::min(kLargestTile / widest, kSumBytes / (widest * count * b.oc_chunk * size));
  const TileGrid largest = fit_tiles(axes, std::max<int64_t>(1, most), widest, b.ic_block, size, kSlabBytes);
  int64_t rows = largest.rows;
  const int64_t cols = largest.cols;
  b.images = 1;
  if (rows == axes[1].out && cols == axes[2].out) {
    const int64_t slab = slab_elements(axes, rows, cols, b.ic_block) * size;
    b.images = even_piece(c.n, std::clamp<int64_t>(std::min(kPixelsWanted / (rows * cols), kSlabBytes / slab), 1, c.n));
    const int64_t fitting = kSumBytes / (b.images * rows * cols * count * size) / lanes * lanes;
    b.oc_chunk = std::min(b.oc_chunk, std::max(fitting, lanes));
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
    else if (b.oc_chunk > lanes)
      b.oc_chunk = ceil_div(ceil_div(b.oc_chunk, 2), lanes) * lanes;
    else if (b.images > 1)
      b.images = ceil_div(b.images, 2);
    else if (rows > 1)
      rows = ceil_div(rows, 2);
    else
      break;
  }
  b.ic_blocks = ceil_div(c.ic, b.ic_block);
  b.oc_chunks = ceil_div(c.oc, b.oc_chunk);
  b.image_tiles = ceil_div(c.n, b.images);
  b.grid = tile_grid(axes, rows, cols);
  return b;
}

template CorrelationAxes shared_axes(std::span<const Correlation<float>>);
template CorrelationAxes shared_axes(std::span<const Correlation<double>>);
template std::vector<Interleave> interleave_phases(std::span<const Correlation<float>>);
template std::vector<Interleave> interleave_phases(std::span<const Correlation<double>>);
template TileBlocking block_tiles(std::span<const Correlation<float>>, const CorrelationAxes&,
                                  const conv::Product<float>&);
template TileBlocking block_tiles(std::span<const Correlation<double>>, const CorrelationAxes&,
                                  const conv::Product<double>&);

}  // namespace striate
