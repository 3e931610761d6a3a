#include "kernels/pointwise/curve_reference.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/parallel.h"

namespace striate::pointwise {
namespace {

constexpr double kRootTwoPi = 2.50662827463100050242;

double sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
double log_of_sigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }
double distribution(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double density(double x) { return std::exp(-x * x / 2) / kRootTwoPi; }
double steep(double x) { return 4 / kRootTwoPi * (x + 0.044715 * x * x * x); }
double tanh_of_softplus(double x) {
  if (x > 40) return 1;
  const double n = std::exp(x) * (std::exp(x) + 2);
  return n / (n + 2);
}

// f(x) and f'(x), at finite x.
double value(Curve curve, double first, double second, double x) {
  switch (curve) {
    case Curve::elu:
      return x > 0 ? second * x : first * std::expm1(x);
    case Curve::clip:
      return x < first ? first : x > second ? second : x;
    case Curve::hardsigmoid:
      return std::clamp(x + 3, 0.0, 6.0) / 6;
    case Curve::hardswish:
      return x * (std::clamp(x + 3, 0.0, 6.0) / 6);
    case Curve::softplus:
      return first * x > second ? x : -log_of_sigmoid(-first * x) / first;
    case Curve::logsigmoid:
      return log_of_sigmoid(x);
    case Curve::silu:
      return x * sigmoid(x);
    case Curve::gelu:
      return x * distribution(x);
    case Curve::gelu_tanh:
      return x * sigmoid(steep(x));
    case Curve::mish:
      return x * tanh_of_softplus(x);
    case Curve::absolute:
      return std::abs(x);
    case Curve::huber:
      return second * (std::abs(x) > first ? first * (std::abs(x) - first / 2) : x * x / 2);
  }
  __builtin_unreachable();
}

double slope(Curve curve, double first, double second, double x) {
  switch (curve) {
    case Curve::elu:
      return x > 0 ? second : first * std::exp(x);
    case Curve::clip:
      return x <= first || x >= second ? 0 : 1;
    case Curve::hardsigmoid:
      return std::abs(x) < 3 ? 1.0 / 6 : 0;
    case Curve::hardswish:
      return x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1;
    case Curve::softplus:
      return first * x > second ? 1 : sigmoid(first * x);
    case Curve::logsigmoid:
      return sigmoid(-x);
    case Curve::silu:
      return sigmoid(x) * (1 + x * sigmoid(-x));
    case Curve::gelu:
      return distribution(x) + x * density(x);
    case Curve::gelu_tanh:
      return sigmoid(steep(x)) + x * sigmoid(steep(x)) * sigmoid(-steep(x)) * 4 / kRootTwoPi *
                                     (1 + 3 * 0.044715 * x * x);
    case Curve::absolute:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    case Curve::huber:
      return second * (x < -first ? -first : x > first ? first : x);
    case Curve::mish: {
      if (x > 40) return 1;
      const double e = std::exp(x), n = e * (e + 2);
      return n / (n + 2) + x * (4 * e * (e + 1)) / ((n + 2) * (n + 2));
    }
  }
  __builtin_unreachable();
}

// At an infinity the curves are constant, or their slope is 1 or 0, which a number far out shows too.
bool goes_on(Curve curve, double x) {
  if (curve == Curve::clip || curve == Curve::hardsigmoid) return false;
  if (curve == Curve::absolute || curve == Curve::huber) return true;
  return curve == Curve::logsigmoid ? x < 0 : x > 0;
}

}  // namespace

template <class T>
void curve_reference(const CurveProblem& p, const TensorView& input, const TensorView* grad_output,
                     const TensorView& to) {
  const double first = static_cast<T>(p.first), second = static_cast<T>(p.second);
  // Of the line on which a curve goes on.
  const double factor = p.curve == Curve::elu ? second : p.curve == Curve::huber ? first * second : 1;
  const int64_t size = to.size();
  parallel_for(size, workers_for(size, static_cast<double>(size)), FpMode::exact, [&](int64_t i, int) {
    const double x = nth<T>(input, i);
    const double near = std::isnan(x) ? x : std::clamp(x, -1e4, 1e4);
    if (grad_output) {
      const double steepness = slope(p.curve, first, second, near);
      nth<T>(to, i) = static_cast<T>(steepness == 0 ? 0 : steepness * nth<T>(*grad_output, i));
    } else {
      nth<T>(to, i) = static_cast<T>(near != x && goes_on(p.curve, x) && !std::isnan(x)
                                         ? (x < 0 && p.curve != Curve::logsigmoid ? -x : x) * factor
                                         : value(p.curve, first, second, near));
    }
  });
}

template void curve_reference<float>(const CurveProblem&, const TensorView&, const TensorView*, const TensorView&);
template void curve_reference<double>(const CurveProblem&, const TensorView&, const TensorView*, const TensorView&);

}  // namespace striate::pointwise
