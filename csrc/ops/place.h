// Ops that only move elements: pad and crop, downsample, upsample_zeros. All three are one problem: a
// regular grid of the input goes to a regular grid of the output, the rest is a constant.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

/// Output element out_first + i * out_step is input element in_first + i * in_step, i < count.
struct PlaceAxis {
  int64_t in = 1, out = 1;
  int64_t out_first = 0, out_step = 1, in_first = 0, in_step = 1;
  int64_t count = 1;
};

struct PlaceProblem {
  DType dtype = DType::f32;
  int rank = 2;  // spatial axes of the call: 1, 2 or 3
  int64_t n = 0, c = 0;
  std::array<PlaceAxis, 3> axis;  // d, h, w
  double value = 0;

  std::vector<int64_t> output_shape() const;  // (n, c, spatial...), with the call's rank

  // ValueError that names the op, the values and the rule.
  /// A pad is a pair a spatial axis; a negative one crops.
  static PlaceProblem pad(DType dtype, std::span<const int64_t> input_shape,
                          std::span<const std::array<int64_t, 2>> padding, double value);
  /// Keeps positions 0, factor, 2 * factor, ...
  static PlaceProblem downsample(DType dtype, std::span<const int64_t> input_shape,
                                 std::span<const int64_t> factor);
  /// Writes to positions 0, factor, 2 * factor, ... of zeros. The adjoint of downsample, whose input had
  /// `output_size`.
  static PlaceProblem upsample_zeros(DType dtype, std::span<const int64_t> input_shape,
                                     std::span<const int64_t> factor,
                                     std::span<const int64_t> output_size);
};

// The views are lifted (n, c, d, h, w), of the problem's dtype and shapes, of any strides.

/// `force`, here and below, names the one algorithm to use; ValueError if it is unknown or does not apply.
Plan plan_place(const PlaceProblem& problem, const TensorView& input, const TensorView& output,
                const char* force = nullptr);

void place_elements(const PlaceProblem& problem, const TensorView& input, const TensorView& output,
                    const char* force = nullptr);

}  // namespace striate
