// Softmax cross-entropy with class numbers.
#include "bindings/arrays.h"
#include "ops/cross_entropy.h"

namespace striate::python {
namespace {

// int64 and C-contiguous, which striate.ops guarantees; checked, for it is followed as an index.
TensorView targets_of(const char* op, const TensorView& input, const py::array& target) {
  const TensorView view = view_of(op, "target", target);
  if (view.dtype != DType::i64 || !(target.flags() & py::array::c_style))
    fail_type(op, ": target must be a C-contiguous int64 array");
  check_targets(op, input, view);
  return view;
}

// The shape of the targets, after `lead` if that is not 0.
py::array new_rows(const char* op, int64_t lead, const TensorView& target, DType dtype) {
  std::vector<int64_t> shape(target.dims().begin(), target.dims().end());
  if (lead > 0) shape.insert(shape.begin(), lead);
  return new_array(op, shape, dtype, MemoryFormat::contiguous);
}

py::tuple forward(const std::string& name, const py::array& input, const py::array& target) {
  const char* op = name.c_str();
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input), t = targets_of(op, x, target);
  py::array losses = new_rows(op, 0, t, dtype);
  py::array kept = new_rows(op, 2, t, dtype);
  auto* const most = static_cast<char*>(kept.mutable_data());
  const CrossEntropyRows rows{t.as<int64_t>(), most, most + t.size() * size_of(dtype)};
  void* const to = losses.mutable_data();
  without_gil([&] { cross_entropy_forward(x, rows, to); });
  return py::make_tuple(losses, kept);
}

py::array gradient(const py::array& input, const py::array& target, const py::array& kept,
                   const py::array& grad_output, const py::object& out) {
  const char* op = "cross_entropy_grad";
  const DType dtype = common_dtype(op, {{"input", &input}, {"kept", &kept}, {"grad_output", &grad_output}});
  const TensorView x = view_of(op, "input", input), t = targets_of(op, x, target);
  const TensorView g = view_of(op, "grad_output", grad_output);
  if (!std::equal(t.dims().begin(), t.dims().end(), g.dims().begin(), g.dims().end()))
    fail_value(op, ": grad_output must have the target's shape ", tuple_text(t.dims()), ", got ",
               tuple_text(g.dims()));
  if (view_of(op, "kept", kept).size() != 2 * t.size() || !(kept.flags() & py::array::c_style))
    fail_value(op, ": kept is not what cross_entropy left");
  py::array result = result_like(op, out, x, {&input, &target, &kept, &grad_output});
  const TensorView dx = view_of(op, "out", result);
  auto* const most = static_cast<char*>(const_cast<void*>(kept.data()));
  const CrossEntropyRows rows{t.as<int64_t>(), most, most + t.size() * size_of(dtype)};
  without_gil([&] { cross_entropy_grad(x, rows, g, dx); });
  return result;
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def("cross_entropy_forward", forward);
  m.def("cross_entropy_grad", gradient);
}

}  // namespace striate::python
