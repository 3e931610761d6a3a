#include <cmath>
#include <limits>

#include "ops/resample.h"

namespace striate {
namespace {

std::vector<int64_t> shape_of(const ResampleProblem& p, int64_t ResampleAxis::*field) {
  std::vector<int64_t> shape{p.n, p.c};
  for (size_t i = 3 - static_cast<size_t>(p.rank); i < 3; ++i) shape.push_back(p.axis[i].*field);
  return shape;
}

}  // namespace

std::vector<int64_t> ResampleProblem::input_shape() const { return shape_of(*this, &ResampleAxis::in); }
std::vector<int64_t> ResampleProblem::output_shape() const { return shape_of(*this, &ResampleAxis::out); }

ResampleProblem ResampleProblem::make(const Arguments& a) {
  // Tables count taps in 32 bits: 2 an element as a rule, up to 6 of the cubic and of filters.
  const int64_t largest_extent =
      std::numeric_limits<int32_t>::max() / (a.mode == Resampling::cubic || a.antialias ? 16 : 4);
  if (a.input_shape.size() < 3 || a.input_shape.size() > 5)
    fail_value(a.op, ": input must have 3 to 5 axes (N, C, spatial), got ", tuple_text(a.input_shape));
  const size_t rank = a.input_shape.size() - 2;
  if (a.output_size.size() != rank)
    fail_value(a.op, ": size must have an entry for each of the ", rank, " spatial axes, got ",
               tuple_text(a.output_size));
  if (a.scale && a.scale->size() != rank)
    fail_value(a.op, ": scale_factor must have an entry for each of the ", rank, " spatial axes, got ",
               a.scale->size());
  const bool smooth = a.mode == Resampling::linear || a.mode == Resampling::cubic;
  if (a.align_corners && !smooth)
    fail_value(a.op, ": align_corners has a meaning in the linear and cubic modes only");
  if (a.antialias && !smooth) fail_value(a.op, ": antialias has a meaning in the linear and cubic modes only");
  ResampleProblem p;
  p.dtype = a.dtype;
  p.rank = static_cast<int>(rank);
  p.n = a.input_shape[0];
  p.c = a.input_shape[1];
  p.mode = a.mode;
  p.align_corners = a.align_corners;
  p.antialias = a.antialias;
  if (p.n < 0 || p.c < 0)
    fail_value(a.op, ": input shape must not be negative, got ", tuple_text(a.input_shape));
  for (size_t i = 0; i < rank; ++i) {
    ResampleAxis& axis = p.axis[3 - rank + i];
    axis.in = a.input_shape[i + 2];
    axis.out = a.output_size[i];
    if (axis.in < 1)
      fail_value(a.op, ": input must have at least one element along each spatial axis, got ",
                 tuple_text(a.input_shape));
    if (axis.out < 1) fail_value(a.op, ": size must be positive, got ", tuple_text(a.output_size));
    if (axis.in > largest_extent || axis.out > largest_extent)
      fail_value(a.op, ": sizes must be at most ", largest_extent, " along an axis, got ", tuple_text(a.input_shape),
                 " and size ", tuple_text(a.output_size));
    if (!a.scale) continue;
    axis.scale = (*a.scale)[i];
    if (!(axis.scale > 0) || std::isinf(axis.scale) || std::isinf(1 / axis.scale))
      fail_value(a.op, ": scale_factor must be positive and finite, and so must 1 / scale_factor, got ",
                 axis.scale);
    // A filter is as wide as the step, so a scale that the sizes belie could ask for any number of taps.
    if (a.antialias && std::floor(static_cast<double>(axis.in) * axis.scale) != static_cast<double>(axis.out))
      fail_value(a.op, ": antialias needs size floor(", axis.in, " * scale_factor), got ", axis.out,
                 " with scale_factor ", axis.scale);
  }
  checked_product(a.input_shape, a.op, "input");
  checked_product(p.output_shape(), a.op, "output");
  return p;
}

}  // namespace striate
