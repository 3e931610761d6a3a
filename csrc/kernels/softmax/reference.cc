#include "kernels/softmax/reference.h"

#include <cmath>
#include <limits>

#include "base/parallel.h"

namespace striate::softmax {
namespace {

template <class T>
struct Line {
  T* first;
  int64_t step;

  T& operator[](int64_t i) const { return first[i * step]; }
};

template <class T>
Line<T> line_of(TensorView view, int axis, int64_t row) {
  const auto along = static_cast<size_t>(axis);
  view.shape[along] = 1;
  return {&nth<T>(view, row), view.stride[along]};
}

template <class T>
void forward(Softmax kind, Line<T> x, Line<T> y, int64_t count) {
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < count; ++i)
    if (x[i] > most) most = x[i];
  for (int64_t i = 0; i < count; ++i) sum += std::exp(x[i] - most);
  for (int64_t i = 0; i < count; ++i)
    y[i] = static_cast<T>(kind == Softmax::plain ? std::exp(x[i] - most) / sum
                                                 : (x[i] - most) - std::log(sum));
}

template <class T>
void gradient(Softmax kind, Line<T> y, Line<T> g, Line<T> dx, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += kind == Softmax::plain ? double{g[i]} * y[i] : g[i];
  for (int64_t i = 0; i < count; ++i)
    dx[i] = static_cast<T>(kind == Softmax::plain ? y[i] * (g[i] - sum) : g[i] - std::exp(double{y[i]}) * sum);
}

}  // namespace

template <class T>
void reference(Softmax kind, const TensorView& from, const TensorView* grad_output, int axis,
               const TensorView& to) {
  const int64_t count = to.shape[static_cast<size_t>(axis)], size = to.size();
  if (size == 0) return;
  const int64_t rows = size / count;
  parallel_for(rows, workers_for(rows, static_cast<double>(size)), FpMode::exact, [&](int64_t row, int) {
    const Line<T> a = line_of<T>(from, axis, row), out = line_of<T>(to, axis, row);
    if (grad_output)
      gradient(kind, a, line_of<T>(*grad_output, axis, row), out, count);
    else
      forward(kind, a, out, count);
  });
}

template void reference<float>(Softmax, const TensorView&, const TensorView*, int, const TensorView&);
template void reference<double>(Softmax, const TensorView&, const TensorView*, int, const TensorView&);

template <class T>
void reference_cross_entropy(const CrossEntropyArgs<T>& s) noexcept {
  for (int64_t r = 0; r < s.rows; ++r) {
    const T* x = s.x + r * s.x_row;
    double most = x[0], sum = 0;
    for (int64_t i = 1; i < s.count; ++i)
      if (x[i * s.x_along] > most) most = x[i * s.x_along];
    for (int64_t i = 0; i < s.count; ++i) sum += std::exp(x[i * s.x_along] - most);
    s.most[r * s.step] = static_cast<T>(most);
    s.log_sum[r * s.step] = static_cast<T>(std::log(sum));
    s.loss[r * s.step] = static_cast<T>(std::log(sum) - (x[s.target[r * s.step] * s.x_along] - most));
  }
}

template <class T>
void reference_cross_entropy_grad(const CrossEntropyArgs<T>& s) noexcept {
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t i = 0; i < s.count; ++i) {
      const double x = s.x[r * s.x_row + i * s.x_along];
      const double p = std::exp((x - s.most[r * s.step]) - s.log_sum[r * s.step]);
      s.dx[r * s.dx_row + i * s.dx_along] =
          static_cast<T>(s.g[r * s.g_row] * (p - (i == s.target[r * s.step] ? 1 : 0)));
    }
}

template void reference_cross_entropy<float>(const CrossEntropyArgs<float>&) noexcept;
template void reference_cross_entropy<double>(const CrossEntropyArgs<double>&) noexcept;
template void reference_cross_entropy_grad<float>(const CrossEntropyArgs<float>&) noexcept;
template void reference_cross_entropy_grad<double>(const CrossEntropyArgs<double>&) noexcept;

}  // namespace striate::softmax
