// How much scratch memory the drivers take, told from the shapes alone; on one thread, and rather too much than too
// little. What follows from how they cut their work is told again here, in short: tests/test_conv_workspace.py compares
// it with what calls really take, over all case files and other problems.
#include <algorithm>

#include "ops/conv_cost.h"
#include "ops/conv_window.h"
#include "ops/conv_winograd_rows_inputs.h"

namespace striate {
namespace {

constexpr int64_t kVectorsOfTile = 2;   // vectors of lanes in a lane block
constexpr double kTableBytes = 96e3;    // offsets, and what fills arrays up to whole lines
constexpr double kWorkerBytes = 512e3;  // slab, sums and tables of one worker, at most
constexpr int64_t kEnoughTasks = 16;
constexpr double kSmallTask = 1e6;      // multiply-adds
constexpr int64_t kPad = 16;                // elements between points

int64_t padded(int64_t count, int64_t multiple) { return ceil_div(count, multiple) * multiple; }
int64_t block_of(const ConvRequest& r) { return kVectorsOfTile * r.machine.lanes(r.problem.dtype); }
// The tile driver's lane blocks are wider.
int64_t tile_block_of(const ConvRequest& r) {
  return (r.machine.registers < 32 ? 3 : 4) * r.machine.lanes(r.problem.dtype);
}
double size(const ConvRequest& r) { return static_cast<double>(size_of(r.problem.dtype)); }

// Shapes that no memory holds may be asked about too, and two of these are added.
int64_t to_bytes(double bytes) { return static_cast<int64_t>(std::min(bytes, 4e18)); }

// Channels of one group that a correlation reads and writes.
struct Channels {
  int64_t in, out;
};
Channels channels_of(const ConvRequest& r) {
  const Channels forward{r.problem.ic_group(), r.problem.oc_group()};
  return r.direction == ConvDirection::input_grad ? Channels{forward.out, forward.in} : forward;
}

// ---- tiles --------------------------------------------------------------------------------------------

// One axis of a correlation; of the phases of a strided input gradient, one of them.
struct Axis {
  int64_t out, stride, reach;  // reach: of its taps
};
Axis axis_of(const ConvRequest& r, const ConvAxis& a) {
  const int64_t reach = (a.kernel - 1) * a.dilation;
  if (r.direction != ConvDirection::input_grad) return {a.out, a.stride, reach};
  return {ceil_div(a.in, a.stride), 1, ceil_div(reach, a.stride)};
}

// Elements that one tile of `tile` outputs reads, and all of them together.
double read_by_tile(const Axis& a, int64_t tile) {
  return static_cast<double>((std::min(tile, a.out) - 1) * a.stride + a.reach + 1);
}
double read_by_tiles(const Axis& a, int64_t tile) {
  return static_cast<double>(ceil_div(a.out, tile)) * read_by_tile(a, tile);
}

// Of what a correlation writes.
double pixels_of(const ConvRequest& r) {
  auto pixels = static_cast<double>(r.problem.n);
  for (const ConvAxis& a : r.problem.axis)
    pixels *= static_cast<double>(r.direction == ConvDirection::input_grad ? a.in : a.out);
  return pixels;
}

// Of a strided input gradient.
int64_t phases_of(const ConvRequest& r) {
  int64_t phases = 1;
  for (const ConvAxis& a : r.problem.axis)
    phases *= r.direction == ConvDirection::input_grad ? std::min(a.stride, a.kernel) : 1;
  return std::min<int64_t>(phases, 64);
}

bool sees_padding(const ConvProblem& p) {
  for (const ConvAxis& a : p.axis)
    if (a.pad > 0 || a.pad_end > 0) return true;
  return false;
}

// Slabs: packed once for several chunks of output channels, or for the only tile; else that of a worker.
double slabs(const ConvRequest& r) {
  constexpr double kSharedBytes = 64 << 20, kWorkerSlab = 660e3;
  constexpr int64_t kTilePixels = 512, kTileColumns = 256;
  constexpr double kTileSlab = 256e3, kTileSums = 160e3, kWeightSlice = 64e3;
  constexpr int64_t kLargestChunk = 256;
  const ConvProblem& p = r.problem;
  const bool of_input = r.direction == ConvDirection::input_grad;
  const Axis d = axis_of(r, p.axis[0]), h = axis_of(r, p.axis[1]), w = axis_of(r, p.axis[2]);
  const Channels c = channels_of(r);
  const int64_t phases = phases_of(r), chunks = ceil_div(c.out, tile_block_of(r));
  const int64_t columns = std::max<int64_t>(16, kTileColumns / phases) / 2;
  // Tiles are cut lower until there are enough tasks and their slab fits, and then by one halving more.
  const int64_t cuts = 2 * ceil_div(kEnoughTasks, std::max<int64_t>(1, p.n * p.g * chunks));
  const double slice = static_cast<double>(p.taps() / phases + 1) *
                       static_cast<double>(std::min(c.out, tile_block_of(r))) * size(r);
  const double block = std::min(static_cast<double>(c.in), std::clamp(kWeightSlice / slice, 16.0, 512.0));
  const double row = block * size(r) * read_by_tile(w, 2 * columns) * read_by_tile(d, 1);
  const double fit = (kTileSlab / row - static_cast<double>(h.reach)) / static_cast<double>(2 * h.stride);
  const auto sum_row = static_cast<double>(phases * std::min(w.out, 2 * columns) *
                                           std::min(padded(c.out, tile_block_of(r)), kLargestChunk)) * size(r);
  const double rows = std::min({static_cast<double>(h.out / cuts), fit, kTileSums / sum_row, 16.0});
  const auto tile = static_cast<int64_t>(std::max(rows, 1.0));
  const double elements = static_cast<double>(p.n * p.g * c.in) * read_by_tiles(d, 1) * read_by_tiles(h, tile) *
                          read_by_tiles(w, columns);
  const double bytes = elements * size(r) * 1.25 + kTableBytes;
  const bool in_place = !of_input && r.formats.input == MemoryFormat::channels_last && !sees_padding(p);
  const bool shared = !in_place && (chunks > 1 || pixels_of(r) <= static_cast<double>(kTilePixels)) &&
                      bytes < kSharedBytes * 1.2;
  return std::min(bytes, shared ? kSharedBytes : kWorkerSlab);
}

// Sums of a tile and the offsets of its pixels; phases have their own.
double tile_sums(const ConvRequest& r) {
  constexpr double kSumBytes = 340e3, kOffsets = 512 * 12;
  const auto channels = static_cast<double>(channels_of(r).out + 2 * tile_block_of(r));
  return std::min(kSumBytes, pixels_of(r) * channels * size(r)) +
         kOffsets * static_cast<double>(phases_of(r));
}

double tile_weight_grad(const ConvRequest& r) {
  constexpr double kSlabBytes = 340e3, kPanelBytes = 400e3, kSumBytes = 400e3, kPartialBytes = 32 << 20;
  const ConvProblem& p = r.problem;
  const int64_t block = block_of(r);
  const auto channels = static_cast<double>(std::max(padded(p.ic_group(), block), padded(p.oc_group(), block)));
  const int64_t rows = std::max(p.oc_group() * padded(p.ic_group(), block), padded(p.oc_group(), block) * p.ic_group());
  // Sums of a few rows are filled up to cache lines.
  const double sums = static_cast<double>(p.g * rows) * static_cast<double>(p.taps()) * size(r) * 1.4 + 4096;
  const double parts = std::min(static_cast<double>(kEnoughTasks), p.macs() / kSmallTask + 1);
  const double partial = parts < 2 ? 0 : std::max(sums, std::min(sums + parts * std::min(sums, kSumBytes),
                                                                 kPartialBytes * 1.25));
  // Either operand may be in the slab, with a copy for each column of the kernel, or in the panel.
  const double panel = pixels_of(r) * channels * size(r);
  const double slab = panel * static_cast<double>(p.taps() * p.axis[1].stride * p.axis[2].stride);
  return partial + std::min(slab, kSlabBytes) + std::min(panel, kPanelBytes) + std::min(sums, kSumBytes) + kTableBytes;
}

}  // namespace

int64_t tiles_workspace(const ConvRequest& r) {
  if (r.direction == ConvDirection::weight_grad) return to_bytes(tile_weight_grad(r));
  const Channels c = channels_of(r);
  const double weights = static_cast<double>(r.problem.g * padded(c.out, tile_block_of(r))) *
                         static_cast<double>(c.in * r.problem.taps());
  return to_bytes(weights * size(r) + slabs(r) + tile_sums(r) + kTableBytes);
}

// ---- Winograd -----------------------------------------------------------------------------------------

namespace {

struct WinogradTiles {
  double points;  // of a tile
  int64_t count;  // of all images, no more than matter
};

WinogradTiles winograd_tiles(const ConvRequest& r, int64_t outputs) {
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  const bool of_input = r.direction == ConvDirection::input_grad;
  const double tiles = static_cast<double>(p.n * (of_input ? d.in : d.out)) *
                       static_cast<double>(ceil_div(of_input ? h.in : h.out, outputs)) *
                       static_cast<double>(ceil_div(of_input ? w.in : w.out, outputs));
  const auto points = static_cast<double>(outputs + h.kernel - 1);
  return {points * points, static_cast<int64_t>(std::min(tiles, 1e9))};
}

double forward_winograd(const ConvRequest& r, const WinogradTiles& t) {
  constexpr int64_t kFewTiles = 200, kBlockTiles = 96, kDepth = 128;
  const Channels c = channels_of(r);
  const int64_t lanes = block_of(r);
  const auto groups = static_cast<double>(r.problem.g);
  const auto pieces = static_cast<double>(c.in / 32 + 1);  // of the sum, each with its padding
  const double inputs = static_cast<double>(c.in + lanes) + pieces * kPad;
  if (t.count <= kFewTiles && c.out >= 4 * lanes)  // tasks are output channels, and transform their own weights
    return groups * static_cast<double>(t.count) * inputs +
           static_cast<double>(lanes * (std::min(c.in + lanes, kDepth) + t.count));
  const auto tiles = static_cast<double>(std::min(t.count, kBlockTiles));
  return groups * static_cast<double>(c.in * padded(c.out, lanes) + kPad) +
         tiles * (inputs + static_cast<double>(padded(c.out, lanes)));
}

double grad_winograd(const ConvRequest& r, const WinogradTiles& t) {
  constexpr int64_t kChunk = 64, kWindowTiles = 48, kPartTiles = 192, kMostParts = 16;
  constexpr double kBatchBytes = 24 << 20;
  const Channels c = channels_of(r);
  const int64_t lanes = block_of(r);
  const int64_t ic = padded(even_piece(c.in, kChunk), lanes), oc = padded(even_piece(c.out, kChunk), lanes);
  const int64_t ics = ceil_div(c.in, kChunk), ocs = ceil_div(c.out, kChunk);
  const auto chunk = static_cast<double>(ic * oc + kPad), operands = static_cast<double>(ics * ic + ocs * oc);
  if (ics * ocs <= 2) {
    const int64_t parts = std::clamp<int64_t>(t.count / kPartTiles, 2, kMostParts);
    return static_cast<double>(r.problem.g * ics * ocs * parts) * chunk +
           static_cast<double>(kWindowTiles) * static_cast<double>(ic + oc);
  }
  if (t.count < kPartTiles) return static_cast<double>(t.count) * operands + chunk;
  const double fitting = kBatchBytes / (t.points * operands * size(r));
  const double batch = std::min(static_cast<double>(t.count), std::max(static_cast<double>(kWindowTiles), fitting));
  return batch * operands + static_cast<double>(ics * ocs) * chunk;
}

int64_t winograd_workspace(const ConvRequest& r, int64_t outputs) {
  const WinogradTiles tiles = winograd_tiles(r, outputs);
  const double elements =
      r.direction == ConvDirection::weight_grad ? grad_winograd(r, tiles) : forward_winograd(r, tiles);
  return to_bytes(tiles.points * elements * size(r) + kWorkerBytes);
}

}  // namespace

int64_t winograd4_workspace(const ConvRequest& r) { return winograd_workspace(r, 4); }
int64_t winograd3_workspace(const ConvRequest& r) { return winograd_workspace(r, 3); }
int64_t winograd2_workspace(const ConvRequest& r) { return winograd_workspace(r, 2); }

int64_t winograd_rows_workspace(const ConvRequest& r) {
  constexpr double kTaskBytes = 768 << 10, kWeightSlice = 64e3, kRegionBytes = 4 << 20, kLargestBlock = 512;
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  const Channels c = channels_of(r);
  const bool of_input = r.direction == ConvDirection::input_grad;
  int64_t points = 0, weight_points = 0;
  for (int64_t phase = 0; phase < w.stride; ++phase) {
    const auto taps = static_cast<int>(ceil_div(w.kernel - phase, w.stride));
    points += conv::row_points(taps);
    weight_points += striate::weight_points(taps);
  }
  const double tiles = static_cast<double>(ceil_div(of_input ? ceil_div(w.in, w.stride) : w.out, conv::kRowOutputs));
  const double row_points = static_cast<double>(points) * tiles * size(r), kernel_rows = static_cast<double>(h.kernel);
  const double weights = static_cast<double>(p.g * weight_points * h.kernel) * size(r);
  if (r.direction == ConvDirection::weight_grad) {
    const auto ic = static_cast<double>(padded(c.in, 64) + 16 * ceil_div(c.in, 64));
    const auto oc = static_cast<double>(padded(c.out, block_of(r)));
    // Of four rows at least; inputs are laid out with some room between.
    const double rows = row_points * static_cast<double>(p.g) *
                        ((3 * static_cast<double>(h.stride) + kernel_rows) * (ic + 16) + 4 * oc);
    const double line = std::max(static_cast<double>(w.in + 2 * w.kernel + 32) * 80, static_cast<double>(w.out) * oc);
    const double sums = 64 * static_cast<double>(p.taps() * block_of(r));
    return to_bytes(1.3 * weights * ic * oc + 2 * std::max(kRegionBytes, rows) + (line + sums) * size(r) + kTableBytes);
  }
  const auto oc = static_cast<double>(padded(c.out, tile_block_of(r)));
  const auto lanes = static_cast<double>(std::min(padded(c.out, block_of(r)), tile_block_of(r)));
  const double phases = of_input ? static_cast<double>(h.stride) : 1, ic = static_cast<double>(c.in);
  const double row = row_points * std::max(kernel_rows * (ic + 16), phases * lanes);
  const double line = static_cast<double>(w.in + 4 * w.stride + 2 * w.kernel + 32) * std::min(ic, kLargestBlock);
  const double taps = 5 * std::max(kWeightSlice, kernel_rows * 16 * lanes * size(r));
  return to_bytes(1.1 * weights * ic * oc + taps + 5 * std::max(kTaskBytes, row) + line * size(r) + kTableBytes);
}

// ---- polyphase, groups --------------------------------------------------------------------------------

int64_t polyphase_moves_workspace(const ConvRequest& r, const ConvProblem& inner) {
  double pixels = static_cast<double>(inner.n);
  for (const ConvAxis& a : inner.axis) pixels *= static_cast<double>(a.in);
  const double image = pixels * static_cast<double>(inner.ic);
  const double weights = static_cast<double>(inner.oc * inner.ic) * static_cast<double>(inner.taps());
  return to_bytes((image + weights) * size(r) + kWorkerBytes);
}

int64_t depthwise_workspace(const ConvRequest& r) {
  // Weights tap by tap, and in lanes; of the gradient, sums of the parts of all images.
  const double weights = static_cast<double>(padded(r.problem.g, block_of(r)) * r.problem.taps());
  const bool sums = r.direction == ConvDirection::weight_grad;
  return to_bytes(weights * size(r) * (sums ? 2 * static_cast<double>(kEnoughTasks) : 2) + kWorkerBytes);
}

int64_t groups_workspace(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  double weights = static_cast<double>(padded(p.g, block_of(r)) * p.oc_group()) *
                   static_cast<double>(p.ic_group() * p.taps());
  if (r.direction == ConvDirection::weight_grad)  // parts of the pixels have sums of their own
    weights *= 1 + std::min(static_cast<double>(kEnoughTasks), p.macs() / kSmallTask + 1) /
                       static_cast<double>(ceil_div(p.g, block_of(r)));
  return to_bytes(weights * size(r) + kWorkerBytes);
}

}  // namespace striate
