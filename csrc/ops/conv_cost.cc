// What the tile drivers cost, told from the shapes alone: seconds of one core.
//
//   multiply-adds, idle lanes and rows of the register tile included, at the speed of registers
// + packing of slabs and weights, + sums stored, each at the speed of its kind of copy
// + arrays read from and written to memory, + tasks started
//
// Forward and input gradient are one correlation; a weight gradient sums over pixels instead.
#include "ops/conv_cost.h"

#include <algorithm>

#include "kernels/conv/winograd_rows.h"
#include "ops/conv_window.h"

namespace striate {
namespace {

constexpr int64_t kVectorsOfTile = 2;        // vectors of lanes in a register tile and in a lane block
constexpr int64_t kLargestOcChunk = 256;     // output channels that share a slab
constexpr int64_t kTilePixels = 512;

// Measured shares of the speed of registers.
constexpr double kTileShare = 0.90;        // channels in lanes: broadcast, two multiply-adds
constexpr double kNarrowTileShare = 0.75;  // ... with one vector of lanes
constexpr double kWeightTileShare = 0.85;
constexpr double kGroupShare = 0.45;       // groups in lanes: a load and a multiply-add
constexpr double kDepthwiseShare = 0.45;   // a load and a multiply-add, in place
constexpr double kPlaneSeconds = 10e-9;    // to begin with a plane: its weights, the ends of its rows
constexpr double kSumReload = 6;           // multiply-adds lost a sum and block of the reduction

constexpr double kWinogradShare = 0.80;    // products of the points
// Transforms against copying within the cache, in elements made.
constexpr double kTransformInput = 3.3;
constexpr double kTransformOutput = 2;
constexpr double kTransformWeight = 2;
constexpr double kRowGradShare = 0.69;    // products of the weight gradient
constexpr double kRowTransformInput = 2;  // along one axis
constexpr double kRowTransformOutput = 4;
constexpr double kRowTranspose = 4;       // lines of contiguous images, against packing them for a tile
constexpr double kRowSeconds = 0.06e-6;   // to begin with a row of an image
constexpr double kNearWeights = 1e6;  // bytes that stay in cache while they are used

// Packing against copying within the cache, in elements copied.
constexpr double kPackCopy = 1.5;       // neighbours stay neighbours
constexpr double kPackTranspose = 3;    // rows become columns

int64_t padded(int64_t count, int64_t multiple) { return ceil_div(count, multiple) * multiple; }

// A correlation as the drivers see it, whichever direction it serves.
struct Shape {
  int64_t n, g, ic, oc;  // channels of one group: read, written
  double reads, writes;  // elements of the images read and written
  double macs;
  double reduction;      // multiply-adds in one sum
  bool reads_channels, writes_channels;  // channels last
};

Shape correlation_of(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const auto images = static_cast<double>(p.n);
  double pixels_in = images, pixels_out = images;
  for (const ConvAxis& a : p.axis) {
    pixels_in *= static_cast<double>(a.in);
    pixels_out *= static_cast<double>(a.out);
  }
  const double inputs = pixels_in * static_cast<double>(p.ic), outputs = pixels_out * static_cast<double>(p.oc);
  const bool input_last = r.formats.input == MemoryFormat::channels_last;
  const bool output_last = r.formats.output == MemoryFormat::channels_last;
  if (r.direction == ConvDirection::input_grad) {
    // Phases of a strided gradient share the taps: as many sums as input pixels, each of fewer products.
    const double reduction = p.macs() / std::max(1.0, inputs);
    return {p.n, p.g, p.oc_group(), p.ic_group(), outputs, inputs, p.macs(), reduction, output_last, input_last};
  }
  const auto reduction = static_cast<double>(p.ic_group() * p.taps());
  return {p.n, p.g, p.ic_group(), p.oc_group(), inputs, outputs, p.macs(), reduction, input_last, output_last};
}

double halo(const ConvProblem& p) {
  // Tiles of about kTilePixels pixels overlap by what the kernel reaches beyond its stride.
  const ConvAxis &h = p.axis[1], &w = p.axis[2];
  const double cols = std::min<double>(static_cast<double>(w.out), kTilePixels / 2);
  const double rows = std::clamp<double>(kTilePixels / cols, 1, static_cast<double>(h.out));
  const auto over = [](const ConvAxis& a, double tile) {
    const auto step = static_cast<double>(a.stride);
    const auto beyond = static_cast<double>(std::max<int64_t>(0, (a.kernel - 1) * a.dilation + 1 - a.stride));
    return 1 + beyond / (tile * step);
  };
  return over(h, rows) * over(w, cols) * static_cast<double>(p.axis[0].kernel);
}

double pack_seconds(const Machine& m, double elements, DType dtype, bool copies) {
  return elements * static_cast<double>(size_of(dtype)) * (copies ? kPackCopy : kPackTranspose) / m.cache_bytes;
}

double memory_seconds(const ConvRequest& r, const Shape& s) {
  const double weights = static_cast<double>(r.problem.oc * r.problem.ic_group() * r.problem.taps());
  return (s.reads + s.writes + weights) * static_cast<double>(size_of(r.problem.dtype)) / r.machine.memory_bytes;
}

// Lanes are channels: `multiply` at how much of the registers' speed `oc` channels run.
double lane_share(const Machine& m, DType dtype, int64_t oc, double wide, double narrow) {
  const int64_t lanes = m.lanes(dtype);
  const double used = static_cast<double>(oc) / static_cast<double>(padded(std::max<int64_t>(oc, 1), lanes));
  return used * (oc > lanes ? wide : narrow);
}

}  // namespace

double tiles_cost(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const Machine& m = r.machine;
  const Shape s = correlation_of(r);
  const bool weight_grad = r.direction == ConvDirection::weight_grad;
  const double share = lane_share(m, p.dtype, s.oc, weight_grad ? kWeightTileShare : kTileShare, kNarrowTileShare);
  const double length = weight_grad ? s.writes / static_cast<double>(std::max<int64_t>(p.oc, 1)) : s.reduction;
  const double multiply = s.macs / (share * m.macs(p.dtype)) * (1 + kSumReload / std::max(1.0, length));
  // Every chunk of output channels packs its slabs anew; a slab has as few channels as a group.
  const auto chunks = static_cast<double>(ceil_div(s.oc, kLargestOcChunk));
  const bool wide_group = s.ic >= m.lanes(p.dtype);
  const double pack = pack_seconds(m, s.reads * halo(p) * chunks, p.dtype, s.reads_channels && wide_group);
  const double store = pack_seconds(m, s.writes, p.dtype, s.writes_channels);
  const double weights = static_cast<double>(p.oc * p.ic_group() * p.taps()) / m.scalar_elements;
  const double tasks = static_cast<double>(p.n * p.g) * chunks;
  return multiply + pack + store + weights + memory_seconds(r, s) + tasks * m.task_seconds;
}

namespace {

struct WinogradCounts {
  double points, tiles;  // points of a tile; tiles of all images
};

WinogradCounts winograd_counts(const ConvRequest& r, int64_t outputs) {
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  const bool of_input = r.direction == ConvDirection::input_grad;
  const int64_t rows = of_input ? h.in : h.out, cols = of_input ? w.in : w.out;
  const int64_t points = outputs + h.kernel - 1;
  return {static_cast<double>(points * points),
          static_cast<double>(p.n * (of_input ? d.in : d.out) * ceil_div(rows, outputs)) *
              static_cast<double>(ceil_div(cols, outputs))};
}

double winograd_cost(const ConvRequest& r, int64_t outputs) {
  const ConvProblem& p = r.problem;
  const Machine& m = r.machine;
  const Shape s = correlation_of(r);
  const auto [points, tiles] = winograd_counts(r, outputs);
  const bool weight_grad = r.direction == ConvDirection::weight_grad;
  const auto groups = static_cast<double>(s.g), ic = static_cast<double>(s.ic);
  // The gradient's products have blocks of one vector for the last channels, too.
  const int64_t block = (weight_grad ? 1 : kVectorsOfTile) * m.lanes(p.dtype);
  const auto lanes = static_cast<double>(padded(s.oc, block));
  const double weights = points * groups * ic * lanes;  // transformed; of the gradient, the sums
  const double multiply = weights * tiles / (kWinogradShare * m.macs(p.dtype));
  const double lanes_read = weight_grad ? static_cast<double>(padded(s.ic, block)) : ic;
  const double inputs = points * tiles * groups * lanes_read, outputs_made = points * tiles * groups * lanes;
  const double bytes = static_cast<double>(size_of(p.dtype));
  const double transforms = (inputs * kTransformInput +
                             outputs_made * (weight_grad ? kTransformInput : kTransformOutput) +
                             weights * kTransformWeight) * bytes / m.cache_bytes;
  const double pack = pack_seconds(m, s.reads * halo(p), p.dtype, s.reads_channels);
  const double store = pack_seconds(m, s.writes, p.dtype, s.writes_channels);
  // Transformed weights of many channels leave the caches on their way.
  return multiply + transforms + pack + store + memory_seconds(r, s) + weights * bytes / m.memory_bytes / 2 +
         8 * m.task_seconds;
}

}  // namespace

double winograd4_cost(const ConvRequest& r) { return winograd_cost(r, 4); }
double winograd3_cost(const ConvRequest& r) { return winograd_cost(r, 3); }
double winograd2_cost(const ConvRequest& r) { return winograd_cost(r, 2); }

double winograd_rows_cost(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  const Machine& m = r.machine;
  const Shape s = correlation_of(r);
  const bool of_input = r.direction == ConvDirection::input_grad;
  // Points of all phases of the width, of one tile of each.
  int64_t points = 0, weight_points = 0;
  for (int64_t phase = 0; phase < w.stride; ++phase) {
    const int64_t taps = ceil_div(w.kernel - phase, w.stride);
    points += conv::row_points(static_cast<int>(taps));
    weight_points += taps == 1 ? 1 : conv::row_points(static_cast<int>(taps));
  }
  const int64_t rows = of_input ? ceil_div(h.in, h.stride) : h.out, cols = of_input ? ceil_div(w.in, w.stride) : w.out;
  const auto tiles = static_cast<double>(p.n * d.out) * static_cast<double>(rows * ceil_div(cols, conv::kRowOutputs));
  const auto ic = static_cast<double>(s.g * s.ic), lanes = static_cast<double>(padded(s.oc, m.lanes(p.dtype)));
  const auto taps = static_cast<double>(h.kernel), all_points = static_cast<double>(points);
  const bool weight_grad = r.direction == ConvDirection::weight_grad;
  const double share = weight_grad ? kRowGradShare : s.oc > m.lanes(p.dtype) ? kTileShare : kNarrowTileShare;
  const double length =
      weight_grad ? tiles : static_cast<double>(s.ic * h.kernel) / static_cast<double>(of_input ? h.stride : 1);
  const double multiply = tiles * all_points * taps * ic * lanes / (share * m.macs(p.dtype)) * (1 + kSumReload / length);
  // Rows of inputs are as many as those of the outputs, but for the stride of a forward convolution.
  const double inputs = tiles * all_points * static_cast<double>(of_input ? 1 : h.stride) * ic;
  const double outputs = tiles * all_points * static_cast<double>((of_input ? h.stride : 1) * s.g) * lanes;
  const double weights = static_cast<double>(weight_points) * taps * ic * lanes;
  const double bytes = static_cast<double>(size_of(p.dtype));
  const double transforms =
      (inputs * kRowTransformInput + outputs * kRowTransformOutput + weights * kTransformWeight) * bytes / m.cache_bytes;
  const double pack = s.reads_channels ? 0 : kRowTranspose * pack_seconds(m, s.reads, p.dtype, false);
  const double store = s.writes_channels ? 0 : pack_seconds(m, s.writes, p.dtype, false);
  const double image_rows = static_cast<double>(p.n * d.in) * static_cast<double>(weight_grad ? 2 * (h.in + h.out) : h.in);
  // Weights are read by every task; sums of a gradient are read and written by one.
  const double far = weight_grad ? 0 : weights * bytes + 4 * std::max(0.0, weights * bytes - kNearWeights);
  return multiply + transforms + pack + store + memory_seconds(r, s) + far / m.memory_bytes +
         image_rows * kRowSeconds + 4 * m.task_seconds;
}

namespace {

struct PolyphaseCounts {
  double image, weights;  // elements of the inner ones
};

PolyphaseCounts polyphase_counts(const ConvProblem& inner) {
  double pixels = static_cast<double>(inner.n);
  for (const ConvAxis& a : inner.axis) pixels *= static_cast<double>(a.in);
  return {pixels * static_cast<double>(inner.ic),
          static_cast<double>(inner.oc * inner.ic) * static_cast<double>(inner.taps())};
}

}  // namespace

double polyphase_moves_cost(const ConvRequest& r, const ConvProblem& inner) {
  const Machine& m = r.machine;
  const auto [image, weights] = polyphase_counts(inner);
  const bool last = r.formats.input == MemoryFormat::channels_last;
  return pack_seconds(m, image, inner.dtype, last) + image * static_cast<double>(size_of(inner.dtype)) / m.memory_bytes +
         weights / m.scalar_elements;
}

double depthwise_cost(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const Machine& m = r.machine;
  const Shape s = correlation_of(r);
  const int64_t lanes = m.lanes(p.dtype);
  const auto used = [&](int64_t count) { return static_cast<double>(count) / static_cast<double>(padded(count, lanes)); };
  if (s.reads_channels)
    return s.macs / (used(p.g) * kDepthwiseShare * m.macs(p.dtype)) + memory_seconds(r, s) + 2 * m.task_seconds;
  const int64_t cols = r.direction == ConvDirection::input_grad ? p.axis[2].in : p.axis[2].out;
  const double multiply = s.macs / (used(cols) * kDepthwiseShare * m.macs(p.dtype));
  const double pad = pack_seconds(m, s.reads, p.dtype, true);
  return multiply + pad + memory_seconds(r, s) + static_cast<double>(p.n * p.g) * kPlaneSeconds + 2 * m.task_seconds;
}

double groups_cost(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const Machine& m = r.machine;
  const Shape s = correlation_of(r);
  const int64_t block = kVectorsOfTile * m.lanes(p.dtype);
  const double used = static_cast<double>(p.g) / static_cast<double>(padded(p.g, block));
  const double multiply = s.macs / (used * kGroupShare * m.macs(p.dtype));
  // Idle lanes are packed and stored too. One channel a group: channels-last pixels are vectors as they lie.
  const double pack = pack_seconds(m, s.reads * halo(p) / used, p.dtype, s.reads_channels && s.ic == 1);
  const double store = pack_seconds(m, s.writes / used * static_cast<double>(s.ic), p.dtype,
                                    s.writes_channels && s.oc == 1);
  const double tasks = static_cast<double>(p.n * ceil_div(p.g, block));
  return multiply + pack + store + memory_seconds(r, s) + tasks * m.task_seconds;
}

}  // namespace striate
