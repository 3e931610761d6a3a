// Winograd's convolution in blocks of tiles.
//
// Tiles of one row of the image make a strip, strips make a block. Two ways through the work:
//
//   blocks     weights are transformed once; a task is a block of tiles and does all the rest by itself:
//              its inputs, the products of all points, its outputs. No thread waits for another.
//   channels   few tiles and many channels (small images): the transformed weights are larger than all
//              that is multiplied with them, so a task is a chunk of output channels, which transforms
//              just its weights, where they stay in cache; the inputs were transformed together before.
#include "ops/conv_winograd.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"

namespace striate {
namespace {

using conv::WinogradForm;

constexpr int64_t kVBytes = 1024 * 1024;      // transformed inputs of a block
constexpr int64_t kMBytes = 512 * 1024;       // products of a block and a chunk of output channels
constexpr int64_t kMostTiles = 96;            // in a block
constexpr int64_t kFewTiles = 200;            // all of them: tasks are channels
constexpr int64_t kDepth = 128;               // channels summed in one go: their weights stay in L1
constexpr int64_t kSlabChannels = 64;
constexpr int64_t kLongestStrip = 16;         // tiles
constexpr int64_t kEnoughTasks = 8;
constexpr int64_t kPad = 16;                  // between points: power-of-two strides thrash L1

int64_t round_up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }

struct Blocking {
  bool by_channels;
  int64_t strip;         // tiles
  int64_t block_strips;  // strips in a block
  int64_t blocks;
  int64_t oc_chunk;      // output channels whose products a worker holds at a time
  int64_t ic_block;      // channels of a slab
};

// One worker's share of a strip: where it lies and how many tiles it has.
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
        axes_(c.axes) {
    // Whole tiles: outputs beyond the end see padding and are dropped.
    for (size_t i = 1; i < 3; ++i) axes_[i].out = round_up(axes_[i].out, outputs_);
    choose_blocking();
    depth_ = round_up(even_piece(c.ic, kDepth), kernel.lanes / 2);
    v_tile_ = depth_ + kPad;
    v_depth_ = tiles_in_block() * v_tile_;
    v_point_ = ceil_div(c.ic, depth_) * v_depth_ + kPad;
    m_tile_ = b_.oc_chunk;
    m_point_ = tiles_in_block() * m_tile_ + kPad;
    u_block_ = c.ic * kernel.lanes;
    u_point_ = ceil_div(c.oc, kernel.lanes) * u_block_ + kPad;
  }

  void run() {
    if (b_.by_channels)
      run_channels();
    else
      run_blocks();
  }

 private:
  struct Workspace {
    Window window, tile;  // a strip; one tile of it
    Scratch<float> slab, m, acc, v, u;
  };

  int64_t point_count() const { return points_ * points_; }
  int64_t strips() const { return c_.n * grid_.count(); }
  int64_t tiles_in_block() const { return b_.block_strips * b_.strip; }

  void choose_blocking() {
    const int64_t tile_cols = axes_[2].out / outputs_;
    b_.strip = even_piece(tile_cols, kLongestStrip);
    grid_ = tile_grid(axes_, outputs_, b_.strip * outputs_);
    b_.ic_block = round_up(std::min(c_.ic, kSlabChannels), kernel_.lanes / 2);
    const int64_t all = strips() * b_.strip;
    b_.by_channels = all <= kFewTiles && c_.oc >= 4 * kernel_.lanes;
    if (b_.by_channels) {
      b_.block_strips = strips();
      b_.oc_chunk = kernel_.lanes;
    } else {
      const int64_t fit = kVBytes / (point_count() * c_.ic * 4);
      int64_t most = std::clamp<int64_t>(fit, 2 * kernel_.tiles, kMostTiles);
      most = std::max<int64_t>(std::min(most, all * c_.g / kEnoughTasks), kernel_.tiles);
      b_.block_strips = even_piece(strips(), std::max<int64_t>(1, most / b_.strip));
      const int64_t chunk = kMBytes / (point_count() * tiles_in_block() * 4);
      b_.oc_chunk = round_up(even_piece(c_.oc, std::max<int64_t>(chunk, kernel_.lanes)), kernel_.lanes);
    }
    b_.blocks = ceil_div(strips(), b_.block_strips);
  }

  Workspace make_workspace() const {
    const int64_t slab = slab_elements(axes_, grid_.rows, grid_.cols, b_.ic_block) + kPad;
    Workspace ws{Window(axes_, grid_, SlabOrder::channels_inside),
                 Window(axes_, tile_grid(axes_, outputs_, outputs_), SlabOrder::channels_inside), Scratch<float>(slab),
                 Scratch<float>(point_count() * m_point_), Scratch<float>(acc_stride() * (b_.oc_chunk / kernel_.lanes)),
                 {}, {}};
    std::fill_n(ws.slab.get(), slab, 0.0f);  // channels beyond the last are transformed too, and ignored
    if (b_.by_channels)
      ws.u = Scratch<float>(point_count() * (kDepth * b_.oc_chunk + kPad));
    else
      ws.v = Scratch<float>(point_count() * v_point_);
    return ws;
  }
  int64_t acc_stride() const { return padded_count<float>(grid_.rows * grid_.cols * kernel_.lanes); }

  std::vector<Workspace> make_workspaces(int workers) const {
    std::vector<Workspace> workspaces;
    for (int i = 0; i < workers; ++i) workspaces.push_back(make_workspace());
    return workspaces;
  }

  // Inputs of one strip to V at tile `at`. Where channels are neighbours in the image, tiles that see no
  // padding are read in place; all others through a slab.
  void transform_strip(int64_t group, int64_t strip, Workspace& ws, float* v, int64_t at) const {
    const int64_t image = strip / grid_.count();
    const auto& in = c_.input_stride;
    const float* input = c_.input + image * in[kN] + group * c_.ic * in[kC];
    ws.window.place(strip % grid_.count(), b_.ic_block);
    const Window& window = ws.window;
    const int64_t tiles = window.cols / outputs_;
    const auto slab = [&](Window& part, int64_t ic, int64_t count, float* to) {
      tiles_.pack(part.pack_args(input + ic * in[kC], in[kC], in, count, ws.slab.get()));
      kernel_.input[form_]({.slab = ws.slab.get(),
                            .slab_h = part.row_step(),
                            .slab_w = part.pixel_step(),
                            .tiles = static_cast<int>(part.cols / outputs_),
                            .channels = static_cast<int>(count),
                            .v = to,
                            .v_point = v_point_,
                            .v_tile = v_tile_});
    };
    const auto for_channels = [&](float* to, auto body) {
      for (int64_t ic = 0; ic < c_.ic;) {
        const int64_t count = std::min({b_.ic_block, c_.ic - ic, depth_ - ic % depth_});
        body(ic, count, to + ic / depth_ * v_depth_ + ic % depth_);
        ic += count;
      }
    };
    float* first = v + at * v_tile_;
    const auto [begin, end] = tiles_in_place(window);
    if (begin >= end) {
      for_channels(first, [&](int64_t ic, int64_t count, float* to) { slab(ws.window, ic, count, to); });
      return;
    }
    const float* from = input + depth_of(window) * in[kD] + row_of(window) * in[kH];
    for_channels(first + begin * v_tile_, [&](int64_t ic, int64_t count, float* to) {
      kernel_.input[form_]({.slab = from + ic + (window.col + begin * outputs_ - axes_[2].pad) * in[kW],
                            .slab_h = in[kH],
                            .slab_w = in[kW],
                            .tiles = static_cast<int>(end - begin),
                            .channels = static_cast<int>(count),
                            .v = to,
                            .v_point = v_point_,
                            .v_tile = v_tile_});
    });
    for (int64_t tile = 0; tile < tiles; tile = tile + 1 == begin ? end : tile + 1) {
      const int64_t col = window.col / outputs_ + tile;
      ws.tile.place(strip % grid_.count() / grid_.col_tiles * (axes_[2].out / outputs_) + col, b_.ic_block);
      for_channels(first + tile * v_tile_,
                   [&](int64_t ic, int64_t count, float* to) { slab(ws.tile, ic, count, to); });
    }
  }

  int64_t depth_of(const Window& window) const { return window.depth * axes_[0].stride - axes_[0].pad; }
  int64_t row_of(const Window& window) const { return window.row - axes_[1].pad; }

  // The tiles of a strip that can be read in place, [begin, end).
  std::pair<int64_t, int64_t> tiles_in_place(const Window& window) const {
    const auto inside = [](int64_t first, int64_t count, int64_t extent) {
      return first >= 0 && first + count <= extent;
    };
    const int64_t tiles = window.cols / outputs_;
    if (c_.input_stride[kC] != 1 || c_.ic % (kernel_.lanes / 2) != 0) return {tiles, tiles};
    if (!inside(depth_of(window), 1, axes_[0].in) || !inside(row_of(window), points_, axes_[1].in))
      return {tiles, tiles};
    const auto fits = [&](int64_t tile) {
      return inside(window.col + tile * outputs_ - axes_[2].pad, points_, axes_[2].in);
    };
    int64_t begin = 0, end = tiles;
    while (begin < end && !fits(begin)) ++begin;
    while (end > begin && !fits(end - 1)) --end;
    return {begin, end};
  }

  // Outputs of one strip from M at tile `at`.
  void store_strip(int64_t group, int64_t strip, int64_t oc, int64_t channels, Workspace& ws, int64_t at) const {
    const int64_t image = strip / grid_.count();
    Window& window = ws.window;
    window.place(strip % grid_.count(), b_.ic_block);
    const int64_t rows = std::min(window.rows, c_.axes[1].out - window.row);
    const int64_t cols = std::min(window.cols, c_.axes[2].out - window.col);
    const auto& out = c_.output_stride;
    const int64_t first = group * c_.oc + oc;
    const float* bias = c_.bias ? c_.bias + first : nullptr;
    float* to = c_.output + image * out[kN] + first * out[kC] + window.depth * out[kD] +
                window.row * out[kH] + window.col * out[kW];
    const bool in_place = out[kC] == 1 && channels % kernel_.lanes == 0;
    kernel_.output[form_]({.m = ws.m.get() + at * m_tile_,
                           .m_point = m_point_,
                           .m_tile = m_tile_,
                           .rows = static_cast<int>(rows),
                           .cols = static_cast<int>(cols),
                           .lane_blocks = static_cast<int>(ceil_div(channels, kernel_.lanes)),
                           .bias = in_place ? bias : nullptr,
                           .out = in_place ? to : ws.acc.get(),
                           .out_block = in_place ? kernel_.lanes : acc_stride(),
                           .out_h = in_place ? out[kH] : cols * kernel_.lanes,
                           .out_w = in_place ? out[kW] : kernel_.lanes});
    if (!in_place)
      tiles_.store({.acc = ws.acc.get(),
                  .acc_block_stride = acc_stride(),
                  .d = 1,
                  .h = static_cast<int>(rows),
                  .w = static_cast<int>(cols),
                  .channels = static_cast<int>(channels),
                  .bias = bias,
                  .bias_step = 1,
                  .out = to,
                  .out_c = out[kC],
                  .out_d = out[kD],
                  .out_h = out[kH],
                  .out_w = out[kW]});
    c_.epilogue.apply({.out = to,
                       .position = {image, first, window.depth, window.row, window.col},
                       .channel_step = 1,
                       .channels = channels,
                       .rows = rows,
                       .cols = cols},
                      out);
  }

  // Calls body(strip, first tile) for the strips of a block; returns the number of tiles.
  template <class Body>
  int64_t for_each_strip(int64_t block, Body body) const {
    const int64_t end = std::min(strips(), (block + 1) * b_.block_strips);
    int64_t at = 0;
    for (int64_t strip = block * b_.block_strips; strip < end; ++strip) {
      body(strip, at);
      const int64_t col = strip % grid_.col_tiles * grid_.cols;
      at += std::min(grid_.cols, axes_[2].out - col) / outputs_;
    }
    return at;
  }

  // One lane block's weights of channels [ic, ic + count).
  void transform_weight(int64_t group, int64_t lane_block, int64_t ic, int64_t count, float* u,
                        int64_t u_point) const {
    const int64_t oc = lane_block * kernel_.lanes;
    kernel_.weight[form_]({.weight = c_.weight + group * c_.weight_g + oc * c_.weight_o + ic * c_.weight_i,
                           .o = c_.weight_o,
                           .i = c_.weight_i,
                           .h = c_.weight_tap[1],
                           .w = c_.weight_tap[2],
                           .lanes_used = static_cast<int>(std::min<int64_t>(kernel_.lanes, c_.oc - oc)),
                           .channels = static_cast<int>(count),
                           .u = u,
                           .u_point = u_point});
  }

  double work() const { return c_.macs() / (4 * kMacsPerInstruction); }

  void run_blocks() const {
    const int64_t lane_blocks = ceil_div(c_.oc, kernel_.lanes);
    const Scratch<float> u(c_.g * point_count() * u_point_);
    const int64_t pieces = ceil_div(c_.ic, kSlabChannels);
    const auto weights = static_cast<double>(c_.g * c_.oc * c_.ic * point_count());
    parallel_for(c_.g * lane_blocks * pieces, workers_for(c_.g * lane_blocks * pieces, weights / 8),
                 FpMode::flush_denormals, [&](int64_t task, int) {
      const int64_t ic = task % pieces * kSlabChannels;
      const int64_t lane_block = task / pieces % lane_blocks;
      const int64_t group = task / pieces / lane_blocks;
      transform_weight(group, lane_block, ic, std::min(kSlabChannels, c_.ic - ic),
                       u.get() + group * point_count() * u_point_ + lane_block * u_block_ + ic * kernel_.lanes,
                       u_point_);
    });
    const int64_t tasks = c_.g * b_.blocks;
    const int workers = workers_for(tasks, work());
    std::vector<Workspace> workspaces = make_workspaces(workers);
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      Workspace& ws = workspaces[static_cast<size_t>(worker)];
      const int64_t block = task % b_.blocks, group = task / b_.blocks;
      run_block(group, block, u.get() + group * point_count() * u_point_, ws);
    });
  }

  void run_block(int64_t group, int64_t block, const float* u, Workspace& ws) const {
    const int64_t tiles = for_each_strip(block, [&](int64_t strip, int64_t at) {
      transform_strip(group, strip, ws, ws.v.get(), at);
    });
    for (int64_t oc = 0; oc < c_.oc; oc += b_.oc_chunk) {
      const int64_t channels = std::min(b_.oc_chunk, c_.oc - oc);
      for (int64_t point = 0; point < point_count(); ++point)
        for (int64_t ic = 0; ic < c_.ic; ic += depth_)
          multiply(ws.v.get() + point * v_point_ + ic / depth_ * v_depth_, tiles, std::min(depth_, c_.ic - ic),
                   u + point * u_point_ + oc / kernel_.lanes * u_block_ + ic * kernel_.lanes, u_block_,
                   ceil_div(channels, kernel_.lanes), ws.m.get() + point * m_point_, ic > 0);
      for_each_strip(block, [&](int64_t strip, int64_t at) {
        store_strip(group, strip, oc, channels, ws, at);
      });
    }
  }

  void multiply(const float* v, int64_t tiles, int64_t k, const float* u, int64_t u_block,
                int64_t lane_blocks, float* m, bool accumulate) const {
    kernel_.product({.v = v,
                     .v_tile = v_tile_,
                     .tiles = static_cast<int>(tiles),
                     .k = static_cast<int>(k),
                     .u = u,
                     .u_block = u_block,
                     .lane_blocks = static_cast<int>(lane_blocks),
                     .m = m,
                     .m_tile = m_tile_,
                     .accumulate = accumulate});
  }

  void run_channels() const {
    const int64_t chunks = ceil_div(c_.oc, b_.oc_chunk);
    const int64_t tasks = c_.g * chunks;
    const int workers = workers_for(std::max(tasks, c_.g * strips()), work());
    std::vector<Workspace> workspaces = make_workspaces(workers);
    const Scratch<float> v(c_.g * point_count() * v_point_);
    const auto v_of = [&](int64_t group) { return v.get() + group * point_count() * v_point_; };
    parallel_for(c_.g * strips(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      const int64_t strip = task % strips(), group = task / strips();
      const int64_t row = strip / grid_.col_tiles, tile_cols = axes_[2].out / outputs_;
      const int64_t at = row * tile_cols + strip % grid_.col_tiles * b_.strip;
      transform_strip(group, strip, workspaces[static_cast<size_t>(worker)], v_of(group), at);
    });
    const int64_t tiles = strips() / grid_.col_tiles * (axes_[2].out / outputs_);
    const int64_t u_point = depth_ * b_.oc_chunk + kPad;
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      Workspace& ws = workspaces[static_cast<size_t>(worker)];
      const int64_t chunk = task % chunks, group = task / chunks;
      const int64_t oc = chunk * b_.oc_chunk;
      for (int64_t ic = 0; ic < c_.ic; ic += depth_) {
        const int64_t count = std::min(depth_, c_.ic - ic);
        const int64_t blocks = ceil_div(std::min(b_.oc_chunk, c_.oc - oc), kernel_.lanes);
        for (int64_t b = 0; b < blocks; ++b)
          transform_weight(group, oc / kernel_.lanes + b, ic, count, ws.u.get() + b * depth_ * kernel_.lanes, u_point);
        for (int64_t point = 0; point < point_count(); ++point)
          multiply(v_of(group) + point * v_point_ + ic / depth_ * v_depth_, tiles, count, ws.u.get() + point * u_point,
                   depth_ * kernel_.lanes, blocks,
                   ws.m.get() + point * m_point_, ic > 0);
      }
      for_each_strip(0, [&](int64_t strip, int64_t at) {
        store_strip(group, strip, oc, std::min(b_.oc_chunk, c_.oc - oc), ws, at);
      });
    });
  }

  const Correlation<float>& c_;
  const size_t form_;
  const int64_t outputs_, points_;  // along one axis
  const conv::Kernel<float>& tiles_;
  const conv::WinogradKernel& kernel_;
  CorrelationAxes axes_;
  TileGrid grid_{};  // of strips
  Blocking b_{};
  int64_t depth_, v_tile_, v_depth_, v_point_, m_tile_, m_point_, u_block_, u_point_;
};

}  // namespace

void correlate_winograd(const Correlation<float>& c, WinogradForm form, const conv::Kernel<float>& tiles,
                        const conv::WinogradKernel& kernel) {
  Convolution(c, form, tiles, kernel).run();
}

}  // namespace striate
