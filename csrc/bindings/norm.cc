#include "bindings/arrays.h"
#include "ops/batch_norm.h"

namespace striate::python {
namespace {

// A dense vector with one element a channel, kept alive as long as this.
struct Vector {
  py::array holder;
  const void* data;
  Vector(const char* op, const char* name, const py::object& array, const BatchNormProblem& p)
      : data(dense_vector(op, name, array, p.channels, p.dtype, holder)) {}
  const py::array* array() const { return data ? &holder : nullptr; }
};

// What a fused ReLU leaves for the gradient; None without it.
struct Gate {
  py::object array = py::none();
  void* data = nullptr;
  Gate(const char* op, const BatchNormProblem& p) {
    if (!p.relu) return;
    const std::array<int64_t, 2> shape{2, p.channels};
    py::array made = new_array(op, shape, p.dtype, MemoryFormat::contiguous);
    data = made.mutable_data();
    array = std::move(made);
  }
};

const void* gate_data(const char* op, const py::object& gate, const BatchNormProblem& p) {
  if (gate.is_none()) return nullptr;
  const auto array = py::cast<py::array>(gate);
  const TensorView view = view_of(op, "gate", array);
  const bool dense = view.rank == 2 && view.shape[0] == 2 && view.shape[1] == p.channels &&
                     (p.channels < 2 || view.stride[1] == 1) && view.stride[0] == p.channels;
  if (!dense || view.dtype != p.dtype) fail_value(op, ": gate is not what batch_norm with relu left");
  return view.data;
}

py::array new_vector(const char* op, const BatchNormProblem& p) {
  const std::array<int64_t, 1> shape{p.channels};
  return new_array(op, shape, p.dtype, MemoryFormat::contiguous);
}

py::tuple train(const py::array& input, const py::object& weight, const py::object& bias, double eps,
                bool relu, const py::object& out) {
  const char* op = "batch_norm";
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const BatchNormProblem p = BatchNormProblem::make(op, x, eps, true, relu);
  const Vector w(op, "weight", weight, p);
  const Vector b(op, "bias", bias, p);
  py::array result = result_array(op, out, x.dims(), dtype, result_format(x, nullptr, nullptr),
                                  {&input, w.array(), b.array()});
  const TensorView y = view_of(op, "out", result);
  py::array mean = new_vector(op, p);
  py::array var = new_vector(op, p);
  void* const means = mean.mutable_data();
  void* const vars = var.mutable_data();
  Gate gate(op, p);
  without_gil([&] { batch_norm_train(p, x, w.data, b.data, y, means, vars, gate.data); });
  return py::make_tuple(result, mean, var, gate.array);
}

py::tuple infer(const py::array& input, const py::array& mean, const py::array& var,
                const py::object& weight, const py::object& bias, double eps, bool relu,
                const py::object& out) {
  const char* op = "batch_norm";
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const BatchNormProblem p = BatchNormProblem::make(op, x, eps, false, relu);
  const Vector m(op, "mean", mean, p);
  const Vector v(op, "var", var, p);
  const Vector w(op, "weight", weight, p);
  const Vector b(op, "bias", bias, p);
  py::array result = result_array(op, out, x.dims(), dtype, result_format(x, nullptr, nullptr),
                                  {&input, m.array(), v.array(), w.array(), b.array()});
  const TensorView y = view_of(op, "out", result);
  Gate gate(op, p);
  without_gil([&] { batch_norm_infer(p, x, m.data, v.data, w.data, b.data, y, gate.data); });
  return py::make_tuple(result, gate.array);
}

py::tuple grad(const py::array& input, const py::array& grad_output, const py::array& mean,
               const py::array& var, const py::object& weight, const py::object& gate, double eps, bool training,
               const py::object& out) {
  const char* op = "batch_norm_grad";
  const DType dtype = common_dtype(op, {{"input", &input}, {"grad_output", &grad_output}});
  const TensorView x = view_of(op, "input", input);
  const TensorView g = view_of(op, "grad_output", grad_output);
  const BatchNormProblem p = BatchNormProblem::make(op, x, eps, training);
  if (!std::equal(x.dims().begin(), x.dims().end(), g.dims().begin(), g.dims().end()))
    fail_value(op, ": grad_output must have the input's shape ", tuple_text(x.dims()), ", got ",
               tuple_text(g.dims()));
  const Vector m(op, "mean", mean, p);
  const Vector v(op, "var", var, p);
  const Vector w(op, "weight", weight, p);
  py::array result = result_array(op, out, x.dims(), dtype, result_format(x, nullptr, nullptr),
                                  {&input, &grad_output, m.array(), v.array(), w.array()});
  const TensorView dx = view_of(op, "out", result);
  py::array grad_weight = new_vector(op, p);
  py::array grad_bias = new_vector(op, p);
  void* const dw = grad_weight.mutable_data();
  void* const db = grad_bias.mutable_data();
  const void* const gates = gate_data(op, gate, p);
  without_gil([&] { batch_norm_grad(p, x, g, m.data, v.data, w.data, gates, training, dx, dw, db); });
  return py::make_tuple(result, grad_weight, grad_bias);
}

}  // namespace

void bind_norm(py::module_& m) {
  m.def("batch_norm_train", train);
  m.def("batch_norm_infer", infer);
  m.def("batch_norm_grad", grad);
}

}  // namespace striate::python
