#include "ops/conv.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/parallel.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/product.h"
#include "kernels/conv/reference.h"
#include "ops/conv_depthwise.h"
#include "ops/conv_polyphase.h"
#include "ops/conv_tiles.h"
#include "ops/conv_winograd.h"
#include "ops/conv_winograd_grad.h"
#include "ops/conv_winograd_rows.h"
#include "ops/conv_winograd_rows_grad.h"

namespace striate {
namespace {

template <class T>
const conv::Kernel<T>& tile_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), conv_table));
}

// Tiles of 2 x 2 outputs serve two kernel sizes.
std::optional<conv::WinogradForm> winograd_form(ConvAlgorithm algorithm, int64_t taps) {
  if (algorithm == ConvAlgorithm::winograd4) return conv::WinogradForm::f4r3;
  if (algorithm == ConvAlgorithm::winograd3) return conv::WinogradForm::f3r4;
  if (algorithm != ConvAlgorithm::winograd2) return std::nullopt;
  return taps == 3 ? conv::WinogradForm::f2r3 : conv::WinogradForm::f2r5;
}

template <class T>
const conv::Product<T>& product_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), product_table));
}

template <class T>
DepthwiseKernels<T> depthwise_kernels() {
  const Isa isa = current_isa();
  return {of_type<T>(STRIATE_SELECT_TABLE(isa, depthwise_planes_table)),
          of_type<T>(STRIATE_SELECT_TABLE(isa, depthwise_planes_grad_table)),
          of_type<T>(STRIATE_SELECT_TABLE(isa, depthwise_channels_table)), product_kernel<T>(),
          of_type<T>(STRIATE_SELECT_TABLE(isa, conv_weight_table)).add};
}

// ---- forward and input gradient as correlations ----------------------------------------------------------

// Phases see almost the same windows, unless taps are far apart. Only then, or where there are too many to hold
// tables for, each goes its own way.
template <class T>
bool share_windows(const std::vector<Correlation<T>>& phases) {
  constexpr size_t kMostPhases = 64;
  if (phases.size() > kMostPhases) return false;
  for (const Correlation<T>& c : phases)
    for (const CorrelationAxis& a : c.axes)
      if (phases.size() > 1 && a.dilation != 1 && a.taps > 1) return false;
  return true;
}

// Correlations that share their input, merged into one walk over it where that reads less. `col_phases` of them lie
// between each other along the width.
template <class T>
void correlate(const std::vector<Correlation<T>>& phases, int64_t col_phases, ConvAlgorithm algorithm) {
  const auto each = [&](const auto& one) {
    for (const Correlation<T>& c : phases) one(c);
  };
  if constexpr (std::is_same_v<T, float>) {
    if (const auto form = winograd_form(algorithm, phases[0].axes[1].taps))
      return each([&](const Correlation<T>& c) {
        correlate_winograd(c, *form, tile_kernel<T>(), STRIATE_SELECT_TABLE(current_isa(), winograd_table));
      });
    if (algorithm == ConvAlgorithm::winograd_rows)
      return correlate_winograd_rows(std::span(phases), STRIATE_SELECT_TABLE(current_isa(), winograd_rows_table),
                                     product_kernel<T>());
  }
  if (algorithm == ConvAlgorithm::depthwise)
    correlate_depthwise(std::span(phases), col_phases, depthwise_kernels<T>());
  else if (algorithm == ConvAlgorithm::groups)
    each([](const Correlation<T>& c) { correlate_groups(c, tile_kernel<T>()); });
  else if (phases.size() == 1 && suits_images(phases[0], product_kernel<T>()))
    correlate_images(phases[0], tile_kernel<T>(), product_kernel<T>());
  else if (phases.size() == 1 && phases[0].epilogue.does_nothing() && is_pointwise(phases[0]))
    correlate_pointwise(phases[0], product_kernel<T>());
  else if (share_windows(phases))
    correlate_tiles(std::span(phases), tile_kernel<T>(), product_kernel<T>());
  else
    each([](const Correlation<T>& c) {
      correlate_tiles(std::span(&c, 1), tile_kernel<T>(), product_kernel<T>());
    });
}

template <class T>
void correlate_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                       const Epilogue& epilogue, const TensorView& output, ConvAlgorithm algorithm,
                       PackedWeights* packed) {
  correlate<T>({{.axes = correlation_axes(p),
                .n = p.n,
                .g = p.g,
                .ic = p.ic_group(),
                .oc = p.oc_group(),
                .input = input.as<T>(),
                .input_stride = strides_of(input),
                .input_slack = input.slack,
                .weight = weight.as<T>(),
                .weight_g = p.oc_group() * weight.stride[kN],
                .weight_o = weight.stride[kN],
                .weight_i = weight.stride[kC],
                .weight_tap = {weight.stride[kD], weight.stride[kH], weight.stride[kW]},
                .bias = static_cast<const T*>(epilogue.bias),
                .output = output.as<T>(),
                .output_stride = strides_of(output),
                .epilogue = TileEpilogue<T>(epilogue),
                .packed = packed}},
               1, algorithm);
}

// One phase of a strided axis: the input positions first, first + stride, ... are reached through every
// tap k with k * dilation = first + pad (mod stride), and those taps walk the output with a unit stride:
// the gradient is a correlation again, without a single multiplication by an inserted zero.
struct Phase {
  CorrelationAxis axis;
  int64_t first_tap, tap_step;  // in the weight, for the correlation's taps 0, 1, ...
  int64_t first;                // input position
};

struct Phases {
  std::vector<Phase> reached;
  bool gap = false;  // some positions are reached by no tap
};

Phases phases_of(const ConvAxis& a) {
  Phases phases;
  const int64_t divisor = std::gcd(a.stride, a.dilation);
  const int64_t tap_step = a.stride / divisor;       // taps of one phase are this far apart
  const int64_t output_step = a.dilation / divisor;  // and lie this far apart in the output
  const int64_t positions = std::min(a.stride, a.in);
  for (int64_t tap = 0; tap < std::min(tap_step, a.kernel); ++tap) {
    // The first position that this tap reaches: (tap * dilation - pad) mod stride.
    const int64_t first = ((tap * a.dilation - a.pad) % a.stride + a.stride) % a.stride;
    if (first >= positions) continue;
    // Position t of the phase and its last tap see output t + (first + pad - last * dilation) / stride;
    // earlier taps lie further on. So run the taps backwards, and pad is minus that offset.
    const int64_t taps = (a.kernel - 1 - tap) / tap_step + 1;
    const int64_t last = tap + (taps - 1) * tap_step;
    phases.reached.push_back({.axis = {.out = (a.in - first - 1) / a.stride + 1,
                                       .in = a.out,
                                       .taps = taps,
                                       .stride = 1,
                                       .dilation = output_step,
                                       .pad = -(first + a.pad - last * a.dilation) / a.stride},
                              .first_tap = last,
                              .tap_step = -tap_step,
                              .first = first});
  }
  // In the order of memory.
  std::sort(phases.reached.begin(), phases.reached.end(),
            [](const Phase& a, const Phase& b) { return a.first < b.first; });
  phases.gap = static_cast<int64_t>(phases.reached.size()) < positions;
  return phases;
}

// Every element of channel c becomes values[c], or 0.
template <class T>
void fill_channels(const TensorView& view, const T* values) {
  const auto [n, c, d, h, w] = strides_of(view);
  const int64_t channels = view.shape[kC], columns = view.shape[kW];
  const int64_t lines = view.shape[kN] * view.shape[kD] * view.shape[kH];
  const auto work = static_cast<double>(view.size());
  parallel_for(lines, workers_for(lines, work), FpMode::exact, [&](int64_t line, int) {
    T* to = view.as<T>() + line / view.shape[kH] / view.shape[kD] * n +
            line / view.shape[kH] % view.shape[kD] * d + line % view.shape[kH] * h;
    if (c == 1 && !values) {
      for (int64_t x = 0; x < columns; ++x) std::fill_n(to + x * w, channels, T(0));
      return;
    }
    for (int64_t i = 0; i < channels; ++i) {
      const T value = values ? values[i] : T(0);
      if (w == 1)
        std::fill_n(to + i * c, columns, value);
      else
        for (int64_t x = 0; x < columns; ++x) to[i * c + x * w] = value;
    }
  });
}

template <class T>
void correlate_input_grad(const ConvProblem& p, const TensorView& weight, const TensorView& grad_output,
                          const T* bias, const TensorView& grad_input, ConvAlgorithm algorithm,
                          PackedWeights* packed) {
  const auto correlation = [&](const std::array<const Phase*, 3>& phase) {
    // The input positions of this phase, and its taps, are strided views.
    auto out_stride = strides_of(grad_input);
    T* out = grad_input.as<T>();
    Correlation<T> c{};
    c.weight = weight.as<T>();
    for (size_t i = 0; i < 3; ++i) {
      c.axes[i] = phase[i]->axis;
      c.weight_tap[i] = weight.stride[i + 2] * phase[i]->tap_step;
      c.weight += weight.stride[i + 2] * phase[i]->first_tap;
      out += grad_input.stride[i + 2] * phase[i]->first;
      out_stride[i + 2] *= p.axis[i].stride;
    }
    c.n = p.n;
    c.g = p.g;
    c.ic = p.oc_group();  // the correlation reads the output gradient
    c.oc = p.ic_group();
    c.weight_g = p.oc_group() * weight.stride[kN];
    c.weight_o = weight.stride[kC];
    c.weight_i = weight.stride[kN];
    c.input = grad_output.as<T>();
    c.input_stride = strides_of(grad_output);
    c.bias = bias;
    c.output = out;
    c.output_stride = out_stride;
    c.packed = packed;
    return c;
  };
  const Phases depth = phases_of(p.axis[0]), height = phases_of(p.axis[1]), width = phases_of(p.axis[2]);
  if (depth.gap || height.gap || width.gap) fill_channels<T>(grad_input, bias);
  std::vector<Correlation<T>> phases;
  for (const Phase& d : depth.reached)
    for (const Phase& h : height.reached)
      for (const Phase& w : width.reached) phases.push_back(correlation({&d, &h, &w}));
  if (!phases.empty()) correlate(phases, static_cast<int64_t>(width.reached.size()), algorithm);
}

// ---- entry ----------------------------------------------------------------------------------------------

ConvFormats formats_of(const TensorView& input, const TensorView& output) {
  return {read_format(input).format, read_format(output).format};
}

template <class T>
void run_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                 const Epilogue& epilogue, const TensorView& output, const char* force, PackedWeights* packed) {
  if (output.size() == 0) return;
  const T* bias = static_cast<const T*>(epilogue.bias);
  const ConvAlgorithm algorithm = p.ic == 0 ? ConvAlgorithm::reference
                                            : choose_conv(p, ConvDirection::forward,
                                                          formats_of(input, output), force);
  if (algorithm == ConvAlgorithm::polyphase) {
    Polyphase<T> phases(p, product_kernel<T>());
    phases.split_input(input);
    PackedWeights* forms = phases.split_weight(weight, packed);
    return run_forward<T>(phases.inner(), phases.input(), phases.weight(), epilogue, output, nullptr, forms);
  }
  if (algorithm != ConvAlgorithm::reference)
    return correlate_forward<T>(p, input, weight, epilogue, output, algorithm, packed);
  if (p.ic == 0)
    fill_channels<T>(output, bias);
  else
    conv::reference_forward<T>(p, input, weight, bias, output);
  TileEpilogue<T>(epilogue).apply_to_all(output);
}

template <class T>
void run_input_grad(const ConvProblem& p, const TensorView& weight, const TensorView& grad_output,
                    const Epilogue& epilogue, const TensorView& grad_input, const char* force,
                    PackedWeights* packed) {
  if (grad_input.size() == 0) return;
  const T* bias = static_cast<const T*>(epilogue.bias);
  if (grad_output.size() == 0) {
    fill_channels<T>(grad_input, bias);
  } else {
    const ConvAlgorithm algorithm =
        choose_conv(p, ConvDirection::input_grad, formats_of(grad_input, grad_output), force);
    if (algorithm == ConvAlgorithm::reference) {
      conv::reference_input_grad<T>(p, weight, grad_output, bias, grad_input);
    } else if (algorithm == ConvAlgorithm::polyphase) {
      Polyphase<T> phases(p, product_kernel<T>());
      PackedWeights* forms = phases.split_weight(weight, packed);
      const std::vector<T> repeated = phases.repeat(bias);
      run_input_grad<T>(phases.inner(), phases.weight(), grad_output, bias ? repeated.data() : nullptr,
                        phases.input(), nullptr, forms);
      phases.join_input(grad_input, bias);
    } else
      correlate_input_grad<T>(p, weight, grad_output, bias, grad_input, algorithm, packed);
  }
  // Phases of a stride lie between each other: only the whole is the result.
  TileEpilogue<T>(epilogue).apply_to_all(grad_input);
}

template <class T>
void run_weight_grad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                     const TensorView& grad_weight, T* bias_grad, const char* force) {
  const bool empty = grad_weight.size() == 0 || grad_output.size() == 0;
  const ConvAlgorithm algorithm = empty ? ConvAlgorithm::reference
                                        : choose_conv(p, ConvDirection::weight_grad,
                                                      formats_of(input, grad_output), force);
  if (bias_grad && algorithm != ConvAlgorithm::tiles)
    channel_sum(grad_output, {.data = bias_grad, .dtype = p.dtype, .rank = 1, .shape = {p.oc}, .stride = {1}});
  if (empty) return fill_channels<T>(grad_weight, nullptr);
  if constexpr (std::is_same_v<T, float>) {
    if (const auto form = winograd_form(algorithm, p.axis[1].kernel))
      return weight_grad_winograd(p, *form, input, grad_output, grad_weight, tile_kernel<T>(),
                                  STRIATE_SELECT_TABLE(current_isa(), winograd_grad_table));
  }
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), conv_weight_table));
  if constexpr (std::is_same_v<T, float>) {
    if (algorithm == ConvAlgorithm::winograd_rows)
      return weight_grad_winograd_rows(p, input, grad_output, grad_weight,
                                       STRIATE_SELECT_TABLE(current_isa(), winograd_rows_table), product_kernel<T>(),
                                       kernel);
  }
  switch (algorithm) {
    case ConvAlgorithm::depthwise:
      return weight_grad_depthwise<T>(p, input, grad_output, grad_weight, depthwise_kernels<T>());
    case ConvAlgorithm::groups:
      return weight_grad_groups<T>(p, input, grad_output, grad_weight, tile_kernel<T>(), kernel);
    case ConvAlgorithm::polyphase: {
      Polyphase<T> phases(p, product_kernel<T>());
      phases.split_input(input);
      run_weight_grad<T>(phases.inner(), phases.input(), grad_output, phases.weight_grad(), nullptr, nullptr);
      return phases.join_weight(grad_weight);
    }
    case ConvAlgorithm::winograd4:
    case ConvAlgorithm::winograd3:
    case ConvAlgorithm::winograd2:
    case ConvAlgorithm::winograd_rows:
    case ConvAlgorithm::tiles:
      return weight_grad_tiles<T>(p, input, grad_output, grad_weight, bias_grad, kernel);
    case ConvAlgorithm::reference:
      return conv::reference_weight_grad<T>(p, input, grad_output, grad_weight);
  }
}

}  // namespace

void conv_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                  const Epilogue& epilogue, const TensorView& output, const char* force, PackedWeights* packed) {
  if (p.dtype == DType::f32)
    run_forward<float>(p, input, weight, epilogue, output, force, packed);
  else
    run_forward<double>(p, input, weight, epilogue, output, force, packed);
}

void conv_input_grad(const ConvProblem& p, const TensorView& weight, const TensorView& grad_output,
                     const Epilogue& epilogue, const TensorView& grad_input, const char* force,
                     PackedWeights* packed) {
  if (p.dtype == DType::f32)
    run_input_grad<float>(p, weight, grad_output, epilogue, grad_input, force, packed);
  else
    run_input_grad<double>(p, weight, grad_output, epilogue, grad_input, force, packed);
}

void conv_weight_grad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                      const TensorView& grad_weight, void* bias_grad, const char* force) {
  if (p.dtype == DType::f32)
    run_weight_grad(p, input, grad_output, grad_weight, static_cast<float*>(bias_grad), force);
  else
    run_weight_grad(p, input, grad_output, grad_weight, static_cast<double*>(bias_grad), force);
}

}  // namespace striate
