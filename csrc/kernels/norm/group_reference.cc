#include "kernels/norm/group_reference.h"

#include <algorithm>
#include <cmath>

namespace striate::norm {
namespace {

/// In C order the elements of a group follow one another; number i is of this channel.
int64_t channel(const GroupNormProblem& p, int64_t i) { return i / p.pixels % p.channels; }

}  // namespace

template <class T>
void group_reference(const GroupNormProblem& p, const TensorView& input, const T* weight, const T* bias,
                     const TensorView& output, T* mean, T* var) {
  const auto n = static_cast<double>(p.count());
  for (int64_t group = 0; group < p.n * p.groups; ++group) {
    const int64_t begin = group * p.count(), end = begin + p.count();
    double sum = 0, squares = 0;
    for (int64_t i = begin; i < end; ++i) sum += nth<T>(input, i);
    for (int64_t i = begin; i < end; ++i) squares += std::pow(nth<T>(input, i) - sum / n, 2);
    mean[group] = static_cast<T>(sum / n);
    var[group] = static_cast<T>(squares / n);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = channel(p, i);
      const double normal = (nth<T>(input, i) - sum / n) / std::sqrt(squares / n + p.eps);
      nth<T>(output, i) = static_cast<T>(normal * (weight ? weight[c] : 1) + (bias ? bias[c] : 0));
    }
  }
}

template <class T>
void group_reference_grad(const GroupNormProblem& p, const TensorView& input, const TensorView& grad_output,
                          const T* mean, const T* var, const T* weight, const TensorView& grad_input,
                          T* grad_weight, T* grad_bias) {
  const auto n = static_cast<double>(p.count());
  for (int64_t c = 0; c < p.channels; ++c) grad_weight[c] = grad_bias[c] = 0;
  for (int64_t group = 0; group < p.n * p.groups; ++group) {
    const int64_t begin = group * p.count(), end = begin + p.count();
    const double deviation = std::sqrt(var[group] + p.eps);
    const auto normal = [&](int64_t i) { return (nth<T>(input, i) - double{mean[group]}) / deviation; };
    const auto weighted = [&](int64_t i) {
      return nth<T>(grad_output, i) * (weight ? double{weight[channel(p, i)]} : 1);
    };
    double sum = 0, product = 0;
    for (int64_t i = begin; i < end; ++i) {
      sum += weighted(i);
      product += weighted(i) * normal(i);
    }
    for (int64_t i = begin; i < end; ++i)
      nth<T>(grad_input, i) = static_cast<T>((weighted(i) - sum / n - normal(i) * product / n) / deviation);
  }
  for (int64_t c = 0; c < p.channels; ++c) {
    double sum = 0, product = 0;
    for (int64_t i = 0; i < input.size(); ++i) {
      if (channel(p, i) != c) continue;
      const int64_t group = i / p.count();
      sum += nth<T>(grad_output, i);
      product += nth<T>(grad_output, i) * ((nth<T>(input, i) - double{mean[group]}) / std::sqrt(var[group] + p.eps));
    }
    grad_bias[c] = static_cast<T>(sum);
    grad_weight[c] = static_cast<T>(product);
  }
}

#define STRIATE_INSTANTIATE(T)                                                                                \
  template void group_reference<T>(const GroupNormProblem&, const TensorView&, const T*, const T*,            \
                                   const TensorView&, T*, T*);                                                \
  template void group_reference_grad<T>(const GroupNormProblem&, const TensorView&, const TensorView&,        \
                                        const T*, const T*, const T*, const TensorView&, T*, T*);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::norm
