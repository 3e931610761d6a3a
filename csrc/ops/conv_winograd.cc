// Winograd's convolution in blocks of tiles. How they are cut, and why: ops/conv_winograd_blocks.h.
#include "ops/conv_winograd.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_winograd_blocks.h"
#include "ops/conv_winograd_weights.h"

namespace striate {
namespace {

using conv::WinogradForm;

constexpr int64_t kDepth = 128;  // channels summed in one go: their weights stay in L1
constexpr int64_t kPad = 16;     // between points: power-of-two strides thrash L1

// Channels summed one by one, then sum by sum. Short sums round less, at a few per cent of the time. These keep the
// error within four times that of oneDNN's direct kernels, which sum 8 or 16 channels at a time with AVX-512, and with
// AVX2 in the gradients of contiguous inputs; there its error grows with the channels faster than this one.
int64_t chain_of(const Correlation<float>& c, WinogradForm form, const conv::WinogradKernel& kernel) {
  if (kernel.lanes > 16) return form == WinogradForm::f4r3 ? 16 : 32;
  const bool gradient = c.weight_tap[2] < 0;  // walks the kernel backwards
  if (form != WinogradForm::f4r3 || !gradient || c.ic <= 32) return kDepth;
  return c.ic <= 96 ? 16 : c.ic <= 192 ? 32 : 64;
}

int64_t round_up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }

class Convolution {
 public:
  Convolution(const Correlation<float>& c, WinogradForm form, const conv::Kernel<float>& tiles,
              const conv::WinogradKernel& kernel)
      : c_(c),
        form_(static_cast<size_t>(form)),
        outputs_(conv::size_of(form).outputs),
        points_(conv::size_of(form).points()),
        tiles_(tiles),
        kernel_(kernel),
        b_(winograd_blocks(c, form, kernel)),
        weights_(c, form, kernel) {
    const int64_t extents[] = {c.axes[0].out, b_.input_span(b_.tile_rows), b_.input_span(b_.tile_cols)};
    for (size_t i = 0; i < 3; ++i) {
      const CorrelationAxis& axis = c.axes[i];
      source_[i] = Scratch<int32_t>(extents[i]);
      for (int64_t x = 0; x < extents[i]; ++x) {
        const int64_t at = x * axis.stride - axis.pad;
        source_[i].get()[x] = at >= 0 && at < axis.in ? static_cast<int32_t>(at) : -1;
      }
    }
    depth_ = round_up(even_piece(c.ic, kDepth), kernel.lanes / 2);
    chain_ = static_cast<int>(chain_of(c, form, kernel));
    v_tile_ = depth_ + (b_.group ? 0 : kPad);
    v_depth_ = b_.tiles_in_block() * v_tile_;
    v_point_ = ceil_div(c.ic, depth_) * v_depth_ + kPad;
    m_tile_ = b_.oc_chunk;
    m_point_ = (b_.group ? b_.group : b_.tiles_in_block()) * m_tile_ + kPad;
  }

  void run() {
    if (b_.by_channels)
      run_channels();
    else
      run_blocks();
  }

 private:
  struct Workspace {
    Scratch<float> slab, m, acc, v, u;
  };

  int64_t point_count() const { return points_ * points_; }
  Workspace make_workspace() const {
    const int64_t slab = b_.input_span(b_.slab_strips) * b_.input_span(b_.strip) * b_.ic_block + kPad;
    Workspace ws{Scratch<float>(slab), Scratch<float>(point_count() * m_point_),
                 Scratch<float>(acc_stride() * (b_.oc_chunk / kernel_.lanes)), {}, {}};
    std::fill_n(ws.slab.get(), slab, 0.0f);  // channels beyond the last are transformed too, and ignored
    if (b_.by_channels)
      ws.u = Scratch<float>(point_count() * (depth_ * b_.oc_chunk + kPad));
    else
      ws.v = Scratch<float>(point_count() * v_point_);
    return ws;
  }
  int64_t acc_stride() const { return padded_count<float>(outputs_ * b_.strip * outputs_ * kernel_.lanes); }

  std::vector<Workspace> make_workspaces(int workers) const {
    std::vector<Workspace> workspaces;
    for (int i = 0; i < workers; ++i) workspaces.push_back(make_workspace());
    return workspaces;
  }

  // ---- inputs -----------------------------------------------------------------------------------------

  // Inputs of `count` strips, one below the other, to V at tile `at`. Where channels are neighbours in the
  // image, tiles that see no padding are read in place; all others through a slab.
  void transform_strips(int64_t group, const WinogradStrip& strip, int64_t count, const Workspace& ws, float* v,
                        int64_t at) const {
    const auto& in = c_.input_stride;
    const float* input = c_.input + strip.image * in[kN] + group * c_.ic * in[kC];
    const auto [begin, end] = tiles_in_place(strip);
    if (count > 1 || begin >= end) return transform_slab(input, strip, count, ws.slab.get(), v + at * v_tile_);
    const int64_t col = strip.col + begin * outputs_;
    const float* from = input + source_[0].get()[strip.depth] * in[kD] + (strip.row - c_.axes[1].pad) * in[kH] +
                        (col - c_.axes[2].pad) * in[kW];
    for_channels(v + (at + begin) * v_tile_, depth_, [&](int64_t ic, int64_t channels, float* to) {
      transform(from + ic, in[kH], in[kW], end - begin, channels, to);
    });
    const auto border = [&](int64_t first, int64_t tiles) {
      if (tiles > 0)
        transform_slab(input, {strip.image, strip.depth, strip.row, strip.col + first * outputs_, tiles}, 1,
                       ws.slab.get(), v + (at + first) * v_tile_);
    };
    border(0, begin);
    border(end, strip.tiles - end);
  }

  void transform_slab(const float* input, const WinogradStrip& strip, int64_t count, float* slab, float* v) const {
    const auto& in = c_.input_stride;
    const CorrelationAxis& w = c_.axes[2];
    const int64_t width = b_.input_span(strip.tiles), slab_h = width * b_.ic_block;
    const int64_t begin = std::clamp<int64_t>(w.pad - strip.col, 0, width);
    for_channels(v, b_.ic_block, [&](int64_t ic, int64_t channels, float* to) {
      tiles_.pack({.src = input + ic * in[kC],
                   .src_c = in[kC],
                   .src_d = in[kD],
                   .src_h = in[kH],
                   .src_w = in[kW],
                   .channels = static_cast<int>(channels),
                   .map_d = source_[0].get() + strip.depth,
                   .map_h = source_[1].get() + strip.row,
                   .map_w = source_[2].get() + strip.col,
                   .d = 1,
                   .h = static_cast<int>(b_.input_span(count)),
                   .w = static_cast<int>(width),
                   .run_begin = static_cast<int>(begin),
                   .run_end = static_cast<int>(std::clamp(w.in + w.pad - strip.col, begin, width)),
                   .run_step = 1,
                   .slab = slab,
                   .slab_c = 1,
                   .slab_d = 0,
                   .slab_h = slab_h,
                   .slab_w = b_.ic_block});
      for (int64_t i = 0; i < count; ++i)
        transform(slab + i * outputs_ * slab_h, slab_h, b_.ic_block, strip.tiles, channels,
                  to + i * strip.tiles * v_tile_);
    });
  }

  void transform(const float* from, int64_t from_h, int64_t from_w, int64_t tiles, int64_t channels,
                 float* v) const {
    kernel_.input[form_]({.slab = from,
                          .slab_h = from_h,
                          .slab_w = from_w,
                          .tiles = static_cast<int>(tiles),
                          .channels = static_cast<int>(channels),
                          .v = v,
                          .v_point = v_point_,
                          .v_tile = v_tile_});
  }

  // Calls body(first channel, how many, where in V) for runs of at most `most` channels.
  template <class Body>
  void for_channels(float* v, int64_t most, Body body) const {
    for (int64_t ic = 0; ic < c_.ic;) {
      const int64_t count = std::min({most, c_.ic - ic, depth_ - ic % depth_});
      body(ic, count, v + ic / depth_ * v_depth_ + ic % depth_);
      ic += count;
    }
  }

  // The tiles of a strip that can be read in place, [begin, end).
  std::pair<int64_t, int64_t> tiles_in_place(const WinogradStrip& strip) const {
    // A vector of channels may reach beyond the last one.
    if (c_.input_stride[kC] != 1) return {0, 0};
    if (c_.ic % (kernel_.lanes / 2) != 0 && c_.input_slack < kernel_.lanes / 2) return {0, 0};
    const auto& [d, h, w] = c_.axes;
    const int64_t row = strip.row - h.pad, col = strip.col - w.pad;
    if (source_[0].get()[strip.depth] < 0 || row < 0 || row + points_ > h.in) return {0, 0};
    const int64_t begin = col < 0 ? ceil_div(-col, outputs_) : 0;
    const int64_t room = w.in - points_ - col;  // the last column where a tile may begin
    return {begin, std::min(strip.tiles, room < 0 ? 0 : room / outputs_ + 1)};
  }

  // ---- outputs ----------------------------------------------------------------------------------------

  struct Target {
    const WinogradStrip& strip;
    int64_t group, oc, channels;
  };

  bool stores_in_place() const { return c_.output_stride[kC] == 1; }
  int64_t rows_of(const WinogradStrip& strip) const { return std::min(outputs_, c_.axes[1].out - strip.row); }
  int64_t cols_of(const WinogradStrip& strip) const {
    return std::min(strip.tiles * outputs_, c_.axes[2].out - strip.col);
  }
  float* place_of(const Target& t) const {
    const auto& out = c_.output_stride;
    return c_.output + t.strip.image * out[kN] + (t.group * c_.oc + t.oc) * out[kC] + t.strip.depth * out[kD] +
           t.strip.row * out[kH] + t.strip.col * out[kW];
  }
  const float* bias_of(const Target& t) const { return c_.bias ? c_.bias + t.group * c_.oc + t.oc : nullptr; }

  // Outputs of `tiles` tiles of a strip from `first` on, whose products begin at tile `at` of M.
  void transform_outputs(const Target& t, int64_t first, int64_t tiles, const Workspace& ws, int64_t at) const {
    const auto& out = c_.output_stride;
    const bool in_place = stores_in_place();
    const int64_t out_w = in_place ? out[kW] : kernel_.lanes;
    kernel_.output[form_]({.m = ws.m.get() + at * m_tile_,
                           .m_point = m_point_,
                           .m_tile = m_tile_,
                           .rows = static_cast<int>(rows_of(t.strip)),
                           .cols = static_cast<int>(std::min(tiles * outputs_, cols_of(t.strip) - first * outputs_)),
                           .channels = static_cast<int>(t.channels),
                           .bias = in_place ? bias_of(t) : nullptr,
                           .out = (in_place ? place_of(t) : ws.acc.get()) + first * outputs_ * out_w,
                           .whole_vectors = !in_place,
                           .out_block = in_place ? kernel_.lanes : acc_stride(),
                           .out_h = in_place ? out[kH] : cols_of(t.strip) * kernel_.lanes,
                           .out_w = out_w});
  }

  // What is left once all outputs of a strip are made.
  void finish_strip(const Target& t, const Workspace& ws) const {
    const auto& out = c_.output_stride;
    float* to = place_of(t);
    const int64_t rows = rows_of(t.strip), cols = cols_of(t.strip);
    if (!stores_in_place())
      tiles_.store({.acc = ws.acc.get(),
                    .acc_block_stride = acc_stride(),
                    .d = 1,
                    .h = static_cast<int>(rows),
                    .w = static_cast<int>(cols),
                    .channels = static_cast<int>(t.channels),
                    .bias = bias_of(t),
                    .bias_step = 1,
                    .out = to,
                    .out_c = out[kC],
                    .out_d = out[kD],
                    .out_h = out[kH],
                    .out_w = out[kW]});
    c_.epilogue.apply({.out = to,
                       .position = {t.strip.image, t.group * c_.oc + t.oc, t.strip.depth, t.strip.row, t.strip.col},
                       .channel_step = 1,
                       .channels = t.channels,
                       .rows = rows,
                       .cols = cols},
                      out);
  }

  double work() const { return c_.macs() / (4 * kMacsPerInstruction); }

  void run_blocks() const {
    const Scratch<float> u = weights_.transform_all();
    const int64_t tasks = c_.g * b_.blocks();
    const int workers = workers_for(tasks, work());
    std::vector<Workspace> workspaces = make_workspaces(workers);
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      Workspace& ws = workspaces[static_cast<size_t>(worker)];
      const int64_t block = task % b_.blocks(), group = task / b_.blocks();
      run_block(group, block, u.get() + weights_.offset(group, 0, 0), ws);
    });
  }

  void run_block(int64_t group, int64_t block, const float* u, Workspace& ws) const {
    int64_t tiles = 0;
    b_.for_each_strip(block, b_.slab_strips, [&](const WinogradStrip& strip, int64_t at, int64_t count) {
      transform_strips(group, strip, count, ws, ws.v.get(), at);
      tiles = at + count * strip.tiles;
    });
    if (b_.group) return run_groups(group, block, u, ws);
    for (int64_t oc = 0; oc < c_.oc; oc += b_.oc_chunk) {
      const int64_t channels = std::min(b_.oc_chunk, c_.oc - oc);
      for (int64_t point = 0; point < point_count(); ++point)
        for (int64_t ic = 0; ic < c_.ic; ic += depth_)
          multiply({.v = ws.v.get() + point * v_point_ + ic / depth_ * v_depth_,
                    .tiles = static_cast<int>(tiles),
                    .k = static_cast<int>(std::min(depth_, c_.ic - ic)),
                    .chain = chain_,
                    .u = u + point * weights_.point() + weights_.offset(0, oc / kernel_.lanes, ic),
                    .u_block = weights_.block(),
                    .channels = static_cast<int>(channels),
                    .m = ws.m.get() + point * m_point_,
                    .accumulate = ic > 0});
      b_.for_each_strip(block, 1, [&](const WinogradStrip& strip, int64_t at, int64_t) {
        transform_outputs({strip, group, oc, channels}, 0, strip.tiles, ws, at);
        finish_strip({strip, group, oc, channels}, ws);
      });
    }
  }

  // Few input channels: products of all points of a group of tiles and a lane block stay in L1 until they are
  // transformed.
  void run_groups(int64_t group, int64_t block, const float* u, Workspace& ws) const {
    b_.for_each_strip(block, 1, [&](const WinogradStrip& strip, int64_t at, int64_t) {
      for (int64_t oc = 0; oc < c_.oc; oc += b_.oc_chunk) {
        const int64_t channels = std::min(b_.oc_chunk, c_.oc - oc);
        for (int64_t first = 0; first < strip.tiles; first += b_.group) {
          const int64_t tiles = std::min(b_.group, strip.tiles - first);
          multiply({.v = ws.v.get() + (at + first) * v_tile_,
                    .tiles = static_cast<int>(tiles),
                    .k = static_cast<int>(c_.ic),
                    .chain = chain_,
                    .u = u + weights_.offset(0, oc / kernel_.lanes, 0),
                    .u_block = weights_.block(),
                    .channels = static_cast<int>(channels),
                    .m = ws.m.get(),
                    .accumulate = false,
                    .points = static_cast<int>(point_count()),
                    .u_point = weights_.point()});
          transform_outputs({strip, group, oc, channels}, first, tiles, ws, 0);
        }
        finish_strip({strip, group, oc, channels}, ws);
      }
    });
  }

  void multiply(conv::WinogradProductArgs<float> args) const {
    args.v_tile = v_tile_;
    args.m_tile = m_tile_;
    args.v_point = v_point_;
    args.m_point = m_point_;
    kernel_.product(args);
  }

  void run_channels() const {
    const int64_t chunks = ceil_div(c_.oc, b_.oc_chunk);
    const int64_t tasks = c_.g * chunks;
    const int workers = workers_for(std::max(tasks, c_.g * b_.strips()), work());
    std::vector<Workspace> workspaces = make_workspaces(workers);
    const Scratch<float> v(c_.g * point_count() * v_point_);
    const auto v_of = [&](int64_t group) { return v.get() + group * point_count() * v_point_; };
    parallel_for(c_.g * b_.strips(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      const int64_t index = task % b_.strips(), group = task / b_.strips();
      const int64_t at = index / b_.parts() * b_.tile_cols + index % b_.parts() * b_.strip;
      transform_strips(group, b_.locate(index), 1, workspaces[static_cast<size_t>(worker)], v_of(group), at);
    });
    const int64_t tiles = b_.strips() / b_.parts() * b_.tile_cols;
    const int64_t u_point = depth_ * b_.oc_chunk + kPad;
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      Workspace& ws = workspaces[static_cast<size_t>(worker)];
      const int64_t chunk = task % chunks, group = task / chunks;
      const int64_t oc = chunk * b_.oc_chunk, channels = std::min(b_.oc_chunk, c_.oc - oc);
      for (int64_t ic = 0; ic < c_.ic; ic += depth_) {
        const int64_t count = std::min(depth_, c_.ic - ic);
        weights_.transform(group, chunk, ic, count, ws.u.get(), u_point);
        for (int64_t point = 0; point < point_count(); ++point)
          multiply({.v = v_of(group) + point * v_point_ + ic / depth_ * v_depth_,
                    .tiles = static_cast<int>(tiles),
                    .k = static_cast<int>(count),
                    .chain = chain_,
                    .u = ws.u.get() + point * u_point,
                    .channels = static_cast<int>(channels),
                    .m = ws.m.get() + point * m_point_,
                    .accumulate = ic > 0});
      }
      b_.for_each_strip(0, 1, [&](const WinogradStrip& strip, int64_t at, int64_t) {
        transform_outputs({strip, group, oc, channels}, 0, strip.tiles, ws, at);
        finish_strip({strip, group, oc, channels}, ws);
      });
    });
  }

  const Correlation<float>& c_;
  const size_t form_;
  const int64_t outputs_, points_;  // along one axis
  const conv::Kernel<float>& tiles_;
  const conv::WinogradKernel& kernel_;
  const WinogradBlocks b_;
  const WinogradWeights weights_;
  std::array<Scratch<int32_t>, 3> source_;  // along d, h, w: which input lies there, or -1
  int chain_;
  int64_t depth_, v_tile_, v_depth_, v_point_, m_tile_, m_point_;
};

}  // namespace

void correlate_winograd(const Correlation<float>& c, WinogradForm form, const conv::Kernel<float>& tiles,
                        const conv::WinogradKernel& kernel) {
  Convolution(c, form, tiles, kernel).run();
}

}  // namespace striate
