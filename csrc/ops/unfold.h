// im2col and its adjoint: every window of an image becomes a column.
//
//     unfold   y[n, (c, kd, kh, kw), (od, oh, ow)] = x[n, c, od * stride + kd * dilation - pad, ...]
//     fold     x[n, c, od * stride + kd * dilation - pad, ...] += y[n, (c, kd, kh, kw), (od, oh, ow)]
//
// with zeros outside the image. Sums of fold run in the order of the taps.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

struct UnfoldAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
};

struct UnfoldProblem {
  DType dtype = DType::f32;
  int rank = 2;  // spatial axes of the call: 1, 2 or 3
  int64_t n = 0, c = 0;
  std::array<UnfoldAxis, 3> axis;  // d, h, w

  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  int64_t windows() const { return axis[0].out * axis[1].out * axis[2].out; }
  std::vector<int64_t> image_shape() const;  // (n, c, spatial...), with the call's rank
  std::vector<int64_t> columns_shape() const { return {n, c * taps(), windows()}; }

  struct Arguments {
    const char* op;
    DType dtype;
    std::span<const int64_t> image_shape, kernel, dilation, stride;
    std::span<const std::array<int64_t, 2>> padding;
  };
  /// ValueError that names the op, the values and the rule.
  static UnfoldProblem make(const Arguments& arguments);
};

// Images are lifted (n, c, d, h, w), columns (n, c * taps, windows); of any strides.
void unfold_image(const UnfoldProblem& problem, const TensorView& image, const TensorView& columns,
                  const char* force = nullptr);
void fold_columns(const UnfoldProblem& problem, const TensorView& columns, const TensorView& image,
                  const char* force = nullptr);

}  // namespace striate
