// Interpolation and its gradient. Every axis is a sparse matrix (output size x input size), built once in
// float64; the gradient walks the transposed matrices, so it is the exact adjoint.
//
// Output pixel o reads, as in PyTorch, the input at
//     nearest         floor(o * step)
//     nearest_exact   floor((o + 1/2) * step)
//     linear          max((o + 1/2) * step - 1/2, 0), two taps
//     cubic           (o + 1/2) * step - 1/2, four taps of Keys' cubic
//     area            the mean of the elements that [o, o + 1) * in / out touches
//     area_sum        their sum, for adaptive pooling: exact where that is
// where step is 1 / scale if a scale is given, else in / out; linear and cubic with align_corners read at
// o * (in - 1) / (out - 1). Taps past an end are the last element. With antialias, linear and cubic are
// filters as wide as a step above 1.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

enum class Resampling : uint8_t { nearest, nearest_exact, linear, cubic, area, area_sum };

struct ResampleAxis {
  int64_t in = 1, out = 1;
  double scale = 0;  // 0: out / in
};

struct ResampleProblem {
  DType dtype = DType::f32;
  int rank = 2;  // spatial axes of the call: 1, 2 or 3
  int64_t n = 0, c = 0;
  std::array<ResampleAxis, 3> axis;  // d, h, w
  Resampling mode = Resampling::nearest;
  bool align_corners = false, antialias = false;

  std::vector<int64_t> input_shape() const;  // (n, c, spatial...), with the call's rank
  std::vector<int64_t> output_shape() const;

  struct Arguments {
    const char* op;
    DType dtype;
    std::span<const int64_t> input_shape, output_size;
    const std::vector<double>* scale;  // null: from the sizes
    Resampling mode;
    bool align_corners = false, antialias = false;
  };
  /// ValueError that names the op, the values and the rule.
  static ResampleProblem make(const Arguments& arguments);
};

/// The plan of a call that reads `input` (of a gradient: grad_output) and writes `output` (grad_input).
/// `force`, here and below, names the one algorithm to use; ValueError if it is unknown or does not apply.
Plan plan_resample(const TensorView& input, const TensorView& output, const char* force = nullptr);

// The views are lifted (n, c, d, h, w), of the problem's dtype and shapes, of any strides.
void interpolate_forward(const ResampleProblem& problem, const TensorView& input, const TensorView& output,
                         const char* force = nullptr);
void interpolate_input_grad(const ResampleProblem& problem, const TensorView& grad_output,
                            const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
