#include "ops/conv.h"

#include "base/cpu.h"
#include "bindings/arrays.h"

namespace striate::python {
namespace {

struct Geometry {
  const Ints& stride;
  const Pairs& padding;
  const Ints& dilation;
  int64_t groups;
  bool exact;
};

ConvProblem make_problem(const std::string& op, DType dtype, std::span<const int64_t> input_shape,
                         std::span<const int64_t> weight_shape, const Geometry& g) {
  return ConvProblem::make({.op = op.c_str(),
                            .dtype = dtype,
                            .input_shape = input_shape,
                            .weight_shape = weight_shape,
                            .stride = g.stride,
                            .dilation = g.dilation,
                            .padding = g.padding,
                            .groups = g.groups,
                            .exact = g.exact});
}

void check_shape(const char* op, const char* name, const TensorView& view,
                 const std::vector<int64_t>& expected) {
  if (!std::equal(expected.begin(), expected.end(), view.dims().begin(), view.dims().end()))
    fail_value(op, ": ", name, " must have shape ", tuple_text(expected), ", got ",
               tuple_text(view.dims()));
}

py::array forward(const std::string& op, const py::array& input, const py::array& weight,
                  const py::object& bias, const Ints& stride, const Pairs& padding, const Ints& dilation,
                  int64_t groups, bool exact, const Format& format, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"input", &input}, {"weight", &weight}});
  const TensorView x = view_of(name, "input", input);
  const TensorView w = view_of(name, "weight", weight);
  const ConvProblem p =
      make_problem(op, dtype, x.dims(), w.dims(), {stride, padding, dilation, groups, exact});
  py::array bias_holder;
  const void* b = dense_vector(name, "bias", bias, p.oc, dtype, bias_holder);
  const auto wish = parse_format(name, format);
  py::array result = result_array(name, out, p.output_shape(), dtype,
                                  result_format(x, &w, wish ? &*wish : nullptr),
                                  {&input, &weight, b ? &bias_holder : nullptr});
  const TensorView y = lift(view_of(name, "out", result));
  without_gil([&] { conv_forward(p, lift(x), lift(w), b, y); });
  return result;
}

py::array input_grad(const std::string& op, const Ints& input_shape, const py::array& weight,
                     const py::array& grad_output, const py::object& bias, const Ints& stride,
                     const Pairs& padding, const Ints& dilation, int64_t groups, bool exact,
                     const Format& format, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"weight", &weight}, {"grad_output", &grad_output}});
  const TensorView w = view_of(name, "weight", weight);
  const TensorView g = view_of(name, "grad_output", grad_output);
  const ConvProblem p =
      make_problem(op, dtype, input_shape, w.dims(), {stride, padding, dilation, groups, exact});
  // A transposed convolution is the input gradient of a convolution, whose output gradient is its input.
  const bool transposed = op.starts_with("conv_transpose");
  check_shape(name, transposed ? "input" : "grad_output", g, p.output_shape());
  py::array bias_holder;
  const void* b = dense_vector(name, "bias", bias, p.ic, dtype, bias_holder);
  const auto wish = parse_format(name, format);
  py::array result = result_array(name, out, p.input_shape(), dtype,
                                  result_format(g, &w, wish ? &*wish : nullptr),
                                  {&weight, &grad_output, b ? &bias_holder : nullptr});
  const TensorView dx = lift(view_of(name, "out", result));
  without_gil([&] { conv_input_grad(p, lift(w), lift(g), b, dx); });
  return result;
}

py::array weight_grad(const std::string& op, const py::array& input, const Ints& weight_shape,
                      const py::array& grad_output, const Ints& stride, const Pairs& padding,
                      const Ints& dilation, int64_t groups, bool exact, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"input", &input}, {"grad_output", &grad_output}});
  const TensorView x = view_of(name, "input", input);
  const TensorView g = view_of(name, "grad_output", grad_output);
  const ConvProblem p =
      make_problem(op, dtype, x.dims(), weight_shape, {stride, padding, dilation, groups, exact});
  check_shape(name, "grad_output", g, p.output_shape());
  py::array result = result_array(name, out, p.weight_shape(), dtype, MemoryFormat::contiguous,
                                  {&input, &grad_output});
  const TensorView dw = lift(view_of(name, "out", result));
  without_gil([&] { conv_weight_grad(p, lift(x), lift(g), dw); });
  return result;
}

py::array sum_channels(const std::string& op, const py::array& grad_output, const py::object& out) {
  const char* name = op.c_str();
  const DType dtype = common_dtype(name, {{"grad_output", &grad_output}});
  const TensorView g = view_of(name, "grad_output", grad_output);
  if (g.rank < 3 || g.rank > 5)
    fail_value(name, ": grad_output must have 3 to 5 axes (N, C, spatial), got ", tuple_text(g.dims()));
  const std::array<int64_t, 1> shape{g.shape[kC]};
  py::array result = result_array(name, out, shape, dtype, MemoryFormat::contiguous, {&grad_output});
  const TensorView sums = view_of(name, "out", result);
  without_gil([&] { channel_sum(lift(g), sums); });
  return result;
}

py::dict explain(const std::string& op, const std::string& direction, const Ints& input_shape,
                 const Ints& weight_shape, const std::string& dtype, const Ints& stride,
                 const Pairs& padding, const Ints& dilation, int64_t groups, bool exact,
                 const Format& format) {
  const char* name = op.c_str();
  ConvDirection asked{};
  if (direction == "forward")
    asked = ConvDirection::forward;
  else if (direction == "input_grad")
    asked = ConvDirection::input_grad;
  else if (direction == "weight_grad")
    asked = ConvDirection::weight_grad;
  else
    fail_value(name, ": direction must be 'forward', 'input_grad' or 'weight_grad', got '", direction, "'");
  if (dtype != "float32" && dtype != "float64")
    fail_type(name, ": dtype must be float32 or float64, got ", dtype);
  (void)parse_format(name, format);
  const ConvProblem p = make_problem(op, dtype == "float32" ? DType::f32 : DType::f64, input_shape,
                                     weight_shape, {stride, padding, dilation, groups, exact});
  const Plan plan = plan_conv(p, asked);
  py::list candidates;
  for (const Candidate& candidate : plan.candidates) {
    py::dict row;
    row["name"] = candidate.name;
    row["declined"] = candidate.declined.empty() ? py::object(py::none()) : py::str(candidate.declined);
    row["cost"] = candidate.cost < kNoPrediction ? py::object(py::float_(candidate.cost)) : py::none();
    row["workspace"] = candidate.workspace;
    candidates.append(row);
  }
  py::dict result;
  result["chosen"] = plan.algorithm();
  result["candidates"] = candidates;
  result["output_shape"] = py::tuple(py::cast(p.output_shape()));
  result["multiply_adds"] = static_cast<int64_t>(p.macs());
  result["isa"] = name_of(current_isa());
  return result;
}

}  // namespace

void bind_conv(py::module_& m) {
  m.def("conv_forward", forward);
  m.def("conv_input_grad", input_grad);
  m.def("conv_weight_grad", weight_grad);
  m.def("channel_sum", sum_channels);
  m.def("explain_conv", explain);
}

}  // namespace striate::python
