// Taking elements of every spatial axis by a table, and the adjoint of it:
//
//     take      y[n, c, d, h, w] = x[n, c, table_d[d], table_h[h], table_w[w]]     0 where a table says -1
//     spread    x[n, c, table_d[d], ...] += y[n, c, d, h, w]                       in the order of y
//
// Pads that reflect, replicate or repeat are tables; so are the windows of an adaptive pool, laid side by side.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

struct TakeProblem {
  DType dtype = DType::f32;
  int rank = 2;  // spatial axes of the call: 1, 2 or 3
  int64_t n = 0, c = 0;
  std::array<int64_t, 3> in{1, 1, 1};              // d, h, w
  std::array<std::vector<int64_t>, 3> table{};     // one position in [-1, in) for each element of the result

  std::vector<int64_t> input_shape() const;  // (n, c, spatial...), with the call's rank
  std::vector<int64_t> output_shape() const;

  /// ValueError that names the op, the values and the rule.
  static TakeProblem make(const char* op, DType dtype, std::span<const int64_t> input_shape,
                          std::vector<std::vector<int64_t>> tables);
};

// The views are lifted (n, c, d, h, w), of the problem's dtype and shapes, of any strides.
Plan plan_take(const TensorView& input, const TensorView& output, const char* force = nullptr);
void take_elements(const TakeProblem& problem, const TensorView& input, const TensorView& output,
                   const char* force = nullptr);
void spread_elements(const TakeProblem& problem, const TensorView& input, const TensorView& output,
                     const char* force = nullptr);

}  // namespace striate
