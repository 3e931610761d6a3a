// The steps of Winograd's weight gradient (kernels/conv/winograd.h), which conv_winograd_grad.cc puts in order.
//
// Tiles come in windows, a rectangle of an image each. A chunk is a piece of a group's input channels x a piece
// of its output channels. For a chunk:
//
//     input        --transform_input-->  V [point][tile][channel]
//     grad_output  --transform_grad--->  P [point][lane block][tile][lane]
//     V, P         --multiply--------->  dU [point][lane block][channel][lane]
//     dU           --finish----------->  grad_weight
//
// V and P are stored chunk by chunk: what a product reads is one run of memory.
#pragma once

#include <vector>

#include "base/scratch.h"
#include "kernels/conv/winograd.h"
#include "ops/conv_tiles.h"

namespace striate {

/// The tiles of all images, cut into windows of `rows` x `cols` tiles.
struct WinogradTiling {
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

class WinogradGradSteps {
 public:
  WinogradGradSteps(const ConvProblem& problem, conv::WinogradForm form, const TensorView& input,
                    const TensorView& grad_output, const TensorView& grad_weight,
                    const conv::Kernel<float>& tiles, const conv::WinogradGradKernel& kernel);

  /// Of one group, [ic, ic + ic_count) x [oc, oc + oc_count).
  struct Chunk {
    int64_t group, ic, ic_count, oc, oc_count;
  };

  /// V or P of some tiles and one chunk.
  struct Operand {
    float* data;
    int64_t point, block;  // to the next
    float* at(int64_t index) const { return data + index * point; }
  };

  struct Workspace {
    Window window, tile;  // the second, of just one
    Scratch<int32_t> identity;
    Scratch<float> slab, grad, v, p, du, acc;
  };
  /// With room for V and P of `tiles` tiles of a chunk; with `own_du` for the sums of one.
  std::vector<Workspace> make_workspaces(int workers, int64_t tiles, bool own_du) const;

  const WinogradTiling& tiling() const { return t_; }
  int64_t points() const { return points_; }
  int64_t groups() const { return p_.g; }
  int64_t ic_chunks() const { return ic_chunks_; }  // of a group
  int64_t oc_chunks() const { return oc_chunks_; }
  int64_t chunks() const { return p_.g * ic_chunks_ * oc_chunks_; }
  Chunk locate(int64_t chunk) const;  // output channels run fastest
  double work() const { return p_.macs() / (4 * kMacsPerInstruction); }  // for workers_for

  /// Elements of V, P and dU of one chunk.
  int64_t v_size(int64_t tiles) const;
  int64_t p_size(int64_t tiles) const;
  int64_t du_size() const { return du_size_; }
  /// Number `chunk` of an array of them.
  Operand v_operand(const Scratch<float>& all, int64_t tiles, int64_t chunk) const;
  Operand p_operand(const Scratch<float>& all, int64_t tiles, int64_t chunk) const;

  /// V and P of a window, from tile `at` on.
  void transform_input(const Chunk& chunk, int64_t window, Workspace& workspace, Operand v, int64_t at) const;
  void transform_grad(const Chunk& chunk, int64_t window, Workspace& workspace, Operand p, int64_t at) const;

  /// One point's products of a chunk. `next_v` and `next_p` are what will be read after them.
  void multiply(const Chunk& chunk, int64_t point, Operand v, Operand p, int64_t tiles, float* du, bool accumulate,
                const float* next_v, const float* next_p) const;
  /// All points of a chunk.
  void multiply(const Chunk& chunk, Operand v, Operand p, int64_t tiles, float* du, bool accumulate) const;

  /// Adds the parts of a chunk's sums, du_size() apart, transforms them and puts them where they go: one slice
  /// of its input channels.
  int64_t slices() const;
  void finish(const Chunk& chunk, int64_t slice, const float* du, int64_t parts, Workspace& workspace) const;

 private:
  void cut_tiles(int64_t outputs);
  Span tiles_in_place(const Window& window) const;

  const ConvProblem& p_;
  const size_t form_;
  const int64_t points_;  // of a tile
  const TensorView &x_, &g_, &dw_;
  const conv::Kernel<float>& pack_;
  const conv::WinogradGradKernel& kernel_;
  const int64_t lanes_;
  CorrelationAxes axes_;  // with outputs of whole tiles
  WinogradTiling t_{};
  int64_t ic_chunk_, oc_chunk_, ic_chunks_, oc_chunks_;
  int64_t v_tile_, du_block_, du_point_, du_size_;
};

}  // namespace striate
