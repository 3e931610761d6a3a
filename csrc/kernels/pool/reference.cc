#include "kernels/pool/reference.h"

#include <algorithm>
#include <limits>

#include "base/parallel.h"

namespace striate::pool {
namespace {

using Position = std::array<int64_t, 3>;

template <class T>
T& element(const TensorView& view, int64_t n, int64_t c, const Position& at) {
  return view.as<T>()[n * view.stride[kN] + c * view.stride[kC] + at[0] * view.stride[kD] +
                      at[1] * view.stride[kH] + at[2] * view.stride[kW]];
}

template <class Body>
void for_each_position(const Position& extent, Body body) {
  Position at{};
  for (at[0] = 0; at[0] < extent[0]; ++at[0])
    for (at[1] = 0; at[1] < extent[1]; ++at[1])
      for (at[2] = 0; at[2] < extent[2]; ++at[2]) body(at);
}

Position extents(const TensorView& view) { return {view.shape[kD], view.shape[kH], view.shape[kW]}; }

Position extents(const PoolProblem& p, int64_t PoolAxis::*field) {
  return {p.axis[0].*field, p.axis[1].*field, p.axis[2].*field};
}

template <class Body>
void for_each_tap(const PoolProblem& p, const Position& out, Body body) {
  for_each_position(extents(p, &PoolAxis::kernel), [&](const Position& tap) {
    Position in{};
    for (size_t i = 0; i < 3; ++i) {
      const PoolAxis& axis = p.axis[i];
      in[i] = out[i] * axis.stride + tap[i] * axis.dilation - axis.pad;
      if (in[i] < 0 || in[i] >= axis.in) return;
    }
    body(in, tap);
  });
}

int64_t divisor_at(const PoolProblem& p, const Position& out) {
  if (p.divisor != 0) return p.divisor;
  int64_t count = 1;
  for (size_t i = 0; i < 3; ++i) {
    const PoolAxis& axis = p.axis[i];
    const int64_t start = out[i] * axis.stride - axis.pad;
    const int64_t end = std::min(start + axis.kernel, axis.in + axis.pad_end);
    count *= p.count_include_pad ? end - start
                                 : std::min(end, axis.in) - std::max<int64_t>(start, 0);
  }
  return count;
}

template <class Body>
void for_each_plane(const PoolProblem& p, Body body) {
  const int64_t planes = p.n * p.c;
  const double work = static_cast<double>(planes * p.axis[0].out * p.axis[1].out * p.axis[2].out) *
                      static_cast<double>(p.taps());
  parallel_for(planes, workers_for(planes, work), FpMode::exact,
               [&](int64_t plane, int) { body(plane / p.c, plane % p.c); });
}

}  // namespace

template <class T>
void reference_max(const PoolProblem& p, const TensorView& input, const TensorView& output,
                   const TensorView* places) {
  for_each_plane(p, [&](int64_t n, int64_t c) {
    for_each_position(extents(p, &PoolAxis::out), [&](const Position& out) {
      T best = -std::numeric_limits<T>::infinity();
      int64_t best_at = -1, best_tap = 0;
      for_each_tap(p, out, [&](const Position& in, const Position& tap) {
        const T value = element<T>(input, n, c, in);
        if (best_at >= 0 && !(value > best) && value == value) return;
        best = value;
        best_at = (in[0] * p.axis[1].in + in[1]) * p.axis[2].in + in[2];
        best_tap = (tap[0] * p.axis[1].kernel + tap[1]) * p.axis[2].kernel + tap[2];
      });
      element<T>(output, n, c, out) = best == best ? best : std::numeric_limits<T>::quiet_NaN();
      if (places && places->dtype == DType::i64) element<int64_t>(*places, n, c, out) = best_at;
      if (places && places->dtype == DType::u8)
        element<uint8_t>(*places, n, c, out) = static_cast<uint8_t>(best_tap);
    });
  });
}

template <class T>
void reference_mean(const PoolProblem& p, const TensorView& input, const TensorView& output) {
  for_each_plane(p, [&](int64_t n, int64_t c) {
    for_each_position(extents(p, &PoolAxis::out), [&](const Position& out) {
      T sum = 0;
      for_each_tap(p, out, [&](const Position& in, const Position&) { sum += element<T>(input, n, c, in); });
      element<T>(output, n, c, out) = sum / static_cast<T>(divisor_at(p, out));
    });
  });
}

template <class T>
void reference_mean_grad(const PoolProblem& p, const TensorView& grad_output,
                         const TensorView& grad_input) {
  for_each_plane(p, [&](int64_t n, int64_t c) {
    for_each_position(extents(p, &PoolAxis::in),
                      [&](const Position& in) { element<T>(grad_input, n, c, in) = 0; });
    for_each_position(extents(p, &PoolAxis::out), [&](const Position& out) {
      const T share = element<T>(grad_output, n, c, out) / static_cast<T>(divisor_at(p, out));
      for_each_tap(p, out,
                   [&](const Position& in, const Position&) { element<T>(grad_input, n, c, in) += share; });
    });
  });
}

template <class T>
void reference_max_grad(const TensorView& indices, const TensorView& grad_output,
                        const TensorView& grad_input) {
  const int64_t channels = grad_input.shape[kC], planes = grad_input.shape[kN] * channels;
  const int64_t height = grad_input.shape[kH], width = grad_input.shape[kW];
  const auto work = static_cast<double>(grad_input.size() + grad_output.size());
  parallel_for(planes, workers_for(planes, work), FpMode::exact, [&](int64_t plane, int) {
    const int64_t n = plane / channels, c = plane % channels;
    for_each_position(extents(grad_input), [&](const Position& in) { element<T>(grad_input, n, c, in) = 0; });
    for_each_position(extents(grad_output), [&](const Position& out) {
      const int64_t at = element<int64_t>(indices, n, c, out);
      element<T>(grad_input, n, c, {at / width / height, at / width % height, at % width}) +=
          element<T>(grad_output, n, c, out);
    });
  });
}

template <class T>
void reference_max_taps_grad(const PoolProblem& p, const TensorView& taps, const TensorView& grad_output,
                             const TensorView& grad_input) {
  for_each_plane(p, [&](int64_t n, int64_t c) {
    for_each_position(extents(p, &PoolAxis::in),
                      [&](const Position& in) { element<T>(grad_input, n, c, in) = 0; });
    for_each_position(extents(p, &PoolAxis::out), [&](const Position& out) {
      const int64_t winner = element<uint8_t>(taps, n, c, out);
      for_each_tap(p, out, [&](const Position& in, const Position& tap) {
        if ((tap[0] * p.axis[1].kernel + tap[1]) * p.axis[2].kernel + tap[2] == winner)
          element<T>(grad_input, n, c, in) += element<T>(grad_output, n, c, out);
      });
    });
  });
}

template <class T>
void reference_max_unpool(const TensorView& indices, const TensorView& input, const TensorView& output) {
  const int64_t height = output.shape[kH], width = output.shape[kW];
  for (int64_t n = 0; n < output.shape[kN]; ++n)
    for (int64_t c = 0; c < output.shape[kC]; ++c) {
      for_each_position(extents(output), [&](const Position& at) { element<T>(output, n, c, at) = 0; });
      for_each_position(extents(input), [&](const Position& from) {
        const int64_t at = element<int64_t>(indices, n, c, from);
        element<T>(output, n, c, {at / width / height, at / width % height, at % width}) =
            element<T>(input, n, c, from);
      });
    }
}

#define STRIATE_INSTANTIATE(T)                                                                        \
  template void reference_max<T>(const PoolProblem&, const TensorView&, const TensorView&,            \
                                 const TensorView*);                                                  \
  template void reference_mean<T>(const PoolProblem&, const TensorView&, const TensorView&);          \
  template void reference_mean_grad<T>(const PoolProblem&, const TensorView&, const TensorView&);     \
  template void reference_max_grad<T>(const TensorView&, const TensorView&, const TensorView&);         \
  template void reference_max_unpool<T>(const TensorView&, const TensorView&, const TensorView&);       \
  template void reference_max_taps_grad<T>(const PoolProblem&, const TensorView&, const TensorView&,    \
                                           const TensorView&);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::pool
