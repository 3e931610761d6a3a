#include "ops/sample.h"

#include "kernels/sample/sample.h"

namespace striate {
namespace {

sample::Mode mode_of(const char* op, std::string_view mode, int rank) {
  if (mode == "nearest") return sample::Mode::nearest;
  if (mode == "bilinear") return sample::Mode::linear;
  if (mode != "bicubic") fail_value(op, ": mode must be 'nearest', 'bilinear' or 'bicubic', got '", mode, "'");
  if (rank != 2) fail_value(op, ": mode 'bicubic' needs images of two spatial axes");
  return sample::Mode::cubic;
}

sample::Padding padding_of(const char* op, std::string_view padding) {
  if (padding == "zeros") return sample::Padding::zeros;
  if (padding == "border") return sample::Padding::border;
  if (padding == "reflection") return sample::Padding::reflection;
  fail_value(op, ": padding_mode must be 'zeros', 'border' or 'reflection', got '", padding, "'");
}

SampleProblem start(const char* op, DType dtype, std::span<const int64_t> input, std::span<const int64_t> size) {
  if (input.size() != 4 && input.size() != 5)
    fail_value(op, ": input must have 4 or 5 axes (N, C, spatial), got ", tuple_text(input));
  SampleProblem p;
  p.dtype = dtype;
  p.rank = static_cast<int>(input.size()) - 2;
  p.n = input[0];
  p.c = input[1];
  if (p.n < 0 || p.c < 0) fail_value(op, ": input shape must not be negative, got ", tuple_text(input));
  if (size.size() != static_cast<size_t>(p.rank))
    fail_value(op, ": size must have ", p.rank, " entries, got ", tuple_text(size));
  for (size_t i = 0; i < static_cast<size_t>(p.rank); ++i) {
    const size_t to = i + 3 - static_cast<size_t>(p.rank);
    p.size[to] = input[i + 2];
    p.out[to] = size[i];
    if (p.size[to] < 1)
      fail_value(op, ": input must have at least one element along each spatial axis, got ", tuple_text(input));
    if (p.out[to] < 0) fail_value(op, ": size must not be negative, got ", tuple_text(size));
  }
  checked_product(input, op, "input");
  checked_product(p.output_shape(), op, "output");
  return p;
}

}  // namespace

std::vector<int64_t> SampleProblem::input_shape() const {
  std::vector<int64_t> shape{n, c};
  shape.insert(shape.end(), size.end() - rank, size.end());
  return shape;
}
std::vector<int64_t> SampleProblem::output_shape() const {
  std::vector<int64_t> shape{n, c};
  shape.insert(shape.end(), out.end() - rank, out.end());
  return shape;
}
std::vector<int64_t> SampleProblem::grid_shape() const {
  std::vector<int64_t> shape{n};
  shape.insert(shape.end(), out.end() - rank, out.end());
  shape.push_back(rank);
  return shape;
}

SampleProblem SampleProblem::make(const char* op, DType dtype, std::span<const int64_t> input_shape,
                                  std::span<const int64_t> points, std::string_view mode,
                                  std::string_view padding, bool align_corners) {
  const bool fits = points.size() == input_shape.size() && points.size() >= 4 && points[0] == input_shape[0] &&
                    points.back() == static_cast<int64_t>(points.size()) - 2;
  if (!fits)
    fail_value(op, ": grid must have shape (N, spatial..., ", static_cast<int64_t>(input_shape.size()) - 2,
               ") for an input (N, C, spatial...), got grid ", tuple_text(points), " and input ",
               tuple_text(input_shape));
  SampleProblem p = start(op, dtype, input_shape, points.subspan(1, points.size() - 2));
  p.mode = mode_of(op, mode, p.rank);
  p.padding = padding_of(op, padding);
  p.align_corners = align_corners;
  return p;
}

SampleProblem SampleProblem::warp(const char* op, DType dtype, std::span<const int64_t> input_shape,
                                  std::span<const int64_t> map, std::span<const int64_t> size,
                                  std::string_view mode, std::string_view padding) {
  SampleProblem p = start(op, dtype, input_shape, size);
  if (const std::vector<int64_t> wanted = p.map_shape(); !std::equal(map.begin(), map.end(), wanted.begin(), wanted.end()))
    fail_value(op, ": matrices must have shape ", tuple_text(wanted), " for an input ", tuple_text(input_shape),
               ", got ", tuple_text(map));
  p.mode = mode_of(op, mode, p.rank);
  p.padding = padding_of(op, padding);
  return p;
}

}  // namespace striate
