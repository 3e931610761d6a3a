#include "kernels/update/reference.h"

#include <algorithm>
#include <cmath>

namespace striate::update {
namespace {

template <class T>
double decayed(T grad, T weight_decay, double w) {
  return weight_decay == 0 ? grad : grad + weight_decay * w;
}

}  // namespace

template <class T>
void reference_sgd(const SgdArgs<T>& a, const TensorView& value, const TensorView& grad,
                   const TensorView* buffer) {
  for (int64_t i = 0; i < value.size(); ++i) {
    const double w = nth<T>(value, i);
    double step = decayed<T>(nth<T>(grad, i), a.weight_decay, w);
    if (buffer) {
      const double b = a.first ? step : a.momentum * double{nth<T>(*buffer, i)} + a.fresh * step;
      nth<T>(*buffer, i) = static_cast<T>(b);
      step = a.nesterov ? step + a.momentum * b : b;
    }
    nth<T>(value, i) = static_cast<T>(w - a.rate * step);
  }
}

template <class T>
void reference_adam(const AdamArgs<T>& a, const TensorView& value, const TensorView& grad,
                    const TensorView& mean, const TensorView& square, const TensorView* most) {
  for (int64_t i = 0; i < value.size(); ++i) {
    const double w = nth<T>(value, i);
    const double g = decayed<T>(nth<T>(grad, i), a.weight_decay, w);
    const double m = a.first * double{nth<T>(mean, i)} + a.fresh_first * g;
    const double v = a.second * double{nth<T>(square, i)} + a.fresh_second * g * g;
    nth<T>(mean, i) = static_cast<T>(m);
    nth<T>(square, i) = static_cast<T>(v);
    double scale = v;
    if (most) scale = nth<T>(*most, i) > v ? double{nth<T>(*most, i)} : v;
    if (most) nth<T>(*most, i) = static_cast<T>(scale);
    nth<T>(value, i) = static_cast<T>(a.keep * w - a.rate * (m / (std::sqrt(scale) * a.root + a.eps)));
  }
}

template <class T>
void reference_adagrad(const ScaledArgs<T>& a, const TensorView& value, const TensorView& grad,
                       const TensorView& square) {
  for (int64_t i = 0; i < value.size(); ++i) {
    const double w = nth<T>(value, i), g = decayed<T>(nth<T>(grad, i), a.weight_decay, w);
    const double v = nth<T>(square, i) + g * g;
    nth<T>(square, i) = static_cast<T>(v);
    nth<T>(value, i) = static_cast<T>(w - a.rate * (g / (std::sqrt(v) + a.eps)));
  }
}

template <class T>
void reference_rmsprop(const ScaledArgs<T>& a, const TensorView& value, const TensorView& grad,
                       const TensorView& square, const TensorView* mean, const TensorView* buffer) {
  for (int64_t i = 0; i < value.size(); ++i) {
    const double w = nth<T>(value, i), g = decayed<T>(nth<T>(grad, i), a.weight_decay, w);
    const double v = a.second * double{nth<T>(square, i)} + a.fresh * g * g;
    nth<T>(square, i) = static_cast<T>(v);
    double variance = v;
    if (mean) {
      const double m = a.second * double{nth<T>(*mean, i)} + a.fresh * g;
      nth<T>(*mean, i) = static_cast<T>(m);
      variance = std::max(v - m * m, 0.0);
    }
    double step = g / (std::sqrt(variance) + a.eps);
    if (buffer) {
      step += a.momentum * double{nth<T>(*buffer, i)};
      nth<T>(*buffer, i) = static_cast<T>(step);
    }
    nth<T>(value, i) = static_cast<T>(w - a.rate * step);
  }
}

#define STRIATE_INSTANTIATE(T)                                                                       \
  template void reference_sgd<T>(const SgdArgs<T>&, const TensorView&, const TensorView&,            \
                                 const TensorView*);                                                 \
  template void reference_adam<T>(const AdamArgs<T>&, const TensorView&, const TensorView&,          \
                                  const TensorView&, const TensorView&, const TensorView*);         \
  template void reference_adagrad<T>(const ScaledArgs<T>&, const TensorView&, const TensorView&,     \
                                     const TensorView&);                                             \
  template void reference_rmsprop<T>(const ScaledArgs<T>&, const TensorView&, const TensorView&,     \
                                     const TensorView&, const TensorView*, const TensorView*);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::update
