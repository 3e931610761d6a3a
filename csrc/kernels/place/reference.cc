#include "kernels/place/reference.h"

#include "base/parallel.h"

namespace striate::place {
namespace {

/// Calls body(d, h, w) for all positions.
template <class Body>
void for_each_position(int64_t depth, int64_t height, int64_t width, Body body) {
  for (int64_t d = 0; d < depth; ++d)
    for (int64_t h = 0; h < height; ++h)
      for (int64_t w = 0; w < width; ++w) body(d, h, w);
}

}  // namespace

template <class T>
void reference(const PlaceProblem& p, const TensorView& input, const TensorView& output) {
  const auto& [d_axis, h_axis, w_axis] = p.axis;
  const int64_t planes = p.n * p.c;
  const auto work = static_cast<double>(output.size());
  parallel_for(planes, workers_for(planes, work), FpMode::exact, [&, &d_axis = d_axis, &h_axis = h_axis,
                                                                  &w_axis = w_axis](int64_t plane, int) {
    const auto element = [&](const TensorView& view, int64_t d, int64_t h, int64_t w) -> T& {
      return view.as<T>()[plane / p.c * view.stride[kN] + plane % p.c * view.stride[kC] +
                          d * view.stride[kD] + h * view.stride[kH] + w * view.stride[kW]];
    };
    for_each_position(d_axis.out, h_axis.out, w_axis.out, [&](int64_t d, int64_t h, int64_t w) {
      element(output, d, h, w) = static_cast<T>(p.value);
    });
    for_each_position(d_axis.count, h_axis.count, w_axis.count, [&](int64_t d, int64_t h, int64_t w) {
      element(output, d_axis.out_first + d * d_axis.out_step, h_axis.out_first + h * h_axis.out_step,
              w_axis.out_first + w * w_axis.out_step) =
          element(input, d_axis.in_first + d * d_axis.in_step, h_axis.in_first + h * h_axis.in_step,
                  w_axis.in_first + w * w_axis.in_step);
    });
  });
}

template void reference<float>(const PlaceProblem&, const TensorView&, const TensorView&);
template void reference<double>(const PlaceProblem&, const TensorView&, const TensorView&);

}  // namespace striate::place
