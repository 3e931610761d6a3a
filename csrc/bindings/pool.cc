#include "ops/pool.h"

#include "bindings/arrays.h"

namespace striate::python {
namespace {

void check_shape(const char* op, const char* name, const TensorView& view,
                 std::span<const int64_t> expected) {
  if (!std::equal(expected.begin(), expected.end(), view.dims().begin(), view.dims().end()))
    fail_value(op, ": ", name, " must have shape ", tuple_text(expected), ", got ",
               tuple_text(view.dims()));
}

MemoryFormat format_for(const char* op, const TensorView& input, const Format& format) {
  const auto wish = parse_format(op, format);
  return result_format(input, nullptr, wish ? &*wish : nullptr);
}

// What a call tells of its maxima.
enum class Places : uint8_t { none, positions, taps };

py::tuple max_and_places(const std::string& op, const py::array& input, const Ints& kernel, const Ints& stride,
                         const Pairs& padding, const Ints& dilation, bool ceil_mode, Places wanted,
                         const Format& format, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"input", &input}});
  const TensorView x = view_of(name, "input", input);
  const PoolProblem p = PoolProblem::make({.op = name,
                                           .dtype = dtype,
                                           .input_shape = x.dims(),
                                           .kernel = kernel,
                                           .stride = stride,
                                           .dilation = dilation,
                                           .padding = padding,
                                           .ceil_mode = ceil_mode});
  const MemoryFormat layout = format_for(name, x, format);
  py::array result = result_array(name, out, p.output_shape(), dtype, layout, {&input});
  const TensorView y = lift(view_of(name, "out", result));
  py::object places = py::none();
  TensorView at;
  if (wanted != Places::none) {
    const bool taps = wanted == Places::taps && taps_serve(p);
    py::array array = new_array(name, p.output_shape(), taps ? DType::u8 : DType::i64, layout);
    at = lift(taps ? byte_view_of(name, "taps", array) : view_of(name, "indices", array));
    places = array;
  }
  without_gil([&] { max_pool_forward(p, lift(x), y, wanted == Places::none ? nullptr : &at); });
  return py::make_tuple(result, places);
}

py::tuple max_forward(const std::string& op, const py::array& input, const Ints& kernel, const Ints& stride,
                      const Pairs& padding, const Ints& dilation, bool ceil_mode, bool return_indices,
                      const Format& format, const py::object& out) {
  return max_and_places(op, input, kernel, stride, padding, dilation, ceil_mode,
                        return_indices ? Places::positions : Places::none, format, out);
}

// Positions, where taps do not serve.
py::tuple max_with_taps(const std::string& op, const py::array& input, const Ints& kernel, const Ints& stride,
                        const Pairs& padding, const Ints& dilation, bool ceil_mode, const Format& format,
                        const py::object& out) {
  return max_and_places(op, input, kernel, stride, padding, dilation, ceil_mode, Places::taps, format, out);
}

py::array max_input_grad(const std::string& op, const Ints& input_shape, const py::array& indices,
                         const py::array& grad_output, const Format& format, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"grad_output", &grad_output}});
  const TensorView g = view_of(name, "grad_output", grad_output);
  const TensorView at = view_of(name, "indices", indices);
  if (at.dtype != DType::i64) fail_type(name, ": indices must be int64, got ", name_of(at.dtype));
  if (g.rank < 3 || g.rank > 5)
    fail_value(name, ": grad_output must have 3 to 5 axes (N, C, spatial), got ", tuple_text(g.dims()));
  check_shape(name, "indices", at, g.dims());
  for (const int64_t extent : input_shape)
    if (extent < 0) fail_value(name, ": input shape must not be negative, got ", tuple_text(input_shape));
  if (static_cast<int>(input_shape.size()) != g.rank || input_shape[0] != g.shape[kN] ||
      input_shape[1] != g.shape[kC])
    fail_value(name, ": input shape ", tuple_text(input_shape), " and grad_output ", tuple_text(g.dims()),
               " must have the same number of axes, images and channels");
  py::array result = result_array(name, out, input_shape, dtype, format_for(name, g, format),
                                  {&grad_output, &indices});
  const TensorView dx = lift(view_of(name, "out", result));
  without_gil([&] { max_pool_input_grad(name, lift(at), lift(g), dx); });
  return result;
}

py::array max_taps_grad(const std::string& op, const Ints& input_shape, const py::array& taps,
                        const py::array& grad_output, const Ints& kernel, const Ints& stride,
                        const Pairs& padding, const Ints& dilation, bool ceil_mode, const Format& format,
                        const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"grad_output", &grad_output}});
  const TensorView g = view_of(name, "grad_output", grad_output);
  const TensorView at = byte_view_of(name, "taps", taps);
  const PoolProblem p = PoolProblem::make({.op = name,
                                           .dtype = dtype,
                                           .input_shape = input_shape,
                                           .kernel = kernel,
                                           .stride = stride,
                                           .dilation = dilation,
                                           .padding = padding,
                                           .ceil_mode = ceil_mode});
  check_shape(name, "grad_output", g, p.output_shape());
  check_shape(name, "taps", at, p.output_shape());
  py::array result =
      result_array(name, out, input_shape, dtype, format_for(name, g, format), {&grad_output, &taps});
  const TensorView dx = lift(view_of(name, "out", result));
  without_gil([&] { max_pool_taps_grad(p, lift(at), lift(g), dx); });
  return result;
}

PoolProblem mean_problem(const char* op, DType dtype, std::span<const int64_t> input_shape,
                         const Ints& kernel, const Ints& stride, const Pairs& padding, bool ceil_mode,
                         bool count_include_pad, const std::optional<int64_t>& divisor_override) {
  return PoolProblem::make({.op = op,
                            .dtype = dtype,
                            .input_shape = input_shape,
                            .kernel = kernel,
                            .stride = stride,
                            .dilation = {},
                            .padding = padding,
                            .ceil_mode = ceil_mode,
                            .count_include_pad = count_include_pad,
                            .divisor = divisor_override});
}

py::array avg_forward(const std::string& op, const py::array& input, const Ints& kernel, const Ints& stride,
                      const Pairs& padding, bool ceil_mode, bool count_include_pad,
                      const std::optional<int64_t>& divisor_override, const Format& format,
                      const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"input", &input}});
  const TensorView x = view_of(name, "input", input);
  const PoolProblem p = mean_problem(name, dtype, x.dims(), kernel, stride, padding, ceil_mode,
                                     count_include_pad, divisor_override);
  py::array result =
      result_array(name, out, p.output_shape(), dtype, format_for(name, x, format), {&input});
  const TensorView y = lift(view_of(name, "out", result));
  without_gil([&] { avg_pool_forward(p, lift(x), y); });
  return result;
}

py::array avg_input_grad(const std::string& op, const Ints& input_shape, const py::array& grad_output,
                         const Ints& kernel, const Ints& stride, const Pairs& padding, bool ceil_mode,
                         bool count_include_pad, const std::optional<int64_t>& divisor_override,
                         const Format& format, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"grad_output", &grad_output}});
  const TensorView g = view_of(name, "grad_output", grad_output);
  const PoolProblem p = mean_problem(name, dtype, input_shape, kernel, stride, padding, ceil_mode,
                                     count_include_pad, divisor_override);
  check_shape(name, "grad_output", g, p.output_shape());
  py::array result =
      result_array(name, out, input_shape, dtype, format_for(name, g, format), {&grad_output});
  const TensorView dx = lift(view_of(name, "out", result));
  without_gil([&] { avg_pool_input_grad(p, lift(g), dx); });
  return result;
}

}  // namespace

void bind_pool(py::module_& m) {
  m.def("max_pool_forward", max_forward);
  m.def("max_pool_with_taps", max_with_taps);
  m.def("max_pool_taps_grad", max_taps_grad);
  m.def("max_pool_input_grad", max_input_grad);
  m.def("avg_pool_forward", avg_forward);
  m.def("avg_pool_input_grad", avg_input_grad);
}

}  // namespace striate::python
