// Correlation with output pixels as lanes: for short sums, which are stored as fast as they are made, and for few
// output channels, which would leave lanes idle.
//
//      output [oc][pixels of a row] = weight [oc][tap, ic] * slab [tap, ic][pixels of a row]
//
// A task is (image, group, tile). It packs the window of the tile as [depth][row][channel][column]; a tap is a place to
// begin in it.
#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tiles.h"

namespace striate {
namespace {

constexpr int64_t kShortSum = 64;          // products
constexpr int64_t kSlabBytes = 64 * 1024;  // stay close
constexpr int64_t kLargestTile = 4096;     // pixels
constexpr int64_t kEnoughTasks = 16;
constexpr int64_t kLongRun = 8;  // channels worth a run of their own

// The part of the lanes that work.
double lane_share(int64_t used, int64_t lanes) {
  return static_cast<double>(used) / static_cast<double>(ceil_div(used, lanes) * lanes);
}

template <class T>
class Pixels {
 public:
  Pixels(const Correlation<T>& c, const conv::Kernel<T>& packer, const conv::Product<T>& kernel)
      : c_(c),
        packer_(packer),
        kernel_(kernel),
        grid_(choose_grid(c)),
        channels_run_(c.ic >= kLongRun),
        run_(channels_run_ ? c.ic : c.axes[2].taps),
        row_(c.ic * c.taps()),
        weight_(packed<T>(c.packed, form_key<T>(WeightForm::pixels, std::span(&c, 1), &kernel), c.g * c.oc * row_,
                          [&](T* to) { pack_weight(to); })),
        row_offset_(c.oc),
        output_row_(c.oc) {
    for (int64_t r = 0; r < c.oc; ++r) {
      row_offset_.get()[r] = static_cast<int32_t>(r * row_);
      output_row_.get()[r] = r * c.output_stride[kC];
    }
  }

  struct Workspace {
    Window window;
    Scratch<T> slab;
    Scratch<int32_t> weight_tap, slab_tap;
  };
  Workspace make_workspace() const {
    // Vectors at the end of a row reach beyond it.
    const int64_t elements = slab_elements(c_.axes, grid_.rows, grid_.cols, c_.ic) + kernel_.block;
    const int64_t taps = row_ / run_;
    Workspace ws{Window(c_.axes, grid_, SlabOrder::width_inside), Scratch<T>(elements), Scratch<int32_t>(taps),
                 Scratch<int32_t>(taps)};
    std::fill(ws.slab.get(), ws.slab.get() + elements, T(0));
    return ws;
  }

  int64_t tasks() const { return c_.n * c_.g * grid_.count(); }
  void run(int64_t task, Workspace& ws) const {
    const int64_t group = task / grid_.count() % c_.g, image = task / grid_.count() / c_.g;
    Window& window = ws.window;
    window.place(task % grid_.count(), c_.ic);
    packer_.pack(window.pack_args(c_.input + image * c_.input_stride[kN] + group * c_.ic * c_.input_stride[kC],
                                  c_.input_stride[kC], c_.input_stride, c_.ic, ws.slab.get()));
    place_taps(ws);
    const auto& out = c_.output_stride;
    T* output = c_.output + image * out[kN] + group * c_.oc * out[kC] + window.depth * out[kD] +
                window.row * out[kH] + window.col * out[kW];
    // Few rows of the output at a time: each is a stream to memory.
    const int64_t rows = even_piece(c_.oc, 2 * kernel_.rows);
    for (int64_t oc = 0; oc < c_.oc; oc += rows)
      for (int64_t h = 0; h < window.rows; ++h)
        multiply(group, oc, std::min(rows, c_.oc - oc), h, output + oc * out[kC] + h * out[kH], ws);
    if (c_.epilogue.does_nothing()) return;
    c_.epilogue.apply({.out = output,
                       .position = {image, group * c_.oc, window.depth, window.row, window.col},
                       .channel_step = 1,
                       .channels = c_.oc,
                       .rows = window.rows,
                       .cols = window.cols},
                      out);
  }

 private:
  static TileGrid choose_grid(const Correlation<T>& c) {
    const int64_t widest = even_piece(c.axes[2].out, kLargestTile / 4);
    const int64_t parts = ceil_div(kEnoughTasks, c.n * c.g * c.axes[0].out * ceil_div(c.axes[2].out, widest));
    const int64_t rows = std::min(ceil_div(c.axes[1].out, parts), kLargestTile / widest);
    return fit_tiles(c.axes, std::max<int64_t>(rows, 1), widest, c.ic, sizeof(T), kSlabBytes);
  }

  // Rows of weights as the reduction walks: taps outside and channels inside, or the other way round.
  void pack_weight(T* to) const {
    const CorrelationAxes& axes = c_.axes;
    const int64_t taps = c_.taps(), step_c = channels_run_ ? 1 : taps, step_t = channels_run_ ? c_.ic : 1;
    for (int64_t o = 0; o < c_.g * c_.oc; ++o, to += row_) {
      const T* from = c_.weight + o / c_.oc * c_.weight_g + o % c_.oc * c_.weight_o;
      for (int64_t i = 0; i < c_.ic; ++i)
        for (int64_t t = 0; t < taps; ++t)
          to[i * step_c + t * step_t] =
              from[i * c_.weight_i + t / (axes[1].taps * axes[2].taps) * c_.weight_tap[0] +
                   t / axes[2].taps % axes[1].taps * c_.weight_tap[1] + t % axes[2].taps * c_.weight_tap[2]];
    }
  }

  // Where the runs of the reduction begin, in the weights and (for the tile's first row) in the slab.
  void place_taps(Workspace& ws) const {
    const CorrelationAxes& axes = c_.axes;
    const std::array<int64_t, 3> pitch = ws.window.pitches();
    const std::array<SlabAxis, 3> slab = ws.window.slab_axes();
    const int64_t outer = channels_run_ ? 1 : c_.ic, inner = channels_run_ ? axes[2].taps : 1;
    int64_t taps = 0;
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t d = 0; d < axes[0].taps; ++d)
        for (int64_t h = 0; h < axes[1].taps; ++h)
          for (int64_t w = 0; w < inner; ++w, ++taps) {
            ws.weight_tap.get()[taps] = static_cast<int32_t>(taps * run_);
            ws.slab_tap.get()[taps] =
                static_cast<int32_t>(i * ws.window.channel_step() + d * slab[0].tap_step * pitch[0] +
                                     h * slab[1].tap_step * pitch[1] + w * slab[2].tap_step);
          }
  }

  // One row of the tile.
  void multiply(int64_t group, int64_t oc, int64_t rows, int64_t h, T* output, Workspace& ws) const {
    const Window& window = ws.window;
    const int64_t channel = group * c_.oc + oc;
    const int64_t step = channels_run_ ? window.channel_step() : window.slab_axes()[2].tap_step;
    kernel_.multiply({.a = weight_.get() + channel * row_,
                      .row_offset = row_offset_.get(),
                      .rows = static_cast<int>(rows),
                      .a_is_far = false,
                      .a_tap = ws.weight_tap.get(),
                      .b = ws.slab.get() + h * window.row_step(),
                      .b_step = step,
                      .b_tap = ws.slab_tap.get(),
                      .b_block_stride = kernel_.block,
                      .b_last_step = step,
                      .lanes = static_cast<int>(window.cols),
                      .taps = static_cast<int>(row_ / run_),
                      .run = static_cast<int>(run_),
                      .c = output,
                      .c_row = output_row_.get(),
                      .c_block_stride = kernel_.block,
                      .bias = c_.bias ? c_.bias + channel : nullptr,
                      .bias_of = c_.bias ? conv::BiasOf::row : conv::BiasOf::none,
                      .accumulate = false});
  }

  const Correlation<T>& c_;
  const conv::Kernel<T>& packer_;
  const conv::Product<T>& kernel_;
  TileGrid grid_;
  bool channels_run_;  // or the taps of a kernel row
  int64_t run_, row_;  // row: of weights
  Packed<T> weight_;
  Scratch<int32_t> row_offset_;
  Scratch<int64_t> output_row_;
};

}  // namespace

template <class T>
bool suits_pixels(const Correlation<T>& c, const conv::Product<T>& kernel) {
  const CorrelationAxis& w = c.axes[2];
  // Pixels must be neighbours in the slab too.
  if (w.stride != 1 || w.dilation != 1 || c.output_stride[kW] != 1) return false;
  if (c.oc * c.ic * c.taps() >= int64_t{1} << 22) return false;
  const int64_t vectors = std::min<int64_t>(kernel.block / kernel.lanes, ceil_div(w.out, kernel.lanes));
  // Fewer than eight sums do not hide the latency of the multiply-add.
  const double busy = std::min(1.0, static_cast<double>(vectors * c.oc) / 8);
  const double pixels = lane_share(w.out, kernel.lanes) * busy, channels = lane_share(c.oc, kernel.lanes);
  return pixels > 1.1 * channels || (c.ic * c.taps() <= kShortSum && pixels > 0.75 * channels);
}

template <class T>
void correlate_pixels(const Correlation<T>& c, const conv::Kernel<T>& packer, const conv::Product<T>& kernel) {
  const Pixels<T> pixels(c, packer, kernel);
  const int workers = workers_for(pixels.tasks(), c.macs() / kMacsPerInstruction);
  std::vector<typename Pixels<T>::Workspace> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(pixels.make_workspace());
  parallel_for(pixels.tasks(), workers, FpMode::flush_denormals,
               [&](int64_t task, int worker) { pixels.run(task, workspaces[static_cast<size_t>(worker)]); });
}

template bool suits_pixels(const Correlation<float>&, const conv::Product<float>&);
template bool suits_pixels(const Correlation<double>&, const conv::Product<double>&);
template void correlate_pixels(const Correlation<float>&, const conv::Kernel<float>&, const conv::Product<float>&);
template void correlate_pixels(const Correlation<double>&, const conv::Kernel<double>&, const conv::Product<double>&);

}  // namespace striate
