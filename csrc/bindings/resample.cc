#include "ops/resample.h"

#include "bindings/arrays.h"
#include "ops/place.h"

namespace striate::python {
namespace {

using Scale = std::optional<std::vector<double>>;

MemoryFormat format_for(const char* op, const TensorView& input, const Format& format) {
  const auto wish = parse_format(op, format);
  return result_format(input, nullptr, wish ? &*wish : nullptr);
}

py::array place(const char* op, const PlaceProblem& p, const py::array& input, const TensorView& x,
                const Format& format, const py::object& out) {
  py::array result = result_array(op, out, p.output_shape(), p.dtype, format_for(op, x, format), {&input});
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { place_elements(p, lift(x), y); });
  return result;
}

py::array downsample(const py::array& input, const Ints& factor, const Format& format,
                     const py::object& out) {
  const DType dtype = common_dtype("downsample", {{"input", &input}});
  const TensorView x = view_of("downsample", "input", input);
  return place("downsample", PlaceProblem::downsample(dtype, x.dims(), factor), input, x, format, out);
}

py::array upsample_zeros(const py::array& input, const Ints& factor, const Ints& output_size,
                         const Format& format, const py::object& out) {
  const DType dtype = common_dtype("upsample_zeros", {{"input", &input}});
  const TensorView x = view_of("upsample_zeros", "input", input);
  return place("upsample_zeros", PlaceProblem::upsample_zeros(dtype, x.dims(), factor, output_size), input,
               x, format, out);
}

py::array pad(const py::array& input, const Pairs& padding, double value, const Format& format,
              const py::object& out) {
  const DType dtype = common_dtype("pad", {{"input", &input}});
  const TensorView x = view_of("pad", "input", input);
  return place("pad", PlaceProblem::pad(dtype, x.dims(), padding, value), input, x, format, out);
}

Resampling mode_of(const char* op, const std::string& mode) {
  constexpr std::pair<const char*, Resampling> names[] = {{"nearest", Resampling::nearest},
                                                          {"nearest-exact", Resampling::nearest_exact},
                                                          {"linear", Resampling::linear},
                                                          {"cubic", Resampling::cubic},
                                                          {"area", Resampling::area},
                                                          {"area-sum", Resampling::area_sum}};
  for (const auto& [name, value] : names)
    if (mode == name) return value;
  fail_value(op, ": mode must be 'nearest', 'nearest-exact', 'linear', 'cubic' or 'area', got '", mode, "'");
}

py::array interpolate(const py::array& input, const Ints& output_size, const Scale& scale,
                      const std::string& mode, bool align_corners, bool antialias,
                      const Format& format, const py::object& out) {
  constexpr const char* op = "interpolate";
  const DType dtype = common_dtype(op, {{"input", &input}});
  const TensorView x = view_of(op, "input", input);
  const ResampleProblem p = ResampleProblem::make({.op = op,
                                                   .dtype = dtype,
                                                   .input_shape = x.dims(),
                                                   .output_size = output_size,
                                                   .scale = scale ? &*scale : nullptr,
                                                   .mode = mode_of(op, mode),
                                                   .align_corners = align_corners,
                                                   .antialias = antialias});
  py::array result = result_array(op, out, p.output_shape(), dtype, format_for(op, x, format), {&input});
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { interpolate_forward(p, lift(x), y); });
  return result;
}

py::array interpolate_grad(const Ints& input_shape, const py::array& grad_output, const Scale& scale,
                           const std::string& mode, bool align_corners, bool antialias,
                           const Format& format, const py::object& out) {
  constexpr const char* op = "interpolate_input_grad";
  const DType dtype = common_dtype(op, {{"grad_output", &grad_output}});
  const TensorView g = view_of(op, "grad_output", grad_output);
  if (g.rank < 3 || static_cast<size_t>(g.rank) != input_shape.size() || g.shape[kN] != input_shape[0] ||
      g.shape[kC] != input_shape[1])
    fail_value(op, ": input shape ", tuple_text(input_shape), " and grad_output ", tuple_text(g.dims()),
               " must have the same number of axes (3 to 5), images and channels");
  const ResampleProblem p = ResampleProblem::make({.op = op,
                                                   .dtype = dtype,
                                                   .input_shape = input_shape,
                                                   .output_size = g.dims().subspan(2),
                                                   .scale = scale ? &*scale : nullptr,
                                                   .mode = mode_of(op, mode),
                                                   .align_corners = align_corners,
                                                   .antialias = antialias});
  py::array result = result_array(op, out, input_shape, dtype, format_for(op, g, format), {&grad_output});
  const TensorView dx = lift(view_of(op, "out", result));
  without_gil([&] { interpolate_input_grad(p, lift(g), dx); });
  return result;
}

}  // namespace

void bind_resample(py::module_& m) {
  m.def("downsample", downsample);
  m.def("upsample_zeros", upsample_zeros);
  m.def("pad", pad);
  m.def("interpolate_forward", interpolate);
  m.def("interpolate_input_grad", interpolate_grad);
}

}  // namespace striate::python
