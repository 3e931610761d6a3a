#include "ops/linear.h"

#include "bindings/fast_call.h"

namespace striate::python {
namespace {

py::object forward(Arguments& a) {
  const char* op = "linear";
  const Operand input = a.array(op, "input"), weight = a.array(op, "weight");
  const Operand bias = a.optional_array(op, "bias");
  PyObject* out = a.destination();
  PackedWeights* packed = a.packed_weights();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"input", &input}, {"weight", &weight}, {"bias", &bias}});
  const LinearProblem p = LinearProblem::forward(op, input.view, weight.view);
  py::array holder;
  const void* b = dense_vector(op, "bias", bias.object(), p.out_features, dtype, holder);
  const std::array<int64_t, 2> shape{p.rows, p.out_features};
  const Result result = make_result(op, out, shape, dtype, MemoryFormat::contiguous,
                                    {input.array, weight.array, b ? holder.ptr() : nullptr});
  without_gil([&] { linear_forward(p, input.view, weight.view, b, result.view, packed); });
  return result.array;
}

py::object input_grad(Arguments& a) {
  const char* op = "linear_input_grad";
  const Operand weight = a.array(op, "weight"), grad_output = a.array(op, "grad_output");
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"weight", &weight}, {"grad_output", &grad_output}});
  const LinearProblem p = LinearProblem::input_grad(op, weight.view, grad_output.view);
  const std::array<int64_t, 2> shape{p.rows, p.in_features};
  const Result result =
      make_result(op, out, shape, dtype, MemoryFormat::contiguous, {weight.array, grad_output.array});
  without_gil([&] { linear_input_grad(p, weight.view, grad_output.view, result.view); });
  return result.array;
}

py::object weight_grad(Arguments& a) {
  const char* op = "linear_weight_grad";
  const Operand input = a.array(op, "input"), grad_output = a.array(op, "grad_output");
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"input", &input}, {"grad_output", &grad_output}});
  const LinearProblem p = LinearProblem::weight_grad(op, input.view, grad_output.view);
  const std::array<int64_t, 2> shape{p.out_features, p.in_features};
  const Result result =
      make_result(op, out, shape, dtype, MemoryFormat::contiguous, {input.array, grad_output.array});
  without_gil([&] { linear_weight_grad(p, input.view, grad_output.view, result.view); });
  return result.array;
}

}  // namespace

void bind_linear(py::module_& m) {
  define_fast<forward>(m, "linear_forward", "try_linear_forward");
  define_fast<input_grad>(m, "linear_input_grad");
  define_fast<weight_grad>(m, "linear_weight_grad");
}

}  // namespace striate::python
