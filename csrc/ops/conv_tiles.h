// Drivers of the tile kernels (kernels/conv/conv.h): they cut a convolution into tasks and hand each
// worker its scratch. The same tasks for any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/tensor_view.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/product.h"
#include "kernels/conv/weight_tiles.h"
#include "ops/conv_problem.h"
#include "ops/conv_window.h"
#include "ops/epilogue.h"
#include "ops/packed_weights.h"

namespace striate {

/// output[n, g, o, x] = bias[g, o] + sum over (i, k) input[n, g, i, position(x, k)] * weight[g, o, i, k],
/// zero outside the input. Forward convolution is one; an input gradient is one for each phase of its strides.
template <class T>
struct Correlation {
  CorrelationAxes axes;
  int64_t n, g, ic, oc;  // ic, oc: of one group
  const T* input;
  std::array<int64_t, 5> input_stride;  // n, c, d, h, w
  int64_t input_slack;  // elements behind the last that may be read
  const T* weight;
  int64_t weight_g, weight_o, weight_i;
  std::array<int64_t, 3> weight_tap;
  const T* bias;  // dense (g * oc) or null
  T* output;
  std::array<int64_t, 5> output_stride;
  TileEpilogue<T> epilogue;  // of the stored sums; an input gradient has none here
  PackedWeights* packed = nullptr;  // where forms of the weights stay; null: nowhere

  int64_t taps() const { return axes[0].taps * axes[1].taps * axes[2].taps; }
  double macs() const {
    return static_cast<double>(n * axes[0].out * axes[1].out * axes[2].out) *
           static_cast<double>(g * oc) * static_cast<double>(ic * taps());
  }
};

/// Forms of the weights that drivers make.
enum class WeightForm : int64_t { tiles, pixels, rows, groups, winograd, winograd_rows, phases };

/// Names a form: all that packing reads of `phases`, the kernel that packs (one an instruction set and type), and
/// numbers that say how the form is cut. Empty where no form is kept.
template <class T>
PackedWeights::Key form_key(WeightForm form, std::span<const Correlation<T>> phases, const void* kernel,
                            std::initializer_list<int64_t> cuts = {}) {
  const Correlation<T>& c = phases[0];
  if (!c.packed) return {};
  PackedWeights::Key key{static_cast<int64_t>(form), static_cast<int64_t>(reinterpret_cast<intptr_t>(kernel)),
                         c.g, c.ic, c.oc, c.weight_g, c.weight_o, c.weight_i};
  key.insert(key.end(), cuts);
  for (const Correlation<T>& phase : phases) {
    key.push_back(static_cast<int64_t>(reinterpret_cast<intptr_t>(phase.weight)));
    for (const CorrelationAxis& axis : phase.axes) key.push_back(axis.taps);
    key.insert(key.end(), phase.weight_tap.begin(), phase.weight_tap.end());
  }
  return key;
}

/// A vector instruction does about this many multiply-adds (for workers_for).
inline constexpr double kMacsPerInstruction = 8;

// Lanes are the output channels of a group. Several correlations (phases) share their input: they differ in axes
// (but not in stride), weights' taps and output.
template <class T>
void correlate_tiles(std::span<const Correlation<T>> phases, const conv::Kernel<T>& packer,
                     const conv::Product<T>& kernel);
template <class T>
void weight_grad_tiles(const ConvProblem& problem, const TensorView& input, const TensorView& grad_output,
                       const TensorView& grad_weight, T* bias_grad, const conv::WeightKernel<T>& kernel);

// A single tap, nowhere on padding, pixels neighbours in memory: lanes are output pixels.
template <class T>
bool is_pointwise(const Correlation<T>& correlation);
template <class T>
void correlate_pointwise(const Correlation<T>& correlation, const conv::Product<T>& kernel);

// Lanes are output pixels of a row: for short sums and few output channels.
template <class T>
bool suits_pixels(const Correlation<T>& correlation, const conv::Product<T>& kernel);
template <class T>
void correlate_pixels(const Correlation<T>& correlation, const conv::Kernel<T>& packer,
                      const conv::Product<T>& kernel);

// Lanes are the images of a batch: for small images of few channels.
template <class T>
bool suits_images(const Correlation<T>& correlation, const conv::Product<T>& kernel);
template <class T>
void correlate_images(const Correlation<T>& correlation, const conv::Kernel<T>& packer,
                      const conv::Product<T>& kernel);

// Lanes are groups: for many small groups, depthwise convolution above all.
template <class T>
void correlate_groups(const Correlation<T>& correlation, const conv::Kernel<T>& kernel);
template <class T>
void weight_grad_groups(const ConvProblem& problem, const TensorView& input, const TensorView& grad_output,
                        const TensorView& grad_weight, const conv::Kernel<T>& kernel,
                        const conv::WeightKernel<T>& weight_kernel);

/// The axes of the forward correlation.
inline CorrelationAxes correlation_axes(const ConvProblem& problem) {
  CorrelationAxes axes;
  for (size_t i = 0; i < 3; ++i) {
    const ConvAxis& a = problem.axis[i];
    axes[i] = {a.out, a.in, a.kernel, a.stride, a.dilation, a.pad};
  }
  return axes;
}

/// Strides of a lifted view.
inline std::array<int64_t, 5> strides_of(const TensorView& view) {
  return {view.stride[kN], view.stride[kC], view.stride[kD], view.stride[kH], view.stride[kW]};
}

/// Packs a tile of the output gradient as [pixel][lane]: `lanes` channels from `channel`, `channel_stride`
/// apart. `identity` is 0, 1, 2, ...
template <class T>
conv::PackArgs<T> grad_pack_args(const Window& window, const TensorView& grad, int64_t image,
                                 int64_t channel, int64_t channel_stride, int64_t lanes_used, int64_t lanes,
                                 const int32_t* identity, T* packed) {
  return {.src = grad.as<T>() + image * grad.stride[kN] + channel * grad.stride[kC] +
                 window.depth * grad.stride[kD] + window.row * grad.stride[kH] +
                 window.col * grad.stride[kW],
          .src_c = channel_stride,
          .src_d = grad.stride[kD],
          .src_h = grad.stride[kH],
          .src_w = grad.stride[kW],
          .channels = static_cast<int>(lanes_used),
          .map_d = identity,
          .map_h = identity,
          .map_w = identity,
          .d = 1,
          .h = static_cast<int>(window.rows),
          .w = static_cast<int>(window.cols),
          .run_begin = 0,
          .run_end = static_cast<int>(window.cols),
          .run_step = 1,
          .slab = packed,
          .slab_c = 1,
          .slab_d = 0,
          .slab_h = window.cols * lanes,
          .slab_w = lanes};
}

}  // namespace striate
