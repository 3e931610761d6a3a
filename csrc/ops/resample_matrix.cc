#include "ops/resample_matrix.h"

#include <cmath>
#include <utility>

namespace striate {
namespace {

// Keys' cubic: 1 at 0, 0 at the other integers, nothing beyond 2. The sharpness is PyTorch's: -3/4, but -1/2
// (as Pillow's) where it is also a low-pass filter.
double cubic(double x, double sharpness) {
  x = std::abs(x);
  if (x < 1) return ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * sharpness;
  return 0;
}

double triangle(double x) { return std::max(1 - std::abs(x), 0.0); }

template <class T>
class RowWriter {
 public:
  RowWriter(const ResampleProblem& p, const ResampleAxis& axis)
      : matrix{.in = axis.in, .out = axis.out, .begin = {0}, .index = {}, .weight = {}},
        p_(p),
        axis_(axis),
        in_(static_cast<double>(axis.in)),
        out_(static_cast<double>(axis.out)) {
    step_ = p.align_corners    ? (axis.out > 1 ? (in_ - 1) / (out_ - 1) : 0)
            : axis.scale > 0 ? 1 / axis.scale
                             : in_ / out_;
  }

  void write(int64_t o) {
    switch (p_.mode) {
      case Resampling::nearest:
        tap(axis_.scale > 0 ? std::floor(static_cast<double>(o) * step_)
                            : static_cast<double>(o * axis_.in / axis_.out),
            1);
        break;
      case Resampling::nearest_exact:
        tap(axis_.scale > 0 ? std::floor((static_cast<double>(o) + 0.5) * step_)
                            : static_cast<double>((2 * o + 1) * axis_.in / (2 * axis_.out)),
            1);
        break;
      case Resampling::area:
      case Resampling::area_sum: area(o); break;
      default: p_.antialias ? filter(o) : p_.mode == Resampling::linear ? linear(o) : cubic_taps(o);
    }
    matrix.begin.push_back(static_cast<int32_t>(matrix.index.size()));
  }

  SparseMatrix<T> matrix;

 private:
  void tap(double position, double weight) {
    if (weight == 0) return;
    const auto index = static_cast<int32_t>(std::clamp(position, 0.0, in_ - 1));
    const bool first = static_cast<int64_t>(matrix.index.size()) == matrix.begin.back();
    if (!first && matrix.index.back() == index) {  // taps past an end are the last element once more
      matrix.weight.back() += static_cast<T>(weight);
      return;
    }
    matrix.index.push_back(index);
    matrix.weight.push_back(static_cast<T>(weight));
  }

  // Where the centre of output element o lies, in elements of the input.
  double source(int64_t o) const {
    const auto position = static_cast<double>(o);
    return p_.align_corners ? position * step_ : (position + 0.5) * step_ - 0.5;
  }

  void linear(int64_t o) {
    const double at = std::max(source(o), 0.0), left = std::min(std::floor(at), in_ - 1);
    const double fraction = left == in_ - 1 ? 0 : at - left;
    tap(left, 1 - fraction);
    tap(left + 1, fraction);
  }

  void cubic_taps(int64_t o) {
    const double at = source(o), left = std::floor(at);
    for (int i = -1; i <= 2; ++i) tap(left + i, cubic(at - left - i, -0.75));
  }

  // Every input element that the window [o, o + 1) * in / out touches counts alike, as in adaptive pooling.
  void area(int64_t o) {
    const int64_t first = o * axis_.in / axis_.out, last = ((o + 1) * axis_.in + axis_.out - 1) / axis_.out;
    const double weight = p_.mode == Resampling::area ? 1 / static_cast<double>(last - first) : 1;
    for (int64_t i = first; i < last; ++i) tap(static_cast<double>(i), weight);
  }

  // A filter as wide as the step, cut at the ends, its weights divided by their sum.
  void filter(int64_t o) {
    const double width = std::max(step_, 1.0), center = (static_cast<double>(o) + 0.5) * step_;
    const double support = width * (p_.mode == Resampling::linear ? 1 : 2);
    const double first = std::max(std::trunc(center - support + 0.5), 0.0);
    const double last = std::min(std::trunc(center + support + 0.5), in_);
    const auto at = [&](double i) {
      const double x = (i - center + 0.5) / width;
      return p_.mode == Resampling::linear ? triangle(x) : cubic(x, -0.5);
    };
    double sum = 0;
    for (double i = first; i < last; ++i) sum += at(i);
    for (double i = first; i < last; ++i) tap(i, sum == 0 ? 0 : at(i) / sum);
  }

  const ResampleProblem& p_;
  const ResampleAxis& axis_;
  double in_, out_, step_ = 0;
};

}  // namespace

template <class T>
SparseMatrix<T> resample_matrix(const ResampleProblem& p, const ResampleAxis& axis) {
  RowWriter<T> rows(p, axis);
  for (int64_t o = 0; o < axis.out; ++o) rows.write(o);
  return std::move(rows.matrix);
}

template <class T>
SparseMatrix<T> transpose(const SparseMatrix<T>& m) {
  SparseMatrix<T> t{.in = m.out, .out = m.in, .begin = {}, .index = m.index, .weight = m.weight};
  t.begin.assign(static_cast<size_t>(m.in) + 1, 0);
  for (const int32_t i : m.index) ++t.begin[static_cast<size_t>(i) + 1];
  for (size_t i = 1; i < t.begin.size(); ++i) t.begin[i] += t.begin[i - 1];
  std::vector<int32_t> next(t.begin.begin(), t.begin.end() - 1);
  for (size_t o = 0; o < static_cast<size_t>(m.out); ++o)
    for (auto e = static_cast<size_t>(m.begin[o]); e < static_cast<size_t>(m.begin[o + 1]); ++e) {
      const auto to = static_cast<size_t>(next[static_cast<size_t>(m.index[e])]++);
      t.index[to] = static_cast<int32_t>(o);
      t.weight[to] = m.weight[e];
    }
  return t;
}

template SparseMatrix<float> resample_matrix<float>(const ResampleProblem&, const ResampleAxis&);
template SparseMatrix<double> resample_matrix<double>(const ResampleProblem&, const ResampleAxis&);
template SparseMatrix<float> transpose<float>(const SparseMatrix<float>&);
template SparseMatrix<double> transpose<double>(const SparseMatrix<double>&);

}  // namespace striate
