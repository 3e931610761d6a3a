// Convolution with many small groups, depthwise above all. A lane is a group: one vector holds the same
// channel of `lanes` neighbouring groups, so no lane idles however few channels a group has.
//
//      for each pair (output channel r, input channel j) of a group:
//          acc[pixel][lane] += slab of channel j [pixel + tap][lane] * weight (r, j) [tap][lane]
#include <algorithm>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tiles.h"

namespace striate {
namespace {

constexpr int64_t kSlabBytes = 128 * 1024;  // slabs of all input channels of a group stay in L2
constexpr int64_t kLargestTile = 512;       // pixels
constexpr int64_t kEnoughTasks = 16;        // parts of a weight gradient
constexpr double kSmallTask = 1e6;          // multiply-adds

TileGrid choose_grid(const CorrelationAxes& axes, int64_t ic, int64_t lanes, int64_t size) {
  const int64_t widest = even_piece(axes[2].out, kLargestTile / 2);
  return fit_tiles(axes, std::max<int64_t>(1, kLargestTile / widest), widest, lanes * ic, size, kSlabBytes);
}

// Neighbouring groups, one a lane.
struct LaneBlock {
  int64_t first, used;
};
LaneBlock lane_block(int64_t index, int64_t lanes, int64_t groups) {
  return {index * lanes, std::min(lanes, groups - index * lanes)};
}

template <class T>
struct Workspace {
  Workspace(const CorrelationAxes& axes, const TileGrid& grid, int64_t slabs, int64_t sums_count, int64_t lanes)
      : window(axes, grid, SlabOrder::channels_inside),
        slab_stride(padded_count<T>(slab_elements(axes, grid.rows, grid.cols, lanes))),
        slab(slab_stride * slabs),
        sums(sums_count) {
    // Lanes without a group are never read back, but must not start out as signalling garbage.
    std::fill(slab.get(), slab.get() + slab_stride * slabs, T(0));
    std::fill(sums.get(), sums.get() + sums_count, T(0));
  }
  Window window;
  int64_t slab_stride;
  Scratch<T> slab, sums;
};

}  // namespace

template <class T>
void correlate_groups(const Correlation<T>& c, const conv::Kernel<T>& kernel) {
  const int64_t lanes = kernel.lanes;
  const int64_t blocks = ceil_div(c.g, lanes);
  const int64_t pairs = c.oc * c.ic;
  const TileGrid grid = choose_grid(c.axes, c.ic, lanes, sizeof(T));

  // Packed weights: [lane block][r][j][tap][lane].
  const int64_t pair_stride = c.taps() * lanes;
  const auto key = form_key<T>(WeightForm::groups, std::span(&c, 1), &kernel);
  const auto weight = packed<T>(c.packed, key, blocks * pairs * pair_stride, [&](T* to) {
    for (int64_t at = 0; at < blocks * pairs; ++at) {
      const LaneBlock lane = lane_block(at / pairs, lanes, c.g);
      const int64_t r = at % pairs / c.ic, j = at % c.ic;
      kernel.pack_weight({.weight = c.weight + lane.first * c.weight_g + r * c.weight_o + j * c.weight_i,
                          .o = c.weight_g,
                          .i = 0,
                          .d = c.weight_tap[0],
                          .h = c.weight_tap[1],
                          .w = c.weight_tap[2],
                          .lanes_used = static_cast<int>(lane.used),
                          .channels = 1,
                          .kd = static_cast<int>(c.axes[0].taps),
                          .kh = static_cast<int>(c.axes[1].taps),
                          .kw = static_cast<int>(c.axes[2].taps),
                          .packed = to + at * pair_stride});
    }
  });

  const int64_t tasks = c.n * grid.count() * blocks;
  // Work counts elements moved, since few multiply-adds are done on each.
  const int workers = workers_for(tasks, c.macs());
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i)
    workspaces.emplace_back(c.axes, grid, c.ic, grid.rows * grid.cols * lanes, lanes);
  parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    Workspace<T>& ws = workspaces[static_cast<size_t>(worker)];
    const int64_t block = task % blocks;
    const LaneBlock lane = lane_block(block, lanes, c.g);
    const int64_t image = task / blocks / grid.count();
    Window& window = ws.window;
    window.place(task / blocks % grid.count(), lanes);
    const T* x = c.input + image * c.input_stride[kN] + lane.first * c.ic * c.input_stride[kC];
    for (int64_t j = 0; j < c.ic; ++j)
      kernel.pack(window.pack_args(x + j * c.input_stride[kC], c.ic * c.input_stride[kC], c.input_stride,
                                   lane.used, ws.slab.get() + j * ws.slab_stride));
    const bool flat = window.taps_adjoin();
    const int32_t* pixel_offset = window.pixel_offsets();
    const int32_t* tap_offset = window.tap_offsets(flat);
    const int64_t width = flat ? c.axes[2].taps : 1;
    const auto& out = c.output_stride;
    for (int64_t r = 0; r < c.oc; ++r) {
      for (int64_t j = 0; j < c.ic; ++j)
        kernel.group_tile({.slab = ws.slab.get() + j * ws.slab_stride,
                           .pixel_offset = pixel_offset,
                           .pixels = static_cast<int>(window.pixels()),
                           .tap_offset = tap_offset,
                           .taps = static_cast<int>(c.taps() / width),
                           .run = static_cast<int>(width),
                           .weight = weight.get() + (block * pairs + r * c.ic + j) * pair_stride,
                           .weight_block_stride = 0,
                           .lane_blocks = 1,
                           .last_block_channels = static_cast<int>(lane.used),
                           .acc = ws.sums.get(),
                           .acc_block_stride = 0,
                           .accumulate = j > 0});
      const int64_t channel = lane.first * c.oc + r;
      T* to = c.output + image * out[kN] + channel * out[kC] + window.depth * out[kD] + window.row * out[kH] +
              window.col * out[kW];
      kernel.store({.acc = ws.sums.get(),
                    .acc_block_stride = 0,
                    .d = 1,
                    .h = static_cast<int>(window.rows),
                    .w = static_cast<int>(window.cols),
                    .channels = static_cast<int>(lane.used),
                    .bias = c.bias ? c.bias + channel : nullptr,
                    .bias_step = c.oc,
                    .out = to,
                    .out_c = c.oc * out[kC],
                    .out_d = out[kD],
                    .out_h = out[kH],
                    .out_w = out[kW]});
      c.epilogue.apply({.out = to,
                        .position = {image, channel, window.depth, window.row, window.col},
                        .channel_step = c.oc,
                        .channels = lane.used,
                        .rows = window.rows,
                        .cols = window.cols},
                       out);
    }
  });
}

template <class T>
void weight_grad_groups(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                        const TensorView& grad_weight, const conv::Kernel<T>& kernel,
                        const conv::WeightKernel<T>& weight_kernel) {
  const int64_t lanes = kernel.lanes;
  const int64_t blocks = ceil_div(p.g, lanes);
  const int64_t ic = p.ic_group(), oc = p.oc_group();
  const CorrelationAxes axes = correlation_axes(p);
  const TileGrid grid = choose_grid(axes, ic + oc, lanes, sizeof(T));
  const int64_t tiles = p.n * grid.count();
  const auto by_work = static_cast<int64_t>(p.macs() / kSmallTask) + 1;
  const int64_t parts = std::min({ceil_div(kEnoughTasks, blocks), tiles, by_work});
  const int64_t pair_stride = p.taps() * lanes;
  const int64_t sums_stride = oc * ic * pair_stride;  // of one part: [r][j][tap][lane]
  const Scratch<T> sums(blocks * parts * sums_stride);
  const int64_t grad_stride = grid.rows * grid.cols * lanes;

  const int64_t longest = std::max(grid.rows, grid.cols);
  const Scratch<int32_t> identity(longest);
  for (int64_t i = 0; i < longest; ++i) identity.get()[i] = static_cast<int32_t>(i);
  const int64_t tasks = blocks * parts;
  const int workers = workers_for(tasks, p.macs());
  std::vector<Workspace<T>> workspaces;
  std::vector<Scratch<int32_t>> run_offsets;
  for (int i = 0; i < workers; ++i) {
    workspaces.emplace_back(axes, grid, ic, oc * grad_stride, lanes);
    run_offsets.emplace_back(grid.rows);
  }
  parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    Workspace<T>& ws = workspaces[static_cast<size_t>(worker)];
    int32_t* run_offset = run_offsets[static_cast<size_t>(worker)].get();
    const LaneBlock lane = lane_block(task / parts, lanes, p.g);
    const int64_t part = task % parts;
    T* acc = sums.get() + task * sums_stride;
    std::fill(acc, acc + sums_stride, T(0));
    T* grad = ws.sums.get();
    Window& window = ws.window;
    const auto x_stride = strides_of(input);
    for (int64_t tile = tiles * part / parts; tile < tiles * (part + 1) / parts; ++tile) {
      const int64_t image = tile / grid.count();
      window.place(tile % grid.count(), lanes);
      const T* x = input.as<T>() + image * x_stride[kN] + lane.first * ic * x_stride[kC];
      for (int64_t j = 0; j < ic; ++j)
        kernel.pack(window.pack_args(x + j * x_stride[kC], ic * x_stride[kC], x_stride, lane.used,
                                     ws.slab.get() + j * ws.slab_stride));
      const int32_t* tap_offset = window.tap_offsets(false);
      for (int64_t i = 0; i < window.rows; ++i)
        run_offset[i] = static_cast<int32_t>(i * window.row_step());
      for (int64_t r = 0; r < oc; ++r) {
        kernel.pack(grad_pack_args(window, grad_output, image, lane.first * oc + r,
                                   oc * grad_output.stride[kC], lane.used, lanes, identity.get(),
                                   grad + r * grad_stride));
        for (int64_t j = 0; j < ic; ++j)
          weight_kernel.group_tile({.slab = ws.slab.get() + j * ws.slab_stride,
                                    .row_offset = tap_offset,
                                    .rows = static_cast<int>(p.taps()),
                                    .run_offset = run_offset,
                                    .runs = static_cast<int>(window.rows),
                                    .run = static_cast<int>(window.cols),
                                    .last_run = static_cast<int>(window.cols),
                                    .step = static_cast<int>(window.pixel_step()),
                                    .grad = grad + r * grad_stride,
                                    .grad_block_stride = 0,
                                    .lane_blocks = 1,
                                    .last_block_channels = static_cast<int>(lane.used),
                                    .acc = acc + (r * ic + j) * pair_stride,
                                    .acc_block_stride = 0,
                                    .accumulate = true,
                                    .ahead = nullptr,
                                    .aheads = 0});
      }
    }
  });

  const auto& s = grad_weight.stride;
  for (int64_t block = 0; block < blocks; ++block) {
    const LaneBlock lane = lane_block(block, lanes, p.g);
    T* total = sums.get() + block * parts * sums_stride;
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = 0; i < sums_stride; ++i) total[i] += total[part * sums_stride + i];
    for (int64_t r = 0; r < oc; ++r)
      for (int64_t j = 0; j < ic; ++j)
        kernel.store({.acc = total + (r * ic + j) * pair_stride,
                      .acc_block_stride = 0,
                      .d = static_cast<int>(axes[0].taps),
                      .h = static_cast<int>(axes[1].taps),
                      .w = static_cast<int>(axes[2].taps),
                      .channels = static_cast<int>(lane.used),
                      .bias = nullptr,
                      .bias_step = 0,
                      .out = grad_weight.as<T>() + (lane.first * oc + r) * s[kN] + j * s[kC],
                      .out_c = oc * s[kN],
                      .out_d = s[kD],
                      .out_h = s[kH],
                      .out_w = s[kW]});
  }
}

template void correlate_groups(const Correlation<float>&, const conv::Kernel<float>&);
template void correlate_groups(const Correlation<double>&, const conv::Kernel<double>&);
template void weight_grad_groups<float>(const ConvProblem&, const TensorView&, const TensorView&,
                                        const TensorView&, const conv::Kernel<float>&,
                                        const conv::WeightKernel<float>&);
template void weight_grad_groups<double>(const ConvProblem&, const TensorView&, const TensorView&,
                                         const TensorView&, const conv::Kernel<double>&,
                                         const conv::WeightKernel<double>&);

}  // namespace striate
