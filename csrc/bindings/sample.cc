#include "ops/sample.h"

#include "bindings/arrays.h"

namespace striate::python {
namespace {

// (n, h, w, 2) becomes (n, d, h, w, 2).
TensorView lift_grid(const TensorView& grid) {
  if (grid.rank == 5) return grid;
  TensorView lifted = grid;
  lifted.rank = 5;
  for (size_t axis = 4; axis >= 2; --axis) {
    lifted.shape[axis] = grid.shape[axis - 1];
    lifted.stride[axis] = grid.stride[axis - 1];
  }
  lifted.shape[1] = 1;
  lifted.stride[1] = 0;
  return lifted;
}

MemoryFormat format_for(const char* op, const TensorView& input, const Format& format) {
  const auto wish = parse_format(op, format);
  return result_format(input, nullptr, wish ? &*wish : nullptr);
}

py::array forward(const py::array& input, const py::array& grid, const std::string& mode,
                  const std::string& padding_mode, bool align_corners, const Format& format, const py::object& out) {
  constexpr const char* op = "grid_sample";
  const DType dtype = common_dtype(op, {{"input", &input}, {"grid", &grid}});
  const TensorView x = view_of(op, "input", input), points = view_of(op, "grid", grid);
  const auto p = SampleProblem::make(op, dtype, x.dims(), points.dims(), mode, padding_mode, align_corners);
  py::array result = result_array(op, out, p.output_shape(), dtype, format_for(op, x, format), {&input, &grid});
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { sample_forward(p, lift(x), lift_grid(points), y); });
  return result;
}

void check_grad(const char* op, const TensorView& g, const SampleProblem& p) {
  const auto wanted = p.output_shape();
  if (!std::equal(g.dims().begin(), g.dims().end(), wanted.begin(), wanted.end()))
    fail_value(op, ": grad_output must have the output's shape ", tuple_text(wanted), ", got ", tuple_text(g.dims()));
}

py::array input_grad(const Ints& input_shape, const py::array& grad_output, const py::array& grid,
                     const std::string& mode, const std::string& padding_mode, bool align_corners,
                     const Format& format) {
  constexpr const char* op = "grid_sample_input_grad";
  const DType dtype = common_dtype(op, {{"grad_output", &grad_output}, {"grid", &grid}});
  const TensorView g = view_of(op, "grad_output", grad_output), points = view_of(op, "grid", grid);
  const auto p = SampleProblem::make(op, dtype, input_shape, points.dims(), mode, padding_mode, align_corners);
  check_grad(op, g, p);
  py::array result = new_array(op, input_shape, dtype, format_for(op, g, format));
  const TensorView dx = lift(view_of(op, "out", result));
  without_gil([&] { sample_input_grad(p, lift(g), lift_grid(points), dx); });
  return result;
}

py::array grid_grad(const py::array& input, const py::array& grad_output, const py::array& grid,
                    const std::string& mode, const std::string& padding_mode, bool align_corners) {
  constexpr const char* op = "grid_sample_grid_grad";
  const DType dtype = common_dtype(op, {{"input", &input}, {"grad_output", &grad_output}, {"grid", &grid}});
  const TensorView x = view_of(op, "input", input), g = view_of(op, "grad_output", grad_output);
  const TensorView points = view_of(op, "grid", grid);
  const auto p = SampleProblem::make(op, dtype, x.dims(), points.dims(), mode, padding_mode, align_corners);
  check_grad(op, g, p);
  py::array result = new_array(op, p.grid_shape(), dtype, MemoryFormat::contiguous);
  const TensorView dgrid = view_of(op, "out", result);
  without_gil([&] { sample_grid_grad(p, lift(g), lift(x), lift_grid(points), lift_grid(dgrid)); });
  return result;
}

py::array warp(const py::array& input, const py::array& matrices, const Ints& size, const std::string& mode,
               const std::string& padding_mode, const py::object& fill, const Format& format, const py::object& out) {
  constexpr const char* op = "warp_affine";
  const DType dtype = common_dtype(op, {{"input", &input}, {"matrices", &matrices}});
  const TensorView x = view_of(op, "input", input), m = view_of(op, "matrices", matrices);
  const auto p = SampleProblem::warp(op, dtype, x.dims(), m.dims(), size, mode, padding_mode);
  py::array holder, flat = matrices.attr("reshape")(-1), flat_holder;
  const void* map = dense_vector(op, "matrices", flat, m.size(), dtype, flat_holder);
  const void* values = dense_vector(op, "fill", fill, p.c, dtype, holder);
  py::array result = result_array(op, out, p.output_shape(), dtype, format_for(op, x, format), {&input, &matrices});
  const TensorView y = lift(view_of(op, "out", result));
  without_gil([&] { warp_affine(p, lift(x), map, values, y); });
  return result;
}

py::array warp_grad(const Ints& input_shape, const py::array& grad_output, const py::array& matrices,
                    const std::string& mode, const std::string& padding_mode, const Format& format) {
  constexpr const char* op = "warp_affine_input_grad";
  const DType dtype = common_dtype(op, {{"grad_output", &grad_output}, {"matrices", &matrices}});
  const TensorView g = view_of(op, "grad_output", grad_output), m = view_of(op, "matrices", matrices);
  if (g.rank < 4) fail_value(op, ": grad_output must have 4 or 5 axes, got ", tuple_text(g.dims()));
  const auto p = SampleProblem::warp(op, dtype, input_shape, m.dims(), g.dims().subspan(2), mode, padding_mode);
  check_grad(op, g, p);
  py::array flat = matrices.attr("reshape")(-1), holder;
  const void* map = dense_vector(op, "matrices", flat, m.size(), dtype, holder);
  py::array result = new_array(op, input_shape, dtype, format_for(op, g, format));
  const TensorView dx = lift(view_of(op, "out", result));
  without_gil([&] { warp_affine_input_grad(p, lift(g), map, dx); });
  return result;
}

}  // namespace

void bind_sample(py::module_& m) {
  m.def("grid_sample_forward", forward);
  m.def("grid_sample_input_grad", input_grad);
  m.def("grid_sample_grid_grad", grid_grad);
  m.def("warp_affine", warp);
  m.def("warp_affine_input_grad", warp_grad);
}

}  // namespace striate::python
