#include "ops/conv_weight_blocking.h"

#include <algorithm>

namespace striate {
namespace {

constexpr int64_t kBlockBytes = 24 * 1024;      // a lane block of a tile stays in L1 ...
constexpr int64_t kSlabBytes = 288 * 1024;      // ... while the slab streams through it from L2,
constexpr int64_t kPanelBytes = 384 * 1024;     // as do all lane blocks, one after the other
constexpr int64_t kSumBytes = 384 * 1024;       // touched once a tile
constexpr int64_t kLeastPixels = 256;           // a tile of fewer spends too much on its sums
constexpr int64_t kPartialBytes = 32 << 20;     // all parts together
constexpr int64_t kEnoughTasks = 16;
constexpr double kSmallTask = 1e6;              // multiply-adds

// Costs of one element, in the time of one row of one lane block (two multiply-adds).
constexpr double kCopy = 0.3, kTranspose = 0.7, kGather = 1.5;
constexpr double kVisit = 150;  // of a page of results, far from the one before
constexpr double kSum = 0.5;   // written, read and added by a later task
constexpr double kOneVector = 0.65;  // a lane block of half the width

double packing(Neighbours from, Neighbours wanted) {
  if (from == Neighbours::none) return kGather;
  return from == wanted ? kCopy : kTranspose;
}

int64_t lane_blocks(int64_t channels, int64_t lanes) { return ceil_div(channels, lanes); }

// Blocks of a chunk, the last one perhaps half as wide.
double block_cost(int64_t channels, int64_t lanes) {
  const int64_t whole = channels / lanes, rest = channels % lanes;
  return static_cast<double>(whole) + (rest == 0 ? 0 : 2 * rest <= lanes ? kOneVector : 1);
}

PixelGrid choose_grid(const WeightShape& s, SlabLayout layout, int64_t lanes, int64_t size) {
  const auto& [d, h, w] = s.axes;
  const int64_t most = std::max(kLeastPixels, kBlockBytes / (lanes * size));
  PixelGrid grid{s.n, d.out, h.out, w.out, 1, 1, even_piece(w.out, most)};
  grid.rows = even_piece(h.out, std::max<int64_t>(1, most / grid.cols));
  // A slab of a single channel that is too large: rows first, columns only where it is far too large.
  while (grid.rows > 1 && slab_channel(s.axes, grid, layout) * size > kSlabBytes / 4)
    grid.rows = even_piece(h.out, ceil_div(grid.rows, 2));
  while (grid.cols > 1 && slab_channel(s.axes, grid, layout) * size > kSlabBytes)
    grid.cols = even_piece(w.out, ceil_div(grid.cols, 2));
  if (grid.rows == h.out && grid.cols == w.out)
    grid.images = even_piece(s.n, std::max<int64_t>(1, most / (grid.rows * grid.cols)));
  return grid;
}

}  // namespace

WeightBlocking weight_blocking(const WeightShape& s, int64_t lanes, int64_t size) {
  const SlabLayout layout = slab_layout(s.axes);
  WeightBlocking best{layout, choose_grid(s, layout, lanes, size), 0, 0, 0, 0, 0, -1};
  const int64_t slab = slab_channel(s.axes, best.grid, layout) * size;
  const int64_t most_rows = std::clamp<int64_t>(kSlabBytes / slab, 1, s.row_channels);
  const int64_t most_lanes =
      std::max<int64_t>(1, std::min(kPanelBytes / (best.grid.pixels() * lanes * size),
                                    lane_blocks(s.lane_channels, lanes))) * lanes;

  const auto pixels = static_cast<double>(s.n * s.axes[0].out * s.axes[1].out * s.axes[2].out);
  const double macs = pixels * static_cast<double>(s.row_channels * s.taps) *
                      static_cast<double>(s.lane_channels * s.groups);
  const auto wanted = std::min<int64_t>(kEnoughTasks, static_cast<int64_t>(macs / kSmallTask) + 1);
  const double copies = static_cast<double>(slab_channel(s.axes, best.grid, layout)) /
                        static_cast<double>(best.grid.pixels());
  const double pack_rows = copies * packing(s.row_neighbours, Neighbours::pixels);
  const double pack_lanes = packing(s.lane_neighbours, Neighbours::channels);
  const double put = s.lanes_adjoin ? kCopy : kTranspose;

  // False if the chunks are too large.
  const auto consider = [&](int64_t row_chunks, int64_t lane_chunks) {
    WeightBlocking b = best;
    b.row_chunk = even_piece(s.row_channels, ceil_div(s.row_channels, row_chunks));
    b.lane_chunk = std::min(s.lane_channels,
                            ceil_div(lane_blocks(s.lane_channels, lanes), lane_chunks) * lanes);
    b.row_chunks = ceil_div(s.row_channels, b.row_chunk);
    b.lane_chunks = ceil_div(s.lane_channels, b.lane_chunk);
    const int64_t rows = b.row_chunk * s.taps;
    const int64_t sums = rows * lane_blocks(b.lane_chunk, lanes) * lanes * size;
    if (sums > kSumBytes && (b.row_chunk > 1 || b.lane_chunk > lanes)) return false;
    const int64_t chunks = b.chunks(s.groups);
    b.parts = std::clamp<int64_t>(std::min(ceil_div(wanted, chunks), kPartialBytes / (chunks * sums)), 1,
                                  b.grid.count());
    const auto all_rows = static_cast<double>(s.row_channels * s.taps);
    const auto all_lanes = static_cast<double>(s.lane_channels);
    const double blocks = static_cast<double>(s.lane_channels / b.lane_chunk) * block_cost(b.lane_chunk, lanes) +
                          block_cost(s.lane_channels % b.lane_chunk, lanes);
    const double product = pixels * all_rows * blocks;
    const double packs = pixels * (static_cast<double>(s.row_channels * b.lane_chunks) * pack_rows +
                                   static_cast<double>(s.lane_channels * b.row_chunks) * pack_lanes);
    const double visits = s.lanes_adjoin ? all_rows * static_cast<double>(b.lane_chunks)
                                         : all_lanes * static_cast<double>(b.row_chunks);
    const double results = visits * kVisit +
                           all_rows * all_lanes * (put + (b.parts > 1 ? kSum * static_cast<double>(b.parts) : 0));
    const auto tasks = static_cast<double>(chunks * b.parts);
    const double idle = std::max(0.0, static_cast<double>(wanted) / tasks - 1);
    b.cost = static_cast<double>(s.groups) * (product + packs + results) * (1 + 0.25 * idle);
    if (best.cost < 0 || b.cost < best.cost) best = b;
    return true;
  };
  // From the fewest chunks on, until those that fit are tasks enough by themselves.
  const int64_t least_rows = ceil_div(s.row_channels, most_rows);
  const int64_t most_lane_chunks = lane_blocks(s.lane_channels, lanes);
  for (int64_t lane_chunks = ceil_div(s.lane_channels, most_lanes);; lane_chunks *= 2) {
    lane_chunks = std::min(lane_chunks, most_lane_chunks);
    bool enough = false;
    int64_t tried = 0;
    for (int64_t row_chunks = least_rows; !enough; row_chunks *= 2, ++tried) {
      row_chunks = std::min(row_chunks, s.row_channels);
      const bool fits = consider(row_chunks, lane_chunks);
      enough = row_chunks == s.row_channels || (fits && s.groups * row_chunks * lane_chunks >= wanted);
    }
    if (lane_chunks == most_lane_chunks || (tried == 1 && s.groups * least_rows * lane_chunks >= wanted)) break;
  }
  return best;
}

}  // namespace striate
