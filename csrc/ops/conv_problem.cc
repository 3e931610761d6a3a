#include "ops/conv_problem.h"

#include <algorithm>
#include <limits>

namespace striate {
namespace {

// Extents and coordinates along one axis fit 32 bits in the kernels' tables.
constexpr int64_t kLargestExtent = std::numeric_limits<int32_t>::max();

constexpr const char* kAxisNames[3] = {"depth", "height", "width"};

ConvAxis make_axis(const ConvProblem::Arguments& a, size_t i, size_t rank) {
  const char* name = kAxisNames[3 - rank + i];
  const ConvAxis axis{.in = a.input_shape[i + 2],
                      .out = 0,
                      .kernel = a.weight_shape[i + 2],
                      .stride = a.stride[i],
                      .dilation = a.dilation[i],
                      .pad = a.padding[i][0],
                      .pad_end = a.padding[i][1]};
  const auto text = [&](std::span<const int64_t> values) { return tuple_text(values); };
  if (axis.stride < 1) fail_value(a.op, ": stride must be positive, got ", text(a.stride));
  if (axis.dilation < 1) fail_value(a.op, ": dilation must be positive, got ", text(a.dilation));
  if (axis.pad < 0 || axis.pad_end < 0)
    fail_value(a.op, ": padding must not be negative, got (", axis.pad, ", ", axis.pad_end, ") for the ",
               name);
  if (axis.kernel < 1)
    fail_value(a.op, ": kernel ", name, " must be positive, got weight ", text(a.weight_shape));
  if (axis.in > kLargestExtent || axis.kernel > kLargestExtent || axis.stride > kLargestExtent ||
      axis.dilation > kLargestExtent)
    fail_value(a.op, ": ", name, ", kernel, stride and dilation must be below 2^31, got input ",
               text(a.input_shape), ", weight ", text(a.weight_shape), ", stride ", text(a.stride),
               ", dilation ", text(a.dilation));
  if (axis.pad > kLargestExtent || axis.pad_end > kLargestExtent ||
      axis.in + axis.pad + axis.pad_end > kLargestExtent)
    fail_value(a.op, ": padding (", axis.pad, ", ", axis.pad_end, ") makes the ", name,
               " larger than 2^31 - 1 elements");
  const int64_t padded = axis.in + axis.pad + axis.pad_end;
  const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
  if (reach > padded)
    fail_value(a.op, ": kernel reaches over ", reach, " elements ((", axis.kernel, " - 1) * dilation ",
               axis.dilation, " + 1), but the padded input ", name, " is ", padded, " (input ",
               text(a.input_shape), ", padding (", axis.pad, ", ", axis.pad_end, "))");
  ConvAxis checked = axis;
  checked.out = (padded - reach) / axis.stride + 1;
  // One output takes no step. With one as long as the input every position is a phase of its own (conv.cc), and the
  // gradient of a kernel that covers the image multiplies no zeros.
  if (checked.out == 1) checked.stride = std::max(axis.stride, axis.in);
  return checked;
}

template <class Field>
std::vector<int64_t> shape_of(const ConvProblem& p, int64_t first, int64_t second, Field field) {
  std::vector<int64_t> shape{first, second};
  for (size_t i = 3 - static_cast<size_t>(p.rank); i < 3; ++i) shape.push_back(p.axis[i].*field);
  return shape;
}

}  // namespace

double ConvProblem::macs() const {
  return static_cast<double>(n) * static_cast<double>(oc) * static_cast<double>(ic_group()) *
         static_cast<double>(taps()) * static_cast<double>(output_pixels());
}

std::vector<int64_t> ConvProblem::input_shape() const { return shape_of(*this, n, ic, &ConvAxis::in); }
std::vector<int64_t> ConvProblem::output_shape() const { return shape_of(*this, n, oc, &ConvAxis::out); }
std::vector<int64_t> ConvProblem::weight_shape() const {
  return shape_of(*this, oc, ic_group(), &ConvAxis::kernel);
}

ConvProblem ConvProblem::make(const Arguments& a) {
  const size_t rank = a.stride.size();
  if (a.input_shape.size() != rank + 2)
    fail_value(a.op, ": input must have ", rank + 2, " axes (N, C, and ", rank, " spatial), got ",
               a.input_shape.size(), ": ", tuple_text(a.input_shape));
  if (a.weight_shape.size() != rank + 2)
    fail_value(a.op, ": weight must have ", rank + 2, " axes, got ", a.weight_shape.size(), ": ",
               tuple_text(a.weight_shape));
  for (int64_t extent : a.input_shape)
    if (extent < 0) fail_value(a.op, ": input shape must not be negative, got ", tuple_text(a.input_shape));
  for (int64_t extent : a.weight_shape)
    if (extent < 0)
      fail_value(a.op, ": weight shape must not be negative, got ", tuple_text(a.weight_shape));
  if (a.workspace < kProcessWorkspace)
    fail_value(a.op, ": workspace must not be negative, got ", a.workspace);
  if (a.groups < 1) fail_value(a.op, ": groups must be positive, got ", a.groups);
  if (a.dilation.size() != rank || a.padding.size() != rank)
    fail_value(a.op, ": stride, padding and dilation need ", rank, " entries each");

  ConvProblem p;
  p.dtype = a.dtype;
  p.rank = static_cast<int>(rank);
  p.exact = a.exact;
  p.workspace = a.workspace;
  p.n = a.input_shape[0];
  p.ic = a.input_shape[1];
  p.oc = a.weight_shape[0];
  p.g = a.groups;
  if (p.ic % p.g != 0 || p.oc % p.g != 0)
    fail_value(a.op, ": groups=", p.g, " must divide the input's ", p.ic, " channels and the weight's ",
               p.oc, " output channels");
  if (a.weight_shape[1] != p.ic_group())
    fail_value(a.op, ": input has ", p.ic, " channels, but weight ", tuple_text(a.weight_shape),
               " with groups=", p.g, " needs ", a.weight_shape[1] * p.g);
  for (size_t i = 0; i < rank; ++i) p.axis[3 - rank + i] = make_axis(a, i, rank);

  checked_product(a.input_shape, a.op, "input");
  checked_product(a.weight_shape, a.op, "weight");
  checked_product(p.output_shape(), a.op, "output");
  return p;
}

}  // namespace striate
