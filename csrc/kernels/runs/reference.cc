#include "kernels/runs/reference.h"

namespace striate::runs {
namespace {

using Position = std::array<int64_t, 3>;

template <class T>
T& element(const TensorView& view, int64_t n, int64_t c, const Position& at) {
  return view.as<T>()[n * view.stride[kN] + c * view.stride[kC] + at[0] * view.stride[kD] +
                      at[1] * view.stride[kH] + at[2] * view.stride[kW]];
}

template <class Body>
void for_each_position(const Position& extent, Body body) {
  Position at{};
  for (at[0] = 0; at[0] < extent[0]; ++at[0])
    for (at[1] = 0; at[1] < extent[1]; ++at[1])
      for (at[2] = 0; at[2] < extent[2]; ++at[2]) body(at);
}

// Calls body(n, c, position in the result, position in the input, whether that is one).
template <class Body>
void for_each_taken(const TakeProblem& p, Body body) {
  Position size{};
  for (size_t i = 0; i < 3; ++i) size[i] = static_cast<int64_t>(p.table[i].size());
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.c; ++c)
      for_each_position(size, [&](const Position& out) {
        Position in{};
        bool is_one = true;
        for (size_t i = 0; i < 3; ++i) {
          in[i] = p.table[i][static_cast<size_t>(out[i])];
          is_one &= in[i] >= 0;
        }
        body(n, c, out, in, is_one);
      });
}

// Calls body(n, c, element of the columns, position in the image, whether it lies inside).
template <class T, class Body>
void for_each_tap(const UnfoldProblem& p, const TensorView& columns, Body body) {
  const auto& [d, h, w] = p.axis;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t c = 0; c < p.c; ++c) {
      int64_t row = c * p.taps();
      for_each_position({d.kernel, h.kernel, w.kernel}, [&](const Position& tap) {
        int64_t column = 0;
        for_each_position({p.axis[0].out, p.axis[1].out, p.axis[2].out}, [&](const Position& out) {
          Position in{};
          bool inside = true;
          for (size_t i = 0; i < 3; ++i) {
            in[i] = out[i] * p.axis[i].stride + tap[i] * p.axis[i].dilation - p.axis[i].pad;
            inside &= in[i] >= 0 && in[i] < p.axis[i].in;
          }
          body(n, c,
               columns.as<T>()[n * columns.stride[0] + row * columns.stride[1] + column++ * columns.stride[2]], in,
               inside);
        });
        ++row;
      });
    }
}

template <class T>
void clear(const TensorView& view) {
  for (int64_t i = 0; i < view.size(); ++i) nth<T>(view, i) = 0;
}

}  // namespace

template <class T>
void reference_copy(const TensorView& input, const TensorView& output) {
  for (int64_t i = 0; i < output.size(); ++i) nth<T>(output, i) = nth<T>(input, i);
}

template <class T>
void reference_take(const TakeProblem& p, const TensorView& input, const TensorView& output) {
  for_each_taken(p, [&](int64_t n, int64_t c, const Position& out, const Position& in, bool is_one) {
    element<T>(output, n, c, out) = is_one ? element<T>(input, n, c, in) : T(0);
  });
}

template <class T>
void reference_spread(const TakeProblem& p, const TensorView& input, const TensorView& output) {
  clear<T>(output);
  for_each_taken(p, [&](int64_t n, int64_t c, const Position& out, const Position& in, bool is_one) {
    if (is_one) element<T>(output, n, c, in) += element<T>(input, n, c, out);
  });
}

template <class T>
void reference_unfold(const UnfoldProblem& p, const TensorView& image, const TensorView& columns) {
  for_each_tap<T>(p, columns, [&](int64_t n, int64_t c, T& column, const Position& in, bool inside) {
    column = inside ? element<T>(image, n, c, in) : T(0);
  });
}

template <class T>
void reference_fold(const UnfoldProblem& p, const TensorView& columns, const TensorView& image) {
  clear<T>(image);
  for_each_tap<T>(p, columns, [&](int64_t n, int64_t c, T& column, const Position& in, bool inside) {
    if (inside) element<T>(image, n, c, in) += column;
  });
}

#define STRIATE_INSTANTIATE(T)                                                                     \
  template void reference_copy<T>(const TensorView&, const TensorView&);                           \
  template void reference_take<T>(const TakeProblem&, const TensorView&, const TensorView&);       \
  template void reference_spread<T>(const TakeProblem&, const TensorView&, const TensorView&);     \
  template void reference_unfold<T>(const UnfoldProblem&, const TensorView&, const TensorView&);   \
  template void reference_fold<T>(const UnfoldProblem&, const TensorView&, const TensorView&);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate::runs
