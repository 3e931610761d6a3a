#include "ops/conv_depthwise.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/scratch.h"

namespace striate {
namespace {

constexpr int64_t kScratchBytes = 20 * 1024;   // padded rows: beside the outputs in L1
constexpr int64_t kTaskElements = 128 * 1024;   // outputs worth a task
constexpr int64_t kEnoughTasks = 8;
constexpr int64_t kStripBytes = 1024;          // channels of a pixel in one task, whose weights stay in L1

// How many of `count` equal parts of `size` outputs make a task.
int64_t parts_in_task(int64_t count, int64_t size, int64_t others) {
  const int64_t worth = std::max<int64_t>(1, kTaskElements / std::max<int64_t>(size, 1));
  const int64_t fair = std::max<int64_t>(1, count * others / kEnoughTasks);
  return even_piece(count, std::min({count, worth, fair}));
}

template <class T>
std::vector<CorrelationAxes> axes_of(std::span<const Correlation<T>> phases) {
  std::vector<CorrelationAxes> axes;
  for (const Correlation<T>& c : phases) axes.push_back(c.axes);
  return axes;
}

template <class T>
int64_t most_rows(std::span<const Correlation<T>> phases) {
  int64_t rows = 0;
  for (const Correlation<T>& c : phases) rows = std::max(rows, c.axes[1].out);
  return rows;
}

template <class T>
double macs_of(std::span<const Correlation<T>> phases) {
  double macs = 0;
  for (const Correlation<T>& c : phases) macs += c.macs();
  return macs;
}

// ---- planes -------------------------------------------------------------------------------------------

template <class T>
void correlate_planes(std::span<const Correlation<T>> phases, int64_t col_phases,
                      const conv::DepthwisePlanes<T>& kernel) {
  const Correlation<T>& c = phases[0];
  const auto count = static_cast<int64_t>(phases.size());
  const int64_t row_phases = count / col_phases;
  int64_t rows = 0, cols = 0;  // of outputs, all phases together
  for (int64_t i = 0; i < row_phases; ++i) rows += phases[static_cast<size_t>(i * col_phases)].axes[1].out;
  for (int64_t i = 0; i < col_phases; ++i) cols += phases[static_cast<size_t>(i)].axes[2].out;

  const std::vector<CorrelationAxes> axes = axes_of(phases);
  const PaddedPlane plane(axes, kernel.lanes);
  std::vector<int> taps;
  std::vector<int32_t> offset;
  std::vector<int32_t> weight_offset;
  for (const Correlation<T>& phase : phases) {
    taps.push_back(static_cast<int>(phase.taps()));
    for (int64_t h = 0; h < phase.axes[1].taps; ++h)
      for (int64_t w = 0; w < phase.axes[2].taps; ++w) {
        offset.push_back(static_cast<int32_t>(plane.offset(phase.axes, h, w)));
        weight_offset.push_back(static_cast<int32_t>(phase.weight - c.weight + h * phase.weight_tap[1] +
                                                     w * phase.weight_tap[2]));
      }
  }

  const int64_t steps = most_rows(phases);  // rows of the phase that has most
  const int64_t piece = plane.piece(steps, sizeof(T));
  const int64_t pieces = ceil_div(steps, piece);
  // Pieces follow each other in memory, so they are parted only where planes are few.
  const int64_t parts = c.n * c.g < kEnoughTasks ? pieces : 1;
  const int64_t channels = parts_in_task(c.g, rows * cols, c.n * parts);  // of a task
  const int64_t strips = ceil_div(c.g, channels);
  const int64_t tasks = c.n * strips * parts;
  const int workers = workers_for(tasks, macs_of(phases));
  const int64_t scratch_size = plane.rows(piece) * plane.row_size();
  std::vector<Scratch<T>> scratch;
  for (int i = 0; i < workers; ++i) {
    scratch.emplace_back(scratch_size);
    std::fill_n(scratch.back().get(), scratch_size, T(0));
  }
  parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    T* padded = scratch[static_cast<size_t>(worker)].get();
    const int64_t part = task % parts, first = task / parts % strips * channels, image = task / parts / strips;
    const int64_t end = std::min(first + channels, c.g), at_once = pieces == 1 ? end - first : 1;
    const int64_t row_begin = part * pieces / parts * piece * row_phases;
    const int64_t row_end = std::min((part + 1) * pieces / parts * piece * row_phases, rows);
    const auto &in = c.input_stride, &out = c.output_stride;
    for (int64_t channel = first; channel < end; channel += at_once)
      for (int64_t row = row_begin; row < row_end; row += piece * row_phases) {
        const int64_t step = row / row_phases;
        kernel.correlate({.in = plane.see(c.input + image * in[kN] + channel * in[kC],
                                          c.input + c.n * c.g * c.axes[1].in * c.axes[2].in, in[kH], c.axes, step,
                                          std::min(piece, steps - step), pieces == 1, padded),
                          .padded = padded,
                          .planes = at_once,
                          .in_step = in[kC],
                          .weight_step = c.weight_g,
                          .out_step = out[kC],
                          .row_step = plane.row_stride * plane.row_size(),
                          .row_phases = static_cast<int>(row_phases),
                          .col_phases = static_cast<int>(col_phases),
                          .taps = taps.data(),
                          .offset = offset.data(),
                          .weight_offset = weight_offset.data(),
                          .weight = c.weight + channel * c.weight_g,
                          .bias = c.bias ? c.bias + channel : nullptr,
                          .out = c.output + image * out[kN] + channel * out[kC] + row * cols,
                          .rows = std::min(piece * row_phases, rows - row),
                          .cols = cols});
      }
    c.epilogue.apply({.out = c.output + image * out[kN] + first * out[kC] + row_begin * cols,
                      .position = {image, first, 0, row_begin, 0},
                      .channel_step = 1,
                      .channels = end - first,
                      .rows = row_end - row_begin,
                      .cols = cols},
                     out);
  });
}

// ---- channels last ------------------------------------------------------------------------------------

// Weights of all phases, one after the other: [vector][tap][lane].
template <class T>
Scratch<T> pack_weights(std::span<const Correlation<T>> phases, const DepthwiseKernels<T>& kernels) {
  const Correlation<T>& c = phases[0];
  const int64_t lanes = kernels.channels.lanes, vectors = ceil_div(c.g, lanes);
  std::vector<int64_t> tap;
  for (const Correlation<T>& phase : phases)
    for (int64_t h = 0; h < phase.axes[1].taps; ++h)
      for (int64_t w = 0; w < phase.axes[2].taps; ++w)
        tap.push_back(phase.weight - c.weight + h * phase.weight_tap[1] + w * phase.weight_tap[2]);
  const auto taps = static_cast<int64_t>(tap.size());
  const Scratch<T> by_tap(taps * c.g);
  kernels.mover.pack_lanes({.weight = c.weight,
                            .o = c.weight_g,
                            .i = 0,
                            .tap = tap.data(),
                            .taps = static_cast<int>(taps),
                            .lanes = static_cast<int>(c.g),
                            .channels = 1,
                            .packed = by_tap.get(),
                            .step = c.g});
  Scratch<T> blocks(taps * vectors * lanes);
  int64_t done = 0;
  for (const Correlation<T>& phase : phases) {
    kernels.channels.block_weights(by_tap.get() + done * c.g, c.g, static_cast<int>(phase.taps()),
                                   blocks.get() + done * vectors * lanes);
    done += phase.taps();
  }
  return blocks;
}

// Null where it has none.
template <class T>
T* row_of(const Correlation<T>& c, int64_t image, int64_t y) {
  return y < c.axes[1].out ? c.output + image * c.output_stride[kN] + y * c.output_stride[kH] : nullptr;
}

// The phases of an input gradient of stride 2, kernel 3 x 3 and padding 1, which share what they see.
template <class T>
bool are_quarters(std::span<const Correlation<T>> phases, int64_t col_phases, const conv::DepthwiseChannels<T>& kernel) {
  if (phases.size() != 4 || col_phases != 2) return false;
  const auto& [d, h, w] = phases[0].axes;
  if (h.in != h.out || w.in != w.out || w.in < kernel.quarter_cols || phases[0].g < kernel.lanes) return false;
  for (size_t i = 0; i < 4; ++i) {
    const CorrelationAxis &row = phases[i].axes[1], &col = phases[i].axes[2];
    if (row.pad != 0 || col.pad != 0 || row.dilation != 1 || col.dilation != 1) return false;
    if (row.taps != static_cast<int64_t>(i / 2 + 1) || col.taps != static_cast<int64_t>(i % 2 + 1)) return false;
  }
  return true;
}

template <class T>
void correlate_channels(std::span<const Correlation<T>> phases, int64_t col_phases,
                        const DepthwiseKernels<T>& kernels) {
  const Correlation<T>& c = phases[0];
  const Scratch<T> weights = pack_weights(phases, kernels);
  const int64_t rows = most_rows(phases);
  const int64_t lanes = kernels.channels.lanes, vectors = ceil_div(c.g, lanes);
  // As even as can be: never a single vector, which might go back over channels of another task.
  const int64_t strips = ceil_div(vectors, kStripBytes / (lanes * static_cast<int64_t>(sizeof(T))));
  const int64_t piece = parts_in_task(
      rows, c.g / strips * c.axes[2].out * static_cast<int64_t>(phases.size()), c.n * strips);
  const int64_t pieces = ceil_div(rows, piece);
  const int64_t tasks = c.n * pieces * strips;
  const bool quarters = are_quarters(phases, col_phases, kernels.channels);
  parallel_for(tasks, workers_for(tasks, macs_of(phases)), FpMode::flush_denormals, [&](int64_t task, int) {
    const int64_t first = task % strips * vectors / strips, last = (task % strips + 1) * vectors / strips;
    const int64_t begin = task / strips % pieces * piece, end = std::min(begin + piece, rows);
    const int64_t image = task / strips / pieces;
    const auto &in = c.input_stride, &out = c.output_stride;
    const T* x = c.input + image * in[kN];
    const T* row[kMostDepthwiseTaps];
    for (int64_t y = begin; y < end; ++y) {
      const T* weight = weights.get();
      if (quarters) {
        const int64_t size = vectors * lanes;  // of a tap
        kernels.channels.quarters({.row = {x + y * in[kH], y + 1 < c.axes[1].in ? x + (y + 1) * in[kH] : nullptr},
                                   .pixel = in[kW],
                                   .cols_in = c.axes[2].in,
                                   .weight = {weight, weight + size, weight + 3 * size, weight + 5 * size},
                                   .bias = c.bias,
                                   .out = {row_of(phases[0], image, y), row_of(phases[2], image, y)},
                                   .out_pixel = out[kW] / 2,
                                   .cols = c.axes[2].out + phases[1].axes[2].out,
                                   .channels = c.g,
                                   .first = first,
                                   .last = last});
        continue;
      }
      for (const Correlation<T>& phase : phases) {
        const auto& [d, h, w] = phase.axes;
        const T* phase_weight = weight;
        weight += phase.taps() * vectors * lanes;
        if (y >= h.out) continue;
        for (int64_t i = 0; i < h.taps; ++i) {
          const int64_t from = y * h.stride + i * h.dilation - h.pad;
          row[i] = from >= 0 && from < h.in ? x + from * in[kH] : nullptr;
        }
        kernels.channels.correlate({.in = {.row = row,
                                           .kh = static_cast<int>(h.taps),
                                           .kw = static_cast<int>(w.taps),
                                           .pixel = in[kW],
                                           .cols_in = w.in,
                                           .stride = w.stride,
                                           .dilation = w.dilation,
                                           .pad = w.pad,
                                           .cols = w.out,
                                           .channels = c.g},
                                    .weight = phase_weight,
                                    .bias = c.bias,
                                    .out = phase.output + image * out[kN] + y * out[kH],
                                    .out_pixel = out[kW],
                                    .first = first,
                                    .last = last});
      }
    }
    const int64_t channel = first * lanes;
    c.epilogue.apply({.out = c.output + image * out[kN] + channel + begin * out[kH],
                      .position = {image, channel, 0, begin, 0},
                      .channel_step = 1,
                      .channels = std::min(last * lanes, c.g) - channel,
                      .rows = end - begin,
                      .cols = c.axes[2].out},
                     out);
  });
}

}  // namespace

PaddedPlane::PaddedPlane(std::span<const CorrelationAxes> phases, int64_t lanes)
    : first(0), reach(0), row_stride(phases[0][1].stride), pad(0), step(phases[0][2].stride), pitch(0) {
  for (const auto& [d, h, w] : phases) {
    first = std::min(first, -h.pad);
    pad = std::max(pad, w.pad);
  }
  const CorrelationAxis& in = phases[0][2];
  pitch = (in.in + pad - 1) / step + 1;
  for (const auto& [d, h, w] : phases) {
    reach = std::max(reach, (h.taps - 1) * h.dilation - h.pad - first + 1);
    const int64_t outputs = ceil_div(w.out, lanes) * lanes;
    pitch = std::max(pitch, outputs + ((w.taps - 1) * w.dilation - w.pad + pad) / step + 1);
  }
}

int64_t PaddedPlane::piece(int64_t outputs, int64_t element_size) const {
  const int64_t room = kScratchBytes / element_size / row_size();
  return even_piece(outputs, std::max(reach, room - reach) / row_stride + 1);
}

int64_t PaddedPlane::offset(const CorrelationAxes& axes, int64_t h, int64_t w) const {
  const int64_t row = h * axes[1].dilation - axes[1].pad - first;
  const int64_t col = w * axes[2].dilation - axes[2].pad + pad;
  return row * row_size() + col % step * pitch + col / step;
}

template <class T>
void correlate_depthwise(std::span<const Correlation<T>> phases, int64_t col_phases,
                         const DepthwiseKernels<T>& kernels) {
  const Correlation<T>& c = phases[0];
  if (channels_adjoin(c.g, c.input_stride[kC], c.output_stride[kC]))
    correlate_channels(phases, col_phases, kernels);
  else
    correlate_planes(phases, col_phases, kernels.planes);
}

template void correlate_depthwise(std::span<const Correlation<float>>, int64_t, const DepthwiseKernels<float>&);
template void correlate_depthwise(std::span<const Correlation<double>>, int64_t, const DepthwiseKernels<double>&);

}  // namespace striate
