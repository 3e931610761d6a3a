#include "kernels/pointwise/reference.h"

#include <cmath>

#include "base/parallel.h"

namespace striate::pointwise {
namespace {

double value(Activation activation, double slope, double x) {
  switch (activation) {
    case Activation::relu:
      return x < 0 ? 0 : x;
    case Activation::leaky_relu:
      return x > 0 ? x : slope * x;
    case Activation::sigmoid: {
      const double e = std::exp(-std::abs(x));  // at most 1: nothing overflows, nothing cancels
      return (x < 0 ? e : 1) / (1 + e);
    }
    case Activation::tanh:
      return std::tanh(x);
  }
  __builtin_unreachable();
}

double gradient(Activation activation, double slope, double y, double g) {
  switch (activation) {
    case Activation::relu:
      return y <= 0 ? 0 : g;
    case Activation::leaky_relu:
      return y > 0 ? g : slope * g;
    case Activation::sigmoid:
      return g * (y * (1 - y));
    case Activation::tanh:
      return g * ((1 - y) * (1 + y));
  }
  __builtin_unreachable();
}

}  // namespace

template <class T>
void reference(const ActivationProblem& p, const TensorView& from, const TensorView* grad_output,
               const TensorView& to) {
  const double slope = static_cast<T>(p.negative_slope);
  const int64_t size = to.size();
  parallel_for(size, workers_for(size, static_cast<double>(size)), FpMode::exact, [&](int64_t i, int) {
    const double a = nth<T>(from, i);
    nth<T>(to, i) = static_cast<T>(grad_output ? gradient(p.activation, slope, a, nth<T>(*grad_output, i))
                                               : value(p.activation, slope, a));
  });
}

template <class T>
void reference(Binary op, const TensorView& first, const TensorView& second, const TensorView& to) {
  const int64_t size = to.size();
  parallel_for(size, workers_for(size, static_cast<double>(size)), FpMode::exact, [&](int64_t i, int) {
    const T a = nth<T>(first, i), b = nth<T>(second, i);
    const T value = op == Binary::prelu                ? (a > 0 ? a : b * a)
                    : op == Binary::prelu_weight_terms ? (a > 0 ? 0 : a * b)
                    : op == Binary::subtract ? a - b
                    : op == Binary::multiply ? a * b
                    : op == Binary::divide   ? a / b
                                             : a + b;
    nth<T>(to, i) = op == Binary::add_relu && value < 0 ? 0 : value;
  });
}

template <class T>
void reference_prelu_grad(const TensorView& x, const TensorView& slope, const TensorView& g,
                          const TensorView& to) {
  for (int64_t i = 0; i < to.size(); ++i)
    nth<T>(to, i) = nth<T>(x, i) > 0 ? nth<T>(g, i) : nth<T>(slope, i) * nth<T>(g, i);
}

template void reference_prelu_grad<float>(const TensorView&, const TensorView&, const TensorView&,
                                          const TensorView&);
template void reference_prelu_grad<double>(const TensorView&, const TensorView&, const TensorView&,
                                           const TensorView&);
template void reference<float>(Binary, const TensorView&, const TensorView&, const TensorView&);
template void reference<double>(Binary, const TensorView&, const TensorView&, const TensorView&);
template void reference<float>(const ActivationProblem&, const TensorView&, const TensorView*,
                               const TensorView&);
template void reference<double>(const ActivationProblem&, const TensorView&, const TensorView*,
                                const TensorView&);

}  // namespace striate::pointwise
