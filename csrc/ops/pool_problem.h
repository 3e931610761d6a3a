// PoolProblem: the meaning of a pooling call's arguments, checked once. Everything below trusts it.
//
//   max   output[n, c, x] = max  over k of input[n, c, x * stride + k * dilation - pad]
//   mean  output[n, c, x] = sum  over k of input[n, c, x * stride + k - pad] / count
//
// over the taps k that lie inside the input; padding never wins a maximum and adds nothing to a sum.
// Output sizes are PyTorch's, with ceil_mode too: a last window that reaches over the end counts if it
// starts inside the input or the low padding.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/tensor_view.h"

namespace striate {

struct PoolAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0, pad_end = 0;
};

struct PoolProblem {
  DType dtype = DType::f32;
  int rank = 2;  // spatial axes of the call: 1, 2 or 3
  int64_t n = 0, c = 0;
  std::array<PoolAxis, 3> axis;  // d, h, w
  bool count_include_pad = true;  // a mean's windows are cut to the padded input, not to the input
  int64_t divisor = 0;            // of a mean; 0: the number of elements that its window counts

  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  std::vector<int64_t> input_shape() const;  // (n, c, spatial...), with the call's rank
  std::vector<int64_t> output_shape() const;

  struct Arguments {
    const char* op;
    DType dtype;
    std::span<const int64_t> input_shape;
    std::span<const int64_t> kernel, stride, dilation;  // empty dilation: 1
    std::span<const std::array<int64_t, 2>> padding;
    bool ceil_mode = false;
    bool count_include_pad = true;
    std::optional<int64_t> divisor = std::nullopt;
  };
  /// ValueError that names the op, the values and the rule.
  static PoolProblem make(const Arguments& arguments);
};

}  // namespace striate
