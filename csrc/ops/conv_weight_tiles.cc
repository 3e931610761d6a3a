// Weight gradient by tiles: for each (input channel, tap) and output channel, a sum over all pixels of all images.
//
// With a single tap it is the product of two matrices, input channels x pixels and pixels x output channels, and
// either may be the rows. A task owns a chunk of rows x a chunk of lanes, and one part of the pixels. The number
// of parts is a property of the problem, and their sums are added in order: the same bits for any number of
// threads. A chunk with a single part goes straight to the result.
//
// The bias gradient, sums of the output gradient alone, is taken from the packed output gradient by the tasks of
// the first chunk of the other operand.
#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tiles.h"
#include "ops/conv_weight_blocking.h"

namespace striate {
namespace {

constexpr int64_t kFinishBytes = 64 * 1024;  // sums that one task of the last phase adds up

Neighbours neighbours_of(const std::array<int64_t, 5>& stride, int64_t channels) {
  if (stride[kW] == 1) return Neighbours::pixels;
  if (stride[kC] == 1 && channels > 1) return Neighbours::channels;
  return stride[kW] == 2 ? Neighbours::pixels : Neighbours::none;
}

// A problem as a product: which array gives the rows and which the lanes.
template <class T>
struct Product {
  WeightShape shape;
  std::array<int64_t, 5> row_stride, lane_stride;  // of the arrays
  const T* row_data;
  const T* lane_data;
  bool grad_is_rows;
};

template <class T>
Product<T> rows_from_input(const ConvProblem& p, const TensorView& input, const TensorView& grad_output) {
  const auto x = strides_of(input), g = strides_of(grad_output);
  return {.shape = {.groups = p.g,
                    .row_channels = p.ic_group(),
                    .lane_channels = p.oc_group(),
                    .taps = p.taps(),
                    .axes = correlation_axes(p),
                    .n = p.n,
                    .row_neighbours = neighbours_of(x, p.ic),
                    .lane_neighbours = neighbours_of(g, p.oc),
                    .lanes_adjoin = false},
          .row_stride = x,
          .lane_stride = g,
          .row_data = input.as<T>(),
          .lane_data = grad_output.as<T>(),
          .grad_is_rows = false};
}

// For SlabLayout::matrix only: no pixel of the input is padding.
template <class T>
Product<T> rows_from_grad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                          const TensorView& grad_weight) {
  auto x = strides_of(input);
  CorrelationAxes axes = correlation_axes(p);
  for (size_t i = 0; i < 3; ++i) {
    x[i + 2] *= axes[i].stride;
    axes[i] = {axes[i].out, axes[i].out, 1, 1, 1, 0};
  }
  const auto g = strides_of(grad_output);
  return {.shape = {.groups = p.g,
                    .row_channels = p.oc_group(),
                    .lane_channels = p.ic_group(),
                    .taps = 1,
                    .axes = axes,
                    .n = p.n,
                    .row_neighbours = neighbours_of(g, p.oc),
                    .lane_neighbours = neighbours_of(x, p.ic),
                    .lanes_adjoin = grad_weight.stride[kC] == 1},
          .row_stride = g,
          .lane_stride = x,
          .row_data = grad_output.as<T>(),
          .lane_data = input.as<T>(),
          .grad_is_rows = true};
}

template <class T>
struct Workspace {
  WeightSlab<T> slab;
  Scratch<T> lanes, sums;
  Stretches<T> next;
};

template <class T>
class WeightGrad {
 public:
  WeightGrad(const Product<T>& product, const WeightBlocking& blocking, const TensorView& grad_weight,
             T* bias_grad, const conv::WeightKernel<T>& kernel)
      : p_(product),
        s_(p_.shape),
        b_(blocking),
        kernel_(kernel),
        out_(grad_weight),
        bias_grad_(bias_grad),
        lanes_(kernel.lanes),
        lane_blocks_(ceil_div(b_.lane_chunk, lanes_)),
        panel_stride_(padded_count<T>(b_.grid.pixels() * lanes_)),
        block_stride_(padded_count<T>(b_.row_chunk * s_.taps * lanes_)),
        chunk_stride_(block_stride_ * lane_blocks_),
        tiles_(b_.grid.count()),
        bias_stride_(padded_count<T>(s_.groups * grad_channels() + lanes_)) {
    if (b_.parts > 1) sums_ = Scratch<T>(chunks() * b_.parts * chunk_stride_);
    if (bias_grad_) {
      bias_sums_ = Scratch<T>(b_.parts * bias_stride_);
      std::fill_n(bias_sums_.get(), b_.parts * bias_stride_, T(0));
    }
  }

  int64_t chunks() const { return b_.chunks(s_.groups); }
  int64_t tasks() const { return chunks() * b_.parts; }

  Workspace<T> make_workspace() const {
    return {WeightSlab<T>(s_.axes, b_.grid, b_.layout, b_.row_chunk), Scratch<T>(panel_stride_ * lane_blocks_),
            Scratch<T>(b_.parts > 1 ? 0 : chunk_stride_), Stretches<T>(4 * (b_.row_chunk + b_.lane_chunk))};
  }

  // One part of the pixels for one chunk.
  void run(int64_t task, Workspace<T>& ws) const {
    const int64_t chunk = task / b_.parts, part = task % b_.parts;
    const Chunk c = locate(chunk);
    T* sums = b_.parts > 1 ? sums_at(chunk, part) : ws.sums.get();
    const int64_t begin = tiles_ * part / b_.parts;
    const int64_t end = tiles_ * (part + 1) / b_.parts;
    for (int64_t index = begin; index < end; ++index) {
      const PixelGrid::Tile tile = b_.grid.tile(index);
      pack(c, tile, ws);
      if (bias_grad_ && c.first_of_others) add_bias(c, tile.pixels(), ws, part);
      ws.next.count = 0;
      if (index + 1 < end) look_ahead(c, b_.grid.tile(index + 1), tile.pixels(), ws.next);
      const bool last = b_.parts == 1 && index == end - 1;
      for (int64_t block = 0; block * lanes_ < c.lane_count; ++block) {
        // Results come from far away: ask for them before the product, write them after it.
        if (last) prefetch_results(c, block);
        multiply(c, block, ws, sums, index > begin);
        if (last && lane_step() != 1) put(c, block, block + 1, 0, c.row_count, sums);
      }
      if (last && lane_step() == 1) put(c, 0, ceil_div(c.lane_count, lanes_), 0, c.row_count, sums);
    }
  }

  int64_t pieces() const {
    return std::clamp<int64_t>(chunk_stride_ * static_cast<int64_t>(sizeof(T)) / kFinishBytes, 1, b_.row_chunk);
  }

  // Adds the parts of some rows of a chunk in order and puts the sums where they go.
  void finish(int64_t chunk, int64_t piece) const {
    const Chunk c = locate(chunk);
    const int64_t begin = c.row_count * piece / pieces(), end = c.row_count * (piece + 1) / pieces();
    T* sums = sums_at(chunk, 0);
    const int64_t first = begin * s_.taps * lanes_, count = (end - begin) * s_.taps * lanes_;
    const int64_t blocks = ceil_div(c.lane_count, lanes_);
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t part = 1; part < b_.parts; ++part)
        kernel_.add(sums_at(chunk, part) + block * block_stride_ + first, count,
                    sums + block * block_stride_ + first);
    put(c, 0, blocks, begin, end, sums);
  }

  void finish_bias() const {
    for (int64_t part = 1; part < b_.parts; ++part)
      kernel_.add(bias_sums_.get() + part * bias_stride_, bias_stride_, bias_sums_.get());
    std::copy_n(bias_sums_.get(), s_.groups * grad_channels(), bias_grad_);
  }

 private:
  // Channels of the group, counted from its first.
  struct Chunk {
    int64_t group, row, row_count, lane, lane_count;
    bool first_of_others;  // of the chunks that see the same part of the output gradient
  };

  Chunk locate(int64_t chunk) const {
    const int64_t lane_chunk = chunk % b_.lane_chunks, row_chunk = chunk / b_.lane_chunks % b_.row_chunks;
    const int64_t lane = lane_chunk * b_.lane_chunk, row = row_chunk * b_.row_chunk;
    return {chunk / b_.lane_chunks / b_.row_chunks,
            row,
            std::min(b_.row_chunk, s_.row_channels - row),
            lane,
            std::min(b_.lane_chunk, s_.lane_channels - lane),
            (p_.grad_is_rows ? lane_chunk : row_chunk) == 0};
  }

  int64_t grad_channels() const { return p_.grad_is_rows ? s_.row_channels : s_.lane_channels; }

  T* sums_at(int64_t chunk, int64_t part) const {
    return sums_.get() + (chunk * b_.parts + part) * chunk_stride_;
  }

  ChannelView<T> row_view(const Chunk& c) const {
    const int64_t channel = c.group * s_.row_channels + c.row;
    return {p_.row_data + channel * p_.row_stride[kC], p_.row_stride};
  }
  ChannelView<T> lane_view(const Chunk& c) const {
    const int64_t channel = c.group * s_.lane_channels + c.lane;
    return {p_.lane_data + channel * p_.lane_stride[kC], p_.lane_stride};
  }

  void pack(const Chunk& c, const PixelGrid::Tile& tile, Workspace<T>& ws) const {
    ws.slab.pack(kernel_, row_view(c), c.row_count, tile);
    pack_lane_blocks(kernel_, lane_view(c), c.lane_count, tile, ws.lanes.get(), panel_stride_);
  }

  // What the next tile reads, to be asked for during the product. Of an input window that is all but the rows
  // that it has in common with this tile.
  void look_ahead(const Chunk& c, const PixelGrid::Tile& next, int64_t length, Stretches<T>& stretches) const {
    const auto& [d, h, w] = s_.axes;
    PixelGrid::Tile window = next;
    window.depth = std::min(next.depth * d.stride, d.in - 1);
    window.row *= h.stride;
    window.col *= w.stride;
    window.rows = std::min(next.rows * h.stride, h.in - window.row);
    window.cols = std::min(next.cols * w.stride, w.in - window.col);
    if (window.rows > 0 && window.cols > 0) add_stretches(row_view(c), c.row_count, window, length, stretches);
    add_stretches(lane_view(c), c.lane_count, next, length, stretches);
  }

  int64_t lanes_used(const Chunk& c, int64_t block) const { return std::min(lanes_, c.lane_count - block * lanes_); }

  void multiply(const Chunk& c, int64_t block, const Workspace<T>& ws, T* sums, bool accumulate) const {
    const int64_t blocks = ceil_div(c.lane_count, lanes_);
    const int64_t begin = ws.next.count * block / blocks, end = ws.next.count * (block + 1) / blocks;
    kernel_.tile({.slab = ws.slab.data(),
                  .row_offset = ws.slab.row_offsets(),
                  .rows = static_cast<int>(c.row_count * s_.taps),
                  .run_offset = ws.slab.run_offsets(),
                  .runs = ws.slab.runs,
                  .run = ws.slab.run,
                  .last_run = ws.slab.last_run,
                  .step = ws.slab.step,
                  .grad = ws.lanes.get() + block * panel_stride_,
                  .grad_block_stride = panel_stride_,
                  .lane_blocks = 1,
                  .last_block_channels = static_cast<int>(lanes_used(c, block)),
                  .acc = sums + block * block_stride_,
                  .acc_block_stride = block_stride_,
                  .accumulate = accumulate,
                  .ahead = ws.next.from(begin),
                  .aheads = static_cast<int>(end - begin)});
  }

  void add_bias(const Chunk& c, int64_t pixels, const Workspace<T>& ws, int64_t part) const {
    T* sums = bias_sums_.get() + part * bias_stride_ + c.group * grad_channels();
    if (p_.grad_is_rows)
      return ws.slab.add_sums(kernel_, c.row_count, sums + c.row);
    for (int64_t block = 0; block * lanes_ < c.lane_count; ++block)
      kernel_.add_lanes(ws.lanes.get() + block * panel_stride_, static_cast<int>(pixels),
                        static_cast<int>(lanes_used(c, block)),
                        sums + c.lane + block * lanes_);
  }

  int64_t row_step() const { return out_.stride[p_.grad_is_rows ? kN : kC]; }
  int64_t lane_step() const { return out_.stride[p_.grad_is_rows ? kC : kN]; }
  T* result(const Chunk& c, int64_t block) const {
    return out_.as<T>() + c.group * grad_channels() * out_.stride[kN] + c.row * row_step() +
           (c.lane + block * lanes_) * lane_step();
  }
  // Rows are (channel, tap): with the usual dense weights a chunk is one run of channels * taps.
  bool rows_adjoin() const {
    const auto& [d, h, w] = s_.axes;
    const auto& s = out_.stride;
    return !p_.grad_is_rows && s[kC] == s_.taps &&
           (s_.taps == 1 || (s[kW] == 1 && s[kH] == w.taps && s[kD] == h.taps * w.taps));
  }

  void prefetch_results(const Chunk& c, int64_t block) const {
    constexpr int64_t line = 64 / sizeof(T);
    const int64_t lanes = lanes_used(c, block);
    const T* out = result(c, block);
    const auto ask = [](const T* from, int64_t count) {
      for (int64_t i = 0; i < count; i += line) __builtin_prefetch(from + i, 1, 2);
    };
    if (rows_adjoin())
      for (int64_t lane = 0; lane < lanes; ++lane) ask(out + lane * lane_step(), c.row_count * s_.taps);
    else if (lane_step() == 1)
      for (int64_t row = 0; row < c.row_count; ++row) ask(out + row * row_step(), lanes);
  }

  // The sums of row channels [begin, end) in some lane blocks.
  void put(const Chunk& c, int64_t block, int64_t block_end, int64_t begin, int64_t end, const T* sums) const {
    const auto s = strides_of(out_);
    T* out = result(c, block) + begin * row_step();
    const auto put_rows = [&](int64_t first, int64_t rows, T* to, int64_t out_row) {
      kernel_.put({.acc = sums + block * block_stride_ + (begin * s_.taps + first) * lanes_,
                   .acc_block_stride = block_stride_,
                   .rows = static_cast<int>(rows),
                   .channels = static_cast<int>(std::min(c.lane_count, block_end * lanes_) - block * lanes_),
                   .out = to,
                   .out_lane = lane_step(),
                   .out_row = out_row});
    };
    if (rows_adjoin()) return put_rows(0, (end - begin) * s_.taps, out, 1);
    if (s_.taps == 1) return put_rows(0, end - begin, out, row_step());
    const auto& [d, h, w] = s_.axes;
    for (int64_t i = 0, first = 0; i < end - begin; ++i)
      for (int64_t kd = 0; kd < d.taps; ++kd)
        for (int64_t kh = 0; kh < h.taps; ++kh, first += w.taps)
          put_rows(first, w.taps, out + i * row_step() + kd * s[kD] + kh * s[kH], s[kW]);
  }

  const Product<T>& p_;
  const WeightShape& s_;
  const WeightBlocking& b_;
  const conv::WeightKernel<T>& kernel_;
  const TensorView& out_;
  T* bias_grad_;
  int64_t lanes_, lane_blocks_;
  int64_t panel_stride_, block_stride_, chunk_stride_;
  int64_t tiles_, bias_stride_;
  Scratch<T> sums_;       // [chunk][part][lane block][channel, tap][lane]
  Scratch<T> bias_sums_;  // [part][output channel]
};

}  // namespace

// A kernel that covers its whole input, as in the first linear layer of a network: its taps are channels of a
// single pixel, where they are evenly spaced in both arrays.
void make_taps_channels(ConvProblem& p, TensorView& input, TensorView& grad_weight) {
  const int64_t taps = p.taps();
  if (taps == 1) return;
  int64_t inner = 1, x_step = 0, w_step = 0;  // taps so far, and how far apart they are
  for (size_t i = 3; i-- > 0;) {
    const ConvAxis& a = p.axis[i];
    if (a.out != 1 || a.pad != 0 || (a.kernel - 1) * a.dilation >= a.in) return;
    if (a.kernel == 1) continue;
    const int64_t x = input.stride[i + 2] * a.dilation, w = grad_weight.stride[i + 2];
    if (inner == 1) {
      x_step = x;
      w_step = w;
    } else if (x != inner * x_step || w != inner * w_step) {
      return;
    }
    inner *= a.kernel;
  }
  if (p.ic_group() > 1 && (input.stride[kC] != taps * x_step || grad_weight.stride[kC] != taps * w_step))
    return;
  if (p.g > 1 && input.stride[kC] != taps * x_step) return;
  p.ic *= taps;
  p.axis = {};
  input.stride[kC] = x_step;
  grad_weight.stride[kC] = w_step;
}

template <class T>
void weight_grad_tiles(const ConvProblem& problem, const TensorView& x, const TensorView& grad_output,
                       const TensorView& weight, T* bias_grad, const conv::WeightKernel<T>& kernel) {
  ConvProblem p = problem;
  TensorView input = x, grad_weight = weight;
  make_taps_channels(p, input, grad_weight);
  Product<T> product = rows_from_input<T>(p, input, grad_output);
  WeightBlocking blocking = weight_blocking(product.shape, kernel.lanes, sizeof(T));
  if (blocking.layout == SlabLayout::matrix) {
    const Product<T> other = rows_from_grad<T>(p, input, grad_output, grad_weight);
    const WeightBlocking other_blocking = weight_blocking(other.shape, kernel.lanes, sizeof(T));
    if (other_blocking.cost < blocking.cost) {
      product = other;
      blocking = other_blocking;
    }
  }
  const WeightGrad<T> op(product, blocking, grad_weight, bias_grad, kernel);
  const int workers = workers_for(op.tasks(), p.macs() / kMacsPerInstruction);
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(op.make_workspace());
  parallel_for(op.tasks(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    op.run(task, workspaces[static_cast<size_t>(worker)]);
  });
  if (blocking.parts > 1) {
    const int64_t pieces = op.pieces();
    parallel_for(op.chunks() * pieces, workers, FpMode::flush_denormals,
                 [&](int64_t task, int) { op.finish(task / pieces, task % pieces); });
  }
  if (bias_grad) op.finish_bias();
}

template void weight_grad_tiles<float>(const ConvProblem&, const TensorView&, const TensorView&,
                                       const TensorView&, float*, const conv::WeightKernel<float>&);
template void weight_grad_tiles<double>(const ConvProblem&, const TensorView&, const TensorView&,
                                        const TensorView&, double*, const conv::WeightKernel<double>&);

}  // namespace striate
