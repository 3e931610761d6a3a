// Drivers of depthwise convolution (kernels/conv/depthwise.h): one channel in and out of each group, and images
// that are all channels last or all planes.
#pragma once

#include <algorithm>
#include <span>

#include "kernels/conv/depthwise.h"
#include "ops/conv_tiles.h"

namespace striate {

template <class T>
struct DepthwiseKernels {
  const conv::DepthwisePlanes<T>& planes;
  const conv::DepthwisePlanesGrad<T>& planes_grad;
  const conv::DepthwiseChannels<T>& channels;
  const conv::Product<T>& mover;
  void (*add)(const T* from, int64_t count, T* to) noexcept;
};

/// Kernels that the tables of a task have room for.
inline constexpr int64_t kMostDepthwiseTaps = 128;

/// Correlations (phases) with one input, whose outputs together are dense: in the order of memory, `col_phases`
/// along the width.
template <class T>
void correlate_depthwise(std::span<const Correlation<T>> phases, int64_t col_phases,
                         const DepthwiseKernels<T>& kernels);

template <class T>
void weight_grad_depthwise(const ConvProblem& problem, const TensorView& input, const TensorView& grad_output,
                           const TensorView& grad_weight, const DepthwiseKernels<T>& kernels);

/// Whether lanes can be channels.
inline bool channels_adjoin(int64_t channels, int64_t input_step, int64_t output_step) {
  return channels > 1 && input_step == 1 && output_step == 1;
}

/// The rows of one plane that outputs see, as they lie in padded scratch.
struct PaddedPlane {
  int64_t first;  // row of the plane that output row 0 sees first
  int64_t reach;  // rows that one row of outputs sees
  int64_t row_stride;
  int64_t pad, step, pitch;  // of a row: see conv::PadRows

  /// Of several correlations with one input; outputs come `lanes` at a time.
  PaddedPlane(std::span<const CorrelationAxes> phases, int64_t lanes);

  int64_t row_size() const { return step * pitch; }
  int64_t rows(int64_t outputs) const { return (outputs - 1) * row_stride + reach; }
  /// What `outputs` rows from `row` on see. Where `all` rows are always seen at once, they always lie in the same
  /// place, and the padding above and below, once 0, stays so.
  template <class T>
  conv::PadRows<T> see(const T* plane, const T* planes_end, int64_t plane_row, const CorrelationAxes& axes, int64_t row, int64_t outputs,
                       bool all, T* scratch) const {
    const int64_t begin = first + row * row_stride, end = begin + rows(outputs);
    const int64_t from = all ? std::max<int64_t>(begin, 0) : begin, to = all ? std::min(end, axes[1].in) : end;
    return {.plane = plane,
            .plane_row = plane_row,
            .plane_rows = axes[1].in,
            .plane_cols = axes[2].in,
            .end = planes_end,
            .first = from,
            .rows = std::max<int64_t>(to - from, 0),
            .pad = pad,
            .step = step,
            .pitch = pitch,
            .to = scratch + (from - begin) * row_size()};
  }
  /// Rows of outputs (of each phase) in a piece whose scratch stays in L1.
  int64_t piece(int64_t outputs, int64_t element_size) const;
  /// Where tap (h, w) of an output lies, from what its row and column see first.
  int64_t offset(const CorrelationAxes& axes, int64_t h, int64_t w) const;
};

}  // namespace striate
