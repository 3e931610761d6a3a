// ConvProblem: the meaning of a convolution's arguments, checked once. Everything below trusts it.
//
//   output[n, o, x] = bias[o] + sum over (i, k) input[n, i, x * stride + k * dilation - pad] * weight[o, i, k]
//
// with x and k running over depth, height and width (size 1 where the call has fewer axes). Padding is
// made of zeros that take part in the sum, so a weight of infinity on a padded pixel gives NaN.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/tensor_view.h"

namespace striate {

/// One spatial axis; the words in brackets are oneDNN's, for the height.
struct ConvAxis {
  int64_t in = 1;        // [ih]
  int64_t out = 1;       // [oh]
  int64_t kernel = 1;    // [kh]
  int64_t stride = 1;    // [sh]
  int64_t dilation = 1;  // [dh + 1]: 1 is dense
  int64_t pad = 0;       // [ph] zeros before the first element
  int64_t pad_end = 0;   // zeros after the last
};

struct ConvProblem {
  DType dtype = DType::f32;
  int rank = 2;  // spatial axes of the call: 1, 2 or 3
  int64_t n = 0, g = 1;
  int64_t ic = 0, oc = 0;  // of all groups together
  std::array<ConvAxis, 3> axis;  // d, h, w
  bool exact = false;  // only algorithms that are exact on small integers
  static constexpr int64_t kProcessWorkspace = -1;
  int64_t workspace = kProcessWorkspace;  // bytes of scratch memory at most; else what holds for the process

  int64_t ic_group() const { return ic / g; }
  int64_t oc_group() const { return oc / g; }
  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  int64_t output_pixels() const { return axis[0].out * axis[1].out * axis[2].out; }
  double macs() const;

  std::vector<int64_t> input_shape() const;   // (n, ic, spatial...), with the call's rank
  std::vector<int64_t> weight_shape() const;
  std::vector<int64_t> output_shape() const;

  struct Arguments {
    const char* op;
    DType dtype;
    std::span<const int64_t> input_shape, weight_shape;
    std::span<const int64_t> stride, dilation;
    std::span<const std::array<int64_t, 2>> padding;
    int64_t groups;
    bool exact;
    int64_t workspace = kProcessWorkspace;
  };
  /// ValueError that names the op, the values and the rule.
  static ConvProblem make(const Arguments& arguments);
};

}  // namespace striate
