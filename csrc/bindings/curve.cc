// Activations whose gradient is taken from the input, all of one form.
#include "ops/curve.h"

#include "bindings/arrays.h"

namespace striate::python {
namespace {

py::array forward(const std::string& op, const std::string& name, const py::array& input, double first,
                  double second, const py::object& out) {
  common_dtype(op.c_str(), {{"input", &input}});
  const TensorView x = view_of(op.c_str(), "input", input);
  const auto problem = CurveProblem::make(op.c_str(), name, x.dtype, first, second);
  py::array result = elementwise_result(op.c_str(), out, x, input, input);
  const TensorView y = view_of(op.c_str(), "out", result);
  without_gil([&] { curve(problem, x, y); });
  return result;
}

py::array gradient(const std::string& op, const std::string& name, const py::array& input,
                   const py::array& grad_output, double first, double second, const py::object& out) {
  common_dtype(op.c_str(), {{"input", &input}, {"grad_output", &grad_output}});
  const TensorView x = view_of(op.c_str(), "input", input);
  const TensorView g = view_of(op.c_str(), "grad_output", grad_output);
  check_same_shape(op.c_str(), "input", x, g);
  const auto problem = CurveProblem::make(op.c_str(), name, x.dtype, first, second);
  py::array result = elementwise_result(op.c_str(), out, x, input, grad_output);
  const TensorView dx = view_of(op.c_str(), "out", result);
  without_gil([&] { curve_grad(problem, x, g, dx); });
  return result;
}

}  // namespace

void bind_curve(py::module_& m) {
  m.def("curve", forward);
  m.def("curve_grad", gradient);
}

}  // namespace striate::python
