// The weight gradient of depthwise convolution: for each channel as many sums as its kernel has taps, over the
// pixels of all images. Tasks are channels, and where these are few, parts of the images too.
#include <algorithm>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_depthwise.h"

namespace striate {
namespace {

constexpr int64_t kEnoughTasks = 16;
constexpr double kSmallTask = 1e6;       // multiply-adds
constexpr int64_t kStripBytes = 512;     // channels of a pixel in one task

// Sums of channels [first, end) over [begin, end) of what is parted.
struct Share {
  int64_t channel, channels, begin, end, part;
};

// Channels `strip` at a time, and as many parts of `length` as give enough tasks.
struct Split {
  Split(const ConvProblem& p, int64_t channels_at_once, int64_t length_parted)
      : channels(p.g), strip(channels_at_once), length(length_parted) {
    const auto by_work = static_cast<int64_t>(p.macs() / kSmallTask) + 1;
    parts = std::min({ceil_div(kEnoughTasks, strips()), length, by_work});
  }
  int64_t strips() const { return ceil_div(channels, strip); }
  int64_t tasks() const { return strips() * parts; }
  Share share(int64_t task) const {
    const int64_t first = task / parts * strip, part = task % parts;
    return {first, std::min(strip, channels - first), length * part / parts, length * (part + 1) / parts, part};
  }
  int64_t channels, strip, length, parts;
};

// Adds up the parts' sums in their order, and puts them where they go.
template <class T>
void store_sums(const ConvProblem& p, const Scratch<T>& sums, int64_t parts, int64_t channel_step, int64_t tap_step,
                const TensorView& grad_weight, const DepthwiseKernels<T>& kernels) {
  const int64_t count = p.g * p.taps();
  for (int64_t part = 1; part < parts; ++part) kernels.add(sums.get() + part * count, count, sums.get());
  const auto& s = grad_weight.stride;
  const int64_t rows = p.axis[1].kernel, cols = p.axis[2].kernel;
  const bool joined = s[kH] == cols * s[kW];  // rows of the kernel follow each other
  const int64_t run = joined ? rows * cols : cols;
  for (int64_t row = 0; row < rows * cols / run; ++row)
    kernels.mover.move({.from = sums.get() + row * run * tap_step,
                        .from_row = channel_step,
                        .from_column = tap_step,
                        .rows = static_cast<int>(p.g),
                        .columns = static_cast<int>(run),
                        .to = grad_weight.as<T>() + row * s[kH],
                        .to_row = s[kN],
                        .to_column = s[kW]});
}

// ---- planes -------------------------------------------------------------------------------------------

template <class T>
void grad_planes(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                 const TensorView& grad_weight, const DepthwiseKernels<T>& kernels) {
  const conv::DepthwisePlanesGrad<T>& kernel = kernels.planes_grad;
  const CorrelationAxes axes = correlation_axes(p);
  const auto& [d, h, w] = axes;
  const PaddedPlane plane(std::span(&axes, 1), kernel.lanes);
  const int64_t taps = p.taps();
  std::vector<int32_t> offset;
  for (int64_t i = 0; i < h.taps; ++i)
    for (int64_t j = 0; j < w.taps; ++j) offset.push_back(static_cast<int32_t>(plane.offset(axes, i, j)));

  const int64_t piece = plane.piece(h.out, sizeof(T));
  const int64_t padded_size = padded_count<T>(plane.rows(piece) * plane.row_size());
  const int64_t lane_sums = taps * kernel.lanes;

  const Split split(p, std::max<int64_t>(1, p.g / kEnoughTasks), p.n);
  const Scratch<T> sums(split.parts * p.g * taps);  // [part][channel][tap]
  const int workers = workers_for(split.tasks(), p.macs());
  std::vector<Scratch<T>> scratch;  // padded rows of the input, sums of lanes
  for (int i = 0; i < workers; ++i) {
    scratch.emplace_back(2 * padded_size + lane_sums);
    std::fill_n(scratch.back().get(), 2 * padded_size, T(0));
  }
  const auto x = strides_of(input), g = strides_of(grad_output);
  parallel_for(split.tasks(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    const Share share = split.share(task);
    T* padded = scratch[static_cast<size_t>(worker)].get();
    kernel.weight_grad({.in = plane.see(input.as<T>() + share.begin * x[kN] + share.channel * x[kC],
                                        input.as<T>() + input.size(), x[kH], axes, 0, piece, piece == h.out, padded),
                        .padded = padded,
                        .padded_step = padded_size,
                        .images = share.end - share.begin,
                        .channels = share.channels,
                        .in_image = x[kN],
                        .in_channel = x[kC],
                        .grad_image = g[kN],
                        .grad_channel = g[kC],
                        .row_step = plane.row_stride * plane.row_size(),
                        .row_stride = plane.row_stride,
                        .offset = offset.data(),
                        .taps = static_cast<int>(taps),
                        .grad = grad_output.as<T>() + share.begin * g[kN] + share.channel * g[kC],
                        .grad_end = grad_output.as<T>() + grad_output.size(),
                        .rows = h.out,
                        .cols = w.out,
                        .piece = piece,
                        .sums = padded + 2 * padded_size,
                        .totals = sums.get() + (share.part * p.g + share.channel) * taps});
  });
  store_sums(p, sums, split.parts, taps, 1, grad_weight, kernels);
}

// ---- channels last ------------------------------------------------------------------------------------

template <class T>
void grad_channels(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                   const TensorView& grad_weight, const DepthwiseKernels<T>& kernels) {
  const auto& [d, h, w] = p.axis;
  const int64_t taps = p.taps();
  const Split split(p, even_piece(p.g, kStripBytes / static_cast<int64_t>(sizeof(T))), p.n * h.out);
  const Scratch<T> sums(split.parts * taps * p.g);  // [part][tap][channel]
  const auto x = strides_of(input), g = strides_of(grad_output);
  parallel_for(split.tasks(), workers_for(split.tasks(), p.macs()), FpMode::flush_denormals, [&](int64_t task, int) {
    const Share share = split.share(task);
    T* total = sums.get() + share.part * taps * p.g + share.channel;
    for (int64_t tap = 0; tap < taps; ++tap) std::fill_n(total + tap * p.g, share.channels, T(0));
    const T* row[kMostDepthwiseTaps];
    for (int64_t line = share.begin; line < share.end; ++line) {
      const int64_t image = line / h.out, y = line % h.out;
      const T* from = input.as<T>() + image * x[kN] + share.channel;
      for (int64_t i = 0; i < h.kernel; ++i) {
        const int64_t at = y * h.stride + i * h.dilation - h.pad;
        row[i] = at >= 0 && at < h.in ? from + at * x[kH] : nullptr;
      }
      kernels.channels.weight_grad({.in = {.row = row,
                                           .kh = static_cast<int>(h.kernel),
                                           .kw = static_cast<int>(w.kernel),
                                           .pixel = x[kW],
                                           .cols_in = w.in,
                                           .stride = w.stride,
                                           .dilation = w.dilation,
                                           .pad = w.pad,
                                           .cols = w.out,
                                           .channels = share.channels},
                                    .grad = grad_output.as<T>() + image * g[kN] + share.channel + y * g[kH],
                                    .grad_pixel = g[kW],
                                    .sums = total,
                                    .sum_step = p.g});
    }
  });
  store_sums(p, sums, split.parts, 1, p.g, grad_weight, kernels);
}

}  // namespace

template <class T>
void weight_grad_depthwise(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                           const TensorView& grad_weight, const DepthwiseKernels<T>& kernels) {
  if (channels_adjoin(p.g, input.stride[kC], grad_output.stride[kC]))
    grad_channels(p, input, grad_output, grad_weight, kernels);
  else
    grad_planes(p, input, grad_output, grad_weight, kernels);
}

template void weight_grad_depthwise(const ConvProblem&, const TensorView&, const TensorView&, const TensorView&,
                                    const DepthwiseKernels<float>&);
template void weight_grad_depthwise(const ConvProblem&, const TensorView&, const TensorView&, const TensorView&,
                                    const DepthwiseKernels<double>&);

}  // namespace striate
