// Weight gradient by tiles: for each (tap, input channel) row and output channel, a sum over all pixels of
// all images.
//
// A task owns a chunk of input channels x a chunk of output channels, and one part of the pixels. The
// number of parts is a property of the problem, and their sums are added in order: the same bits for any
// number of threads. The slab is laid out [d][h][channel][w], so that the pixels of a row are neighbours.
#include <algorithm>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tiles.h"

namespace striate {
namespace {

constexpr int64_t kSumBytes = 96 * 1024;        // a chunk's sums stay in L2 ...
constexpr int64_t kSlabBytes = 128 * 1024;      // ... beside the slab
constexpr int64_t kGradBytes = 128 * 1024;      // ... and the packed output gradient
constexpr int64_t kLargestTile = 512;           // pixels
constexpr int64_t kEnoughTasks = 16;
constexpr int64_t kPartialBytes = 32 << 20;     // all parts together
constexpr double kSmallTask = 1e6;              // multiply-adds

struct Blocking {
  int64_t ic_chunk, oc_chunk;
  int64_t ic_chunks, oc_chunks;
  TileGrid grid;
  int64_t tiles;  // pixel tiles of all images
  int64_t parts;
};

Blocking choose_blocking(const ConvProblem& p, const CorrelationAxes& axes, int64_t lanes, int64_t size) {
  const int64_t taps = p.taps();
  Blocking b{};
  b.oc_chunk = ceil_div(even_piece(p.oc_group(), 4 * lanes), lanes) * lanes;
  b.ic_chunk = even_piece(p.ic_group(),
                          std::clamp<int64_t>(kSumBytes / (taps * b.oc_chunk * size), 1, 256));
  const int64_t widest = even_piece(axes[2].out, kLargestTile / 2);
  const int64_t most = std::min(kLargestTile / widest, kGradBytes / (widest * b.oc_chunk * size));
  b.grid = fit_tiles(axes, std::max<int64_t>(1, most), widest, b.ic_chunk, size, kSlabBytes);

  b.ic_chunks = ceil_div(p.ic_group(), b.ic_chunk);
  b.oc_chunks = ceil_div(p.oc_group(), b.oc_chunk);
  b.tiles = p.n * b.grid.count();
  const int64_t chunks = p.g * b.ic_chunks * b.oc_chunks;
  const int64_t sums = chunks * b.ic_chunk * taps * b.oc_chunk;
  const auto by_work = static_cast<int64_t>(p.macs() / kSmallTask) + 1;
  b.parts = std::min({ceil_div(kEnoughTasks, chunks), b.tiles, by_work,
                      std::max<int64_t>(1, kPartialBytes / (sums * size))});
  return b;
}

template <class T>
struct Workspace {
  Window window;
  Scratch<T> slab, grad;
  Scratch<int32_t> identity, row_offset, run_offset;
};

template <class T>
class WeightGrad {
 public:
  WeightGrad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
             const conv::Kernel<T>& kernel)
      : p_(p),
        x_(input),
        g_(grad_output),
        kernel_(kernel),
        lanes_(kernel.lanes),
        axes_(correlation_axes(p)),
        b_(choose_blocking(p, axes_, lanes_, sizeof(T))),
        grad_stride_(padded_count<T>(b_.grid.rows * b_.grid.cols * lanes_)),
        block_stride_(padded_count<T>(b_.ic_chunk * p.taps() * lanes_)),
        chunk_stride_(block_stride_ * (b_.oc_chunk / lanes_)),
        sums_(chunks() * b_.parts * chunk_stride_) {}

  int64_t chunks() const { return p_.g * b_.ic_chunks * b_.oc_chunks; }
  int64_t tasks() const { return chunks() * b_.parts; }

  Workspace<T> make_workspace() const {
    const int64_t longest = std::max(b_.grid.rows, b_.grid.cols);
    Workspace<T> ws{Window(axes_, b_.grid, SlabOrder::width_inside),
                    Scratch<T>(slab_elements(axes_, b_.grid.rows, b_.grid.cols, b_.ic_chunk)),
                    Scratch<T>(grad_size()),
                    Scratch<int32_t>(longest),
                    Scratch<int32_t>(b_.ic_chunk * p_.taps()),
                    Scratch<int32_t>(b_.grid.rows)};
    for (int64_t i = 0; i < longest; ++i) ws.identity.get()[i] = static_cast<int32_t>(i);
    return ws;
  }

  // One part of the pixels for one chunk pair.
  void run(int64_t task, Workspace<T>& ws) const {
    const int64_t chunk = task / b_.parts;
    const int64_t part = task % b_.parts;
    const Chunk c = locate(chunk);
    T* sums = sums_at(chunk, part);
    std::fill(sums, sums + chunk_stride_, T(0));
    std::fill(ws.grad.get(), ws.grad.get() + grad_size(), T(0));  // lanes beyond the last channel
    const int64_t begin = b_.tiles * part / b_.parts;
    const int64_t end = b_.tiles * (part + 1) / b_.parts;
    for (int64_t tile = begin; tile < end; ++tile) add_tile(c, tile, ws, sums);
  }

  // Adds the parts of a chunk in order and puts the sums where they go.
  void finish(int64_t chunk, const TensorView& grad_weight) const {
    const Chunk c = locate(chunk);
    T* sums = sums_at(chunk, 0);
    for (int64_t part = 1; part < b_.parts; ++part) {
      const T* more = sums_at(chunk, part);
      for (int64_t i = 0; i < chunk_stride_; ++i) sums[i] += more[i];
    }
    // Rows are (channel, tap): with the usual dense weights a chunk is one run of channels * taps.
    const auto& s = grad_weight.stride;
    const auto& [d, h, w] = axes_;
    const bool dense = s[kW] == 1 && s[kH] == w.taps && s[kD] == h.taps * w.taps && s[kC] == p_.taps();
    T* out = grad_weight.as<T>() + (c.group * p_.oc_group() + c.oc) * s[kN] + c.ic * s[kC];
    const auto put = [&](int64_t first_row, int64_t depth, int64_t height, int64_t width, T* to) {
      kernel_.store({.acc = sums + first_row * lanes_,
                     .acc_block_stride = block_stride_,
                     .d = static_cast<int>(depth),
                     .h = static_cast<int>(height),
                     .w = static_cast<int>(width),
                     .channels = static_cast<int>(c.oc_count),
                     .bias = nullptr,
                     .bias_step = 0,
                     .out = to,
                     .out_c = s[kN],
                     .out_d = s[kD],
                     .out_h = s[kH],
                     .out_w = s[kW]});
    };
    if (dense) return put(0, 1, 1, c.ic_count * p_.taps(), out);
    for (int64_t i = 0; i < c.ic_count; ++i)
      put(i * p_.taps(), d.taps, h.taps, w.taps, out + i * s[kC]);
  }

 private:
  struct Chunk {
    int64_t group, ic, ic_count, oc, oc_count, lane_blocks;
  };

  Chunk locate(int64_t chunk) const {
    const int64_t oc = chunk % b_.oc_chunks * b_.oc_chunk;
    const int64_t ic = chunk / b_.oc_chunks % b_.ic_chunks * b_.ic_chunk;
    const int64_t oc_count = std::min(b_.oc_chunk, p_.oc_group() - oc);
    return {chunk / b_.oc_chunks / b_.ic_chunks, ic, std::min(b_.ic_chunk, p_.ic_group() - ic),
            oc, oc_count, ceil_div(oc_count, lanes_)};
  }

  int64_t grad_size() const { return grad_stride_ * (b_.oc_chunk / lanes_); }

  T* sums_at(int64_t chunk, int64_t part) const {
    return sums_.get() + (chunk * b_.parts + part) * chunk_stride_;
  }

  void add_tile(const Chunk& c, int64_t tile, Workspace<T>& ws, T* sums) const {
    Window& window = ws.window;
    window.place(tile % b_.grid.count(), c.ic_count);
    const int64_t image = tile / b_.grid.count();
    const auto x_stride = strides_of(x_);
    const T* x = x_.as<T>() + image * x_stride[kN] + (c.group * p_.ic_group() + c.ic) * x_stride[kC];
    kernel_.pack(window.pack_args(x, x_stride[kC], x_stride, c.ic_count, ws.slab.get()));
    pack_grad(c, image, ws);

    const int32_t* taps = window.tap_offsets(false);
    int64_t r = 0;
    for (int64_t i = 0; i < c.ic_count; ++i)
      for (int64_t tap = 0; tap < p_.taps(); ++tap)
        ws.row_offset.get()[r++] = static_cast<int32_t>(i * window.channel_step()) + taps[tap];
    for (int64_t i = 0; i < window.rows; ++i)
      ws.run_offset.get()[i] = static_cast<int32_t>(i * window.row_step());
    kernel_.weight_tile({.slab = ws.slab.get(),
                         .row_offset = ws.row_offset.get(),
                         .rows = static_cast<int>(r),
                         .run_offset = ws.run_offset.get(),
                         .runs = static_cast<int>(window.rows),
                         .run = static_cast<int>(window.cols),
                         .step = static_cast<int>(window.pixel_step()),
                         .grad = ws.grad.get(),
                         .grad_block_stride = grad_stride_,
                         .lane_blocks = static_cast<int>(c.lane_blocks),
                         .last_block_channels = static_cast<int>(c.oc_count - (c.lane_blocks - 1) * lanes_),
                         .acc = sums,
                         .acc_block_stride = block_stride_});
  }

  // The output gradient of a tile as [lane block][pixel][lane].
  void pack_grad(const Chunk& c, int64_t image, Workspace<T>& ws) const {
    for (int64_t block = 0; block < c.lane_blocks; ++block) {
      const int64_t oc = c.oc + block * lanes_;
      kernel_.pack(grad_pack_args(ws.window, g_, image, c.group * p_.oc_group() + oc, g_.stride[kC],
                                  std::min(lanes_, c.oc + c.oc_count - oc), lanes_, ws.identity.get(),
                                  ws.grad.get() + block * grad_stride_));
    }
  }

  const ConvProblem& p_;
  const TensorView& x_;
  const TensorView& g_;
  const conv::Kernel<T>& kernel_;
  int64_t lanes_;
  CorrelationAxes axes_;
  Blocking b_;
  int64_t grad_stride_, block_stride_, chunk_stride_;
  Scratch<T> sums_;  // [chunk][part][lane block][channel, tap][lane]
};

}  // namespace

template <class T>
void weight_grad_tiles(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                       const TensorView& grad_weight, const conv::Kernel<T>& kernel) {
  const WeightGrad<T> op(p, input, grad_output, kernel);
  const int workers = workers_for(op.tasks(), p.macs() / kMacsPerInstruction);
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(op.make_workspace());
  parallel_for(op.tasks(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    op.run(task, workspaces[static_cast<size_t>(worker)]);
  });
  parallel_for(op.chunks(), workers, FpMode::flush_denormals,
               [&](int64_t chunk, int) { op.finish(chunk, grad_weight); });
}

template void weight_grad_tiles<float>(const ConvProblem&, const TensorView&, const TensorView&,
                                       const TensorView&, const conv::Kernel<float>&);
template void weight_grad_tiles<double>(const ConvProblem&, const TensorView&, const TensorView&,
                                        const TensorView&, const conv::Kernel<double>&);

}  // namespace striate
