#include "ops/group_norm.h"

#include "bindings/arrays.h"

namespace striate::python {
namespace {

py::array new_vector(const char* op, std::initializer_list<int64_t> shape, DType dtype) {
  return new_array(op, std::vector<int64_t>(shape), dtype, MemoryFormat::contiguous);
}

// Messages name `op`: layer_norm and instance_norm call this too.
py::tuple forward(const std::string& name, const py::array& input, int64_t groups, const py::object& weight,
                  const py::object& bias, double eps, const py::object& out) {
  const char* op = name.c_str();
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const GroupNormProblem p = GroupNormProblem::make(op, x, groups, eps);
  py::array weights, biases;
  const void* const w = dense_vector(op, "weight", weight, p.channels, dtype, weights);
  const void* const b = dense_vector(op, "bias", bias, p.channels, dtype, biases);
  py::array result = result_array(op, out, x.dims(), dtype, result_format(x, nullptr, nullptr),
                                  {&input, w ? &weights : nullptr, b ? &biases : nullptr});
  const TensorView y = view_of(op, "out", result);
  py::array mean = new_vector(op, {p.n, p.groups}, dtype), var = new_vector(op, {p.n, p.groups}, dtype);
  void *const means = mean.mutable_data(), *const vars = var.mutable_data();
  without_gil([&] { group_norm(p, x, w, b, y, means, vars); });
  return py::make_tuple(result, mean, var);
}

py::tuple gradient(const std::string& name, const py::array& input, const py::array& grad_output, int64_t groups,
                   const py::array& mean, const py::array& var, const py::object& weight, double eps) {
  const char* op = name.c_str();
  const DType dtype = common_dtype(
      op, {{"input", &input}, {"grad_output", &grad_output}, {"mean", &mean}, {"var", &var}});
  const TensorView x = view_of(op, "input", input), g = view_of(op, "grad_output", grad_output);
  check_same_shape(op, "input", x, g);
  const GroupNormProblem p = GroupNormProblem::make(op, x, groups, eps);
  for (const py::array* statistic : {&mean, &var})
    if (statistic->size() != p.n * p.groups || !(statistic->flags() & py::array::c_style))
      fail_value(op, ": mean and var are not what the forward pass left");
  py::array weights;
  const void* const w = dense_vector(op, "weight", weight, p.channels, dtype, weights);
  py::array result = result_array(op, py::none(), x.dims(), dtype, result_format(x, nullptr, nullptr), {});
  const TensorView dx = view_of(op, "out", result);
  py::array grad_weight = new_vector(op, {p.channels}, dtype), grad_bias = new_vector(op, {p.channels}, dtype);
  void *const dw = grad_weight.mutable_data(), *const db = grad_bias.mutable_data();
  const void *const means = mean.data(), *const vars = var.data();
  without_gil([&] { group_norm_grad(p, x, g, means, vars, w, dx, dw, db); });
  return py::make_tuple(result, grad_weight, grad_bias);
}

}  // namespace

void bind_group_norm(py::module_& m) {
  m.def("group_norm", forward);
  m.def("group_norm_grad", gradient);
}

}  // namespace striate::python
