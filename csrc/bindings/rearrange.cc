#include "ops/rearrange.h"

#include "bindings/arrays.h"
#include "ops/take.h"
#include "ops/unfold.h"

namespace striate::python {
namespace {

MemoryFormat format_for(const char* op, const TensorView& input, const Format& format) {
  const auto wish = parse_format(op, format);
  return result_format(input, nullptr, wish ? &*wish : nullptr);
}

py::array empty(const char* op, const Ints& shape, const py::array& like, const Format& format) {
  const DType dtype = common_dtype(op, {{"input", &like}});
  for (const int64_t extent : shape)
    if (extent < 0) fail_value(op, ": result sizes must not be negative, got ", tuple_text(shape));
  return new_array(op, shape, dtype, parse_format(op, format).value_or(MemoryFormat::contiguous));
}

py::array copy(const char* op, const py::array& input, const py::array& out) {
  const DType dtype = common_dtype(op, {{"input", &input}, {"out", &out}});
  const TensorView x = view_of(op, "input", input);
  const py::array result = result_array(op, out, x.dims(), dtype, MemoryFormat::contiguous, {&input});
  const TensorView y = view_of(op, "out", result);
  without_gil([&] { copy_elements(x, y); });
  return result;
}

using Tables = std::vector<std::vector<int64_t>>;

py::array take(const char* op, const py::array& input, const Tables& tables, const Format& format,
               const py::object& out) {
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const TakeProblem p = TakeProblem::make(op, dtype, x.dims(), tables);
  py::array result = result_array(op, out, p.output_shape(), dtype, format_for(op, x, format), {&input});
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { take_elements(p, lift(x), y); });
  return result;
}

py::array spread(const char* op, const Ints& shape, const py::array& input, const Tables& tables,
                 const Format& format) {
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const TakeProblem p = TakeProblem::make(op, dtype, shape, tables);
  if (const auto expected = p.output_shape();
      !std::equal(expected.begin(), expected.end(), x.dims().begin(), x.dims().end()))
    fail_value(op, ": input must have shape ", tuple_text(expected), ", got ", tuple_text(x.dims()));
  py::array result = new_array(op, shape, dtype, format_for(op, x, format));
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { spread_elements(p, lift(x), y); });
  return result;
}

py::array unfold(const py::array& input, const Ints& kernel, const Ints& dilation, const Pairs& padding,
                 const Ints& stride, const py::object& out) {
  constexpr const char* op = "unfold";
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const UnfoldProblem p = UnfoldProblem::make({.op = op,
                                               .dtype = dtype,
                                               .image_shape = x.dims(),
                                               .kernel = kernel,
                                               .dilation = dilation,
                                               .stride = stride,
                                               .padding = padding});
  py::array result = result_array(op, out, p.columns_shape(), dtype, MemoryFormat::contiguous, {&input});
  const TensorView y = view_of(op, "out", result);
  without_gil([&] { unfold_image(p, lift(x), y); });
  return result;
}

py::array fold(const py::array& input, const Ints& image_shape, const Ints& kernel, const Ints& dilation,
               const Pairs& padding, const Ints& stride, const Format& format, const py::object& out) {
  constexpr const char* op = "fold";
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const UnfoldProblem p = UnfoldProblem::make({.op = op,
                                               .dtype = dtype,
                                               .image_shape = image_shape,
                                               .kernel = kernel,
                                               .dilation = dilation,
                                               .stride = stride,
                                               .padding = padding});
  if (const auto expected = p.columns_shape();
      !std::equal(expected.begin(), expected.end(), x.dims().begin(), x.dims().end()))
    fail_value(op, ": input must have shape ", tuple_text(expected), " (N, C * taps, windows) for images ",
               tuple_text(image_shape), ", got ", tuple_text(x.dims()));
  const MemoryFormat layout = parse_format(op, format).value_or(MemoryFormat::contiguous);
  py::array result = result_array(op, out, image_shape, dtype, layout, {&input});
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { fold_columns(p, x, y); });
  return result;
}

}  // namespace

void bind_rearrange(py::module_& m) {
  m.def("empty", empty);
  m.def("copy", copy);
  m.def("take", take);
  m.def("spread", spread);
  m.def("unfold", unfold);
  m.def("fold", fold);
}

}  // namespace striate::python
