// Pooling with lanes along the width of the output; any strides. See pool.h for the layouts.
//
// A line takes one of three ways: long windows by `runs`; rows copied into padded scratch, where every
// window is whole (when many touch an edge); else vectors over the whole windows and single pixels at the ends.
#include "kernels/pool/runs.h"
#include "kernels/pool/windows.h"

namespace striate::STRIATE_ISA {
namespace {

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
    sum[v].store_place(a, line.place + here * a.at_stride[4], a.at_stride[4],
                       line.first_at + place_of(a, w) + v * n * line.pixel_at, line.pixel_at);
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
  for (int v = 0; v < Vectors; ++v) sum[v].start(window + v * n, line.width_at);
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
        for (phase += a.axis[2].dilation; phase >= step; phase -= step) ++ahead;
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
    sum[v].store_place(a, line.place + here * a.at_stride[4], a.at_stride[4],
                       line.first_at + (a.tap ? 0 : origin) + v * n * line.pixel_at, line.pixel_at,
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

// ---- lines -----------------------------------------------------------------------------------------

template <template <class, int> class A, class T>
void plane_lines(const ForwardArgs<T>& a, int64_t begin, int64_t end) {
  const int64_t rows = a.axis[1].out, images = a.axis[0].out, columns = a.axis[2].out;
  if constexpr (A<T, 1>::kIsMean) {
    const bool one_window = columns == 1 && rows == 1 && images == 1 && a.axis[0].in == 1 && a.axis[1].in == 1;
    if (a.runs && one_window && a.divisor != 0 && a.axis[2].window[0].taps >= kLanes<T> && planes_are_even(a))
      return mean_planes_together(a, begin, end);
  }
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

template <class T>
void max_planes(const ForwardArgs<T>& a, int64_t begin, int64_t end) noexcept {
  if (a.at || a.tap)
    plane_lines<MaxAt>(a, begin, end);
  else
    plane_lines<Max>(a, begin, end);
}

template <class T>
void mean_planes(const ForwardArgs<T>& a, int64_t begin, int64_t end) noexcept {
  plane_lines<Mean>(a, begin, end);
}

}  // namespace

constinit const pool::PlanesTable pool_planes_table = {{max_planes<float>, mean_planes<float>},
                                                       {max_planes<double>, mean_planes<double>}};

}  // namespace striate::STRIATE_ISA
