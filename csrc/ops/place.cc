#include "ops/place.h"

#include <algorithm>
#include <limits>

#include "base/cpu.h"
#include "base/parallel.h"
#include "kernels/place/place.h"
#include "kernels/place/reference.h"

namespace striate {
namespace {

constexpr int64_t kLargestExtent = std::numeric_limits<int32_t>::max();
constexpr double kTaskElements = 32768;

// ---- the plan -----------------------------------------------------------------------------------------

enum class Algorithm : uint8_t { joined, channels, planes, reference };

std::string channels_decline(const PlaceProblem& p, const TensorView& input, const TensorView& output) {
  if (p.c < 2 || input.stride[kC] != 1 || output.stride[kC] != 1)
    return "channels are not neighbours in memory";
  return {};
}

std::string joined_declines(const PlaceProblem& p, const TensorView& input, const TensorView& output) {
  if (std::string reason = channels_decline(p, input, output); !reason.empty()) return reason;
  if (p.axis[2].in_step != 1 || p.axis[2].out_step != 1) return "columns are not neighbours";
  if (input.stride[kW] != p.c || output.stride[kW] != p.c) return "pixels do not lie side by side";
  return {};
}

constexpr PlanRow<Algorithm, const PlaceProblem&, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::joined, "joined", joined_declines},       // a row, channels and all, is one run
    {Algorithm::channels, "channels", channels_decline},  // lanes are channels
    {Algorithm::planes, "planes", nullptr},               // lanes are pixels; any strides
    {Algorithm::reference, "reference", nullptr},
};
constexpr const char* kOp = "place";

// ---- checks -------------------------------------------------------------------------------------------

PlaceProblem start(const char* op, DType dtype, std::span<const int64_t> input_shape, size_t rank,
                   const char* entries) {
  if (input_shape.size() < 3 || input_shape.size() > 5)
    fail_value(op, ": input must have 3 to 5 axes (N, C, spatial), got ", tuple_text(input_shape));
  if (input_shape.size() != rank + 2)
    fail_value(op, ": ", entries, " needs one entry for each of the ", input_shape.size() - 2,
               " spatial axes of input ", tuple_text(input_shape), ", got ", rank);
  PlaceProblem p;
  p.dtype = dtype;
  p.rank = static_cast<int>(rank);
  p.n = input_shape[0];
  p.c = input_shape[1];
  return p;
}

void check_factors(const char* op, std::span<const int64_t> factor) {
  for (const int64_t f : factor)
    if (f < 1 || f > kLargestExtent)
      fail_value(op, ": factor must be from 1 to 2^31 - 1, got ", tuple_text(factor));
}

void check_result(const char* op, const PlaceProblem& p) {
  checked_product(p.output_shape(), op, "result");
}

// ---- driver -------------------------------------------------------------------------------------------

template <class T>
place::Args<T> arguments(const PlaceProblem& p, const TensorView& input, const TensorView& output) {
  place::Args<T> a{};
  a.in = input.as<T>();
  a.out = output.as<T>();
  for (size_t i = 0; i < 5; ++i) {
    a.in_stride[i] = input.stride[i];
    a.out_stride[i] = output.stride[i];
  }
  a.c = p.c;
  for (size_t i = 0; i < 3; ++i) {
    const PlaceAxis& axis = p.axis[i];
    a.axis[i] = {.in = axis.in,
                 .out = axis.out,
                 .out_first = axis.out_first,
                 .out_step = axis.out_step,
                 .in_first = axis.in_first,
                 .in_step = axis.in_step,
                 .count = axis.count};
  }
  a.value = static_cast<T>(p.value);
  return a;
}

// A row of pixels with all their channels becomes one run of channels x columns.
template <class T>
void join_channels(place::Args<T>& a) {
  place::Axis& w = a.axis[2];
  for (int64_t* extent : {&w.in, &w.out, &w.in_first, &w.out_first, &w.count}) *extent *= a.c;
  a.in_stride[4] = a.out_stride[4] = 1;
  a.c = 1;
}

template <class T>
void run(const PlaceProblem& p, const TensorView& input, const TensorView& output, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, p, input, output);
  if (algorithm == Algorithm::reference) return place::reference<T>(p, input, output);
  auto a = arguments<T>(p, input, output);
  if (algorithm == Algorithm::joined) join_channels(a);
  const bool channels = algorithm == Algorithm::channels;
  const int64_t lines = p.n * (channels ? 1 : a.c) * p.axis[0].out * p.axis[1].out;
  const auto work = static_cast<double>(output.size());
  const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(work / kTaskElements), 1, lines);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), place_table));
  const auto body = channels ? kernel.channels : kernel.planes;
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    body(a, lines * task / tasks, lines * (task + 1) / tasks);
  });
}

}  // namespace

std::vector<int64_t> PlaceProblem::output_shape() const {
  std::vector<int64_t> shape{n, c};
  for (size_t i = 3 - static_cast<size_t>(rank); i < 3; ++i) shape.push_back(axis[i].out);
  return shape;
}

PlaceProblem PlaceProblem::pad(DType dtype, std::span<const int64_t> input_shape,
                               std::span<const std::array<int64_t, 2>> padding, double value) {
  PlaceProblem p = start("pad", dtype, input_shape, padding.size(), "padding");
  p.value = value;
  for (size_t i = 0; i < padding.size(); ++i) {
    const auto [low, high] = padding[i];
    const int64_t in = input_shape[i + 2];
    if (std::max(low, high) > kLargestExtent || std::min(low, high) < -kLargestExtent ||
        in > kLargestExtent || in + low + high > kLargestExtent)
      fail_value("pad: padding (", low, ", ", high, ") of axis ", i + 2, " must leave fewer than 2^31 ",
                 "elements, got input ", tuple_text(input_shape));
    if (in + low + high < 0)
      fail_value("pad: padding (", low, ", ", high, ") crops more than the ", in, " elements of axis ",
                 i + 2, " of input ", tuple_text(input_shape));
    PlaceAxis& axis = p.axis[3 - padding.size() + i];
    axis.in = in;
    axis.out = in + low + high;
    axis.out_first = std::min(std::max<int64_t>(low, 0), axis.out);
    axis.in_first = axis.out_first - low;
    axis.count = std::max<int64_t>(std::min(axis.out, in + low) - axis.out_first, 0);
    if (axis.count == 0) axis.in_first = 0;
  }
  check_result("pad", p);
  return p;
}

PlaceProblem PlaceProblem::downsample(DType dtype, std::span<const int64_t> input_shape,
                                      std::span<const int64_t> factor) {
  PlaceProblem p = start("downsample", dtype, input_shape, factor.size(), "factor");
  check_factors("downsample", factor);
  for (size_t i = 0; i < factor.size(); ++i) {
    PlaceAxis& axis = p.axis[3 - factor.size() + i];
    axis.in = input_shape[i + 2];
    axis.in_step = factor[i];
    axis.out = axis.count = (axis.in + factor[i] - 1) / factor[i];
  }
  check_result("downsample", p);
  return p;
}

PlaceProblem PlaceProblem::upsample_zeros(DType dtype, std::span<const int64_t> input_shape,
                                          std::span<const int64_t> factor,
                                          std::span<const int64_t> output_size) {
  PlaceProblem p = start("upsample_zeros", dtype, input_shape, factor.size(), "factor");
  check_factors("upsample_zeros", factor);
  if (output_size.size() != factor.size())
    fail_value("upsample_zeros: output_size needs ", factor.size(), " entries, got ",
               tuple_text(output_size));
  for (size_t i = 0; i < factor.size(); ++i) {
    PlaceAxis& axis = p.axis[3 - factor.size() + i];
    axis.in = axis.count = input_shape[i + 2];
    axis.out = output_size[i];
    axis.out_step = factor[i];
    if (axis.out < 0 || axis.out > (int64_t{1} << 60) ||
        (axis.out + factor[i] - 1) / factor[i] != axis.in)
      fail_value("upsample_zeros: output_size ", tuple_text(output_size), " must come down to the input's ",
                 tuple_text(input_shape.subspan(2)), " by ceil(output_size / factor), factor ",
                 tuple_text(factor));
  }
  check_result("upsample_zeros", p);
  return p;
}

Plan plan_place(const PlaceProblem& problem, const TensorView& input, const TensorView& output,
                const char* force) {
  return explain(kOp, kRows, force, problem, input, output);
}

void place_elements(const PlaceProblem& problem, const TensorView& input, const TensorView& output,
                    const char* force) {
  if (output.size() == 0) return;
  if (problem.dtype == DType::f32)
    run<float>(problem, input, output, force);
  else
    run<double>(problem, input, output, force);
}

}  // namespace striate
