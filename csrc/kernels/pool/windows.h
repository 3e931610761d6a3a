// What all walks over pooling windows share: the accumulators (maximum, maximum with its place, mean) and the
// walk itself. Included by the pooling kernels only.
//
// Bits do not depend on the layout: every pixel meets its taps in row-major order, the first of equal
// maxima wins, and a NaN wins over all (at the last one's place, as in PyTorch).
#pragma once

#include "kernels/pool/ordered.h"
#include "kernels/pool/pool.h"
#include "simd/strided.h"

#define STRIATE_LAMBDA __attribute__((always_inline))

namespace striate::STRIATE_ISA {
namespace {

using pool::ForwardArgs;
using pool::RowsArgs;
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
  static constexpr bool kIsMean = false, kPlaces = false;
  vec<T, N> value = vec<T, N>{} - static_cast<T>(__builtin_inf());
  vec<typename mask_of<T>::type, N> ordered = ~vec<typename mask_of<T>::type, N>{};

  STRIATE_INLINE void start(const Window*, int32_t) {}
  // `value` never is a NaN: the comparison is false, and the larger of the two the second.
  STRIATE_INLINE void take(vec<T, N> v, int32_t) {
    value = v > value ? v : value;
    ordered &= v == v;
  }
  STRIATE_INLINE void take_pair(vec<T, N> v, vec<T, N> w, int32_t, int32_t) {
    value = v > value ? v : value;
    value = w > value ? w : value;
    ordered &= both_ordered(v, w);
  }
  template <class D>
  STRIATE_INLINE vec<T, N> result(D) const {
    return ordered ? value : vec<T, N>{} + kNan<T>;
  }
  STRIATE_INLINE void store_place(const ForwardArgs<T>&, int64_t, int64_t, int64_t, int64_t, int = N) const {}
};

template <class V, int... I>
STRIATE_INLINE auto low_half(V v, indices<I...>) {
  return __builtin_shufflevector(v, v, I...);
}
template <class V, int... I>
STRIATE_INLINE auto high_half(V v, indices<I...>) {
  return __builtin_shufflevector(v, v, (static_cast<int>(sizeof...(I)) + I)...);
}

// The low byte of every lane.
template <class V, int... I>
STRIATE_INLINE auto low_bytes(V v, indices<I...>) {
  constexpr int n = static_cast<int>(sizeof...(I));
  if constexpr (STRIATE_VECTOR_BYTES == 64) {
    return __builtin_convertvector(v, vec<uint8_t, n>);
  } else {
    constexpr int item = static_cast<int>(sizeof v) / n;
    const auto bytes = reinterpret_cast<vec<uint8_t, static_cast<int>(sizeof v)>>(v);
    return __builtin_shufflevector(bytes, bytes, (I * item)...);
  }
}

// `here` where it wins, else `best`. Places only grow, so where there is a maximum of integers no selection is needed.
template <class T, class V>
STRIATE_INLINE V later(V wins, V here, V best) {
  if constexpr (STRIATE_VECTOR_BYTES == 64 || sizeof(T) == 8) {
    return wins ? here : best;
  } else {
    const V candidate = wins & here;
    return candidate > best ? candidate : best;
  }
}

template <class T, int N>
struct MaxAt {
  using Element = T;
  template <int M>
  using Lanes = MaxAt<T, M>;
  using Where = typename mask_of<T>::type;
  static constexpr int kLanesHere = N;
  static constexpr bool kIsMean = false, kPlaces = true;
  vec<T, N> value = vec<T, N>{} - static_cast<T>(__builtin_inf());
  vec<Where, N> where{};  // relative to the window's first tap; grows from tap to tap
  vec<Where, N> nan{};    // the same for the last NaN, plus one

  // In padded rows, `where` counts from the first tap of all, which may lie in the padding.
  STRIATE_INLINE void start(const Window* window, int32_t width_at) {
    if (window->skipped == 0) return;  // none of the later ones skips more
    Where lane[N];
    for (int i = 0; i < N; ++i) lane[i] = window[i].skipped * width_at;
    where = load<vec<Where, N>>(lane);
  }
  // After a NaN `value` and `where` are of no use.
  STRIATE_INLINE void take(vec<T, N> v, int32_t at) {
    const auto wins = ~(v <= value);
    const vec<Where, N> here = vec<Where, N>{} + static_cast<Where>(at);
    where = later<T>(wins, here, where);
    nan = later<T>(v != v, here + 1, nan);
    value = v > value ? v : value;
  }
  STRIATE_INLINE void take_pair(vec<T, N> v, vec<T, N> w, int32_t v_at, int32_t w_at) {
    take(v, v_at);
    take(w, w_at);
  }
  template <class D>
  STRIATE_INLINE vec<T, N> result(D) const {
    return nan != 0 ? vec<T, N>{} + kNan<T> : value;
  }
  // Places of a vector, `to_step` elements apart; `used` of its lanes.
  STRIATE_INLINE void store_place(const ForwardArgs<T>& a, int64_t to, int64_t to_step, int64_t first,
                                  int64_t lane_step, int used = N) const {
    const vec<Where, N> place = nan != 0 ? nan - 1 : where;
    if (N > 1 && a.tap && to_step == 1 && used == N) {
      store(a.tap + to, low_bytes(place + static_cast<Where>(first), typename make_indices<N>::type{}));
      return;
    }
    Where lane[N];
    store(lane, place);
    if (a.tap) {
      for (int i = 0; i < used; ++i)
        a.tap[to + i * to_step] = static_cast<uint8_t>(first + lane[i]);  // lane_step is 0
    } else if (to_step == 1 && used == N) {
      for (int i = 0; i < N; ++i) a.at[to + i] = first + i * lane_step + lane[i];
    } else {
      for (int i = 0; i < used; ++i) a.at[to + i * to_step] = first + i * lane_step + lane[i];
    }
  }
};

template <class T, int N>
struct Mean {
  using Element = T;
  template <int M>
  using Lanes = Mean<T, M>;
  static constexpr int kLanesHere = N;
  static constexpr bool kIsMean = true, kPlaces = false;
  vec<T, N> value{};

  STRIATE_INLINE void start(const Window*, int32_t) {}
  STRIATE_INLINE void take(vec<T, N> v, int32_t) { value += v; }
  STRIATE_INLINE void take_pair(vec<T, N> v, vec<T, N> w, int32_t, int32_t) {
    value += v;
    value += w;
  }
  template <class D>
  STRIATE_INLINE vec<T, N> result(D divisor) const {
    return value / divisor;
  }
  STRIATE_INLINE void store_place(const ForwardArgs<T>&, int64_t, int64_t, int64_t, int64_t, int = N) const {}
};

// ---- lines ------------------------------------------------------------------------------------------

// Of a line of output: counted on rather than divided out, as planes may be a few lines each.
struct Position {
  int64_t n, c, d, h;
};

template <class T>
STRIATE_INLINE Position position_of(const ForwardArgs<T>& a, int64_t line) {
  const int64_t rows = a.axis[1].out, images = a.axis[0].out, plane = line / rows / images;
  return {plane / a.c, plane % a.c, line / rows % images, line % rows};
}

// `lines` further, within an image or to the beginning of the next.
template <class T>
STRIATE_INLINE void advance(const ForwardArgs<T>& a, Position& at, int64_t lines) {
  at.h += lines;
  if (at.h < a.axis[1].out) return;
  at.h = 0;
  if (++at.d < a.axis[0].out) return;
  at.d = 0;
  if (++at.c < a.c) return;
  at.c = 0;
  ++at.n;
}

// ---- the walk ---------------------------------------------------------------------------------------

// What a line's pixels have in common.
template <class T>
struct Line {
  const T* in;  // first tap of depth and height, column 0
  T* out;
  int64_t depth_taps, height_taps;
  int64_t depth_step, height_step, width_step;  // elements between taps
  // The place of a maximum, counted in positions or in taps (ForwardArgs): of `in`, from tap to tap, from
  // pixel to pixel; and the element of the array of places that the line begins with.
  int64_t first_at;
  int32_t depth_at, height_at, width_at;
  int64_t pixel_at, place;
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
      int64_t w = 0;
      for (; w + 2 <= width_taps; w += 2) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v)
          sum[v].take_pair(load_strided<Step, n>(tap + v * n * lane_step, lane_step),
                           load_strided<Step, n>(tap + line.width_step + v * n * lane_step, lane_step), at,
                           at + line.width_at);
        tap += 2 * line.width_step;
        at += 2 * line.width_at;
      }
      if (w == width_taps) continue;
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        sum[v].take(load_strided<Step, n>(tap + v * n * lane_step, lane_step), at);
    }
  }
}

template <class T>
STRIATE_INLINE T divisor_of(const ForwardArgs<T>& a, const Line<T>& line, const Window& w) {
  return a.divisor != 0 ? a.divisor : line.count * static_cast<T>(w.count);
}

// The place of a window's first tap inside, within its line.
template <class T>
STRIATE_INLINE int64_t place_of(const ForwardArgs<T>& a, const Window& w) {
  return a.tap ? w.skipped : w.first;
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
  line.depth_taps = wd.taps;
  line.height_taps = wh.taps;
  line.depth_step = a.axis[0].dilation * a.in_stride[2];
  line.height_step = a.axis[1].dilation * a.in_stride[3];
  line.width_step = a.axis[2].dilation * a.in_stride[4];
  line.place = n * a.at_stride[0] + c * a.at_stride[1] + d * a.at_stride[2] + h * a.at_stride[3];
  if (a.tap) {
    line.first_at = (wd.skipped * a.axis[1].kernel + wh.skipped) * a.axis[2].kernel;
    line.depth_at = static_cast<int32_t>(a.axis[1].kernel * a.axis[2].kernel);
    line.height_at = static_cast<int32_t>(a.axis[2].kernel);
    line.width_at = 1;
    line.pixel_at = 0;
  } else {
    line.first_at = wd.first * image + wh.first * row;
    line.depth_at = static_cast<int32_t>(a.axis[0].dilation * image);
    line.height_at = static_cast<int32_t>(a.axis[1].dilation * row);
    line.width_at = static_cast<int32_t>(a.axis[2].dilation);
    line.pixel_at = a.axis[2].stride;
  }
  line.count = static_cast<T>(static_cast<int64_t>(wd.count) * wh.count);
  return line;
}

}  // namespace
}  // namespace striate::STRIATE_ISA
