// NumPy arrays <-> TensorViews. Nothing here knows what an op means.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor_view.h"

namespace striate::python {

namespace py = pybind11;

using Ints = std::vector<int64_t>;
using Pairs = std::vector<std::array<int64_t, 2>>;
using Format = std::optional<std::string>;

/// A window on a float32, float64 or int64 array; TypeError for any other dtype.
TensorView view_of(const char* op, const char* name, const py::array& array);
/// The same on a uint8 array.
TensorView byte_view_of(const char* op, const char* name, const py::array& array);

/// The same without a word: false unless `object` is exactly a numpy.ndarray of native, aligned float32 or
/// float64, whose strides are whole elements.
bool ready_view(PyObject* object, TensorView& view);

/// A new array; big ones come from the buffer pool.
py::array new_array(const char* op, std::span<const int64_t> shape, DType dtype, MemoryFormat format);

/// The wish that `memory_format` expresses; ValueError for an unknown word.
std::optional<MemoryFormat> parse_format(const char* op, const Format& format);

/// The array to fill: `out` if given (ValueError or TypeError unless it has this shape and dtype, is
/// writeable, does not overlap itself nor an input), else a new one.
py::array result_array(const char* op, const py::object& out, std::span<const int64_t> shape, DType dtype,
                       MemoryFormat format, std::initializer_list<const py::array*> inputs);

/// The same, as an array and as the view of it; null inputs are none.
struct Result {
  py::array array;
  TensorView view;
};
Result make_result(const char* op, PyObject* out, std::span<const int64_t> shape, DType dtype,
                   MemoryFormat format, std::initializer_list<PyObject*> inputs);

/// The same for a result with the shape, dtype and axis order of `model`.
py::array result_like(const char* op, const py::object& out, const TensorView& model,
                      std::initializer_list<const py::array*> inputs);

/// TypeError unless all arrays (null ones aside) have one dtype; returns it.
DType common_dtype(const char* op, std::initializer_list<std::pair<const char*, const py::array*>> arrays);

/// result_like for a result whose elements depend on the same elements of the operands only: `out` may be the
/// very elements of one of them.
py::array elementwise_result(const char* op, const py::object& out, const TensorView& model,
                             const py::array& first, const py::array& second);

/// ValueError unless grad_output has the shape of `model`, which messages call `name`.
void check_same_shape(const char* op, const char* name, const TensorView& model, const TensorView& grad_output);

/// None or a 1-d array of `size` elements, made dense; null data when None. Keep `holder` alive.
const void* dense_vector(const char* op, const char* name, const py::object& array, int64_t size,
                         DType dtype, py::array& holder);

/// Raised by op, or passed on to Python: the C++ side of `with nogil`.
template <class Call>
void without_gil(Call call) {
  const py::gil_scoped_release release;
  call();
}

// One function a binding file; module.cc calls them all.
void bind_runtime(py::module_& m);
void bind_conv(py::module_& m);
void bind_curve(py::module_& m);
void bind_group_norm(py::module_& m);
void bind_linear(py::module_& m);
void bind_loss(py::module_& m);
void bind_norm(py::module_& m);
void bind_pointwise(py::module_& m);
void bind_pool(py::module_& m);
void bind_rearrange(py::module_& m);
void bind_resample(py::module_& m);
void bind_sample(py::module_& m);
void bind_update(py::module_& m);

}  // namespace striate::python
