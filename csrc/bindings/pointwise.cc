// Activations, arithmetic, softmax and log-softmax: ops whose result has the shape and layout of an input.
#include "ops/pointwise.h"

#include "bindings/arrays.h"
#include "ops/softmax.h"

namespace striate::python {
namespace {

py::array forward(const char* op, Activation activation, const py::array& input, double negative_slope,
                  const py::object& out) {
  common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const auto problem = ActivationProblem::make(op, activation, x.dtype, negative_slope);
  py::array result = elementwise_result(op, out, x, input, input);
  const TensorView y = view_of(op, "out", result);
  without_gil([&] { activate(problem, x, y); });
  return result;
}

py::array gradient(const char* op, Activation activation, const py::array& output,
                   const py::array& grad_output, double negative_slope, const py::object& out) {
  common_dtype(op, {{"output", &output}, {"grad_output", &grad_output}});
  const TensorView y = view_of(op, "output", output);
  const TensorView g = view_of(op, "grad_output", grad_output);
  check_same_shape(op, "output", y, g);
  const auto problem = ActivationProblem::make(op, activation, y.dtype, negative_slope);
  py::array result = elementwise_result(op, out, y, output, grad_output);
  const TensorView dx = view_of(op, "out", result);
  without_gil([&] { activation_grad(problem, y, g, dx); });
  return result;
}

void bind_activation(py::module_& m, const char* op, const char* grad_op, Activation activation) {
  m.def(op, [op, activation](const py::array& input, const py::object& out) {
    return forward(op, activation, input, 1, out);
  });
  m.def(grad_op, [grad_op, activation](const py::array& output, const py::array& grad_output,
                                       const py::object& out) {
    return gradient(grad_op, activation, output, grad_output, 1, out);
  });
}

/// `view` repeated to `shape`, as NumPy broadcasts; ValueError where it does not fit.
TensorView broadcast(const char* op, const TensorView& view, const TensorView& shape) {
  TensorView wide = view;
  wide.rank = shape.rank;
  for (int i = 0; i < shape.rank; ++i) {
    const auto axis = static_cast<size_t>(i);
    const int own = i - (shape.rank - view.rank);
    const bool repeated = own < 0 || view.shape[static_cast<size_t>(own)] == 1;
    if (!repeated && view.shape[static_cast<size_t>(own)] != shape.shape[axis])
      fail_value(op, ": shapes ", tuple_text(shape.dims()), " and ", tuple_text(view.dims()), " do not fit");
    wide.shape[axis] = shape.shape[axis];
    wide.stride[axis] = repeated ? 0 : view.stride[static_cast<size_t>(own)];
  }
  return wide;
}

/// Whether `a` may repeat to the shape of `b`, but not the other way: it has fewer axes, or 1 where `b` has not. Counts
/// of elements do not tell: (1, 1) repeats to (0, 3).
bool repeats_to(const TensorView& a, const TensorView& b) {
  if (a.rank != b.rank) return a.rank < b.rank;
  for (size_t i = 0; i < static_cast<size_t>(a.rank); ++i)
    if (a.shape[i] == 1 && b.shape[i] != 1) return true;
  return false;
}

// The result has the shape of one operand, to which the other one may repeat.
py::array arithmetic(const char* op, Binary kind, const py::array& first, const py::array& second,
                     const py::object& out) {
  common_dtype(op, {{"input", &first}, {"other", &second}});
  const TensorView a = view_of(op, "input", first), b = view_of(op, "other", second);
  const TensorView& model = repeats_to(a, b) ? b : a;
  const TensorView wide_a = broadcast(op, a, model), wide_b = broadcast(op, b, model);
  py::array result = elementwise_result(op, out, model, first, second);
  const TensorView y = view_of(op, "out", result);
  without_gil([&] { binary(kind, wide_a, wide_b, y); });
  return result;
}

void bind_binary(py::module_& m, const char* op, Binary kind) {
  m.def(op, [op, kind](const py::array& first, const py::array& second, const py::object& out) {
    return arithmetic(op, kind, first, second, out);
  });
}

/// `slope`: one number, or one a channel, shaped to repeat to the input.
py::array prelu_gradient(const py::array& input, const py::array& slope, const py::array& grad_output,
                         const py::object& out) {
  const char* op = "prelu_grad";
  common_dtype(op, {{"input", &input}, {"slope", &slope}, {"grad_output", &grad_output}});
  const TensorView x = view_of(op, "input", input), g = view_of(op, "grad_output", grad_output);
  check_same_shape(op, "input", x, g);
  const TensorView wide = broadcast(op, view_of(op, "slope", slope), x);
  py::array result = elementwise_result(op, out, x, input, grad_output);
  const TensorView dx = view_of(op, "out", result);
  without_gil([&] { prelu_grad(x, wide, g, dx); });
  return result;
}

void bind_leaky_relu(py::module_& m) {
  m.def("leaky_relu", [](const py::array& input, double negative_slope, const py::object& out) {
    return forward("leaky_relu", Activation::leaky_relu, input, negative_slope, out);
  });
  m.def("leaky_relu_grad", [](const py::array& output, const py::array& grad_output,
                              double negative_slope, const py::object& out) {
    return gradient("leaky_relu_grad", Activation::leaky_relu, output, grad_output, negative_slope, out);
  });
}

py::array forward(const char* op, Softmax kind, const py::array& input, int64_t axis,
                  const py::object& out) {
  common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const int along = softmax_axis(op, x, axis);
  py::array result = result_like(op, out, x, {&input});
  const TensorView y = view_of(op, "out", result);
  without_gil([&] { softmax_forward(kind, x, along, y); });
  return result;
}

py::array gradient(const char* op, Softmax kind, const py::array& output, const py::array& grad_output,
                   int64_t axis, const py::object& out) {
  common_dtype(op, {{"output", &output}, {"grad_output", &grad_output}});
  const TensorView y = view_of(op, "output", output);
  const TensorView g = view_of(op, "grad_output", grad_output);
  check_same_shape(op, "output", y, g);
  const int along = softmax_axis(op, y, axis);
  py::array result = result_like(op, out, y, {&output, &grad_output});
  const TensorView dx = view_of(op, "out", result);
  without_gil([&] { softmax_grad(kind, y, g, along, dx); });
  return result;
}

void bind_softmax(py::module_& m, const char* op, const char* grad_op, Softmax kind) {
  m.def(op, [op, kind](const py::array& input, int64_t axis, const py::object& out) {
    return forward(op, kind, input, axis, out);
  });
  m.def(grad_op, [grad_op, kind](const py::array& output, const py::array& grad_output, int64_t axis,
                                 const py::object& out) {
    return gradient(grad_op, kind, output, grad_output, axis, out);
  });
}

}  // namespace

void bind_pointwise(py::module_& m) {
  bind_activation(m, "relu", "relu_grad", Activation::relu);
  bind_leaky_relu(m);
  bind_activation(m, "sigmoid", "sigmoid_grad", Activation::sigmoid);
  bind_activation(m, "tanh", "tanh_grad", Activation::tanh);
  bind_binary(m, "add", Binary::add);
  bind_binary(m, "subtract", Binary::subtract);
  bind_binary(m, "multiply", Binary::multiply);
  bind_binary(m, "divide", Binary::divide);
  bind_binary(m, "add_relu", Binary::add_relu);
  bind_binary(m, "prelu", Binary::prelu);
  bind_binary(m, "prelu_weight_terms", Binary::prelu_weight_terms);
  m.def("prelu_grad", prelu_gradient);
  bind_softmax(m, "softmax", "softmax_grad", Softmax::plain);
  bind_softmax(m, "log_softmax", "log_softmax_grad", Softmax::log);
}

}  // namespace striate::python
