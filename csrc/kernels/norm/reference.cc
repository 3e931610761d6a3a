#include "kernels/norm/reference.h"

#include <cmath>

#include "base/parallel.h"

namespace striate::norm {
namespace {

/// The elements of channel c: a view of the same rank with one channel.
template <class T>
TensorView channel_of(TensorView view, int64_t c) {
  view.data = view.as<T>() + c * view.stride[kC];
  view.shape[kC] = 1;
  return view;
}

template <class Body>
void for_each_channel(const BatchNormProblem& p, Body body) {
  const double work = static_cast<double>(p.channels) * static_cast<double>(p.count);
  parallel_for(p.channels, workers_for(p.channels, work), FpMode::flush_denormals,
               [&](int64_t c, int) { body(c); });
}

template <class T>
void normalise(const BatchNormProblem& p, const TensorView& x, double mean, double var, double weight,
               double bias, const TensorView& y) {
  for (int64_t i = 0; i < p.count; ++i) {
    const double value = (nth<T>(x, i) - mean) / std::sqrt(var + p.eps) * weight + bias;
    nth<T>(y, i) = static_cast<T>(p.relu && value < 0 ? 0 : value);
  }
}

template <class T>
void leave_gate(const BatchNormProblem& p, int64_t c, double var, double weight, double bias, T* gate) {
  if (!gate) return;
  gate[c] = static_cast<T>(weight / std::sqrt(var + p.eps));
  gate[p.channels + c] = static_cast<T>(bias);
}

}  // namespace

template <class T>
void reference_train(const BatchNormProblem& p, const TensorView& input, const T* weight, const T* bias,
                     const TensorView& output, T* mean, T* var, T* gate) {
  for_each_channel(p, [&](int64_t c) {
    const TensorView x = channel_of<T>(input, c);
    const auto n = static_cast<double>(p.count);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < p.count; ++i) sum += nth<T>(x, i);
    for (int64_t i = 0; i < p.count; ++i) squares += std::pow(nth<T>(x, i) - sum / n, 2);
    mean[c] = static_cast<T>(sum / n);
    var[c] = static_cast<T>(squares / n);
    const double scale = weight ? weight[c] : 1, shift = bias ? bias[c] : 0;
    normalise<T>(p, x, sum / n, squares / n, scale, shift, channel_of<T>(output, c));
    leave_gate(p, c, squares / n, scale, shift, gate);
  });
}

template <class T>
void reference_infer(const BatchNormProblem& p, const TensorView& input, const T* mean, const T* var,
                     const T* weight, const T* bias, const TensorView& output,
                     T* gate) {
  for_each_channel(p, [&](int64_t c) {
    const double scale = weight ? weight[c] : 1, shift = bias ? bias[c] : 0;
    normalise<T>(p, channel_of<T>(input, c), mean[c], var[c], scale, shift, channel_of<T>(output, c));
    leave_gate(p, c, var[c], scale, shift, gate);
  });
}

template <class T>
void reference_grad(const BatchNormProblem& p, const TensorView& input, const TensorView& grad_output,
                    const T* mean, const T* var, const T* weight, const T* gate, bool training,
                    const TensorView& grad_input, T* grad_weight, T* grad_bias) {
  for_each_channel(p, [&](int64_t c) {
    const TensorView x = channel_of<T>(input, c), g = channel_of<T>(grad_output, c);
    const TensorView dx = channel_of<T>(grad_input, c);
    const double deviation = std::sqrt(var[c] + p.eps), scale = weight ? weight[c] : 1;
    const auto normalised = [&](int64_t i) { return (nth<T>(x, i) - double{mean[c]}) / deviation; };
    const auto passed = [&](int64_t i) -> double {
      if (gate && std::fma(nth<T>(x, i) - mean[c], gate[c], gate[p.channels + c]) <= 0) return 0;
      return nth<T>(g, i);
    };
    double sum = 0, product = 0;
    for (int64_t i = 0; i < p.count; ++i) {
      sum += passed(i);
      product += passed(i) * normalised(i);
    }
    grad_bias[c] = static_cast<T>(sum);
    grad_weight[c] = static_cast<T>(product);
    for (int64_t i = 0; i < p.count; ++i) {
      // What flows back through mean and variance.
      const double through = training ? (sum + normalised(i) * product) / static_cast<double>(p.count) : 0;
      nth<T>(dx, i) = static_cast<T>(scale / deviation * (passed(i) - through));
    }
  });
}

#define STRIATE_INSTANTIATE(T)                                                                             \
  template void reference_train<T>(const BatchNormProblem&, const TensorView&, const T*, const T*,         \
                                   const TensorView&, T*, T*, T*);                                         \
  template void reference_infer<T>(const BatchNormProblem&, const TensorView&, const T*, const T*,         \
                                   const T*, const T*, const TensorView&, T*);                             \
  template void reference_grad<T>(const BatchNormProblem&, const TensorView&, const TensorView&, const T*, \
                                  const T*, const T*, const T*, bool, const TensorView&, T*, T*);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::norm
