#include "ops/pool_problem.h"

#include <limits>

namespace striate {
namespace {

// Positions along one axis fit 32 bits in the kernels' tables.
constexpr int64_t kLargestExtent = std::numeric_limits<int32_t>::max();

constexpr const char* kAxisNames[3] = {"depth", "height", "width"};

// A window with holes may step over a small input altogether.
bool sees_input(const PoolAxis& axis, int64_t out) {
  const int64_t start = out * axis.stride - axis.pad;
  const int64_t first = start < 0 ? (-start + axis.dilation - 1) / axis.dilation : 0;
  return first < axis.kernel && start + first * axis.dilation < axis.in;
}

int64_t output_size(const PoolAxis& axis, int64_t room, bool ceil_mode) {
  if (room < 0 && !ceil_mode) return 0;
  if (!ceil_mode) return room / axis.stride + 1;
  // Towards plus infinity, for negative room too.
  const int64_t steps = room >= 0 ? (room + axis.stride - 1) / axis.stride : -(-room / axis.stride);
  const int64_t size = steps + 1;
  return (size - 1) * axis.stride >= axis.in + axis.pad ? size - 1 : size;
}

PoolAxis make_axis(const PoolProblem::Arguments& a, size_t i, size_t rank) {
  const char* name = kAxisNames[3 - rank + i];
  PoolAxis axis{.in = a.input_shape[i + 2],
                .out = 0,
                .kernel = a.kernel[i],
                .stride = a.stride[i],
                .dilation = a.dilation.empty() ? 1 : a.dilation[i],
                .pad = a.padding[i][0],
                .pad_end = a.padding[i][1]};
  if (axis.kernel < 1) fail_value(a.op, ": kernel_size must be positive, got ", tuple_text(a.kernel));
  if (axis.stride < 1) fail_value(a.op, ": stride must be positive, got ", tuple_text(a.stride));
  if (axis.dilation < 1) fail_value(a.op, ": dilation must be positive, got ", tuple_text(a.dilation));
  if (axis.pad < 0 || axis.pad_end < 0)
    fail_value(a.op, ": padding must not be negative, got (", axis.pad, ", ", axis.pad_end, ") for the ",
               name);
  if (axis.in > kLargestExtent || axis.kernel > kLargestExtent || axis.stride > kLargestExtent ||
      axis.dilation > kLargestExtent || axis.pad > kLargestExtent || axis.pad_end > kLargestExtent ||
      axis.in + axis.pad + axis.pad_end > kLargestExtent)
    fail_value(a.op, ": ", name, ", kernel_size, stride, dilation and padding must be below 2^31, got input ",
               tuple_text(a.input_shape), ", kernel_size ", tuple_text(a.kernel), ", stride ",
               tuple_text(a.stride), ", dilation ", axis.dilation, ", padding (", axis.pad, ", ",
               axis.pad_end, ")");
  if (axis.in < 1)
    fail_value(a.op, ": input must have at least one element along its ", name, ", got ",
               tuple_text(a.input_shape));
  const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
  if (axis.pad > reach / 2 || axis.pad_end > reach / 2)
    fail_value(a.op, ": padding must be at most half of the ", reach, " elements that the kernel reaches over",
               " (kernel_size ", axis.kernel, ", dilation ", axis.dilation, "), got (", axis.pad, ", ",
               axis.pad_end, ") for the ", name);
  const int64_t padded = axis.in + axis.pad + axis.pad_end;
  axis.out = output_size(axis, padded - reach, a.ceil_mode);
  if (axis.out < 1)
    fail_value(a.op, ": kernel_size ", tuple_text(a.kernel), " reaches over ", reach,
               " elements, but the padded input ", name, " is ", padded, " (input ",
               tuple_text(a.input_shape), ", padding (", axis.pad, ", ", axis.pad_end, "))");
  for (int64_t out = 0; axis.dilation > 1 && out < axis.out; ++out)
    if (!sees_input(axis, out))
      fail_value(a.op, ": every window must see the input, but along the ", name, " window ", out,
                 " (kernel_size ", axis.kernel, ", dilation ", axis.dilation, ", stride ", axis.stride,
                 ", padding ", axis.pad, ") steps over all ", axis.in, " elements");
  return axis;
}

std::vector<int64_t> shape_of(const PoolProblem& p, int64_t PoolAxis::*field) {
  std::vector<int64_t> shape{p.n, p.c};
  for (size_t i = 3 - static_cast<size_t>(p.rank); i < 3; ++i) shape.push_back(p.axis[i].*field);
  return shape;
}

}  // namespace

std::vector<int64_t> PoolProblem::input_shape() const { return shape_of(*this, &PoolAxis::in); }
std::vector<int64_t> PoolProblem::output_shape() const { return shape_of(*this, &PoolAxis::out); }

PoolProblem PoolProblem::make(const Arguments& a) {
  const size_t rank = a.kernel.size();
  if (rank < 1 || rank > 3)
    fail_value(a.op, ": kernel_size must have 1 to 3 entries, got ", tuple_text(a.kernel));
  if (a.input_shape.size() != rank + 2)
    fail_value(a.op, ": input must have ", rank + 2, " axes (N, C, and ", rank, " spatial), got ",
               a.input_shape.size(), ": ", tuple_text(a.input_shape));
  for (int64_t extent : a.input_shape)
    if (extent < 0) fail_value(a.op, ": input shape must not be negative, got ", tuple_text(a.input_shape));
  if (a.stride.size() != rank || a.padding.size() != rank ||
      (!a.dilation.empty() && a.dilation.size() != rank))
    fail_value(a.op, ": kernel_size, stride, padding and dilation need ", rank, " entries each");
  if (a.divisor && *a.divisor == 0) fail_value(a.op, ": divisor_override must not be zero, got 0");

  PoolProblem p;
  p.dtype = a.dtype;
  p.rank = static_cast<int>(rank);
  p.n = a.input_shape[0];
  p.c = a.input_shape[1];
  p.count_include_pad = a.count_include_pad;
  p.divisor = a.divisor.value_or(0);
  for (size_t i = 0; i < rank; ++i) p.axis[3 - rank + i] = make_axis(a, i, rank);

  checked_product(a.input_shape, a.op, "input");
  checked_product(p.output_shape(), a.op, "output");
  checked_product(a.kernel, a.op, "kernel");
  return p;
}

}  // namespace striate
