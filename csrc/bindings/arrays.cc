#include "bindings/arrays.h"

#include <algorithm>

#include "base/buffer_pool.h"
#include "base/error.h"

namespace striate::python {
namespace {

py::dtype numpy_dtype(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return py::dtype::of<float>();
    case DType::f64:
      return py::dtype::of<double>();
    case DType::i64:
      return py::dtype::of<int64_t>();
    case DType::u8:
      return py::dtype::of<uint8_t>();
  }
  throw std::logic_error("dtype");
}

// The owner of a pooled buffer: the array's base, which gives the buffer back.
struct Owner {
  void* data;
  size_t bytes;
};

// Two elements of one array never share memory if, axes sorted by stride, each stride clears the extent
// of all finer axes. (Sufficient; arrays that interleave in stranger ways are not worth writing into.)
bool overlaps_itself(const TensorView& view) {
  if (view.size() == 0) return false;
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, extent
  for (int i = 0; i < view.rank; ++i) {
    const auto axis = static_cast<size_t>(i);
    if (view.shape[axis] > 1) axes.emplace_back(std::abs(view.stride[axis]), view.shape[axis]);
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 1;
  for (const auto& [stride, extent] : axes) {
    if (stride < reach) return true;
    reach = stride * (extent - 1) + reach;
  }
  return false;
}

// The bytes from the lowest element to the end of the highest.
std::pair<const char*, const char*> reach_of(const py::array& array) {
  const char* begin = static_cast<const char*>(array.data());
  const char* end = begin + array.itemsize();
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    if (array.shape(i) == 0) return {begin, begin};
    const py::ssize_t span = (array.shape(i) - 1) * array.strides(i);
    (span < 0 ? begin : end) += span;
  }
  return {begin, end};
}

bool share_memory(const py::array& a, const py::array& b) {
  const auto [a_begin, a_end] = reach_of(a);
  const auto [b_begin, b_end] = reach_of(b);
  if (a_end <= b_begin || b_end <= a_begin) return false;
  const py::module_ numpy = py::module_::import("numpy");
  try {
    return numpy.attr("shares_memory")(a, b, py::arg("max_work") = 10000).cast<bool>();
  } catch (py::error_already_set&) {
    return true;  // too hard to tell: refuse
  }
}

TensorView window_on(const char* op, const char* name, const py::array& array, DType dtype) {
  TensorView view;
  view.dtype = dtype;
  const int64_t item = size_of(dtype);
  if (array.ndim() > kMaxRank)
    fail_value(op, ": ", name, " has ", array.ndim(), " axes, more than the ", kMaxRank, " supported");
  view.rank = static_cast<int>(array.ndim());
  view.data = const_cast<void*>(array.data());
  for (int i = 0; i < view.rank; ++i) {
    const auto axis = static_cast<size_t>(i);
    view.shape[axis] = array.shape(i);
    const int64_t bytes = array.strides(i);
    if (bytes % item != 0 && view.shape[axis] > 1)
      fail_value(op, ": ", name, " has a stride of ", bytes, " bytes, not a multiple of its ", item,
                 "-byte elements");
    view.stride[axis] = bytes / item;
  }
  return view;
}

}  // namespace

bool ready_view(PyObject* object, TensorView& view) {
  if (Py_TYPE(object) != py::detail::npy_api::get().PyArray_Type_) return false;
  const auto* array = py::detail::array_proxy(object);
  if (array->descr == numpy_dtype(DType::f32).ptr())
    view.dtype = DType::f32;
  else if (array->descr == numpy_dtype(DType::f64).ptr())
    view.dtype = DType::f64;
  else
    return false;
  if (!(array->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) || array->nd > kMaxRank) return false;
  const int64_t item = size_of(view.dtype);
  view.rank = array->nd;
  view.data = array->data;
  for (size_t i = 0; i < static_cast<size_t>(array->nd); ++i) {
    view.shape[i] = array->dimensions[i];
    if (array->strides[i] % item != 0) return false;
    view.stride[i] = array->strides[i] / item;
  }
  return true;
}

TensorView view_of(const char* op, const char* name, const py::array& array) {
  const py::dtype dtype = array.dtype();
  const char kind = dtype.kind();
  const auto item = static_cast<int64_t>(dtype.itemsize());
  if (kind == 'f' && item == 4) return window_on(op, name, array, DType::f32);
  if (kind == 'f' && item == 8) return window_on(op, name, array, DType::f64);
  if (kind == 'i' && item == 8) return window_on(op, name, array, DType::i64);
  fail_type(op, ": ", name, " must be float32 or float64, got ", py::str(dtype).cast<std::string>());
}

TensorView byte_view_of(const char* op, const char* name, const py::array& array) {
  if (array.dtype().kind() == 'u' && array.dtype().itemsize() == 1)
    return window_on(op, name, array, DType::u8);
  fail_type(op, ": ", name, " must be uint8, got ", py::str(array.dtype()).cast<std::string>());
}

namespace {

// `layout` is dense, in whatever axis order; its data becomes the array's.
py::array array_of(const char* op, TensorView& layout) {
  const DType dtype = layout.dtype;
  const int64_t item = size_of(dtype);
  const auto bytes = static_cast<size_t>(checked_product(layout.dims(), op, "result") * item);
  std::array<Py_intptr_t, kMaxRank> dims{}, strides{};
  for (size_t i = 0; i < static_cast<size_t>(layout.rank); ++i) {
    dims[i] = layout.shape[i];
    strides[i] = layout.stride[i] * item;
  }
  const auto make = [&](void* data) {
    const auto& numpy = py::detail::npy_api::get();
    PyObject* array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, numpy_dtype(dtype).release().ptr(), layout.rank,
                                                  dims.data(), strides.data(), data,
                                                  data ? py::detail::npy_api::NPY_ARRAY_WRITEABLE_ : 0, nullptr);
    if (!array) throw py::error_already_set();
    layout.data = py::detail::array_proxy(array)->data;
    return py::reinterpret_steal<py::array>(array);
  };
  // The pool keeps no small buffers, and NumPy has a cache of its own for them.
  if (bytes < BufferPool::kSmallest) return make(nullptr);
  auto owner = std::make_unique<Owner>(Owner{BufferPool::instance().acquire(bytes), bytes});
  void* data = owner->data;
  py::capsule base(owner.get(), [](void* pointer) {
    const std::unique_ptr<Owner> dying(static_cast<Owner*>(pointer));
    BufferPool::instance().release(dying->data, dying->bytes);
  });
  owner.release();
  py::array array = make(data);
  if (py::detail::npy_api::get().PyArray_SetBaseObject_(array.ptr(), base.release().ptr()) != 0)
    throw py::error_already_set();
  return array;
}

TensorView dense_layout(std::span<const int64_t> shape, DType dtype, MemoryFormat format) {
  TensorView layout;
  layout.dtype = dtype;
  layout.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), layout.shape.begin());
  set_dense_strides(layout, format);
  return layout;
}

}  // namespace

py::array new_array(const char* op, std::span<const int64_t> shape, DType dtype, MemoryFormat format) {
  TensorView layout = dense_layout(shape, dtype, format);
  return array_of(op, layout);
}

std::optional<MemoryFormat> parse_format(const char* op, const Format& format) {
  if (!format) return std::nullopt;
  if (*format == "contiguous") return MemoryFormat::contiguous;
  if (*format == "channels_last") return MemoryFormat::channels_last;
  fail_value(op, ": memory_format must be 'contiguous' or 'channels_last', got '", *format, "'");
}

namespace {

// `out`, checked against all that may go wrong but an overlap with inputs.
Result checked_out(const char* op, PyObject* out, std::span<const int64_t> shape, DType dtype) {
  if (!py::isinstance<py::array>(out))
    fail_type(op, ": out must be a numpy.ndarray, got ",
              py::str(py::type::of(out).attr("__name__")).cast<std::string>());
  const auto array = py::reinterpret_borrow<py::array>(out);
  if (!array.dtype().is(numpy_dtype(dtype)) && !array.dtype().equal(numpy_dtype(dtype)))
    fail_type(op, ": out must be ", name_of(dtype), ", got ",
              py::str(array.dtype()).cast<std::string>());
  const TensorView view = view_of(op, "out", array);
  if (!std::equal(shape.begin(), shape.end(), view.dims().begin(), view.dims().end()))
    fail_value(op, ": out must have shape ", tuple_text(shape), ", got ", tuple_text(view.dims()));
  if (!array.writeable()) fail_value(op, ": out is read-only");
  if (reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(size_of(dtype)) != 0)
    fail_value(op, ": out is not aligned to its ", size_of(dtype), "-byte elements");
  if (overlaps_itself(view)) fail_value(op, ": out overlaps itself (strides of a broadcast array?)");
  return {array, view};
}

void refuse_shared(const char* op, const py::array& out, const py::array& input) {
  if (share_memory(out, input))
    fail_value(op, ": out shares memory with an input; give it memory of its own");
}

}  // namespace

py::array result_array(const char* op, const py::object& out, std::span<const int64_t> shape, DType dtype,
                       MemoryFormat format, std::initializer_list<const py::array*> inputs) {
  if (out.is_none()) return new_array(op, shape, dtype, format);
  py::array array = checked_out(op, out.ptr(), shape, dtype).array;
  for (const py::array* input : inputs)
    if (input) refuse_shared(op, array, *input);
  return array;
}

Result make_result(const char* op, PyObject* out, std::span<const int64_t> shape, DType dtype,
                   MemoryFormat format, std::initializer_list<PyObject*> inputs) {
  if (out == Py_None) {
    TensorView layout = dense_layout(shape, dtype, format);
    py::array array = array_of(op, layout);
    return {std::move(array), layout};
  }
  Result result = checked_out(op, out, shape, dtype);
  for (PyObject* input : inputs)
    if (input) refuse_shared(op, result.array, py::reinterpret_borrow<py::array>(input));
  return result;
}

py::array result_like(const char* op, const py::object& out, const TensorView& model,
                      std::initializer_list<const py::array*> inputs) {
  if (!out.is_none())
    return result_array(op, out, model.dims(), model.dtype, MemoryFormat::contiguous, inputs);
  checked_product(model.dims(), op, "result");
  TensorView layout = model;
  set_strides_like(layout, model);
  return array_of(op, layout);
}

namespace {

// Whether `out` is the very elements of `array`: elementwise kernels may write over what they have read.
bool in_place(const py::object& out, const py::array& array) {
  if (!py::isinstance<py::array>(out)) return false;
  const auto place = py::reinterpret_borrow<py::array>(out);
  return place.data() == array.data() && place.ndim() == array.ndim() &&
         std::equal(place.shape(), place.shape() + place.ndim(), array.shape()) &&
         std::equal(place.strides(), place.strides() + place.ndim(), array.strides());
}

}  // namespace

py::array elementwise_result(const char* op, const py::object& out, const TensorView& model,
                             const py::array& first, const py::array& second) {
  return result_like(op, out, model,
                     {in_place(out, first) ? nullptr : &first, in_place(out, second) ? nullptr : &second});
}

void check_same_shape(const char* op, const char* name, const TensorView& model, const TensorView& grad_output) {
  if (!std::equal(model.dims().begin(), model.dims().end(), grad_output.dims().begin(),
                  grad_output.dims().end()))
    fail_value(op, ": grad_output must have the ", name, "'s shape ", tuple_text(model.dims()), ", got ",
               tuple_text(grad_output.dims()));
}

DType common_dtype(const char* op, std::initializer_list<std::pair<const char*, const py::array*>> arrays) {
  std::optional<DType> dtype;
  const char* first = nullptr;
  for (const auto& [name, array] : arrays) {
    if (!array) continue;
    const DType here = view_of(op, name, *array).dtype;
    if (here == DType::i64) fail_type(op, ": ", name, " must be float32 or float64, got int64");
    if (!dtype) {
      dtype = here;
      first = name;
    } else if (here != *dtype) {
      fail_type(op, ": ", first, " is ", name_of(*dtype), ", but ", name, " is ", name_of(here),
                "; convert one with .astype()");
    }
  }
  return dtype.value_or(DType::f32);
}

const void* dense_vector(const char* op, const char* name, const py::object& array, int64_t size,
                         DType dtype, py::array& holder) {
  if (array.is_none()) return nullptr;
  if (!py::isinstance<py::array>(array)) fail_type(op, ": ", name, " must be a numpy.ndarray or None");
  holder = py::reinterpret_borrow<py::array>(array);
  const TensorView view = view_of(op, name, holder);
  if (view.rank != 1 || view.shape[0] != size)
    fail_value(op, ": ", name, " must have shape (", size, ",), got ", tuple_text(view.dims()));
  if (view.dtype != dtype)
    fail_type(op, ": ", name, " is ", name_of(view.dtype), ", but the other arrays are ", name_of(dtype));
  if (size > 1 && view.stride[0] != 1) holder = py::array::ensure(holder, py::array::c_style);
  return holder.data();
}

}  // namespace striate::python
