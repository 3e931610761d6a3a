// Drivers of the tile kernels (kernels/conv/conv.h): they cut a convolution into tasks, hand each worker
// its scratch, and compute the linear addresses that the kernels walk.
#pragma once

#include <array>
#include <cstdint>

#include "base/tensor_view.h"
#include "kernels/conv/conv.h"
#include "ops/conv_problem.h"

namespace striate {

/// One axis of a correlation: position(x, k) = x * stride + k * dilation - pad. Unlike a ConvProblem's,
/// `pad` may be negative and `out` is free, so that a phase of a strided input gradient fits too.
struct CorrelationAxis {
  int64_t out, in, taps, stride, dilation, pad;
};

/// output[n, g, o, x] = bias[g, o] + sum over (i, k) input[n, g, i, position(x, k)] * weight[g, o, i, k],
/// zero outside the input. Forward convolution is one; an input gradient is one for each phase of its strides.
template <class T>
struct Correlation {
  std::array<CorrelationAxis, 3> axis;
  int64_t n, g, ic, oc;  // ic, oc: of one group
  const T* input;
  std::array<int64_t, 5> input_stride;  // n, c, d, h, w
  const T* weight;
  int64_t weight_g, weight_o, weight_i;
  std::array<int64_t, 3> weight_tap;
  const T* bias;  // dense (g * oc) or null
  T* output;
  std::array<int64_t, 5> output_stride;
};

template <class T>
void correlate(const Correlation<T>& correlation, const conv::Kernel<T>& kernel);

template <class T>
void weight_grad_tiles(const ConvProblem& problem, const TensorView& input,
                       const TensorView& grad_output, const TensorView& grad_weight,
                       const conv::Kernel<T>& kernel);

// ---- shared by both drivers ---------------------------------------------------------------------------

/// How a tile of `tile` outputs lies in the slab along one axis: output x, tap k at x * pixel_step +
/// k * tap_step. Dense keeps every input element that the tile spans; compact (wide strides or dilations)
/// only those that some tap reads. Both are linear.
struct SlabAxis {
  int64_t extent;
  int64_t pixel_step, tap_step;
  bool dense;
};
SlabAxis slab_axis(int64_t tile, int64_t taps, int64_t stride, int64_t dilation);

/// Source coordinate of each slab coordinate for the tile that begins at output `first`; -1 is padding.
/// Returns the vectorisable run (see conv::PackArgs).
struct MapRun {
  int begin, end, step;
};
MapRun fill_map(const CorrelationAxis& axis, const SlabAxis& slab, int64_t first, int32_t* map);

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Cuts `total` into pieces of at most `largest`, as even as can be; returns the piece.
inline int64_t even_piece(int64_t total, int64_t largest) {
  return ceil_div(total, ceil_div(total, largest));
}

}  // namespace striate
