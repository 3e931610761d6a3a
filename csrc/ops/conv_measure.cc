#include "ops/conv_measure.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "base/scratch.h"
#include "ops/conv.h"

namespace striate {
namespace {

constexpr int kRuns = 5;          // at least
constexpr double kSeconds = 0.1;  // go on until so much has passed
constexpr double kMostNaive = 1e7;  // multiply-adds of the naive loops: nobody waits for more

// A dense array of values that are neither zero nor denormal, nor grow.
class Sample {
 public:
  Sample(const std::vector<int64_t>& shape, DType dtype, MemoryFormat format) {
    view_.dtype = dtype;
    view_.rank = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), view_.shape.begin());
    set_dense_strides(view_, format);
    memory_ = Scratch<char>(checked_product(shape, "explain", "array") * size_of(dtype));
    view_.data = memory_.get();
    if (dtype == DType::f32)
      fill<float>();
    else
      fill<double>();
  }
  TensorView lifted() const { return lift(view_); }

 private:
  template <class T>
  void fill() {
    uint32_t state = 1;
    for (int64_t i = 0; i < view_.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      view_.as<T>()[i] = static_cast<T>(state >> 16) / T(32768) - T(0.99);
    }
  }
  TensorView view_;
  Scratch<char> memory_;
};

template <class Call>
double least_seconds(Call call) {
  using Clock = std::chrono::steady_clock;
  double least = kNoPrediction, total = 0;
  for (int i = 0; i < kRuns || total < kSeconds; ++i) {
    const auto begin = Clock::now();
    call();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    least = std::min(least, seconds);
    total += std::max(seconds, 1e-9);
  }
  return least;
}

}  // namespace

ConvMeasurement measure_conv(const ConvProblem& p, ConvDirection direction, MemoryFormat format,
                             const char* algorithm) {
  if (std::string_view(algorithm) == "reference" && p.macs() > kMostNaive) return {};
  const Sample input(p.input_shape(), p.dtype, format), output(p.output_shape(), p.dtype, format);
  const Sample weight(p.weight_shape(), p.dtype, MemoryFormat::contiguous);
  const TensorView x = input.lifted(), w = weight.lifted(), y = output.lifted();
  ConvMeasurement result;
  result.seconds = least_seconds([&] {
    switch (direction) {
      case ConvDirection::forward:
        return conv_forward(p, x, w, nullptr, y, algorithm);
      case ConvDirection::input_grad:
        return conv_input_grad(p, w, y, nullptr, x, algorithm);
      case ConvDirection::weight_grad:
        return conv_weight_grad(p, x, y, w, algorithm);
    }
  });
  if (direction == ConvDirection::weight_grad) return result;
  PackedWeights packed;
  const auto run_packed = [&] {
    if (direction == ConvDirection::forward)
      conv_forward(p, x, w, nullptr, y, algorithm, &packed);
    else
      conv_input_grad(p, w, y, nullptr, x, algorithm, &packed);
  };
  run_packed();
  result.packed_bytes = packed.size().bytes;
  if (result.packed_bytes > 0) result.packed_seconds = least_seconds(run_packed);
  return result;
}

}  // namespace striate
