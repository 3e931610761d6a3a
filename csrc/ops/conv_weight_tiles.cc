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
  int64_t rows, cols;
  int64_t ic_chunks, oc_chunks, row_tiles, col_tiles;
  int64_t tiles;  // pixel tiles of all images
  int64_t parts;
};

Blocking choose_blocking(const ConvProblem& p, int64_t lanes, int64_t size) {
  const auto& [d, h, w] = p.axis;
  const int64_t taps = p.taps();
  Blocking b{};
  b.oc_chunk = ceil_div(even_piece(p.oc_group(), 4 * lanes), lanes) * lanes;
  b.ic_chunk = even_piece(p.ic_group(),
                          std::clamp<int64_t>(kSumBytes / (taps * b.oc_chunk * size), 1, 256));
  b.cols = even_piece(w.out, kLargestTile / 2);
  const auto slab_bytes = [&](int64_t rows) {
    return slab_axis(1, d.kernel, d.stride, d.dilation).extent *
           slab_axis(rows, h.kernel, h.stride, h.dilation).extent *
           slab_axis(b.cols, w.kernel, w.stride, w.dilation).extent * b.ic_chunk * size;
  };
  b.rows = std::max<int64_t>(1, std::min(kLargestTile / b.cols, kGradBytes / (b.cols * b.oc_chunk * size)));
  b.rows = std::min(b.rows, h.out);
  while (b.rows > 1 && slab_bytes(b.rows) > kSlabBytes) b.rows = ceil_div(b.rows, 2);
  b.rows = even_piece(h.out, b.rows);

  b.ic_chunks = ceil_div(p.ic_group(), b.ic_chunk);
  b.oc_chunks = ceil_div(p.oc_group(), b.oc_chunk);
  b.row_tiles = ceil_div(h.out, b.rows);
  b.col_tiles = ceil_div(w.out, b.cols);
  b.tiles = p.n * d.out * b.row_tiles * b.col_tiles;

  const int64_t chunks = p.g * b.ic_chunks * b.oc_chunks;
  const int64_t sums = chunks * b.ic_chunk * taps * b.oc_chunk;
  const auto by_work = static_cast<int64_t>(p.macs() / kSmallTask) + 1;
  b.parts = std::min({ceil_div(kEnoughTasks, chunks), b.tiles, by_work,
                      std::max<int64_t>(1, kPartialBytes / (sums * size))});
  return b;
}

CorrelationAxis as_correlation(const ConvAxis& axis) {
  return {axis.out, axis.in, axis.kernel, axis.stride, axis.dilation, axis.pad};
}

template <class T>
struct Workspace {
  Scratch<T> slab, grad;
  Scratch<int32_t> map_d, map_h, map_w, identity, row_offset, run_offset;
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
        b_(choose_blocking(p, lanes_, sizeof(T))),
        axis_{as_correlation(p.axis[0]), as_correlation(p.axis[1]), as_correlation(p.axis[2])},
        slab_d_(slab_axis(1, axis_[0].taps, axis_[0].stride, axis_[0].dilation)),
        block_stride_(padded_count<T>(b_.ic_chunk * p.taps() * lanes_)),
        chunk_stride_(block_stride_ * (b_.oc_chunk / lanes_)),
        sums_(chunks() * b_.parts * chunk_stride_) {}

  int64_t chunks() const { return p_.g * b_.ic_chunks * b_.oc_chunks; }
  int64_t tasks() const { return chunks() * b_.parts; }
  const Blocking& blocking() const { return b_; }

  Workspace<T> make_workspace() const {
    const auto& [d, h, w] = axis_;
    const SlabAxis sh = slab_axis(b_.rows, h.taps, h.stride, h.dilation);
    const SlabAxis sw = slab_axis(b_.cols, w.taps, w.stride, w.dilation);
    const int64_t longest = std::max(b_.rows, b_.cols);
    Workspace<T> ws{
        Scratch<T>(padded_count<T>(slab_d_.extent * sh.extent * sw.extent * b_.ic_chunk)),
        Scratch<T>(padded_count<T>(b_.rows * b_.cols * lanes_) * (b_.oc_chunk / lanes_)),
        Scratch<int32_t>(slab_d_.extent),
        Scratch<int32_t>(sh.extent),
        Scratch<int32_t>(sw.extent),
        Scratch<int32_t>(longest),
        Scratch<int32_t>(b_.ic_chunk * p_.taps()),
        Scratch<int32_t>(b_.rows)};
    for (int64_t i = 0; i < longest; ++i) ws.identity.get()[i] = static_cast<int32_t>(i);
    return ws;
  }

  // One part of the pixels for one chunk pair.
  void run(int64_t task, const Workspace<T>& ws) const {
    const int64_t chunk = task / b_.parts;
    const int64_t part = task % b_.parts;
    const Chunk c = locate(chunk);
    T* sums = sums_at(chunk, part);
    std::fill(sums, sums + chunk_stride_, T(0));
    std::fill(ws.grad.get(),
              ws.grad.get() + padded_count<T>(b_.rows * b_.cols * lanes_) * (b_.oc_chunk / lanes_), T(0));
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
    const auto& [d, h, w] = axis_;
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

  T* sums_at(int64_t chunk, int64_t part) const {
    return sums_.get() + (chunk * b_.parts + part) * chunk_stride_;
  }

  void add_tile(const Chunk& c, int64_t tile, const Workspace<T>& ws, T* sums) const {
    const auto& [d, h, w] = axis_;
    const int64_t col = tile % b_.col_tiles * b_.cols;
    const int64_t row = tile / b_.col_tiles % b_.row_tiles * b_.rows;
    const int64_t depth = tile / b_.col_tiles / b_.row_tiles % d.out;
    const int64_t image = tile / b_.col_tiles / b_.row_tiles / d.out;
    const int64_t rows = std::min(b_.rows, h.out - row);
    const int64_t cols = std::min(b_.cols, w.out - col);
    const SlabAxis sh = slab_axis(rows, h.taps, h.stride, h.dilation);
    const SlabAxis sw = slab_axis(cols, w.taps, w.stride, w.dilation);
    fill_map(d, slab_d_, depth, ws.map_d.get());
    fill_map(h, sh, row, ws.map_h.get());
    const MapRun run = fill_map(w, sw, col, ws.map_w.get());
    const int64_t pitch_c = sw.extent;
    const int64_t pitch_h = c.ic_count * pitch_c;
    const int64_t pitch_d = sh.extent * pitch_h;
    kernel_.pack({.src = x_.as<T>() + image * x_.stride[kN] +
                         (c.group * p_.ic_group() + c.ic) * x_.stride[kC],
                  .src_c = x_.stride[kC],
                  .src_d = x_.stride[kD],
                  .src_h = x_.stride[kH],
                  .src_w = x_.stride[kW],
                  .channels = static_cast<int>(c.ic_count),
                  .map_d = ws.map_d.get(),
                  .map_h = ws.map_h.get(),
                  .map_w = ws.map_w.get(),
                  .d = static_cast<int>(slab_d_.extent),
                  .h = static_cast<int>(sh.extent),
                  .w = static_cast<int>(sw.extent),
                  .run_begin = run.begin,
                  .run_end = run.end,
                  .run_step = run.step,
                  .slab = ws.slab.get(),
                  .slab_c = pitch_c,
                  .slab_d = pitch_d,
                  .slab_h = pitch_h,
                  .slab_w = 1});
    pack_grad(c, image, depth, row, rows, col, cols, ws);

    int64_t r = 0;
    for (int64_t i = 0; i < c.ic_count; ++i)
      for (int64_t kd = 0; kd < d.taps; ++kd)
        for (int64_t kh = 0; kh < h.taps; ++kh)
          for (int64_t kw = 0; kw < w.taps; ++kw)
            ws.row_offset.get()[r++] =
                static_cast<int32_t>(i * pitch_c + kd * slab_d_.tap_step * pitch_d +
                                     kh * sh.tap_step * pitch_h + kw * sw.tap_step);
    // Tiles without gaps between rows (1x1 kernels, unit stride, one channel) could be one long run, but
    // the rows are long enough as they are.
    for (int64_t i = 0; i < rows; ++i)
      ws.run_offset.get()[i] = static_cast<int32_t>(i * sh.pixel_step * pitch_h);
    kernel_.weight_tile({.slab = ws.slab.get(),
                         .row_offset = ws.row_offset.get(),
                         .rows = static_cast<int>(r),
                         .run_offset = ws.run_offset.get(),
                         .runs = static_cast<int>(rows),
                         .run = static_cast<int>(cols),
                         .step = static_cast<int>(sw.pixel_step),
                         .grad = ws.grad.get(),
                         .grad_block_stride = padded_count<T>(b_.rows * b_.cols * lanes_),
                         .lane_blocks = static_cast<int>(c.lane_blocks),
                         .last_block_channels = static_cast<int>(c.oc_count - (c.lane_blocks - 1) * lanes_),
                         .acc = sums,
                         .acc_block_stride = block_stride_});
  }

  // The output gradient of a tile as [lane block][pixel][lane].
  void pack_grad(const Chunk& c, int64_t image, int64_t depth, int64_t row, int64_t rows, int64_t col,
                 int64_t cols, const Workspace<T>& ws) const {
    const int32_t* identity = ws.identity.get();
    for (int64_t block = 0; block < c.lane_blocks; ++block) {
      const int64_t oc = c.oc + block * lanes_;
      kernel_.pack({.src = g_.as<T>() + image * g_.stride[kN] +
                           (c.group * p_.oc_group() + oc) * g_.stride[kC] + depth * g_.stride[kD] +
                           row * g_.stride[kH] + col * g_.stride[kW],
                    .src_c = g_.stride[kC],
                    .src_d = g_.stride[kD],
                    .src_h = g_.stride[kH],
                    .src_w = g_.stride[kW],
                    .channels = static_cast<int>(std::min(lanes_, c.oc + c.oc_count - oc)),
                    .map_d = identity,
                    .map_h = identity,
                    .map_w = identity,
                    .d = 1,
                    .h = static_cast<int>(rows),
                    .w = static_cast<int>(cols),
                    .run_begin = 0,
                    .run_end = static_cast<int>(cols),
                    .run_step = 1,
                    .slab = ws.grad.get() + block * padded_count<T>(b_.rows * b_.cols * lanes_),
                    .slab_c = 1,
                    .slab_d = 0,
                    .slab_h = cols * lanes_,
                    .slab_w = lanes_});
    }
  }

  const ConvProblem& p_;
  const TensorView& x_;
  const TensorView& g_;
  const conv::Kernel<T>& kernel_;
  int64_t lanes_;
  Blocking b_;
  std::array<CorrelationAxis, 3> axis_;
  SlabAxis slab_d_;
  int64_t block_stride_, chunk_stride_;
  Scratch<T> sums_;  // [chunk][part][lane block][channel, tap][lane]
};

}  // namespace

template <class T>
void weight_grad_tiles(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                       const TensorView& grad_weight, const conv::Kernel<T>& kernel) {
  const WeightGrad<T> op(p, input, grad_output, kernel);
  const int workers = workers_for(op.tasks(), p.macs() / 8);
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
