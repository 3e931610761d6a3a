// Calls that cost little: pybind11's dispatcher takes microseconds to convert a dozen arguments, as long as a
// small convolution itself. Functions registered here read their arguments where they lie.
//
//   py::object forward(Arguments& a) {
//     const char* op = a.text();                      in the order of the call
//     const Operand x = a.array(op, "input");
//     ...
//     if (!a.complete()) return {};                   an argument was not ready: nothing has happened yet
//
// Each function is registered under two names. `name` promises arguments in the form that _core.pyi tells, and
// raises where one is not. `try_name` takes whatever the user wrote: plain arrays, an int or a tuple of ints for
// a stride; and returns NotImplemented where an argument first needs the care of striate/ops/arguments.py.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "base/tensor_view.h"
#include "bindings/arrays.h"
#include "ops/packed_weights.h"

namespace striate::python {

enum class Form : uint8_t { promised, offered };

/// A few integers, one for each of up to kMaxRank axes.
struct Extents {
  std::array<int64_t, kMaxRank> values{};
  size_t count = 0;
  operator std::span<const int64_t>() const { return {values.data(), count}; }  // NOLINT: a view of it
};

struct PadPairs {
  std::array<std::array<int64_t, 2>, kMaxRank> values{};
  size_t count = 0;
  operator std::span<const std::array<int64_t, 2>>() const { return {values.data(), count}; }  // NOLINT
};

/// An array of the caller's, who holds it during the call; a null one was None.
struct Operand {
  TensorView view;
  PyObject* array = nullptr;
  explicit operator bool() const { return array; }
  py::object object() const { return array ? py::reinterpret_borrow<py::object>(array) : py::none(); }
};

class Arguments {
 public:
  Arguments(PyObject* const* args, Py_ssize_t count, Form form) : args_(args), count_(count), form_(form) {}

  /// The next argument. Where it is not of that kind: TypeError, or (form `offered`) complete() turns false.
  const char* text();
  int64_t integer();
  bool flag();
  std::optional<int64_t> optional_integer();
  Operand array(const char* op, const char* name);
  Operand optional_array(const char* op, const char* name);
  Operand byte_array(const char* op, const char* name);  // uint8, promised only
  PyObject* destination();  // None or an array
  Extents shape();
  Extents axes(int64_t rank);  // an int for all, or a tuple of one each
  PadPairs pads(int64_t rank);  // the same, or a tuple of pairs
  std::optional<MemoryFormat> format(const char* op);
  std::optional<const char*> optional_text();
  /// The last argument, which may be left out or None: where forms of the weight stay.
  PackedWeights* packed_weights();

  bool complete() const { return complete_; }

 private:
  PyObject* next();
  void unready();
  bool read(PyObject* object, int64_t& value);

  PyObject* const* args_;
  Py_ssize_t count_, at_ = 0;
  Form form_;
  bool complete_ = true;
};

using FastFunction = py::object (*)(Arguments&);

/// TypeError unless all operands (null ones aside) have one dtype; returns it.
DType same_dtype(const char* op, std::initializer_list<std::pair<const char*, const Operand*>> operands);

/// Calls `function`, turning C++ exceptions into Python's.
PyObject* call_fast(FastFunction function, PyObject* const* args, Py_ssize_t count, Form form) noexcept;

/// Adds `name` and, if given, `try_name` to a module.
template <FastFunction function>
void define_fast(py::module_& m, const char* name, const char* try_name = nullptr) {
  using Raw = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);
  static constexpr Raw promised = [](PyObject*, PyObject* const* args, Py_ssize_t count) {
    return call_fast(function, args, count, Form::promised);
  };
  static constexpr Raw offered = [](PyObject*, PyObject* const* args, Py_ssize_t count) {
    return call_fast(function, args, count, Form::offered);
  };
  const auto method = [](Raw raw) { return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(raw)); };
  static PyMethodDef methods[] = {{name, method(promised), METH_FASTCALL, nullptr},
                                  {try_name, method(offered), METH_FASTCALL, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};
  if (PyModule_AddFunctions(m.ptr(), methods) != 0) throw py::error_already_set();
}

}  // namespace striate::python
