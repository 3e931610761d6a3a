// What all walks over pooling windows share: the accumulators (maximum, maximum with its place, mean) and the
// walk itself. Included by the pooling kernels only.
//
// Bits do not depend on the layout: every pixel meets its taps in row-major order, the first of equal
// maxima wins, and a NaN wins over all (at the last one's place, as in PyTorch).
#pragma once

#include "kernels/pool/pool.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::ForwardArgs;
using pool::Window;

// Rests shorter than a register go to narrower ones, in float32; then to single elements.
template <class T>
constexpr int narrower(int lanes) {
  return sizeof(T) == 4 && lanes > 4 ? lanes / 2 : 1;
}

// Every NaN comes out as this one.
template <class T>
constexpr T kNan = static_cast<T>(__builtin_nan(""));

// ---- accumulators -----------------------------------------------------------------------------------

template <class T, int N>
struct Max {
  using Element = T;
  template <int M>
  using Lanes = Max<T, M>;
  static constexpr int kLanesHere = N;
  static constexpr bool kIsMean = false;
  vec<T, N> value = vec<T, N>{} - static_cast<T>(__builtin_inf());
  vec<typename mask_of<T>::type, N> nan{};

  STRIATE_INLINE void start(const Window*, int32_t, int32_t) {}
  // A comparison with NaN is false, so `value` never is one.
  STRIATE_INLINE void take(vec<T, N> v, int32_t) {
    value = v > value ? v : value;
    nan |= v != v;
  }
  template <class D>
  STRIATE_INLINE vec<T, N> result(D) const {
    return nan ? vec<T, N>{} + kNan<T> : value;
  }
  STRIATE_INLINE void store_at(int64_t*, int64_t, int64_t, int64_t, int = N) const {}
};

template <class T, int N>
struct MaxAt {
  using Element = T;
  template <int M>
  using Lanes = MaxAt<T, M>;
  using Where = typename mask_of<T>::type;
  static constexpr int kLanesHere = N;
  vec<T, N> value = vec<T, N>{} - static_cast<T>(__builtin_inf());
  static constexpr bool kIsMean = false;
  vec<Where, N> where{};  // relative to the window's first tap

  // In padded rows, `where` counts from the first tap of all, which may lie in the padding.
  STRIATE_INLINE void start(const Window* window, int32_t origin, int32_t step) {
    Where lane[N];
    for (int i = 0; i < N; ++i) lane[i] = window[i].first - origin - i * step;
    where = load<vec<Where, N>>(lane);
  }
  STRIATE_INLINE void take(vec<T, N> v, int32_t at) {
    const vec<Where, N> here = vec<Where, N>{} + static_cast<Where>(at);
    where = v > value ? here : where;
    where = v != v ? here : where;
    value = v > value ? v : value;
    value = v != v ? v : value;
  }
  template <class D>
  STRIATE_INLINE vec<T, N> result(D) const {
    return value != value ? vec<T, N>{} + kNan<T> : value;
  }
  STRIATE_INLINE void store_at(int64_t* to, int64_t to_step, int64_t first, int64_t lane_step,
                               int used = N) const {
    Where lane[N];
    store(lane, where);
    if (to_step == 1 && used == N) {
      for (int i = 0; i < N; ++i) to[i] = first + i * lane_step + lane[i];
    } else {
      for (int i = 0; i < used; ++i) to[i * to_step] = first + i * lane_step + lane[i];
    }
  }
};

template <class T, int N>
struct Mean {
  using Element = T;
  template <int M>
  using Lanes = Mean<T, M>;
  static constexpr int kLanesHere = N;
  static constexpr bool kIsMean = true;
  vec<T, N> value{};

  STRIATE_INLINE void start(const Window*, int32_t, int32_t) {}
  STRIATE_INLINE void take(vec<T, N> v, int32_t) { value += v; }
  template <class D>
  STRIATE_INLINE vec<T, N> result(D divisor) const {
    return value / divisor;
  }
  STRIATE_INLINE void store_at(int64_t*, int64_t, int64_t, int64_t, int = N) const {}
};

// ---- the walk ---------------------------------------------------------------------------------------

// What a line's pixels have in common.
template <class T>
struct Line {
  const T* in;  // first tap of depth and height, column 0
  T* out;
  int64_t* at;
  int64_t first_at;  // flat position of `in` in its image
  int64_t depth_taps, height_taps;
  int64_t depth_step, height_step, width_step;  // elements between taps
  int32_t depth_at, height_at, width_at;        // flat positions between taps
  T count;  // of depth and height
};

template <int Step, int Vectors, class A>
STRIATE_INLINE void walk(const Line<typename A::Element>& line, const typename A::Element* from,
                         int64_t width_taps, int64_t lane_step, A (&sum)[Vectors]) {
  constexpr int n = A::kLanesHere;
  for (int64_t d = 0; d < line.depth_taps; ++d) {
    for (int64_t h = 0; h < line.height_taps; ++h) {
      const auto* tap = from + d * line.depth_step + h * line.height_step;
      int32_t at = static_cast<int32_t>(d) * line.depth_at + static_cast<int32_t>(h) * line.height_at;
      for (int64_t w = 0; w < width_taps; ++w) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v)
          sum[v].take(load_strided<Step, n>(tap + v * n * lane_step, lane_step), at);
        tap += line.width_step;
        at += line.width_at;
      }
    }
  }
}

template <class T>
STRIATE_INLINE T divisor_of(const ForwardArgs<T>& a, const Line<T>& line, const Window& w) {
  return a.divisor != 0 ? a.divisor : line.count * static_cast<T>(w.count);
}

template <class T>
STRIATE_INLINE Line<T> line_at(const ForwardArgs<T>& a, int64_t n, int64_t c, int64_t d, int64_t h) {
  const Window& wd = a.axis[0].window[d];
  const Window& wh = a.axis[1].window[h];
  const int64_t row = a.axis[2].in, image = row * a.axis[1].in;
  Line<T> line;
  line.in = a.in + n * a.in_stride[0] + c * a.in_stride[1] + wd.first * a.in_stride[2] +
            wh.first * a.in_stride[3];
  line.out = a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3];
  line.at = a.at ? a.at + n * a.at_stride[0] + c * a.at_stride[1] + d * a.at_stride[2] + h * a.at_stride[3]
                 : nullptr;
  line.first_at = wd.first * image + wh.first * row;
  line.depth_taps = wd.taps;
  line.height_taps = wh.taps;
  line.depth_step = a.axis[0].dilation * a.in_stride[2];
  line.height_step = a.axis[1].dilation * a.in_stride[3];
  line.width_step = a.axis[2].dilation * a.in_stride[4];
  line.depth_at = static_cast<int32_t>(a.axis[0].dilation * image);
  line.height_at = static_cast<int32_t>(a.axis[1].dilation * row);
  line.width_at = static_cast<int32_t>(a.axis[2].dilation);
  line.count = static_cast<T>(static_cast<int64_t>(wd.count) * wh.count);
  return line;
}

}  // namespace
}  // namespace striate::STRIATE_ISA
