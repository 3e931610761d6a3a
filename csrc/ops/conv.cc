#include "ops/conv.h"

#include <algorithm>
#include <numeric>

#include "base/cpu.h"
#include "base/parallel.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/reference.h"
#include "ops/conv_tiles.h"

namespace striate {
namespace {

template <class T>
const conv::Kernel<T>& tile_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), conv_table));
}

// ---- the plan ---------------------------------------------------------------------------------------

enum class Algorithm : uint8_t { groups, tiles, reference };

// Tables inside a tile hold 32-bit offsets, and a tile of one pixel still holds all taps.
std::string taps_decline(const ConvProblem& p, double most) {
  const double taps = static_cast<double>(p.axis[0].kernel) * static_cast<double>(p.axis[1].kernel) *
                      static_cast<double>(p.axis[2].kernel);
  if (taps > most) return concat("a kernel of ", taps, " taps does not fit a tile");
  return {};
}

std::string tiles_decline(const ConvProblem& p, ConvDirection) { return taps_decline(p, 1 << 22); }

// With a channel in each lane, a group of few channels leaves most lanes idle.
std::string groups_decline(const ConvProblem& p, ConvDirection direction) {
  if (p.g < 4) return concat(p.g, " groups leave lanes idle");
  const int64_t channels = direction == ConvDirection::input_grad ? p.ic_group() : p.oc_group();
  if (channels >= 8) return concat("groups of ", channels, " channels fill lanes by themselves");
  if (p.ic_group() * p.oc_group() > 64)
    return concat("groups of ", p.ic_group(), " x ", p.oc_group(), " channels do not fit a tile");
  return taps_decline(p, 1 << 14);  // times the lanes, and a slab a channel
}

constexpr PlanRow<Algorithm, const ConvProblem&, ConvDirection> kRows[] = {
    {Algorithm::groups, "groups", groups_decline},
    {Algorithm::tiles, "tiles", tiles_decline},
    {Algorithm::reference, "reference", nullptr},
};

constexpr const char* kOp = "convolution";

// ---- forward and input gradient as correlations ----------------------------------------------------------

template <class T>
void correlate(const Correlation<T>& c, Algorithm algorithm) {
  if (algorithm == Algorithm::groups)
    correlate_groups(c, tile_kernel<T>());
  else
    correlate_tiles(c, tile_kernel<T>());
}

template <class T>
void correlate_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                       const T* bias, const TensorView& output, Algorithm algorithm) {
  correlate<T>({.axes = correlation_axes(p),
                .n = p.n,
                .g = p.g,
                .ic = p.ic_group(),
                .oc = p.oc_group(),
                .input = input.as<T>(),
                .input_stride = strides_of(input),
                .weight = weight.as<T>(),
                .weight_g = p.oc_group() * weight.stride[kN],
                .weight_o = weight.stride[kN],
                .weight_i = weight.stride[kC],
                .weight_tap = {weight.stride[kD], weight.stride[kH], weight.stride[kW]},
                .bias = bias,
                .output = output.as<T>(),
                .output_stride = strides_of(output)},
               algorithm);
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
                          const T* bias, const TensorView& grad_input, Algorithm algorithm) {
  const auto run = [&](const std::array<const Phase*, 3>& phase) {
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
    correlate(c, algorithm);
  };
  const Phases depth = phases_of(p.axis[0]), height = phases_of(p.axis[1]), width = phases_of(p.axis[2]);
  if (depth.gap || height.gap || width.gap) fill_channels<T>(grad_input, bias);
  for (const Phase& d : depth.reached)
    for (const Phase& h : height.reached)
      for (const Phase& w : width.reached) run({&d, &h, &w});
}

template <class T>
void run_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                 const T* bias, const TensorView& output, const char* force) {
  if (output.size() == 0) return;
  if (p.ic == 0) return fill_channels<T>(output, bias);
  const Algorithm algorithm = choose(kOp, kRows, force, p, ConvDirection::forward);
  if (algorithm == Algorithm::reference)
    return conv::reference_forward<T>(p, input, weight, bias, output);
  correlate_forward<T>(p, input, weight, bias, output, algorithm);
}

template <class T>
void run_input_grad(const ConvProblem& p, const TensorView& weight, const TensorView& grad_output,
                    const T* bias, const TensorView& grad_input, const char* force) {
  if (grad_input.size() == 0) return;
  if (grad_output.size() == 0) return fill_channels<T>(grad_input, bias);
  const Algorithm algorithm = choose(kOp, kRows, force, p, ConvDirection::input_grad);
  if (algorithm == Algorithm::reference)
    return conv::reference_input_grad<T>(p, weight, grad_output, bias, grad_input);
  correlate_input_grad<T>(p, weight, grad_output, bias, grad_input, algorithm);
}

template <class T>
void run_weight_grad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                     const TensorView& grad_weight, T* bias_grad, const char* force) {
  const bool empty = grad_weight.size() == 0 || grad_output.size() == 0;
  const Algorithm algorithm =
      empty ? Algorithm::reference : choose(kOp, kRows, force, p, ConvDirection::weight_grad);
  if (bias_grad && algorithm != Algorithm::tiles)
    channel_sum(grad_output, {.data = bias_grad, .dtype = p.dtype, .rank = 1, .shape = {p.oc}, .stride = {1}});
  if (empty) return fill_channels<T>(grad_weight, nullptr);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), conv_weight_table));
  switch (algorithm) {
    case Algorithm::groups:
      return weight_grad_groups<T>(p, input, grad_output, grad_weight, tile_kernel<T>(), kernel);
    case Algorithm::tiles:
      return weight_grad_tiles<T>(p, input, grad_output, grad_weight, bias_grad, kernel);
    case Algorithm::reference:
      return conv::reference_weight_grad<T>(p, input, grad_output, grad_weight);
  }
}

}  // namespace

Plan plan_conv(const ConvProblem& problem, ConvDirection direction, const char* force) {
  return explain(kOp, kRows, force, problem, direction);
}

void conv_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                  const void* bias, const TensorView& output, const char* force) {
  if (p.dtype == DType::f32)
    run_forward(p, input, weight, static_cast<const float*>(bias), output, force);
  else
    run_forward(p, input, weight, static_cast<const double*>(bias), output, force);
}

void conv_input_grad(const ConvProblem& p, const TensorView& weight, const TensorView& grad_output,
                     const void* bias, const TensorView& grad_input, const char* force) {
  if (p.dtype == DType::f32)
    run_input_grad(p, weight, grad_output, static_cast<const float*>(bias), grad_input, force);
  else
    run_input_grad(p, weight, grad_output, static_cast<const double*>(bias), grad_input, force);
}

void conv_weight_grad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                      const TensorView& grad_weight, void* bias_grad, const char* force) {
  if (p.dtype == DType::f32)
    run_weight_grad(p, input, grad_output, grad_weight, static_cast<float*>(bias_grad), force);
  else
    run_weight_grad(p, input, grad_output, grad_weight, static_cast<double*>(bias_grad), force);
}

}  // namespace striate
