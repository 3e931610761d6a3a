// The steps of the optimisers, which change their first operand and their own state in place.
#include "ops/update.h"

#include <optional>

#include "bindings/arrays.h"

namespace striate::python {
namespace {

// A parameter, or what an optimiser keeps for it: an array of the parameter's shape and dtype to write into.
TensorView writable(const char* op, const char* name, py::array& array, const TensorView* value,
                    const py::array* grad) {
  const TensorView view = view_of(op, name, array);
  if (value && (view.dtype != value->dtype ||
                !std::equal(view.dims().begin(), view.dims().end(), value->dims().begin(), value->dims().end())))
    fail_value(op, ": ", name, " must be ", name_of(value->dtype), " of shape ", tuple_text(value->dims()),
               " as the parameter, got ", name_of(view.dtype), ' ', tuple_text(view.dims()));
  return view_of(op, name, result_array(op, array, view.dims(), view.dtype, MemoryFormat::contiguous, {grad}));
}

TensorView gradient(const char* op, const py::array& grad, const TensorView& value) {
  const TensorView view = view_of(op, "grad", grad);
  if (view.dtype != value.dtype ||
      !std::equal(view.dims().begin(), view.dims().end(), value.dims().begin(), value.dims().end()))
    fail_value(op, ": grad must be ", name_of(value.dtype), " of shape ", tuple_text(value.dims()),
               " as the parameter, got ", name_of(view.dtype), ' ', tuple_text(view.dims()));
  return view;
}

/// As `writable`, of a slot that may be None: then the view is empty.
std::optional<TensorView> optional(const char* op, const char* name, const py::object& slot,
                                   const TensorView& value, const py::array& grad) {
  if (slot.is_none()) return {};
  auto array = py::cast<py::array>(slot);
  return writable(op, name, array, &value, &grad);
}

const TensorView* pointer(const std::optional<TensorView>& view) { return view ? &*view : nullptr; }

void sgd(py::array value, const py::array& grad, const py::object& buffer, double lr, double momentum,
         double dampening, double weight_decay, bool nesterov, bool first) {
  const char* op = "sgd_update";
  common_dtype(op, {{"value", &value}});
  const TensorView w = writable(op, "value", value, nullptr, &grad), g = gradient(op, grad, w);
  const std::optional<TensorView> b = optional(op, "momentum_buffer", buffer, w, grad);
  const SgdStep step{lr, momentum, dampening, weight_decay, nesterov, first};
  without_gil([&] { sgd_update(step, w, g, pointer(b)); });
}

void adam(py::array value, const py::array& grad, py::array mean, py::array square, const py::object& most,
          int64_t count, double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled) {
  const char* op = "adam_update";
  common_dtype(op, {{"value", &value}});
  const TensorView w = writable(op, "value", value, nullptr, &grad), g = gradient(op, grad, w);
  const TensorView m = writable(op, "exp_avg", mean, &w, &grad);
  const TensorView v = writable(op, "exp_avg_sq", square, &w, &grad);
  const std::optional<TensorView> s = optional(op, "max_exp_avg_sq", most, w, grad);
  const AdamStep step{lr, beta1, beta2, eps, weight_decay, decoupled, count};
  without_gil([&] { adam_update(step, w, g, m, v, pointer(s)); });
}

void adagrad(py::array value, const py::array& grad, py::array square, double rate, double eps,
             double weight_decay) {
  const char* op = "adagrad_update";
  common_dtype(op, {{"value", &value}});
  const TensorView w = writable(op, "value", value, nullptr, &grad), g = gradient(op, grad, w);
  const TensorView v = writable(op, "sum", square, &w, &grad);
  without_gil([&] { adagrad_update({rate, eps, weight_decay}, w, g, v); });
}

void rmsprop(py::array value, const py::array& grad, py::array square, const py::object& mean,
             const py::object& buffer, double lr, double alpha, double eps, double weight_decay, double momentum) {
  const char* op = "rmsprop_update";
  common_dtype(op, {{"value", &value}});
  const TensorView w = writable(op, "value", value, nullptr, &grad), g = gradient(op, grad, w);
  const TensorView v = writable(op, "square_avg", square, &w, &grad);
  const std::optional<TensorView> m = optional(op, "grad_avg", mean, w, grad);
  const std::optional<TensorView> b = optional(op, "momentum_buffer", buffer, w, grad);
  const RmspropStep step{lr, alpha, eps, weight_decay, momentum};
  without_gil([&] { rmsprop_update(step, w, g, v, pointer(m), pointer(b)); });
}

}  // namespace

void bind_update(py::module_& m) {
  m.def("sgd_update", sgd);
  m.def("adam_update", adam);
  m.def("adagrad_update", adagrad);
  m.def("rmsprop_update", rmsprop);
}

}  // namespace striate::python
