// Activations whose gradient is taken from the input, and losses of a difference, on arrays of any rank and strides; the formulas are in
// kernels/pointwise/curve.h. Results may be written over an operand of the same strides.
#pragma once

#include <string_view>

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

enum class Curve : uint8_t {
  elu, clip, hardsigmoid, hardswish, softplus, logsigmoid, silu, gelu, gelu_tanh, mish, absolute, huber
};

struct CurveProblem {
  Curve curve = Curve::silu;
  DType dtype = DType::f32;
  // elu: alpha and the scale on the right. clip: the ends. softplus: beta and threshold.
  // huber: delta and a factor.
  double first = 0, second = 0;

  /// ValueError that names `op`, the values and the rule. `name`: of the enum.
  static CurveProblem make(const char* op, std::string_view name, DType dtype, double first, double second);
};

// All views of the problem's dtype and of one shape. `force`: "vectors" or "reference" (see plan.h).
void curve(const CurveProblem& problem, const TensorView& input, const TensorView& output,
           const char* force = nullptr);
void curve_grad(const CurveProblem& problem, const TensorView& input, const TensorView& grad_output,
                const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
