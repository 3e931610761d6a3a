#include "ops/conv_winograd_blocks.h"

namespace striate {
namespace {

constexpr int64_t kVBytes = 1024 * 1024;   // transformed inputs of a block
constexpr int64_t kMBytes = 512 * 1024;    // products of a block and a chunk of output channels
constexpr int64_t kMostTiles = 96;         // in a block
constexpr int64_t kLongestStrip = 64;      // tiles
constexpr int64_t kFewTiles = 200;         // all of them: tasks are channels
constexpr int64_t kFewChannels = 32;       // products of few channels cost less than moving them through L2
constexpr int64_t kEnoughTasks = 8;
constexpr int64_t kSlabBytes = 72 * 1024;
constexpr int64_t kSlabStrips = 4;
constexpr int64_t kSlabChannels = 64;      // at most, and ...
constexpr int64_t kLineChannels = 16;      // ... at least: a line of V is written as a whole

}  // namespace

WinogradBlocks winograd_blocks(const Correlation<float>& c, conv::WinogradForm form,
                               const conv::WinogradKernel& kernel) {
  WinogradBlocks b{};
  b.images = c.n;
  b.depths = c.axes[0].out;
  b.outputs = conv::size_of(form).outputs;
  b.points = conv::size_of(form).points();
  b.tile_rows = ceil_div(c.axes[1].out, b.outputs);
  b.tile_cols = ceil_div(c.axes[2].out, b.outputs);

  const int64_t all = b.images * b.depths * b.tile_rows * b.tile_cols, tile_bytes = b.points * b.points * 4;
  const int64_t lanes = kernel.lanes;
  b.by_channels = all <= kFewTiles && c.oc >= 4 * lanes;
  if (b.by_channels) {
    b.strip = even_piece(b.tile_cols, kLongestStrip);
    b.block_strips = b.strips();
    b.oc_chunk = lanes;
  } else {
    int64_t most = std::clamp<int64_t>(kVBytes / (tile_bytes * c.ic), 2 * kernel.tiles, kMostTiles);
    most = std::max<int64_t>(std::min(most, all * c.g / kEnoughTasks), kernel.tiles);
    b.strip = even_piece(b.tile_cols, std::min(most, kLongestStrip));
    b.block_strips = even_piece(b.strips(), std::max<int64_t>(1, most / b.strip));
    const int64_t chunk = std::max(kMBytes / (tile_bytes * b.tiles_in_block()), lanes);
    b.oc_chunk = ceil_div(even_piece(c.oc, chunk), lanes) * lanes;
    if (c.ic <= kFewChannels) {
      b.group = even_piece(b.strip, 2 * kernel.tiles);
      b.oc_chunk = lanes;
    }
  }

  // Planes are transposed into the slab: the longer its runs and the fewer rows are read twice, the better.
  const auto channels_that_fit = [&] { return kSlabBytes / (b.input_span(b.slab_strips) * b.input_span(b.strip) * 4); };
  const bool share = c.input_stride[kC] != 1 && b.parts() == 1 && !b.by_channels;
  b.slab_strips = share ? std::min({kSlabStrips, b.block_strips, b.tile_rows}) : 1;
  while (b.slab_strips > 1 && channels_that_fit() < std::min(c.ic, kLineChannels)) --b.slab_strips;
  const int64_t fit = channels_that_fit() / kLineChannels * kLineChannels;
  const int64_t vector = lanes / 2;
  b.ic_block = std::min(std::clamp(fit, std::max(vector, kLineChannels), kSlabChannels),
                        ceil_div(c.ic, vector) * vector);
  return b;
}

}  // namespace striate
