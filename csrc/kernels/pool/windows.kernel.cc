// Maxima and means over windows: three accumulators, one walk. See pool.h for the layouts.
//
// Bits do not depend on the layout: every pixel meets its taps in row-major order, the first of equal
// maxima wins, and a NaN wins over all (at the last one's place, as in PyTorch). Only `runs` of a mean add lane
// by lane.
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

// `Vectors` vectors of pixels from `column` on; all but single pixels have whole windows.
template <int Step, int Vectors, class A, class T>
STRIATE_INLINE void pixels(const ForwardArgs<T>& a, const Line<T>& line, int64_t column) {
  constexpr int n = A::kLanesHere;
  const Window& w = a.axis[2].window[column];
  A sum[Vectors];
  walk<Step, Vectors>(line, line.in + w.first * a.in_stride[4], w.taps, a.axis[2].stride * a.in_stride[4],
                      sum);
  const T divisor = divisor_of(a, line, w);
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const int64_t here = column + v * n;
    store_strided<n>(line.out + here * a.out_stride[4], a.out_stride[4], sum[v].result(divisor));
    if (line.at)
      sum[v].store_at(line.at + here * a.at_stride[4], a.at_stride[4],
                      line.first_at + w.first + v * n * a.axis[2].stride, a.axis[2].stride);
  }
}

template <template <class, int> class A, class T>
__attribute__((noinline)) void single_pixels(const ForwardArgs<T>& a, const Line<T>& line, int64_t begin,
                                             int64_t end) {
  for (int64_t i = begin; i < end; ++i) pixels<kAnyStep, 1, A<T, 1>>(a, line, i);
}

// The last vector goes back over pixels that are done, rather than leave a rest.
template <int Step, int N, template <class, int> class A, class T>
void inner_pixels(const ForwardArgs<T>& a, const Line<T>& line, int64_t begin, int64_t end) {
  constexpr int narrow = Step == kAnyStep ? 1 : narrower<T>(N);
  if (end - begin < N) {
    if constexpr (narrow > 1)
      return inner_pixels<Step, narrow, A>(a, line, begin, end);
    else
      return single_pixels<A>(a, line, begin, end);
  }
  int64_t i = begin;
  if constexpr (N == kLanes<T> && Step != kAnyStep)
    for (; i + 2 * N <= end; i += 2 * N) pixels<Step, 2, A<T, N>>(a, line, i);
  while (i < end) {
    pixels<Step, 1, A<T, N>>(a, line, smaller(i, end - N));
    i += N;
  }
}

// ---- padded rows -----------------------------------------------------------------------------------

// Element x of the padded row goes to [x % stride][x / stride].
template <class T>
void pad_row(const ForwardArgs<T>& a, const T* from, T edge, T* row) {
  constexpr int n = kLanes<T>;
  const int64_t stride = a.axis[2].stride, in = a.axis[2].in, step = a.in_stride[4];
  const int64_t seen = a.axis[2].out + (a.axis[2].kernel - 1) * a.axis[2].dilation / stride;
  for (int64_t phase = 0; phase < stride; ++phase) {
    T* to = row + phase * a.pitch;
    const int64_t first = (a.pad - phase + stride - 1) / stride;  // pad >= phase - stride + 1 as phase < stride
    const int64_t begin = first > 0 ? first : 0;
    const int64_t x = begin * stride + phase - a.pad;  // input column of to[begin]
    const int64_t count = x < in ? (in - x - 1) / stride + 1 : 0;
    int64_t i = 0;
    for (; i < begin; ++i) to[i] = edge;
    const T* source = from + x * step;
    to += begin;
    i = 0;
    if (step == 1 && stride == 1)
      for (; i + n <= count; i += n) store(to + i, load<native<T>>(source + i));
    else if (step == 1 && stride == 2)
      for (; i + n <= count; i += n) store(to + i, load_strided<2, n>(source + 2 * i, 2));
    for (; i < count; ++i) to[i] = source[i * stride * step];
    for (; i < seen - begin; ++i) to[i] = edge;
  }
}

// The rows that a line's windows see, copied on first use.
template <class T>
void fetch_rows(const ForwardArgs<T>& a, const Line<T>& line, int64_t plane, int64_t first_d, int64_t first_h,
                T edge) {
  for (int64_t d = 0, tap = 0; d < line.depth_taps; ++d)
    for (int64_t h = 0; h < line.height_taps; ++h, ++tap) {
      const int64_t id = first_d + d * a.axis[0].dilation, ih = first_h + h * a.axis[1].dilation;
      const int64_t place = (a.ring[0] == 1 ? 0 : id % a.ring[0] * a.ring[1]) + ih % a.ring[1];
      const int64_t key = (plane * a.axis[0].in + id) * a.axis[1].in + ih;
      a.row_place[tap] = place * a.axis[2].stride * a.pitch;
      if (a.row_key[place] == key) continue;
      a.row_key[place] = key;
      pad_row(a, line.in + d * line.depth_step + h * line.height_step, edge, a.rows + a.row_place[tap]);
    }
}

template <int Vectors, class A, class T>
STRIATE_INLINE void padded_pixels(const ForwardArgs<T>& a, const Line<T>& line, int64_t column,
                                  int64_t used) {
  constexpr int n = A::kLanesHere;
  const auto step = static_cast<int32_t>(a.axis[2].stride);
  const auto origin = static_cast<int32_t>(column * step - a.pad);
  const Window* window = a.axis[2].window + column;
  A sum[Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) sum[v].start(window + v * n, origin + v * n * step, step);
  const int64_t* place = a.row_place;
  for (int64_t d = 0; d < line.depth_taps; ++d) {
    for (int64_t h = 0; h < line.height_taps; ++h) {
      const T* row = a.rows + *place++ + column;
      int32_t at = static_cast<int32_t>(d) * line.depth_at + static_cast<int32_t>(h) * line.height_at;
      int64_t phase = 0, ahead = 0;  // of the tap: x = ahead * stride + phase
      for (int64_t w = 0; w < a.axis[2].kernel; ++w) {
        const T* tap = row + phase * a.pitch + ahead;
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[v].take(load<vec<T, n>>(tap + v * n), at);
        at += line.width_at;
        for (phase += line.width_at; phase >= step; phase -= step) ++ahead;
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    vec<T, n> divisor = broadcast<vec<T, n>>(a.divisor);
    if (A::kIsMean && a.divisor == 0) {
      T lane[n];
      for (int i = 0; i < n; ++i) lane[i] = divisor_of(a, line, window[v * n + i]);
      divisor = load<vec<T, n>>(lane);
    }
    const vec<T, n> value = sum[v].result(divisor);
    const int64_t here = column + v * n;
    T* to = line.out + here * a.out_stride[4];
    if (used - v * n >= n) {
      store_strided<n>(to, a.out_stride[4], value);
    } else {
      for (int i = 0; i < used - v * n; ++i) to[i * a.out_stride[4]] = value[i];
    }
    if (line.at)
      sum[v].store_at(line.at + here * a.at_stride[4], a.at_stride[4],
                      line.first_at + origin + static_cast<int64_t>(v) * n * step, step,
                      used - v * n >= n ? n : static_cast<int>(used - v * n));
  }
}

template <template <class, int> class A, class T>
void padded_line(const ForwardArgs<T>& a, const Line<T>& line, int64_t plane, int64_t d, int64_t h) {
  constexpr int n = kLanes<T>;
  constexpr T edge = A<T, 1>::kIsMean ? T(0) : -static_cast<T>(__builtin_inf());
  fetch_rows(a, line, plane, a.axis[0].window[d].first, a.axis[1].window[h].first, edge);
  const int64_t columns = a.axis[2].out;
  int64_t i = 0;
  for (; i + n < columns; i += 2 * n) padded_pixels<2, A<T, n>>(a, line, i, columns - i);
  if (i < columns) padded_pixels<1, A<T, n>>(a, line, i, columns - i);
}

// ---- long windows: lanes along the window ---------------------------------------------------------------

template <class V, int... I>
STRIATE_INLINE auto low_half(V v, indices<I...>) {
  return __builtin_shufflevector(v, v, I...);
}
template <class V, int... I>
STRIATE_INLINE auto high_half(V v, indices<I...>) {
  return __builtin_shufflevector(v, v, (static_cast<int>(sizeof...(I)) + I)...);
}

// The better of two maxima found in any order: the first of equals, but the last NaN.
template <class T, int N>
STRIATE_INLINE MaxAt<T, N> better(const MaxAt<T, N>& a, const MaxAt<T, N>& b) {
  const auto wins = (b.value > a.value) | ((b.value == a.value) & (b.where < a.where)) |
                    ((b.value != b.value) & ((a.value == a.value) | (b.where > a.where)));
  MaxAt<T, N> best;
  best.value = wins ? b.value : a.value;
  best.where = wins ? b.where : a.where;
  return best;
}

template <class T, int N>
STRIATE_INLINE MaxAt<T, 1> best_lane(const MaxAt<T, N>& all) {
  if constexpr (N == 1) {
    return all;
  } else {
    using half = typename make_indices<N / 2>::type;
    MaxAt<T, N / 2> low, high;
    low.value = low_half(all.value, half{});
    low.where = low_half(all.where, half{});
    high.value = high_half(all.value, half{});
    high.where = high_half(all.where, half{});
    return best_lane<T, N / 2>(better<T, N / 2>(low, high));
  }
}

// `best.where` counts from the window's first tap, like `at`.
template <class T, int N>
STRIATE_INLINE void take_run(const T* from, int64_t count, int32_t at, MaxAt<T, 1>& best) {
  using Where = typename mask_of<T>::type;
  int64_t i = 0;
  if (count >= 2 * N) {
    MaxAt<T, N> part[2];
    vec<Where, N> here{};
    for (int lane = 0; lane < N; ++lane) here[lane] = at + lane;
    for (int k = 0; k < 2; ++k) {
      part[k].value = load<vec<T, N>>(from + k * N);
      part[k].where = here + k * N;
    }
    for (i = 2 * N; i + 2 * N <= count; i += 2 * N) {
      here += 2 * N;
#pragma GCC unroll 2
      for (int k = 0; k < 2; ++k) {
        const vec<T, N> v = load<vec<T, N>>(from + i + k * N);
        part[k].where = v > part[k].value ? here + k * N : part[k].where;
        part[k].where = v != v ? here + k * N : part[k].where;
        part[k].value = v > part[k].value ? v : part[k].value;
        part[k].value = v != v ? v : part[k].value;
      }
    }
    best = better<T, 1>(best, best_lane<T, N>(better<T, N>(part[0], part[1])));
  }
  for (; i < count; ++i) best.take(load<vec<T, 1>>(from + i), at + static_cast<int32_t>(i));
}

template <class T, int N>
STRIATE_INLINE T sum_run(const T* from, int64_t count) {
  vec<T, N> part[4] = {};
  int64_t i = 0;
  for (; i + 4 * N <= count; i += 4 * N)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) part[k] += load<vec<T, N>>(from + i + k * N);
  for (; i + N <= count; i += N) part[0] += load<vec<T, N>>(from + i);
  const vec<T, N> all = (part[0] + part[1]) + (part[2] + part[3]);
  T total = 0;
  for (int lane = 0; lane < N; ++lane) total += all[lane];
  for (; i < count; ++i) total += from[i];
  return total;
}

template <bool IsMean, class T>
void run_pixel(const ForwardArgs<T>& a, const Line<T>& line, int64_t column) {
  const Window& w = a.axis[2].window[column];
  const T* from = line.in + w.first;
  MaxAt<T, 1> best;
  T total = 0;
  for (int64_t d = 0; d < line.depth_taps; ++d)
    for (int64_t h = 0; h < line.height_taps; ++h) {
      const T* tap = from + d * line.depth_step + h * line.height_step;
      if constexpr (IsMean)
        total += sum_run<T, kLanes<T>>(tap, w.taps);
      else
        take_run<T, kLanes<T>>(
            tap, w.taps,
            static_cast<int32_t>(d) * line.depth_at + static_cast<int32_t>(h) * line.height_at, best);
    }
  line.out[column * a.out_stride[4]] = IsMean ? total / divisor_of(a, line, w) : best.result(0)[0];
  if (line.at) line.at[column * a.at_stride[4]] = line.first_at + w.first + best.where[0];
}

// ---- lines -----------------------------------------------------------------------------------------

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

template <template <class, int> class A, class T>
void plane_lines(const ForwardArgs<T>& a, int64_t begin, int64_t end) {
  const int64_t rows = a.axis[1].out, images = a.axis[0].out, columns = a.axis[2].out;
  int64_t h = begin % rows, d = begin / rows % images, plane = begin / rows / images;
  const int64_t step = a.axis[2].stride * a.in_stride[4];
  if (a.rows) {
    for (int64_t i = 0; i < a.rows_size; ++i) a.rows[i] = 0;  // lanes past the end compute with it
    for (int64_t i = 0; i < a.ring[0] * a.ring[1]; ++i) a.row_key[i] = -1;
  }
  for (int64_t i = begin; i < end; ++i) {
    const Line<T> line = line_at(a, plane / a.c, plane % a.c, d, h);
    if (a.rows) {
      padded_line<A>(a, line, plane, d, h);
    } else if (a.runs) {
      for (int64_t column = 0; column < columns; ++column) run_pixel<A<T, 1>::kIsMean>(a, line, column);
    } else {
      single_pixels<A>(a, line, 0, a.inner_begin);
      if (step == 1)
        inner_pixels<1, kLanes<T>, A>(a, line, a.inner_begin, a.inner_end);
      else if (step == 2)
        inner_pixels<2, kLanes<T>, A>(a, line, a.inner_begin, a.inner_end);
      else
        inner_pixels<kAnyStep, kLanes<T>, A>(a, line, a.inner_begin, a.inner_end);
      single_pixels<A>(a, line, a.inner_end, columns);
    }
    if (++h == rows) {
      h = 0;
      if (++d == images) {
        d = 0;
        ++plane;
      }
    }
  }
}

// `Vectors` vectors of channels of one pixel.
template <int Vectors, class A, class T>
STRIATE_INLINE void channel_block(const ForwardArgs<T>& a, const Line<T>& line, const Window& w,
                                  int64_t column, int64_t c) {
  constexpr int n = A::kLanesHere;
  A sum[Vectors];
  walk<1, Vectors>(line, line.in + w.first * a.in_stride[4] + c, w.taps, 1, sum);
  const T divisor = divisor_of(a, line, w);
  T* out = line.out + column * a.out_stride[4] + c * a.out_stride[1];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    store_strided<n>(out + v * n * a.out_stride[1], a.out_stride[1], sum[v].result(divisor));
    if (line.at)
      sum[v].store_at(line.at + column * a.at_stride[4] + (c + v * n) * a.at_stride[1], a.at_stride[1],
                      line.first_at + w.first, 0);
  }
}

template <class A, class T>
STRIATE_INLINE void channel_rest(const ForwardArgs<T>& a, const Line<T>& line, const Window& w,
                                 int64_t column, int64_t begin, int64_t end) {
  constexpr int n = A::kLanesHere;
  int64_t c = begin;
  for (; c + n <= end; c += n) channel_block<1, A>(a, line, w, column, c);
  if constexpr (n > 1)
    channel_rest<typename A::template Lanes<narrower<T>(n)>>(a, line, w, column, c, end);
}

template <template <class, int> class A, class T>
STRIATE_INLINE void channel_lines(const ForwardArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                                  int64_t c_end) {
  constexpr int block = 4 * kLanes<T>;
  const int64_t rows = a.axis[1].out, images = a.axis[0].out;
  for (int64_t i = begin; i < end; ++i) {
    const Line<T> line = line_at(a, i / rows / images, 0, i / rows % images, i % rows);
    for (int64_t column = 0; column < a.axis[2].out; ++column) {
      const Window& w = a.axis[2].window[column];
      int64_t c = c_begin;
      for (; c + block <= c_end; c += block) channel_block<4, A<T, kLanes<T>>>(a, line, w, column, c);
      channel_rest<A<T, kLanes<T>>>(a, line, w, column, c, c_end);
    }
  }
}

template <class T>
void max_planes(const ForwardArgs<T>& a, int64_t begin, int64_t end) noexcept {
  if (a.at)
    plane_lines<MaxAt>(a, begin, end);
  else
    plane_lines<Max>(a, begin, end);
}

template <class T>
void max_channels(const ForwardArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                  int64_t c_end) noexcept {
  if (a.at)
    channel_lines<MaxAt>(a, begin, end, c_begin, c_end);
  else
    channel_lines<Max>(a, begin, end, c_begin, c_end);
}

template <class T>
void mean_planes(const ForwardArgs<T>& a, int64_t begin, int64_t end) noexcept {
  plane_lines<Mean>(a, begin, end);
}

template <class T>
void mean_channels(const ForwardArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                   int64_t c_end) noexcept {
  channel_lines<Mean>(a, begin, end, c_begin, c_end);
}

template <class T>
constexpr pool::Kernel<T> kernel() {
  return {max_planes<T>, max_channels<T>, mean_planes<T>, mean_channels<T>};
}

}  // namespace

constinit const pool::Table pool_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
