// The weight gradient of depthwise planes: as many vectors of sums as the kernel has taps, lanes are columns.
#include "kernels/conv/depthwise_pad.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::PlanesGradArgs;

// Adds to sums[tap][lane], over the rows of a piece. Rows shorter than a vector take one each, whose lanes beyond
// the last column are left out of the totals.
template <int Taps, bool Short, class T>
STRIATE_INLINE void grad_taps(const PlanesGradArgs<T>& a, int first, const T* padded, const T* grad, int64_t rows) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  V sum[Taps];
  T* sums = a.sums + first * n;
  const int32_t* offset = a.offset + first;
  const int64_t cols = a.cols, row_step = a.row_step;
#pragma GCC unroll 9
  for (int t = 0; t < Taps; ++t) sum[t] = load<V>(sums + t * n);
  const auto rest = static_cast<int>(cols % n);
  const auto inside = first_lanes<T>(rest, typename make_indices<n>::type{});
  for (int64_t y = 0; y < rows; ++y, padded += row_step, grad += cols) {
    int64_t x = 0;
    if constexpr (!Short)
      for (; x + n <= cols; x += n) {
        const V g = load<V>(grad + x);
#pragma GCC unroll 9
        for (int t = 0; t < Taps; ++t) sum[t] += load<V>(padded + x + offset[t]) * g;
      }
    if (!Short && rest == 0) continue;
    const V last = grad + x + n <= a.grad_end ? load<V>(grad + x) : load_tail<T, n>(grad + x, rest);
    // What lies beyond may be infinite, and so must not even be multiplied by 0.
    V g = last;
    if constexpr (!Short) g = inside ? last : V{};
#pragma GCC unroll 9
    for (int t = 0; t < Taps; ++t) {
      V seen = load<V>(padded + x + offset[t]);
      if constexpr (!Short) seen = inside ? seen : V{};
      sum[t] += seen * g;
    }
  }
#pragma GCC unroll 9
  for (int t = 0; t < Taps; ++t) store(sums + t * n, sum[t]);
}

template <bool Short, class T>
__attribute__((noinline)) void grad_piece(const PlanesGradArgs<T>& a, const T* padded, const T* grad, int64_t rows) {
  int first = 0;
  for (; first + 9 <= a.taps; first += 9) grad_taps<9, Short>(a, first, padded, grad, rows);
  for (; first + 3 <= a.taps; first += 3) grad_taps<3, Short>(a, first, padded, grad, rows);
  for (; first < a.taps; ++first) grad_taps<1, Short>(a, first, padded, grad, rows);
}

template <class T, int N>
STRIATE_INLINE T lane_sum(vec<T, N> lanes) {
  if constexpr (N == 1) {
    return lanes[0];
  } else {
    T half[N];
    store(half, lanes);
    return lane_sum<T, N / 2>(load<vec<T, N / 2>>(half) + load<vec<T, N / 2>>(half + N / 2));
  }
}

// Piece by piece of plane by plane, image by image, channel by channel.
template <class T>
struct Walk {
  int64_t row = 0, image = 0, channel = 0;
  STRIATE_INLINE void advance(const PlanesGradArgs<T>& a) {
    row += a.piece;
    if (row < a.rows) return;
    row = 0;
    if (++image < a.images) return;
    image = 0;
    ++channel;
  }
  STRIATE_INLINE int64_t rows(const PlanesGradArgs<T>& a) const { return smaller(a.piece, a.rows - row); }
};

template <class T>
STRIATE_INLINE void pad_piece(const PlanesGradArgs<T>& a, const Walk<T>& at, int64_t scratch) {
  PadRows<T> in = a.in;
  in.plane += at.image * a.in_image + at.channel * a.in_channel;
  in.first += at.row * a.row_stride;
  in.rows -= (a.piece - at.rows(a)) * a.row_stride;
  in.to += scratch;
  pad_rows(in);
}

// Pieces are padded one ahead, into one of two scratch areas: sums need not wait for what was just stored.
template <class T>
void weight_grad(const PlanesGradArgs<T>& a) noexcept {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  int64_t scratch = 0;
  Walk<T> at, next;
  pad_piece(a, next, scratch);
  const V keep = first_lanes<T>(a.cols, typename make_indices<n>::type{}) ? V{} + T(1) : V{};
  while (at.channel < a.channels) {
    if (at.row == 0 && at.image == 0)
      for (int t = 0; t < a.taps; ++t) store(a.sums + t * n, V{});
    next.advance(a);
    const int64_t here = scratch;
    scratch = a.padded_step - scratch;
    if (next.channel < a.channels) pad_piece(a, next, scratch);
    const T* grad = a.grad + at.image * a.grad_image + at.channel * a.grad_channel + at.row * a.cols;
    if (a.cols < n)
      grad_piece<true>(a, a.padded + here, grad, at.rows(a));
    else
      grad_piece<false>(a, a.padded + here, grad, at.rows(a));
    if (next.channel > at.channel)
      for (int t = 0; t < a.taps; ++t) {
        const V sum = load<V>(a.sums + t * n);
        a.totals[at.channel * a.taps + t] = lane_sum<T, n>(keep != 0 ? sum : V{});
      }
    at = next;
  }
}

template <class T>
constexpr conv::DepthwisePlanesGrad<T> planes_grad() {
  return {kLanes<T>, weight_grad<T>};
}

}  // namespace

constinit const conv::DepthwisePlanesGradTable depthwise_planes_grad_table = {planes_grad<float>(),
                                                                              planes_grad<double>()};

}  // namespace striate::STRIATE_ISA
