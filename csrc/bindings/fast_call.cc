#include "bindings/fast_call.h"

#include <cstring>
#include <new>

#include "base/error.h"
#include "base/parallel.h"

namespace striate::python {

PyObject* Arguments::next() {
  if (at_ < count_) return args_[at_++];
  throw TypeError(concat("a native function was called with ", count_, " arguments, too few"));
}

void Arguments::unready() {
  if (form_ == Form::promised)
    throw TypeError(concat("argument ", at_, " of a native function has the wrong type"));
  complete_ = false;
}

bool Arguments::read(PyObject* object, int64_t& value) {
  if (!PyLong_CheckExact(object)) return false;  // a bool is no number here
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow == 0;
}

const char* Arguments::text() {
  PyObject* object = next();
  const char* text = PyUnicode_CheckExact(object) ? PyUnicode_AsUTF8(object) : nullptr;
  if (!text) {
    PyErr_Clear();  // a surrogate
    unready();
  }
  return text;
}

std::optional<const char*> Arguments::optional_text() {
  if (at_ < count_ && args_[at_] == Py_None) {
    ++at_;
    return std::nullopt;
  }
  return text();
}

int64_t Arguments::integer() {
  int64_t value = 0;
  if (!read(next(), value)) unready();
  return value;
}

std::optional<int64_t> Arguments::optional_integer() {
  if (at_ < count_ && args_[at_] == Py_None) {
    ++at_;
    return std::nullopt;
  }
  return integer();
}

bool Arguments::flag() {
  PyObject* object = next();
  if (object != Py_True && object != Py_False) unready();
  return object == Py_True;
}

Operand Arguments::array(const char* op, const char* name) {
  Operand operand;
  PyObject* object = next();
  if (!complete_) return operand;
  operand.array = object;
  if (ready_view(object, operand.view)) return operand;
  if (form_ == Form::offered) {
    unready();
  } else {
    if (!py::isinstance<py::array>(object)) fail_type(op, ": ", name, " must be a numpy.ndarray");
    operand.view = view_of(op, name, py::reinterpret_borrow<py::array>(object));
  }
  return operand;
}

Operand Arguments::optional_array(const char* op, const char* name) {
  if (at_ < count_ && args_[at_] == Py_None) {
    ++at_;
    return {};
  }
  return array(op, name);
}

Operand Arguments::byte_array(const char* op, const char* name) {
  PyObject* object = next();
  if (form_ == Form::offered || !py::isinstance<py::array>(object)) {
    unready();
    return {};
  }
  return {byte_view_of(op, name, py::reinterpret_borrow<py::array>(object)), object};
}

PyObject* Arguments::destination() {
  PyObject* object = next();
  // In the form `offered`, what an odd `out` means is for Python to say.
  if (object != Py_None && form_ == Form::offered) {
    TensorView view;
    if (!ready_view(object, view)) unready();
  }
  return object;
}

Extents Arguments::shape() {
  PyObject* object = next();
  Extents extents;
  if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) > kMaxRank) {
    unready();
    return extents;
  }
  extents.count = static_cast<size_t>(PyTuple_GET_SIZE(object));
  for (size_t i = 0; i < extents.count; ++i)
    if (!read(PyTuple_GET_ITEM(object, static_cast<Py_ssize_t>(i)), extents.values[i])) unready();
  return extents;
}

Extents Arguments::axes(int64_t rank) {
  Extents extents;
  if (at_ < count_ && PyLong_CheckExact(args_[at_])) {
    extents.count = static_cast<size_t>(rank);
    extents.values.fill(integer());
    return extents;
  }
  extents = shape();
  if (static_cast<int64_t>(extents.count) != rank) unready();
  return extents;
}

PadPairs Arguments::pads(int64_t rank) {
  PyObject* object = next();
  PadPairs pads;
  pads.count = static_cast<size_t>(rank);
  int64_t both = 0;
  if (read(object, both)) {
    for (size_t i = 0; i < pads.count; ++i) pads.values[i] = {both, both};
    return pads;
  }
  if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) != rank) {
    unready();
    return pads;
  }
  for (size_t i = 0; i < pads.count; ++i) {
    PyObject* entry = PyTuple_GET_ITEM(object, static_cast<Py_ssize_t>(i));
    auto& [low, high] = pads.values[i];
    if (PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == 2) {
      if (!read(PyTuple_GET_ITEM(entry, 0), low) || !read(PyTuple_GET_ITEM(entry, 1), high)) unready();
    } else if (read(entry, low)) {
      high = low;
    } else {
      unready();
    }
  }
  return pads;
}

std::optional<MemoryFormat> Arguments::format(const char* op) {
  const std::optional<const char*> word = optional_text();
  if (!word || !complete_) return std::nullopt;
  if (form_ == Form::promised) return parse_format(op, std::string(*word));
  if (std::strcmp(*word, "contiguous") == 0) return MemoryFormat::contiguous;
  if (std::strcmp(*word, "channels_last") == 0) return MemoryFormat::channels_last;
  unready();
  return std::nullopt;
}

PackedWeights* Arguments::packed_weights() {
  if (at_ == count_ || args_[at_] == Py_None) return nullptr;
  PyObject* object = next();
  if (py::isinstance<PackedWeights>(object)) return py::cast<PackedWeights*>(py::handle(object));
  unready();
  return nullptr;
}

DType same_dtype(const char* op, std::initializer_list<std::pair<const char*, const Operand*>> operands) {
  const std::pair<const char*, const Operand*>* first = nullptr;
  for (const auto& entry : operands) {
    const auto& [name, operand] = entry;
    if (!*operand) continue;
    const DType dtype = operand->view.dtype;
    if (dtype == DType::i64) fail_type(op, ": ", name, " must be float32 or float64, got int64");
    if (!first) {
      first = &entry;
    } else if (dtype != first->second->view.dtype) {
      fail_type(op, ": ", first->first, " is ", name_of(first->second->view.dtype), ", but ", name, " is ",
                name_of(dtype), "; convert one with .astype");
    }
  }
  return first->second->view.dtype;
}

PyObject* call_fast(FastFunction function, PyObject* const* args, Py_ssize_t count, Form form) noexcept {
  try {
    Arguments arguments(args, count, form);
    py::object result = function(arguments);
    if (result) return result.release().ptr();
    return Py_NewRef(Py_NotImplemented);
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const striate::Interrupted&) {
    // PyErr_CheckSignals has set the exception, KeyboardInterrupt as a rule.
  } catch (const striate::TypeError& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::bad_alloc& error) {
    PyErr_SetString(PyExc_MemoryError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace striate::python
