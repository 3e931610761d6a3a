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
  for (int64_t i = 0; i < p.count; ++i)
    nth<T>(y, i) = static_cast<T>((nth<T>(x, i) - mean) / std::sqrt(var + p.eps) * weight + bias);
}

}  // namespace

template <class T>
void reference_train(const BatchNormProblem& p, const TensorView& input, const T* weight, const T* bias,
                     const TensorView& output, T* mean, T* var) {
  for_each_channel(p, [&](int64_t c) {
    const TensorView x = channel_of<T>(input, c);
    const auto n = static_cast<double>(p.count);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < p.count; ++i) sum += nth<T>(x, i);
    for (int64_t i = 0; i < p.count; ++i) squares += std::pow(nth<T>(x, i) - sum / n, 2);
    mean[c] = static_cast<T>(sum / n);
    var[c] = static_cast<T>(squares / n);
    normalise<T>(p, x, sum / n, squares / n, weight ? weight[c] : 1, bias ? bias[c] : 0,
                 channel_of<T>(output, c));
  });
}

template <class T>
void reference_infer(const BatchNormProblem& p, const TensorView& input, const T* mean, const T* var,
                     const T* weight, const T* bias, const TensorView& output) {
  for_each_channel(p, [&](int64_t c) {
    normalise<T>(p, channel_of<T>(input, c), mean[c], var[c], weight ? weight[c] : 1, bias ? bias[c] : 0,
                 channel_of<T>(output, c));
  });
}

template <class T>
void reference_grad(const BatchNormProblem& p, const TensorView& input, const TensorView& grad_output,
                    const T* mean, const T* var, const T* weight, bool training,
                    const TensorView& grad_input, T* grad_weight, T* grad_bias) {
  for_each_channel(p, [&](int64_t c) {
    const TensorView x = channel_of<T>(input, c), g = channel_of<T>(grad_output, c);
    const TensorView dx = channel_of<T>(grad_input, c);
    const double deviation = std::sqrt(var[c] + p.eps), scale = weight ? weight[c] : 1;
    const auto normalised = [&](int64_t i) { return (nth<T>(x, i) - double{mean[c]}) / deviation; };
    double sum = 0, product = 0;
    for (int64_t i = 0; i < p.count; ++i) {
      sum += nth<T>(g, i);
      product += nth<T>(g, i) * normalised(i);
    }
    grad_bias[c] = static_cast<T>(sum);
    grad_weight[c] = static_cast<T>(product);
    for (int64_t i = 0; i < p.count; ++i) {
      // What flows back through mean and variance.
      const double through = training ? (sum + normalised(i) * product) / static_cast<double>(p.count) : 0;
      nth<T>(dx, i) = static_cast<T>(scale / deviation * (nth<T>(g, i) - through));
    }
  });
}

#define STRIATE_INSTANTIATE(T)                                                                             \
  template void reference_train<T>(const BatchNormProblem&, const TensorView&, const T*, const T*,         \
                                   const TensorView&, T*, T*);                                             \
  template void reference_infer<T>(const BatchNormProblem&, const TensorView&, const T*, const T*,         \
                                   const T*, const T*, const TensorView&);                                 \
  template void reference_grad<T>(const BatchNormProblem&, const TensorView&, const TensorView&, const T*, \
                                  const T*, const T*, bool, const TensorView&, T*, T*);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::norm
