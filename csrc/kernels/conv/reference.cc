#include "kernels/conv/reference.h"

#include "base/parallel.h"

namespace striate::conv {
namespace {

template <class T>
T& element(const TensorView& view, int64_t n, int64_t c, const std::array<int64_t, 3>& at) {
  return view.as<T>()[n * view.stride[kN] + c * view.stride[kC] + at[0] * view.stride[kD] +
                      at[1] * view.stride[kH] + at[2] * view.stride[kW]];
}

template <class Body>
void for_each_position(const std::array<int64_t, 3>& extent, Body body) {
  std::array<int64_t, 3> at{};
  for (at[0] = 0; at[0] < extent[0]; ++at[0])
    for (at[1] = 0; at[1] < extent[1]; ++at[1])
      for (at[2] = 0; at[2] < extent[2]; ++at[2]) body(at);
}

std::array<int64_t, 3> extents(const ConvProblem& p, int64_t ConvAxis::*field) {
  return {p.axis[0].*field, p.axis[1].*field, p.axis[2].*field};
}

// Where output position `out` sees its input through tap `tap`; false in the padding.
bool input_position(const ConvProblem& p, const std::array<int64_t, 3>& out,
                    const std::array<int64_t, 3>& tap, std::array<int64_t, 3>& in) {
  bool inside = true;
  for (size_t i = 0; i < 3; ++i) {
    const ConvAxis& axis = p.axis[i];
    in[i] = out[i] * axis.stride + tap[i] * axis.dilation - axis.pad;
    inside = inside && in[i] >= 0 && in[i] < axis.in;
  }
  return inside;
}

// The output position that sees input `in` through tap `tap`; false if there is none.
bool output_position(const ConvProblem& p, const std::array<int64_t, 3>& in,
                     const std::array<int64_t, 3>& tap, std::array<int64_t, 3>& out) {
  for (size_t i = 0; i < 3; ++i) {
    const ConvAxis& axis = p.axis[i];
    const int64_t shifted = in[i] + axis.pad - tap[i] * axis.dilation;
    if (shifted < 0 || shifted % axis.stride != 0 || shifted / axis.stride >= axis.out) return false;
    out[i] = shifted / axis.stride;
  }
  return true;
}

// Calls body(a, b) for a < count_a, b < count_b, spread over the threads.
template <class Body>
void for_each_pair(int64_t count_a, int64_t count_b, double work, Body body) {
  const int64_t tasks = count_a * count_b;
  parallel_for(tasks, workers_for(tasks, work), FpMode::flush_denormals,
               [&](int64_t task, int) { body(task / count_b, task % count_b); });
}

}  // namespace

template <class T>
void reference_forward(const ConvProblem& p, const TensorView& input, const TensorView& weight,
                       const T* bias, const TensorView& output) {
  for_each_pair(p.n, p.oc, p.macs(), [&](int64_t n, int64_t o) {
    const int64_t first = o / p.oc_group() * p.ic_group();
    for_each_position(extents(p, &ConvAxis::out), [&](const auto& out) {
      T sum = 0;
      for (int64_t i = 0; i < p.ic_group(); ++i)
        for_each_position(extents(p, &ConvAxis::kernel), [&](const auto& tap) {
          std::array<int64_t, 3> in;
          const T x = input_position(p, out, tap, in) ? element<T>(input, n, first + i, in) : T(0);
          sum += x * element<T>(weight, o, i, tap);
        });
      element<T>(output, n, o, out) = bias ? sum + bias[o] : sum;
    });
  });
}

template <class T>
void reference_input_grad(const ConvProblem& p, const TensorView& weight, const TensorView& grad_output,
                          const T* bias, const TensorView& grad_input) {
  for_each_pair(p.n, p.ic, p.macs(), [&](int64_t n, int64_t c) {
    const int64_t group = c / p.ic_group();
    for_each_position(extents(p, &ConvAxis::in), [&](const auto& in) {
      T sum = 0;
      for (int64_t o = group * p.oc_group(); o < (group + 1) * p.oc_group(); ++o)
        for_each_position(extents(p, &ConvAxis::kernel), [&](const auto& tap) {
          std::array<int64_t, 3> out;
          if (output_position(p, in, tap, out))
            sum += element<T>(grad_output, n, o, out) * element<T>(weight, o, c % p.ic_group(), tap);
        });
      element<T>(grad_input, n, c, in) = bias ? sum + bias[c] : sum;
    });
  });
}

template <class T>
void reference_weight_grad(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                           const TensorView& grad_weight) {
  for_each_pair(p.oc, p.ic_group(), p.macs(), [&](int64_t o, int64_t i) {
    const int64_t c = o / p.oc_group() * p.ic_group() + i;
    for_each_position(extents(p, &ConvAxis::kernel), [&](const auto& tap) {
      T sum = 0;
      for (int64_t n = 0; n < p.n; ++n)
        for_each_position(extents(p, &ConvAxis::out), [&](const auto& out) {
          std::array<int64_t, 3> in;
          if (input_position(p, out, tap, in))
            sum += element<T>(input, n, c, in) * element<T>(grad_output, n, o, out);
        });
      element<T>(grad_weight, o, i, tap) = sum;
    });
  });
}

#define STRIATE_INSTANTIATE(T)                                                                        \
  template void reference_forward<T>(const ConvProblem&, const TensorView&, const TensorView&,        \
                                     const T*, const TensorView&);                                    \
  template void reference_input_grad<T>(const ConvProblem&, const TensorView&, const TensorView&,     \
                                        const T*, const TensorView&);                                 \
  template void reference_weight_grad<T>(const ConvProblem&, const TensorView&, const TensorView&,    \
                                         const TensorView&);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::conv
