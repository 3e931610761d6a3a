#include "ops/linear.h"

#include "bindings/arrays.h"

namespace striate::python {
namespace {

py::array forward(const py::array& input, const py::array& weight, const py::object& bias,
                  const py::object& out) {
  const char* op = "linear";
  const DType dtype = common_dtype(op, {{"input", &input}, {"weight", &weight}});
  const TensorView x = view_of(op, "input", input);
  const TensorView w = view_of(op, "weight", weight);
  const LinearProblem p = LinearProblem::forward(op, x, w);
  py::array bias_holder;
  const void* b = dense_vector(op, "bias", bias, p.out_features, dtype, bias_holder);
  const std::array<int64_t, 2> shape{p.rows, p.out_features};
  py::array result = result_array(op, out, shape, dtype, MemoryFormat::contiguous,
                                  {&input, &weight, b ? &bias_holder : nullptr});
  const TensorView y = view_of(op, "out", result);
  without_gil([&] { linear_forward(p, x, w, b, y); });
  return result;
}

py::array input_grad(const py::array& weight, const py::array& grad_output, const py::object& out) {
  const char* op = "linear_input_grad";
  const DType dtype = common_dtype(op, {{"weight", &weight}, {"grad_output", &grad_output}});
  const TensorView w = view_of(op, "weight", weight);
  const TensorView g = view_of(op, "grad_output", grad_output);
  const LinearProblem p = LinearProblem::input_grad(op, w, g);
  const std::array<int64_t, 2> shape{p.rows, p.in_features};
  py::array result =
      result_array(op, out, shape, dtype, MemoryFormat::contiguous, {&weight, &grad_output});
  const TensorView dx = view_of(op, "out", result);
  without_gil([&] { linear_input_grad(p, w, g, dx); });
  return result;
}

py::array weight_grad(const py::array& input, const py::array& grad_output, const py::object& out) {
  const char* op = "linear_weight_grad";
  const DType dtype = common_dtype(op, {{"input", &input}, {"grad_output", &grad_output}});
  const TensorView x = view_of(op, "input", input);
  const TensorView g = view_of(op, "grad_output", grad_output);
  const LinearProblem p = LinearProblem::weight_grad(op, x, g);
  const std::array<int64_t, 2> shape{p.out_features, p.in_features};
  py::array result =
      result_array(op, out, shape, dtype, MemoryFormat::contiguous, {&input, &grad_output});
  const TensorView dw = view_of(op, "out", result);
  without_gil([&] { linear_weight_grad(p, x, g, dw); });
  return result;
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def("linear_forward", forward);
  m.def("linear_input_grad", input_grad);
  m.def("linear_weight_grad", weight_grad);
}

}  // namespace striate::python
