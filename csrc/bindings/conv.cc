#include "ops/conv.h"

#include <algorithm>
#include <string_view>

#include "base/cpu.h"
#include "bindings/arrays.h"
#include "bindings/fast_call.h"
#include "ops/conv_measure.h"

namespace striate::python {
namespace {

// Stride, padding, dilation, groups, exact and workspace, as every function here takes them in this order.
struct Geometry {
  explicit Geometry(Arguments& a, int64_t rank)
      : stride(a.axes(rank)),
        padding(a.pads(rank)),
        dilation(a.axes(rank)),
        groups(a.integer()),
        exact(a.flag()),
        workspace(a.optional_integer()) {}

  Extents stride;
  PadPairs padding;
  Extents dilation;
  int64_t groups;
  bool exact;
  std::optional<int64_t> workspace;
};

ConvProblem make_problem(const char* op, DType dtype, std::span<const int64_t> input_shape,
                         std::span<const int64_t> weight_shape, const Geometry& g) {
  if (g.workspace && *g.workspace < 0)
    fail_value(op, ": workspace must not be negative, got ", *g.workspace);
  return ConvProblem::make({.op = op,
                            .dtype = dtype,
                            .input_shape = input_shape,
                            .weight_shape = weight_shape,
                            .stride = g.stride,
                            .dilation = g.dilation,
                            .padding = g.padding,
                            .groups = g.groups,
                            .exact = g.exact,
                            .workspace = g.workspace.value_or(ConvProblem::kProcessWorkspace)});
}

void check_shape(const char* op, const char* name, const TensorView& view,
                 const std::vector<int64_t>& expected) {
  if (!std::equal(expected.begin(), expected.end(), view.dims().begin(), view.dims().end()))
    fail_value(op, ": ", name, " must have shape ", tuple_text(expected), ", got ",
               tuple_text(view.dims()));
}

int64_t rank_of(Arguments& a) { return std::clamp<int64_t>(a.integer(), 1, 3); }

// What follows the sums. The arrays live as long as this does.
class Finish {
 public:
  Finish(Arguments& a, const char* op)
      : op_(op), bias_(a.optional_array(op, "bias")), residual_(a.optional_array(op, "residual")) {
    const std::optional<const char*> word = a.optional_text();
    if (!word || !a.complete()) return;
    for (const auto& [name, activation] : kActivations)
      if (std::string_view(*word) == name) epilogue_.activation = activation;
    if (!epilogue_.activation)
      fail_value(op, ": activation must be None, 'relu', 'leaky_relu', 'sigmoid' or 'tanh', got '", *word, "'");
  }

  const Epilogue& of(DType dtype, int64_t channels, const std::vector<int64_t>& shape) {
    epilogue_.bias = dense_vector(op_, "bias", bias_.object(), channels, dtype, holder_);
    if (residual_) {
      check_shape(op_, "residual", residual_.view, shape);
      lifted_ = lift(residual_.view);
      epilogue_.addend = &lifted_;
    }
    return epilogue_;
  }
  DType same_dtype_as(const Operand& input, const Operand& weight) const {
    return same_dtype(op_, {{"input", &input}, {"weight", &weight}, {"bias", &bias_}, {"residual", &residual_}});
  }
  PyObject* bias() const { return bias_ ? holder_.ptr() : nullptr; }
  PyObject* residual() const { return residual_.array; }

 private:
  static constexpr std::pair<const char*, Activation> kActivations[] = {
      {"relu", Activation::relu},
      {"leaky_relu", Activation::leaky_relu},
      {"sigmoid", Activation::sigmoid},
      {"tanh", Activation::tanh},
  };
  const char* op_;
  Operand bias_, residual_;
  Epilogue epilogue_;
  TensorView lifted_;
  py::array holder_;
};

py::object forward(Arguments& a) {
  const char* op = a.text();
  const int64_t rank = rank_of(a);
  const Operand input = a.array(op, "input"), weight = a.array(op, "weight");
  Finish finish(a, op);
  const Geometry geometry(a, rank);
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  PackedWeights* packed = a.packed_weights();
  if (!a.complete()) return {};
  const DType dtype = finish.same_dtype_as(input, weight);
  const ConvProblem p = make_problem(op, dtype, input.view.dims(), weight.view.dims(), geometry);
  const std::vector<int64_t> shape = p.output_shape();
  const Epilogue& epilogue = finish.of(dtype, p.oc, shape);
  const Result result =
      make_result(op, out, shape, dtype, result_format(input.view, &weight.view, wish ? &*wish : nullptr),
                  {input.array, weight.array, finish.bias(), finish.residual()});
  without_gil([&] {
    conv_forward(p, lift(input.view), lift(weight.view), epilogue, lift(result.view), nullptr, packed);
  });
  return result.array;
}

py::object input_grad(Arguments& a) {
  const char* op = a.text();
  const int64_t rank = rank_of(a);
  const Extents input_shape = a.shape();
  const Operand weight = a.array(op, "weight"), grad_output = a.array(op, "grad_output");
  const Operand bias = a.optional_array(op, "bias");
  const Geometry geometry(a, rank);
  const auto wish = a.format(op);
  PyObject* out = a.destination();
  PackedWeights* packed = a.packed_weights();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"weight", &weight}, {"grad_output", &grad_output}, {"bias", &bias}});
  const ConvProblem p = make_problem(op, dtype, input_shape, weight.view.dims(), geometry);
  // A transposed convolution is the input gradient of a convolution, whose output gradient is its input.
  const bool transposed = std::string_view(op).starts_with("conv_transpose");
  check_shape(op, transposed ? "input" : "grad_output", grad_output.view, p.output_shape());
  py::array holder;
  const void* dense = dense_vector(op, "bias", bias.object(), p.ic, dtype, holder);
  const Result result =
      make_result(op, out, p.input_shape(), dtype,
                  result_format(grad_output.view, &weight.view, wish ? &*wish : nullptr),
                  {weight.array, grad_output.array, bias ? holder.ptr() : nullptr});
  without_gil([&] {
    conv_input_grad(p, lift(weight.view), lift(grad_output.view), dense, lift(result.view), nullptr, packed);
  });
  return result.array;
}

// `out` gets the weight gradient, or is None; without it there may be a bias gradient too.
template <bool with_bias>
py::object weight_grads(Arguments& a) {
  const char* op = a.text();
  const int64_t rank = rank_of(a);
  const Operand input = a.array(op, "input");
  const Extents weight_shape = a.shape();
  const Operand grad_output = a.array(op, "grad_output");
  const Geometry geometry(a, rank);
  PyObject* out = with_bias ? Py_None : a.destination();
  if (!a.complete()) return {};
  const DType dtype = same_dtype(op, {{"input", &input}, {"grad_output", &grad_output}});
  const ConvProblem p = make_problem(op, dtype, input.view.dims(), weight_shape, geometry);
  check_shape(op, "grad_output", grad_output.view, p.output_shape());
  const Result result = make_result(op, out, p.weight_shape(), dtype, MemoryFormat::contiguous,
                                    {input.array, grad_output.array});
  if constexpr (with_bias) {
    const std::vector<int64_t> channels{p.oc};
    const Result bias = make_result(op, Py_None, channels, dtype, MemoryFormat::contiguous, {});
    without_gil([&] {
      conv_weight_grad(p, lift(input.view), lift(grad_output.view), lift(result.view), bias.view.data);
    });
    return py::make_tuple(result.array, bias.array);
  } else {
    without_gil([&] { conv_weight_grad(p, lift(input.view), lift(grad_output.view), lift(result.view)); });
    return result.array;
  }
}

py::object sum_channels(Arguments& a) {
  const char* op = a.text();
  const Operand grad_output = a.array(op, "grad_output");
  PyObject* out = a.destination();
  if (!a.complete()) return {};
  const TensorView& g = grad_output.view;
  const DType dtype = same_dtype(op, {{"grad_output", &grad_output}});
  if (g.rank < 3 || g.rank > 5)
    fail_value(op, ": grad_output must have 3 to 5 axes (N, C, spatial), got ", tuple_text(g.dims()));
  const std::array<int64_t, 1> shape{g.shape[kC]};
  const Result result = make_result(op, out, shape, dtype, MemoryFormat::contiguous, {grad_output.array});
  without_gil([&] { channel_sum(lift(g), result.view); });
  return result.array;
}

ConvDirection direction_of(const char* op, std::string_view word) {
  if (word == "forward") return ConvDirection::forward;
  if (word == "input_grad") return ConvDirection::input_grad;
  if (word == "weight_grad") return ConvDirection::weight_grad;
  fail_value(op, ": direction must be 'forward', 'input_grad' or 'weight_grad', got '", word, "'");
}

py::object or_none(double seconds) {
  return seconds < kNoPrediction ? py::object(py::float_(seconds)) : py::none();
}

py::object explain(Arguments& a) {
  const char* op = a.text();
  const int64_t rank = rank_of(a);
  const char* direction = a.text();
  const Extents input_shape = a.shape(), weight_shape = a.shape();
  const char* dtype = a.text();
  const Geometry geometry(a, rank);
  const MemoryFormat format = a.format(op).value_or(MemoryFormat::contiguous);
  const bool measure = a.flag();
  if (!a.complete()) return {};
  const ConvDirection asked = direction_of(op, direction);
  const ConvProblem p = make_problem(op, std::string_view(dtype) == "float32" ? DType::f32 : DType::f64,
                                     input_shape, weight_shape, geometry);
  const Plan plan = plan_conv(p, asked, nullptr, {format, format});
  py::list candidates;
  for (const Candidate& candidate : plan.candidates) {
    ConvMeasurement measured;
    if (measure && candidate.declined.empty())
      without_gil([&] { measured = measure_conv(p, asked, format, candidate.name.c_str()); });
    py::dict row;
    row["name"] = candidate.name;
    row["declined"] = candidate.declined.empty() ? py::object(py::none()) : py::str(candidate.declined);
    row["predicted"] = or_none(candidate.cost);
    row["measured"] = or_none(measured.seconds);
    row["packed"] = measured.seconds < kNoPrediction ? py::object(py::int_(measured.packed_bytes)) : py::none();
    row["measured_packed"] = or_none(measured.packed_seconds);
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
  define_fast<forward>(m, "conv_forward", "try_conv_forward");
  define_fast<input_grad>(m, "conv_input_grad", "try_conv_input_grad");
  define_fast<weight_grads<false>>(m, "conv_weight_grad", "try_conv_weight_grad");
  define_fast<weight_grads<true>>(m, "conv_weight_and_bias_grad");
  define_fast<sum_channels>(m, "channel_sum");
  define_fast<explain>(m, "explain_conv");
}

}  // namespace striate::python
