#include "ops/linear.h"

#include <limits>

#include "ops/conv.h"

namespace striate {
namespace {

void check_matrix(const char* op, const char* name, const TensorView& view, const char* axes) {
  if (view.rank != 2)
    fail_value(op, ": ", name, " must have 2 axes (", axes, "), got ", tuple_text(view.dims()));
}

constexpr const char* kInputAxes = "rows, in_features";
constexpr const char* kWeightAxes = "out_features, in_features";
constexpr const char* kOutputAxes = "rows, out_features";

LinearProblem checked(const char* op, DType dtype, int64_t rows, int64_t in_features,
                      int64_t out_features) {
  if (rows > std::numeric_limits<int32_t>::max())
    fail_value(op, ": at most 2^31 - 1 rows, got ", rows);
  const int64_t result[3][2] = {{rows, in_features}, {rows, out_features}, {out_features, in_features}};
  for (const auto& shape : result) checked_product(shape, op, "an array of shape");
  return {dtype, rows, in_features, out_features};
}

// (rows, features) as one image of one line: (1, features, 1, 1, rows).
TensorView as_line(const TensorView& matrix) {
  TensorView line = matrix;
  line.rank = 5;
  line.shape = {1, matrix.shape[1], 1, 1, matrix.shape[0]};
  line.stride = {0, matrix.stride[1], 0, 0, matrix.stride[0]};
  return line;
}

// (out_features, in_features) with one tap. Its stride is never multiplied by anything but 0, yet 1 (not 0)
// lets the drivers see that neighbouring channels are one run of memory.
TensorView as_taps(const TensorView& weight) {
  TensorView taps = lift(weight);
  taps.stride[kD] = taps.stride[kH] = taps.stride[kW] = 1;
  return taps;
}

}  // namespace

LinearProblem LinearProblem::forward(const char* op, const TensorView& input, const TensorView& weight) {
  check_matrix(op, "input", input, kInputAxes);
  check_matrix(op, "weight", weight, kWeightAxes);
  if (input.shape[1] != weight.shape[1])
    fail_value(op, ": input has ", input.shape[1], " features, but weight ", tuple_text(weight.dims()),
               " needs ", weight.shape[1]);
  return checked(op, input.dtype, input.shape[0], weight.shape[1], weight.shape[0]);
}

LinearProblem LinearProblem::input_grad(const char* op, const TensorView& weight,
                                        const TensorView& grad_output) {
  check_matrix(op, "weight", weight, kWeightAxes);
  check_matrix(op, "grad_output", grad_output, kOutputAxes);
  if (grad_output.shape[1] != weight.shape[0])
    fail_value(op, ": grad_output has ", grad_output.shape[1], " features, but weight ",
               tuple_text(weight.dims()), " gives ", weight.shape[0]);
  return checked(op, weight.dtype, grad_output.shape[0], weight.shape[1], weight.shape[0]);
}

LinearProblem LinearProblem::weight_grad(const char* op, const TensorView& input,
                                         const TensorView& grad_output) {
  check_matrix(op, "input", input, kInputAxes);
  check_matrix(op, "grad_output", grad_output, kOutputAxes);
  if (grad_output.shape[0] != input.shape[0])
    fail_value(op, ": input ", tuple_text(input.dims()), " and grad_output ",
               tuple_text(grad_output.dims()), " must have the same number of rows");
  return checked(op, input.dtype, input.shape[0], input.shape[1], grad_output.shape[1]);
}

// Not ConvProblem::make, which would speak of kernels and widths, and refuses an empty line.
ConvProblem LinearProblem::as_convolution() const {
  ConvProblem p;
  p.dtype = dtype;
  p.rank = 1;
  p.n = 1;
  p.ic = in_features;
  p.oc = out_features;
  p.axis[2].in = p.axis[2].out = rows;
  return p;
}

void linear_forward(const LinearProblem& p, const TensorView& input, const TensorView& weight,
                    const void* bias, const TensorView& output, PackedWeights* packed) {
  conv_forward(p.as_convolution(), as_line(input), as_taps(weight), bias, as_line(output), nullptr, packed);
}

void linear_input_grad(const LinearProblem& p, const TensorView& weight, const TensorView& grad_output,
                       const TensorView& grad_input) {
  conv_input_grad(p.as_convolution(), as_taps(weight), as_line(grad_output), nullptr, as_line(grad_input));
}

void linear_weight_grad(const LinearProblem& p, const TensorView& input, const TensorView& grad_output,
                        const TensorView& grad_weight) {
  conv_weight_grad(p.as_convolution(), as_line(input), as_line(grad_output), as_taps(grad_weight));
}

}  // namespace striate
