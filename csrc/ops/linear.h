// A linear layer is a convolution with one tap: the rows of its input are the pixels of a single line with
// channels last. So it has no matrix product of its own; it re-strides its arrays and takes the road of
// ops/conv.h, in all three directions.
//
//   output[r, o] = bias[o] + sum over i of input[r, i] * weight[o, i]
#pragma once

#include "base/tensor_view.h"
#include "ops/conv_problem.h"
#include "ops/packed_weights.h"

namespace striate {

struct LinearProblem {
  DType dtype = DType::f32;
  int64_t rows = 0, in_features = 0, out_features = 0;

  /// ValueError that names `op`, the values and the rule.
  static LinearProblem forward(const char* op, const TensorView& input, const TensorView& weight);
  static LinearProblem input_grad(const char* op, const TensorView& weight, const TensorView& grad_output);
  static LinearProblem weight_grad(const char* op, const TensorView& input, const TensorView& grad_output);

  ConvProblem as_convolution() const;
};

// Views of rank 2, of the problem's dtype and shapes. `bias` is dense or null; `packed` as in ops/conv.h.
void linear_forward(const LinearProblem& problem, const TensorView& input, const TensorView& weight,
                    const void* bias, const TensorView& output, PackedWeights* packed = nullptr);
void linear_input_grad(const LinearProblem& problem, const TensorView& weight,
                       const TensorView& grad_output, const TensorView& grad_input);
void linear_weight_grad(const LinearProblem& problem, const TensorView& input,
                        const TensorView& grad_output, const TensorView& grad_weight);

}  // namespace striate
