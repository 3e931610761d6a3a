#include "ops/conv_winograd_grad_steps.h"

#include <algorithm>

namespace striate {
namespace {

using conv::WinogradForm;

constexpr int64_t kChunkChannels = 64;       // of input and of output: 36 x 64 x 64 sums stay in L2
// Tiles summed in one go: V and P of a point stay in L1. Over few tiles direct sums round little, and so must
// these: sums of shorter sums do.
constexpr int64_t kProductTiles = 64, kProductTilesOfFew = 24;
constexpr int64_t kFewTiles = 400;
constexpr int64_t kSlabBytes = 160 * 1024;
constexpr int64_t kWindowTiles = 48;
constexpr int64_t kFewWindows = 8;
constexpr int64_t kLongestStrip = 16;        // tiles in a row of a window
constexpr int64_t kWideForInPlace = 6;       // tiles in a row of the image
constexpr int64_t kSliceChannels = 16;
constexpr int64_t kPad = 16;                 // between points: power-of-two strides thrash L1

int64_t round_up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }

}  // namespace

WinogradGradSteps::WinogradGradSteps(const ConvProblem& p, WinogradForm form, const TensorView& input,
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
      axes_(correlation_axes(p)),
      ic_chunk_(even_piece(p.ic_group(), kChunkChannels)),
      oc_chunk_(round_up(even_piece(p.oc_group(), kChunkChannels), lanes_)),
      ic_chunks_(ceil_div(p.ic_group(), ic_chunk_)),
      oc_chunks_(ceil_div(p.oc_group(), oc_chunk_)),
      v_tile_(round_up(ic_chunk_, lanes_ / 2)),
      du_block_(ic_chunk_ * lanes_),
      du_point_(oc_chunk_ * ic_chunk_ + kPad),
      du_size_(points_ * du_point_) {
  const int64_t outputs = conv::size_of(form).outputs;
  // Whole tiles: outputs beyond the end have no gradient, and their inputs may be padding.
  for (size_t i = 1; i < 3; ++i) axes_[i].out = round_up(axes_[i].out, outputs);
  cut_tiles(outputs);
}

void WinogradGradSteps::cut_tiles(int64_t outputs) {
  t_.outputs = outputs;
  t_.plane_rows = axes_[1].out / outputs;
  t_.plane_cols = axes_[2].out / outputs;
  t_.cols = even_piece(t_.plane_cols, kLongestStrip);
  const auto bytes = [&](int64_t rows) {
    return slab_elements(axes_, rows * outputs, t_.cols * outputs, v_tile_) * 4;
  };
  // Rows of tiles share input rows in a slab. In place there is none to fill, but for tiles at the borders.
  const bool in_place = x_.stride[kC] == 1 && t_.plane_cols >= kWideForInPlace;
  t_.rows = in_place ? 1 : t_.plane_rows;
  while (t_.rows > 1 && (bytes(t_.rows) > kSlabBytes || t_.window_tiles() > kWindowTiles))
    t_.rows = ceil_div(t_.rows, 2);
  // Two threads share few windows evenly only where these are small.
  while (t_.rows > 1 && p_.n * ceil_div(t_.plane_rows, t_.rows) < kFewWindows && t_.plane_rows >= kFewWindows)
    t_.rows = ceil_div(t_.rows, 2);
  t_.rows = even_piece(t_.plane_rows, t_.rows);
  t_.grid = tile_grid(axes_, t_.rows * outputs, t_.cols * outputs);
  t_.windows = p_.n * t_.grid.count();
}

std::vector<WinogradGradSteps::Workspace> WinogradGradSteps::make_workspaces(int workers, int64_t tiles,
                                                                             bool own_du) const {
  const int64_t slab = slab_elements(axes_, t_.grid.rows, t_.grid.cols, v_tile_) + kPad;
  const int64_t grad = t_.grid.rows * t_.grid.cols * oc_chunk_ + kPad;
  const int64_t longest = t_.grid.rows * t_.grid.cols;
  std::vector<Workspace> workspaces;
  for (int i = 0; i < workers; ++i) {
    workspaces.push_back({Window(axes_, t_.grid, SlabOrder::channels_inside),
                          Window(axes_, tile_grid(axes_, t_.outputs, t_.outputs), SlabOrder::channels_inside),
                          Scratch<int32_t>(longest), Scratch<float>(slab), Scratch<float>(grad),
                          Scratch<float>(tiles ? v_size(tiles) : 0), Scratch<float>(tiles ? p_size(tiles) : 0),
                          Scratch<float>(own_du ? du_size_ : 0),
                          Scratch<float>(padded_count<float>(kSliceChannels * p_.taps() * lanes_))});
    const Workspace& ws = workspaces.back();
    for (int64_t j = 0; j < longest; ++j) ws.identity.get()[j] = static_cast<int32_t>(j);
    // Channels beyond the last are transformed too, and ignored.
    std::fill_n(ws.slab.get(), slab, 0.0f);
    std::fill_n(ws.grad.get(), grad, 0.0f);
  }
  return workspaces;
}

WinogradGradSteps::Chunk WinogradGradSteps::locate(int64_t index) const {
  const int64_t oc = index % oc_chunks_ * oc_chunk_;
  const int64_t ic = index / oc_chunks_ % ic_chunks_ * ic_chunk_;
  return {index / oc_chunks_ / ic_chunks_, ic, std::min(ic_chunk_, p_.ic_group() - ic), oc,
          std::min(oc_chunk_, p_.oc_group() - oc)};
}

int64_t WinogradGradSteps::v_size(int64_t tiles) const { return points_ * (tiles * v_tile_ + kPad); }
int64_t WinogradGradSteps::p_size(int64_t tiles) const { return points_ * (tiles * oc_chunk_ + kPad); }
int64_t WinogradGradSteps::slices() const { return ceil_div(ic_chunk_, kSliceChannels); }

WinogradGradSteps::Operand WinogradGradSteps::v_operand(const Scratch<float>& all, int64_t tiles,
                                                        int64_t chunk) const {
  return {all.get() + chunk * v_size(tiles), tiles * v_tile_ + kPad, 0};
}
WinogradGradSteps::Operand WinogradGradSteps::p_operand(const Scratch<float>& all, int64_t tiles,
                                                        int64_t chunk) const {
  return {all.get() + chunk * p_size(tiles), tiles * oc_chunk_ + kPad, tiles * lanes_};
}

// ---- transforms ---------------------------------------------------------------------------------------

// Where channels are neighbours in the image, tiles that see no padding are read in place; all others through
// a slab.
void WinogradGradSteps::transform_input(const Chunk& c, int64_t index, Workspace& ws, Operand v, int64_t at) const {
  const int64_t plane = index % t_.grid.count();
  ws.window.place(plane, v_tile_);
  const auto stride = strides_of(x_);
  const float* from = x_.as<float>() + index / t_.grid.count() * stride[kN] +
                      (c.group * p_.ic_group() + c.ic) * stride[kC];
  const auto transform = [&](const float* slab, int64_t slab_h, int64_t slab_w, int64_t tiles, int64_t to) {
    kernel_.input[form_]({.slab = slab,
                          .slab_h = slab_h,
                          .slab_w = slab_w,
                          .tiles = static_cast<int>(tiles),
                          .channels = static_cast<int>(c.ic_count),
                          .v = v.data + to * v_tile_,
                          .v_point = v.point,
                          .v_tile = v_tile_});
  };
  const auto through_slab = [&](const Window& window, int64_t to) {
    pack_.pack(window.pack_args(from, stride[kC], stride, c.ic_count, ws.slab.get()));
    const int64_t cols = window.cols / t_.outputs;
    for (int64_t row = 0; row < window.rows; row += t_.outputs, to += cols)
      transform(ws.slab.get() + row * window.row_step(), window.row_step(), window.pixel_step(), cols, to);
  };
  // A vector of channels may reach beyond the last one.
  const bool readable = c.ic_count % (lanes_ / 2) == 0 || x_.slack >= lanes_ / 2;
  const Span direct = readable ? tiles_in_place(ws.window) : Span{0, 0};
  if (direct.begin >= direct.end) return through_slab(ws.window, at);

  const auto& [d, h, w] = axes_;
  const Window& window = ws.window;
  transform(from + (window.depth * d.stride - d.pad) * stride[kD] + (window.row - h.pad) * stride[kH] +
                (window.col + direct.begin * t_.outputs - w.pad) * stride[kW],
            stride[kH], stride[kW], direct.end - direct.begin, at + direct.begin);
  const int64_t first = plane / t_.grid.col_tiles * t_.plane_cols + window.col / t_.outputs;
  for (int64_t tile = 0; tile < window.cols / t_.outputs; ++tile) {
    if (tile >= direct.begin && tile < direct.end) continue;
    ws.tile.place(first + tile, v_tile_);
    through_slab(ws.tile, at + tile);
  }
}

// The tiles of a window of one row of tiles that can be read in place.
Span WinogradGradSteps::tiles_in_place(const Window& window) const {
  const auto inside = [](int64_t first, int64_t count, int64_t extent) {
    return first >= 0 && first + count <= extent;
  };
  const auto& [d, h, w] = axes_;
  const int64_t points = t_.outputs + h.taps - 1;
  if (x_.stride[kC] != 1 || t_.rows != 1) return {0, 0};
  if (!inside(window.depth * d.stride - d.pad, 1, d.in) || !inside(window.row - h.pad, points, h.in)) return {0, 0};
  const auto fits = [&](int64_t tile) { return inside(window.col + tile * t_.outputs - w.pad, points, w.in); };
  Span span{0, window.cols / t_.outputs};
  while (span.begin < span.end && !fits(span.begin)) ++span.begin;
  while (span.end > span.begin && !fits(span.end - 1)) --span.end;
  return span;
}

// Where channels are neighbours in the image, it is read in place.
void WinogradGradSteps::transform_grad(const Chunk& c, int64_t index, Workspace& ws, Operand p, int64_t at) const {
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
    // Rows that adjoin in memory are one.
    const bool flat = pack.src_h == cols * pack.src_w;
    pack.h = static_cast<int>(flat ? 1 : rows);
    pack.w = pack.run_end = static_cast<int>(flat ? rows * cols : cols);
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

// ---- products and result -------------------------------------------------------------------------------

void WinogradGradSteps::multiply(const Chunk& c, int64_t point, Operand v, Operand p, int64_t tiles, float* du,
                                 bool accumulate, const float* next_v, const float* next_p) const {
  const int64_t lane_blocks = ceil_div(c.oc_count, lanes_);
  const int64_t piece = even_piece(tiles, t_.tiles() <= kFewTiles ? kProductTilesOfFew : kProductTiles);
  const float *from_v = v.at(point), *from_p = p.at(point);
  for (int64_t tile = 0; tile < tiles; tile += piece, accumulate = true) {
    const bool last = tile + piece >= tiles;
    kernel_.product({.v = from_v + tile * v_tile_,
                     .v_tile = v_tile_,
                     .p = from_p + tile * lanes_,
                     .p_block = p.block,
                     .next_v = last ? next_v : from_v + (tile + piece) * v_tile_,
                     .next_p = last ? next_p : from_p + (tile + piece) * lanes_,
                     .tiles = static_cast<int>(std::min(piece, tiles - tile)),
                     .rows = static_cast<int>(c.ic_count),
                     .lane_blocks = static_cast<int>(lane_blocks),
                     .last_block_channels = static_cast<int>(c.oc_count - (lane_blocks - 1) * lanes_),
                     .du = du + point * du_point_,
                     .du_block = du_block_,
                     .accumulate = accumulate});
  }
}

void WinogradGradSteps::multiply(const Chunk& c, Operand v, Operand p, int64_t tiles, float* du,
                                 bool accumulate) const {
  for (int64_t point = 0; point < points_; ++point) {
    const int64_t next = std::min(point + 1, points_ - 1);
    multiply(c, point, v, p, tiles, du, accumulate, v.at(next), p.at(next));
  }
}

void WinogradGradSteps::finish(const Chunk& c, int64_t slice, const float* du, int64_t parts, Workspace& ws) const {
  const int64_t first = slice * kSliceChannels;
  const int64_t count = std::min(kSliceChannels, c.ic_count - first);
  if (count <= 0) return;
  const auto& s = dw_.stride;
  const auto& [d, h, w] = p_.axis;
  const bool dense = s[kW] == 1 && s[kH] == w.kernel && s[kC] == p_.taps();
  for (int64_t oc = 0; oc < c.oc_count; oc += lanes_) {
    kernel_.output[form_]({.du = du + oc / lanes_ * du_block_ + first * lanes_,
                           .du_part = du_size_,
                           .du_point = du_point_,
                           .parts = static_cast<int>(parts),
                           .rows = static_cast<int>(count),
                           .acc = ws.acc.get()});
    float* out = dw_.as<float>() + (c.group * p_.oc_group() + c.oc + oc) * s[kN] + (c.ic + first) * s[kC];
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

}  // namespace striate
