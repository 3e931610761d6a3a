// Winograd's weight gradient in blocks of tiles: dW = G^T [sum over tiles of V . P] G.
//
// The sums dU have 36 (points) x input channels x output channels numbers and grow with each tile, so they
// must stay in cache, while V and P pass by. A chunk is a piece of the input channels x a piece of the
// output channels, small enough for that. Two ways through the work:
//
//   parts      few channels, many tiles: a task is a chunk and a part of the tiles. It transforms a block of
//              them into its own V and P, multiplies, goes on to the next block. The parts are added at the end.
//   shared     many channels: with many chunks, each would transform the same tiles again. So all V and P of
//              a batch of tiles are made first, together; then a task is a chunk and sums over all of them.
//
// V and P are stored chunk by chunk, [point][tile][channel]: what a product reads is one run of memory.
#include "ops/conv_winograd_grad.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"

namespace striate {
namespace {

using conv::WinogradForm;

constexpr int64_t kIcChunk = 64;
constexpr int64_t kOcChunk = 64;
constexpr int64_t kPrivateChunks = 2;     // as many chunks at most may transform tiles by themselves
constexpr int64_t kBlockTiles = 64;       // of a part's block
constexpr int64_t kProductTiles = 128;    // summed in one go: V and P of a point stay in L1
constexpr int64_t kPartTiles = 192;     // a part of fewer costs more to add than to make
constexpr int64_t kMostParts = 16;
constexpr int64_t kSlabBytes = 160 * 1024;
constexpr int64_t kSharedBytes = 64 << 20;  // of V and P together
constexpr int64_t kLongestStrip = 16;        // tiles
constexpr int64_t kFinishRows = 16;
constexpr int64_t kPad = 16;  // between points: power-of-two strides thrash L1

int64_t round_up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }

// The tiles of all images, cut into windows of `rows` x `cols` tiles.
struct Tiling {
  int64_t outputs;             // of a tile, along one axis
  int64_t plane_rows, plane_cols;  // tiles of an image (of one depth)
  int64_t rows, cols;
  TileGrid grid;  // the windows of an image, in outputs
  int64_t windows;

  int64_t plane_tiles() const { return plane_rows * plane_cols; }
  int64_t window_tiles() const { return rows * cols; }

  // Number of tiles before those of window `index`.
  int64_t tiles_before(int64_t index) const {
    const int64_t plane = index / (grid.row_tiles * grid.col_tiles);
    const int64_t row = index / grid.col_tiles % grid.row_tiles * rows;
    const int64_t col = index % grid.col_tiles * cols;
    return plane * plane_tiles() + row * plane_cols + col * std::min(rows, plane_rows - row);
  }
  int64_t tiles() const { return tiles_before(windows); }
};

struct Span {
  int64_t begin, end;
};

class WinogradWeightGrad {
 public:
  WinogradWeightGrad(const ConvProblem& p, WinogradForm form, const TensorView& input,
                     const TensorView& grad_output, const TensorView& grad_weight,
                     const conv::Kernel<float>& tiles, const conv::WinogradGradKernel& kernel)
      : p_(p),
        form_(static_cast<size_t>(form)),
        points_(conv::size_of(form).points() * conv::size_of(form).points()),
        x_(input),
        g_(grad_output),
        dw_(grad_weight),
        pack_(tiles),
        kernel_(kernel),
        lanes_(kernel.lanes),
        axes_(correlation_axes(p)) {
    const int64_t outputs = conv::size_of(form).outputs;
    // Whole tiles: outputs beyond the end have no gradient, and their inputs may be padding.
    for (size_t i = 1; i < 3; ++i) axes_[i].out = round_up(axes_[i].out, outputs);
    ic_chunk_ = even_piece(p.ic_group(), kIcChunk);
    oc_chunk_ = round_up(even_piece(p.oc_group(), kOcChunk), lanes_);
    ic_chunks_ = ceil_div(p.ic_group(), ic_chunk_);
    oc_chunks_ = ceil_div(p.oc_group(), oc_chunk_);
    v_tile_ = round_up(ic_chunk_, lanes_ / 2);
    cut_tiles(outputs);
    du_block_ = ic_chunk_ * lanes_;
    du_point_ = oc_chunk_ * ic_chunk_ + kPad;
    du_size_ = points_ * du_point_;
  }

  void run() const {
    if (ic_chunks_ * oc_chunks_ <= kPrivateChunks)
      run_parts();
    else
      run_shared();
  }

 private:
  // V or P of some tiles and one chunk of channels: [point][tile][channel], [point][lane block][tile][lane].
  struct Operand {
    float* data;
    int64_t point, block;  // to the next
  };

  struct Workspace {
    Window window;
    Scratch<int32_t> identity;
    Scratch<float> slab, grad, v, p, du, acc;
  };

  struct Chunk {
    int64_t group, ic, ic_count, oc, oc_count;
  };

  void cut_tiles(int64_t outputs) {
    t_.outputs = outputs;
    t_.plane_rows = axes_[1].out / outputs;
    t_.plane_cols = axes_[2].out / outputs;
    t_.cols = even_piece(t_.plane_cols, kLongestStrip);
    const auto bytes = [&](int64_t rows) {
      return slab_elements(axes_, rows * outputs, t_.cols * outputs, v_tile_) * 4;
    };
    t_.rows = t_.plane_rows;
    while (t_.rows > 1 && (bytes(t_.rows) > kSlabBytes || t_.window_tiles() > kBlockTiles))
      t_.rows = ceil_div(t_.rows, 2);
    t_.rows = even_piece(t_.plane_rows, t_.rows);
    t_.grid = tile_grid(axes_, t_.rows * outputs, t_.cols * outputs);
    t_.windows = p_.n * t_.grid.count();
  }

  int64_t chunks() const { return p_.g * ic_chunks_ * oc_chunks_; }
  int64_t v_size(int64_t tiles) const { return points_ * (tiles * v_tile_ + kPad); }
  int64_t p_size(int64_t tiles) const { return points_ * (tiles * oc_chunk_ + kPad); }
  Operand v_operand(const Scratch<float>& all, int64_t tiles, int64_t chunk) const {
    return {all.get() + chunk * v_size(tiles), tiles * v_tile_ + kPad, 0};
  }
  Operand p_operand(const Scratch<float>& all, int64_t tiles, int64_t chunk) const {
    return {all.get() + chunk * p_size(tiles), tiles * oc_chunk_ + kPad, tiles * lanes_};
  }
  double work() const { return p_.macs() / (4 * kMacsPerInstruction); }

  // `tiles`: of V and P; `own_du`: sums of one chunk.
  std::vector<Workspace> make_workspaces(int workers, int64_t tiles, bool own_du) const {
    const int64_t slab =
        slab_elements(axes_, t_.grid.rows, t_.grid.cols, v_tile_) + kPad;
    const int64_t grad = t_.grid.rows * t_.grid.cols * oc_chunk_ + kPad;
    const int64_t longest = std::max(t_.grid.rows, t_.grid.cols);
    std::vector<Workspace> workspaces;
    for (int i = 0; i < workers; ++i) {
      workspaces.push_back({Window(axes_, t_.grid, SlabOrder::channels_inside), Scratch<int32_t>(longest),
                            Scratch<float>(slab), Scratch<float>(grad), Scratch<float>(tiles ? v_size(tiles) : 0),
                            Scratch<float>(tiles ? p_size(tiles) : 0), Scratch<float>(own_du ? du_size_ : 0),
                            Scratch<float>(padded_count<float>(kFinishRows * p_.taps() * lanes_))});
      const Workspace& ws = workspaces.back();
      for (int64_t j = 0; j < longest; ++j) ws.identity.get()[j] = static_cast<int32_t>(j);
      // Channels beyond the last are transformed too, and ignored.
      std::fill_n(ws.slab.get(), slab, 0.0f);
      std::fill_n(ws.grad.get(), grad, 0.0f);
    }
    return workspaces;
  }

  Chunk locate(int64_t index) const {
    const int64_t oc = index % oc_chunks_ * oc_chunk_;
    const int64_t ic = index / oc_chunks_ % ic_chunks_ * ic_chunk_;
    return {index / oc_chunks_ / ic_chunks_, ic, std::min(ic_chunk_, p_.ic_group() - ic), oc,
            std::min(oc_chunk_, p_.oc_group() - oc)};
  }

  // ---- transforms ----------------------------------------------------------------------------------

  // V of a window, from tile `at` on.
  void transform_input(const Chunk& c, int64_t index, Workspace& ws, Operand v, int64_t at) const {
    Window& window = ws.window;
    window.place(index % t_.grid.count(), v_tile_);
    const auto stride = strides_of(x_);
    const float* from = x_.as<float>() + index / t_.grid.count() * stride[kN] +
                        (c.group * p_.ic_group() + c.ic) * stride[kC];
    pack_.pack(window.pack_args(from, stride[kC], stride, c.ic_count, ws.slab.get()));
    const int64_t cols = window.cols / t_.outputs;
    for (int64_t row = 0; row < window.rows; row += t_.outputs, at += cols)
      kernel_.input[form_]({.slab = ws.slab.get() + row * window.row_step(),
                            .slab_h = window.row_step(),
                            .slab_w = window.pixel_step(),
                            .tiles = static_cast<int>(cols),
                            .channels = static_cast<int>(c.ic_count),
                            .v = v.data + at * v_tile_,
                            .v_point = v.point,
                            .v_tile = v_tile_});
  }

  // P of a window, from tile `at` on. Where channels are neighbours in the image, it is read in place.
  void transform_grad(const Chunk& c, int64_t index, Workspace& ws, Operand p, int64_t at) const {
    Window& window = ws.window;
    window.place(index % t_.grid.count(), v_tile_);
    const int64_t rows = std::min(window.rows, p_.axis[1].out - window.row);
    const int64_t cols = std::min(window.cols, p_.axis[2].out - window.col);
    auto pack = grad_pack_args<float>(window, g_, index / t_.grid.count(), c.group * p_.oc_group() + c.oc,
                                      g_.stride[kC], c.oc_count, oc_chunk_, ws.identity.get(), ws.grad.get());
    const float* grad = ws.grad.get();
    int64_t grad_h = cols * oc_chunk_, grad_w = oc_chunk_;
    if (g_.stride[kC] == 1 && c.oc_count % (lanes_ / 2) == 0) {
      grad = pack.src;
      grad_h = pack.src_h;
      grad_w = pack.src_w;
    } else {
      pack.h = static_cast<int>(rows);
      pack.w = pack.run_end = static_cast<int>(cols);
      pack.slab_h = grad_h;
      pack_.pack(pack);
    }
    for (int64_t row = 0; row < window.rows; row += t_.outputs, at += window.cols / t_.outputs)
      kernel_.grad[form_]({.grad = grad + row * grad_h,
                           .grad_h = grad_h,
                           .grad_w = grad_w,
                           .rows = static_cast<int>(rows - row),
                           .cols = static_cast<int>(cols),
                           .channels = static_cast<int>(c.oc_count),
                           .p = p.data + at * lanes_,
                           .p_point = p.point,
                           .p_block = p.block});
  }

  // ---- products --------------------------------------------------------------------------------------

  void multiply(const Chunk& c, Operand v, Operand p, int64_t tiles, float* du, bool accumulate) const {
    const int64_t lane_blocks = ceil_div(c.oc_count, lanes_);
    const int64_t piece = even_piece(tiles, kProductTiles);
    const int64_t pieces = ceil_div(tiles, piece);
    const auto v_at = [&](int64_t i) { return v.data + i / pieces * v.point + i % pieces * piece * v_tile_; };
    const auto p_at = [&](int64_t i) { return p.data + i / pieces * p.point + i % pieces * piece * lanes_; };
    const int64_t products = points_ * pieces;
    for (int64_t i = 0; i < products; ++i) {
      const int64_t next = std::min(i + 1, products - 1);
      kernel_.product({.v = v_at(i),
                       .v_tile = v_tile_,
                       .p = p_at(i),
                       .p_block = p.block,
                       .next_v = v_at(next),
                       .next_p = p_at(next),
                       .tiles = static_cast<int>(std::min(piece, tiles - i % pieces * piece)),
                       .rows = static_cast<int>(c.ic_count),
                       .lane_blocks = static_cast<int>(lane_blocks),
                       .last_block_channels = static_cast<int>(c.oc_count - (lane_blocks - 1) * lanes_),
                       .du = du + i / pieces * du_point_,
                       .du_block = du_block_,
                       .accumulate = accumulate || i % pieces > 0});
    }
  }

  // Rows `rows` of a chunk: adds the parts, transforms the sums and puts them where they go.
  void finish(const Chunk& c, const float* du, int64_t parts, Span rows, Workspace& ws) const {
    const auto& s = dw_.stride;
    const auto& [d, h, w] = p_.axis;
    const bool dense = s[kW] == 1 && s[kH] == w.kernel && s[kC] == p_.taps();
    for (int64_t oc = 0; oc < c.oc_count; oc += lanes_) {
      const int64_t count = rows.end - rows.begin;
      kernel_.output[form_]({.du = du + oc / lanes_ * du_block_ + rows.begin * lanes_,
                             .du_part = du_size_,
                             .du_point = du_point_,
                             .parts = static_cast<int>(parts),
                             .rows = static_cast<int>(count),
                             .acc = ws.acc.get()});
      float* out = dw_.as<float>() + (c.group * p_.oc_group() + c.oc + oc) * s[kN] + (c.ic + rows.begin) * s[kC];
      // Rows are (channel, tap): with the usual dense weights they are one run.
      for (int64_t i = 0; i < (dense ? 1 : count); ++i)
        pack_.store({.acc = ws.acc.get() + i * p_.taps() * lanes_,
                     .acc_block_stride = 0,
                     .d = 1,
                     .h = static_cast<int>(dense ? 1 : h.kernel),
                     .w = static_cast<int>(dense ? count * p_.taps() : w.kernel),
                     .channels = static_cast<int>(std::min(lanes_, c.oc_count - oc)),
                     .bias = nullptr,
                     .bias_step = 0,
                     .out = out + i * s[kC],
                     .out_c = s[kN],
                     .out_d = s[kD],
                     .out_h = s[kH],
                     .out_w = s[kW]});
    }
  }

  // ---- parts -----------------------------------------------------------------------------------------

  void run_parts() const {
    const int64_t block = std::max(kBlockTiles, t_.window_tiles());
    const int64_t parts = std::clamp<int64_t>(t_.tiles() / kPartTiles, 1, std::min(kMostParts, t_.windows));
    const int64_t tasks = chunks() * parts;
    const int workers = workers_for(tasks, work());
    std::vector<Workspace> workspaces = make_workspaces(workers, block, false);
    const Scratch<float> du(tasks * du_size_);
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      const int64_t part = task % parts;
      run_part(locate(task / parts), {t_.windows * part / parts, t_.windows * (part + 1) / parts}, block,
               workspaces[static_cast<size_t>(worker)], du.get() + task * du_size_);
    });
    const int64_t slices = ceil_div(ic_chunk_, kFinishRows);
    parallel_for(chunks() * slices, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      const Chunk c = locate(task / slices);
      const Span rows{task % slices * kFinishRows, std::min((task % slices + 1) * kFinishRows, c.ic_count)};
      if (rows.begin < rows.end)
        finish(c, du.get() + task / slices * parts * du_size_, parts, rows, workspaces[static_cast<size_t>(worker)]);
    });
  }

  void run_part(const Chunk& c, Span windows, int64_t block, Workspace& ws, float* du) const {
    const Operand v = v_operand(ws.v, block, 0), p = p_operand(ws.p, block, 0);
    bool accumulate = false;
    for (int64_t first = windows.begin, next = first; first < windows.end; first = next) {
      const int64_t before = t_.tiles_before(first);
      for (; next < windows.end && t_.tiles_before(next + 1) - before <= block; ++next) {
        const int64_t at = t_.tiles_before(next) - before;
        transform_input(c, next, ws, v, at);
        transform_grad(c, next, ws, p, at);
      }
      multiply(c, v, p, t_.tiles_before(next) - before, du, accumulate);
      accumulate = true;
    }
  }

  // ---- shared ----------------------------------------------------------------------------------------

  void run_shared() const {
    // Batches of whole windows, as many as fit; with one batch, the sums need not outlive their task.
    const int64_t tile_bytes = points_ * (ic_chunks_ * v_tile_ + oc_chunks_ * oc_chunk_) * 4;
    const int64_t most = std::max<int64_t>(1, kSharedBytes / (tile_bytes * t_.window_tiles()));
    const int64_t batch = even_piece(t_.windows, most);
    const int64_t tiles = std::min(batch * t_.window_tiles(), t_.tiles());
    const bool once = batch == t_.windows;
    const int64_t pairs = ic_chunks_ * oc_chunks_;
    const int workers = workers_for(std::max(pairs, batch), work());
    std::vector<Workspace> workspaces = make_workspaces(workers, 0, once);
    const Scratch<float> v(ic_chunks_ * v_size(tiles)), p(oc_chunks_ * p_size(tiles));
    const Scratch<float> du(once ? 0 : pairs * du_size_);
    const auto v_of = [&](int64_t chunk) { return v_operand(v, tiles, chunk); };
    const auto p_of = [&](int64_t chunk) { return p_operand(p, tiles, chunk); };
    for (int64_t group = 0; group < p_.g; ++group) {
      for (int64_t first = 0; first < t_.windows; first += batch) {
        const int64_t end = std::min(first + batch, t_.windows);
        const int64_t before = t_.tiles_before(first);
        const int64_t operands = ic_chunks_ + oc_chunks_;
        parallel_for((end - first) * operands, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
          Workspace& ws = workspaces[static_cast<size_t>(worker)];
          const int64_t index = first + task / operands, operand = task % operands;
          const int64_t at = t_.tiles_before(index) - before;
          if (operand < ic_chunks_)
            transform_input(locate((group * ic_chunks_ + operand) * oc_chunks_), index, ws, v_of(operand), at);
          else
            transform_grad(locate(group * pairs + operand - ic_chunks_), index, ws, p_of(operand - ic_chunks_), at);
        });
        parallel_for(pairs, workers, FpMode::flush_denormals, [&](int64_t pair, int worker) {
          Workspace& ws = workspaces[static_cast<size_t>(worker)];
          const Chunk c = locate(group * pairs + pair);
          float* sums = once ? ws.du.get() : du.get() + pair * du_size_;
          multiply(c, v_of(pair / oc_chunks_), p_of(pair % oc_chunks_), t_.tiles_before(end) - before, sums,
                   first > 0);
          if (end < t_.windows) return;
          for (int64_t row = 0; row < c.ic_count; row += kFinishRows)
            finish(c, sums, 1, {row, std::min(row + kFinishRows, c.ic_count)}, ws);
        });
      }
    }
  }

  const ConvProblem& p_;
  const size_t form_;
  const int64_t points_;  // of a tile
  const TensorView &x_, &g_, &dw_;
  const conv::Kernel<float>& pack_;
  const conv::WinogradGradKernel& kernel_;
  const int64_t lanes_;
  CorrelationAxes axes_;
  Tiling t_{};
  int64_t ic_chunk_, oc_chunk_, ic_chunks_, oc_chunks_;
  int64_t v_tile_, du_block_, du_point_, du_size_;
};

}  // namespace

void weight_grad_winograd(const ConvProblem& problem, WinogradForm form, const TensorView& input,
                          const TensorView& grad_output, const TensorView& grad_weight,
                          const conv::Kernel<float>& tiles, const conv::WinogradGradKernel& kernel) {
  WinogradWeightGrad(problem, form, input, grad_output, grad_weight, tiles, kernel).run();
}

}  // namespace striate
