// Correlation with output pixels as lanes: for short sums, which are stored as fast as they are made, and for few
// output channels, which would leave lanes idle.
//
//      output [oc][pixels of a row] = weight [oc][tap, ic] * slab [tap, ic][pixels of a row]
//
// A task is (image, group, tile). It packs the window of the tile as [depth][row][channel][column]; a tap is a place to
// begin in it. Kernel rows that lie on the padding are left out, for each row of the output its own,
// if all weights are finite.
#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_reach.h"
#include "ops/conv_tiles.h"
#include "ops/conv_weight_rows.h"

namespace striate {
namespace {

constexpr int64_t kShortSum = 64;          // products
constexpr int64_t kSlabBytes = 64 * 1024;  // stay close
constexpr int64_t kLargestTile = 4096;     // pixels
constexpr int64_t kStreams = 18;
constexpr int64_t kEnoughTasks = 16;
constexpr double kSmallTask = 250e3;  // multiply-adds

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
        weight_(c, kernel),
        run_(weight_.channels_run() ? c.ic : c.axes[2].taps),
        output_row_(c.oc) {
    for (int64_t r = 0; r < c.oc; ++r) output_row_.get()[r] = r * (stored_in_place() ? c.output_stride[kC] : sum_row());
  }

  struct Workspace {
    Window window;
    Scratch<T> slab, sums;
    Scratch<int32_t> weight_tap, slab_tap;
    int taps = 0;  // runs that the tables hold
  };
  Workspace make_workspace() const {
    // Vectors at the end of a row reach beyond it.
    const int64_t elements = slab_elements(c_.axes, grid_.rows, grid_.cols, c_.ic) + kernel_.block;
    const int64_t taps = weight_.row() / run_;
    Workspace ws{Window(c_.axes, grid_, SlabOrder::width_inside), Scratch<T>(elements),
                 Scratch<T>(stored_in_place() ? 0 : c_.oc * sum_row()), Scratch<int32_t>(taps), Scratch<int32_t>(taps)};
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
    const auto& out = c_.output_stride;
    T* output = c_.output + image * out[kN] + group * c_.oc * out[kC] + window.depth * out[kD] +
                window.row * out[kH] + window.col * out[kW];
    // Few rows of the output at a time: each is a stream to memory.
    const int64_t rows = stored_in_place() ? even_piece(c_.oc, kStreams) : c_.oc;
    const Reach depth = taps_of(0, window.depth);
    Reach placed{-1, -1, -1};
    for (int64_t oc = 0; oc < c_.oc; oc += rows)
      for (int64_t h = 0; h < window.rows; ++h) {
        const Reach row = taps_of(1, window.row + h);
        if (row.tap != placed.tap || row.taps != placed.taps) ws.taps = place_taps(depth, row, ws);
        placed = row;
        T* to = output + oc * out[kC] + h * out[kH];
        multiply(group, oc, std::min(rows, c_.oc - oc), h, stored_in_place() ? to : ws.sums.get(), ws);
        if (!stored_in_place()) put(ws.sums.get(), window.cols, to);
      }
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
    const auto by_work = static_cast<int64_t>(c.macs() / kSmallTask) + 1;
    const int64_t wanted = std::min(kEnoughTasks, by_work);
    const int64_t parts = ceil_div(wanted, c.n * c.g * c.axes[0].out * ceil_div(c.axes[2].out, widest));
    const int64_t rows = std::min(ceil_div(c.axes[1].out, parts), kLargestTile / widest);
    return fit_tiles(c.axes, std::max<int64_t>(rows, 1), widest, c.ic, sizeof(T), kSlabBytes);
  }

  Reach taps_of(size_t axis, int64_t x) const {
    const CorrelationAxis& a = c_.axes[axis];
    return weight_.finite() ? reach_of(a, x) : Reach{0, a.taps, 0};
  }

  // Where the runs of the reduction begin, in the weights and (for the tile's first row) in the slab.
  int place_taps(const Reach& depth, const Reach& row, Workspace& ws) const {
    const CorrelationAxes& axes = c_.axes;
    const std::array<int64_t, 3> pitch = ws.window.pitches();
    const std::array<SlabAxis, 3> slab = ws.window.slab_axes();
    // A kernel row is runs of channels, one a tap, or runs of taps, one a channel.
    const bool channels = weight_.channels_run();
    const int64_t runs = channels ? axes[2].taps : c_.ic;
    const int64_t weight_tap = channels ? c_.ic : 1, weight_step = channels ? c_.ic : c_.taps();
    const int64_t slab_step = channels ? slab[2].tap_step : ws.window.channel_step();
    int taps = 0;
    for (int64_t d = depth.tap; d < depth.tap + depth.taps; ++d)
      for (int64_t h = row.tap; h < row.tap + row.taps; ++h)
        for (int64_t i = 0; i < runs; ++i, ++taps) {
          ws.weight_tap.get()[taps] =
              static_cast<int32_t>((d * axes[1].taps + h) * axes[2].taps * weight_tap + i * weight_step);
          ws.slab_tap.get()[taps] =
              static_cast<int32_t>(d * slab[0].tap_step * pitch[0] + h * slab[1].tap_step * pitch[1] + i * slab_step);
        }
    return taps;
  }

  // One row of the tile, in even pieces: a last vector by itself would leave the multipliers idle.
  void multiply(int64_t group, int64_t oc, int64_t rows, int64_t h, T* output, Workspace& ws) const {
    const Window& window = ws.window;
    const int64_t channel = group * c_.oc + oc;
    const int64_t step = weight_.channels_run() ? window.channel_step() : window.slab_axes()[2].tap_step;
    const int64_t lanes = kernel_.lanes;
    const int64_t piece = even_piece(ceil_div(window.cols, lanes), kernel_.block / lanes) * lanes;
    for (int64_t at = 0; at < window.cols; at += piece) {
      // The last piece overlaps the one before: whole vectors are stored faster than parts.
      const int64_t col = std::max<int64_t>(0, std::min(at, window.cols - piece));
      kernel_.multiply({.a = weight_.get(channel),
                        .row_offset = weight_.offsets(),
                        .rows = static_cast<int>(rows),
                        .a_is_far = false,
                        .a_tap = ws.weight_tap.get(),
                        .b = ws.slab.get() + h * window.row_step() + col,
                        .b_step = step,
                        .b_tap = ws.slab_tap.get(),
                        .b_block_stride = 0,
                        .b_last_step = step,
                        .lanes = static_cast<int>(std::min(piece, window.cols - col)),
                        .taps = ws.taps,
                        .run = static_cast<int>(run_),
                        .c = output + col,
                        .c_row = output_row_.get(),
                        .c_block_stride = 0,
                        .bias = c_.bias ? c_.bias + channel : nullptr,
                        .bias_of = c_.bias ? conv::BiasOf::row : conv::BiasOf::none,
                        .accumulate = false});
    }
  }

  bool stored_in_place() const { return c_.output_stride[kW] == 1; }
  int64_t sum_row() const { return padded_count<T>(grid_.cols); }

  // A row of sums of all channels, which are neighbours in memory.
  void put(const T* sums, int64_t cols, T* to) const {
    kernel_.move({.from = sums,
                  .from_row = sum_row(),
                  .from_column = 1,
                  .rows = static_cast<int>(c_.oc),
                  .columns = static_cast<int>(cols),
                  .to = to,
                  .to_row = c_.output_stride[kC],
                  .to_column = c_.output_stride[kW]});
  }

  const Correlation<T>& c_;
  const conv::Kernel<T>& packer_;
  const conv::Product<T>& kernel_;
  TileGrid grid_;
  WeightRows<T> weight_;
  int64_t run_;  // of the reduction: channels, or the taps of a kernel row
  Scratch<int64_t> output_row_;
};

}  // namespace

template <class T>
bool suits_pixels(const Correlation<T>& c, const conv::Product<T>& kernel) {
  const CorrelationAxis& w = c.axes[2];
  // Pixels must be neighbours in the slab too.
  if (w.stride != 1 || w.dilation != 1 || (c.output_stride[kW] != 1 && c.output_stride[kC] != 1)) return false;
  if (c.oc * c.ic * c.taps() >= int64_t{1} << 22) return false;
  const int64_t vectors = std::min<int64_t>(kernel.block / kernel.lanes, ceil_div(w.out, kernel.lanes));
  // Fewer than eight sums do not hide the latency of the multiply-add.
  const double busy = std::min(1.0, static_cast<double>(vectors * c.oc) / 8);
  const double pixels = lane_share(w.out, kernel.lanes) * busy, channels = lane_share(c.oc, kernel.lanes);
  if (pixels > 1.1 * channels) return true;
  // Short sums make a transposition on either side felt.
  return c.output_stride[kW] == 1 && c.ic * c.taps() <= kShortSum && pixels > 0.75 * channels;
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
