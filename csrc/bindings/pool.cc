#include "ops/adaptive_max_pool.h"
#include "ops/pool.h"

#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/fast_call.h"

namespace striate::python {
namespace {

void check_shape(const char* op, const char* name, const TensorView& view,
                 std::span<const int64_t> expected) {
  if (!std::equal(expected.begin(), expected.end(), view.dims().begin(), view.dims().end()))
    fail_value(op, ": ", name, " must have shape ", tuple_text(expected), ", got ",
               tuple_text(view.dims()));
}

// The spatial axes that the name of an op tells: "max_pool2d" has 2.
int64_t rank_of(const char* op) {
  for (; op && *op; ++op)
    if (*op >= '1' && *op <= '3') return *op - '0';
  return 2;
}

// What a call says of its windows, in this order. A maximum has dilation, a mean the rules of its divisor.
struct Window {
  enum class Of : uint8_t { max, mean };

  Window(Arguments& a, int64_t rank, Of of) : kernel(a.axes(rank)), stride(a.axes(rank)), padding(a.pads(rank)) {
    if (of == Of::max) dilation = a.axes(rank);
    ceil_mode = a.flag();
    if (of == Of::mean) count_include_pad = a.flag();
    if (of == Of::mean) divisor = a.optional_integer();
  }

  PoolProblem on(const char* op, DType dtype, std::span<const int64_t> input_shape) const {
    return PoolProblem::make({.op = op,
                              .dtype = dtype,
                              .input_shape = input_shape,
                              .kernel = kernel,
                              .stride = stride,
                              .dilation = dilation,
                              .padding = padding,
                              .ceil_mode = ceil_mode,
                              .count_include_pad = count_include_pad,
                              .divisor = divisor});
  }

  Extents kernel, stride;
  PadPairs padding;
  Extents dilation;
  bool ceil_mode, count_include_pad = true;
  std::optional<int64_t> divisor;
};

MemoryFormat format_for(const TensorView& like, const std::optional<MemoryFormat>& wish) {
  return result_format(like, nullptr, wish ? &*wish : nullptr);
}

// What a call tells of its maxima.
enum class Places : uint8_t { none, positions, taps };

// A tuple (maxima, places or None).
py::object max_and_places(Arguments& a, bool with_taps) {
  const char* op = a.text();
  const Operand input = a.array(op, "input");
  const Window window(a, rank_of(op), Window::Of::max);
  const Places wanted = with_taps ? Places::taps : a.flag() ? Places::positions : Places::none;
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"input", &input}});
  const PoolProblem p = window.on(op, dtype, input.view.dims());
  const MemoryFormat layout = format_for(input.view, wish);
  const std::vector<int64_t> shape = p.output_shape();
  const Result result = make_result(op, out, shape, dtype, layout, {input.array});
  py::object places = py::none();
  TensorView at;
  if (wanted != Places::none) {
    const bool taps = wanted == Places::taps && taps_serve(p);
    py::array array = new_array(op, shape, taps ? DType::u8 : DType::i64, layout);
    at = lift(taps ? byte_view_of(op, "taps", array) : view_of(op, "indices", array));
    places = array;
  }
  without_gil([&] {
    max_pool_forward(p, lift(input.view), lift(result.view), wanted == Places::none ? nullptr : &at);
  });
  return py::make_tuple(result.array, places);
}

py::object max_forward(Arguments& a) { return max_and_places(a, false); }

// Positions, where taps do not serve.
py::object max_with_taps(Arguments& a) { return max_and_places(a, true); }

py::object max_input_grad(Arguments& a) {
  const char* op = a.text();
  const Extents input_shape = a.shape();
  const Operand indices = a.array(op, "indices"), grad_output = a.array(op, "grad_output");
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const TensorView &at = indices.view, &g = grad_output.view;
  const DType dtype = same_dtype(op, {{"grad_output", &grad_output}});
  if (at.dtype != DType::i64) fail_type(op, ": indices must be int64, got ", name_of(at.dtype));
  if (g.rank < 3 || g.rank > 5)
    fail_value(op, ": grad_output must have 3 to 5 axes (N, C, spatial), got ", tuple_text(g.dims()));
  check_shape(op, "indices", at, g.dims());
  const std::span<const int64_t> shape = input_shape;
  for (const int64_t extent : shape)
    if (extent < 0) fail_value(op, ": input shape must not be negative, got ", tuple_text(shape));
  if (static_cast<int>(shape.size()) != g.rank || shape[0] != g.shape[kN] || shape[1] != g.shape[kC])
    fail_value(op, ": input shape ", tuple_text(shape), " and grad_output ", tuple_text(g.dims()),
               " must have the same number of axes, images and channels");
  const Result result =
      make_result(op, out, shape, dtype, format_for(g, wish), {grad_output.array, indices.array});
  without_gil([&] { max_pool_input_grad(op, lift(at), lift(g), lift(result.view)); });
  return result.array;
}

// Of shape `output_shape`, whose images and channels are the input's.
py::object unpool(Arguments& a) {
  const char* op = a.text();
  const Operand input = a.array(op, "input"), indices = a.array(op, "indices");
  const Extents output_shape = a.shape();
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const TensorView &x = input.view, &at = indices.view;
  const DType dtype = same_dtype(op, {{"input", &input}});
  if (at.dtype != DType::i64) fail_type(op, ": indices must be int64, got ", name_of(at.dtype));
  if (x.rank < 3 || x.rank > 5)
    fail_value(op, ": input must have 3 to 5 axes (N, C, spatial), got ", tuple_text(x.dims()));
  check_shape(op, "indices", at, x.dims());
  const std::span<const int64_t> shape = output_shape;
  for (const int64_t extent : shape)
    if (extent < 0) fail_value(op, ": output_size must not be negative, got ", tuple_text(shape.subspan(2)));
  const Result result = make_result(op, out, shape, dtype, format_for(x, wish), {input.array, indices.array});
  without_gil([&] { max_unpool(op, lift(at), lift(x), lift(result.view)); });
  return result.array;
}

py::object pick(Arguments& a) {
  const char* op = a.text();
  const Operand input = a.array(op, "input"), indices = a.array(op, "indices");
  if (!a.complete()) return {};
  const TensorView &x = input.view, &at = indices.view;
  const DType dtype = same_dtype(op, {{"input", &input}});
  if (at.dtype != DType::i64) fail_type(op, ": indices must be int64, got ", name_of(at.dtype));
  if (x.rank < 3 || x.rank > 5 || at.rank != x.rank || at.shape[kN] != x.shape[kN] || at.shape[kC] != x.shape[kC])
    fail_value(op, ": input ", tuple_text(x.dims()), " and indices ", tuple_text(at.dims()),
               " must have the same number of axes (3 to 5), images and channels");
  const Result result = make_result(op, Py_None, at.dims(), dtype, format_for(x, std::nullopt), {});
  without_gil([&] { pick_elements(op, lift(at), lift(x), lift(result.view)); });
  return result.array;
}

py::object max_taps_grad(Arguments& a) {
  const char* op = a.text();
  const Extents input_shape = a.shape();
  const Operand taps = a.byte_array(op, "taps"), grad_output = a.array(op, "grad_output");
  const Window window(a, rank_of(op), Window::Of::max);
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const TensorView& g = grad_output.view;
  const DType dtype = same_dtype(op, {{"grad_output", &grad_output}});
  const PoolProblem p = window.on(op, dtype, input_shape);
  check_shape(op, "grad_output", g, p.output_shape());
  check_shape(op, "taps", taps.view, p.output_shape());
  const Result result =
      make_result(op, out, input_shape, dtype, format_for(g, wish), {grad_output.array, taps.array});
  without_gil([&] { max_pool_taps_grad(p, lift(taps.view), lift(g), lift(result.view)); });
  return result.array;
}

py::object avg_forward(Arguments& a) {
  const char* op = a.text();
  const Operand input = a.array(op, "input");
  const Window window(a, rank_of(op), Window::Of::mean);
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"input", &input}});
  const PoolProblem p = window.on(op, dtype, input.view.dims());
  const Result result =
      make_result(op, out, p.output_shape(), dtype, format_for(input.view, wish), {input.array});
  without_gil([&] { avg_pool_forward(p, lift(input.view), lift(result.view)); });
  return result.array;
}

py::object avg_input_grad(Arguments& a) {
  const char* op = a.text();
  const Extents input_shape = a.shape();
  const Operand grad_output = a.array(op, "grad_output");
  const Window window(a, rank_of(op), Window::Of::mean);
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const TensorView& g = grad_output.view;
  const DType dtype = same_dtype(op, {{"grad_output", &grad_output}});
  const PoolProblem p = window.on(op, dtype, input_shape);
  check_shape(op, "grad_output", g, p.output_shape());
  const Result result = make_result(op, out, input_shape, dtype, format_for(g, wish), {grad_output.array});
  without_gil([&] { avg_pool_input_grad(p, lift(g), lift(result.view)); });
  return result.array;
}

// The values, and where they are; both in the input's memory format.
py::tuple adaptive_max(const std::string& name, const py::array& input, const Ints& output_size) {
  const char* op = name.c_str();
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  if (x.rank < 3 || x.rank > 5 || static_cast<int>(output_size.size()) != x.rank - 2)
    fail_value(op, ": output_size must have an entry for each spatial axis, got ", tuple_text(output_size), " for ",
               tuple_text(x.dims()));
  for (size_t i = 0; i < output_size.size(); ++i)
    if (output_size[i] < 1 || x.shape[i + 2] < 1)
      fail_value(op, ": sizes must be positive, got ", tuple_text(output_size), " for ", tuple_text(x.dims()));
  check_adaptive_max_pool(op, x);
  Ints shape{x.shape[kN], x.shape[kC]};
  shape.insert(shape.end(), output_size.begin(), output_size.end());
  const MemoryFormat format = format_for(x, std::nullopt);
  py::array result = new_array(op, shape, dtype, format), places = new_array(op, shape, DType::i64, format);
  const TensorView y = lift(view_of(op, "out", result)), at = lift(view_of(op, "indices", places));
  without_gil([&] { adaptive_max_pool(lift(x), y, at); });
  return py::make_tuple(result, places);
}

}  // namespace

void bind_pool(py::module_& m) {
  m.def("adaptive_max_pool", adaptive_max);
  define_fast<max_forward>(m, "max_pool_forward", "try_max_pool_forward");
  define_fast<max_with_taps>(m, "max_pool_with_taps");
  define_fast<max_taps_grad>(m, "max_pool_taps_grad");
  define_fast<max_input_grad>(m, "max_pool_input_grad");
  define_fast<unpool>(m, "max_unpool");
  define_fast<pick>(m, "pick");
  define_fast<avg_forward>(m, "avg_pool_forward", "try_avg_pool_forward");
  define_fast<avg_input_grad>(m, "avg_pool_input_grad", "try_avg_pool_input_grad");
}

}  // namespace striate::python
