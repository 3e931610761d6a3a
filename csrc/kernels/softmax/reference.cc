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

}  // namespace striate::softmax
