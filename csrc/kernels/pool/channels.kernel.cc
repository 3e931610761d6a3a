// Pooling with lanes along channels that are neighbours in memory. See pool.h for the layouts.
#include "kernels/pool/windows.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Axis;

// The walk over a window of 2 x 2, the commonest one by far: without loops it takes a third of the time.
template <int Vectors, class A, class T>
STRIATE_INLINE void four_taps(const Line<T>& line, const T* top, A (&sum)[Vectors]) {
  constexpr int n = A::kLanesHere;
  using V = vec<T, n>;
  const T* bottom = top + line.height_step;
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const int at = v * n;
    sum[v].take_pair(load<V>(top + at), load<V>(top + line.width_step + at), 0, line.width_at);
    sum[v].take_pair(load<V>(bottom + at), load<V>(bottom + line.width_step + at), line.height_at,
                     line.height_at + line.width_at);
  }
}

// `Vectors` vectors of channels of one pixel. Four: its window has 2 x 2 taps.
template <int Vectors, bool Four, class A, class T>
STRIATE_INLINE void channel_block(const ForwardArgs<T>& a, const Line<T>& line, const Window& w,
                                  int64_t column, int64_t c) {
  constexpr int n = A::kLanesHere;
  A sum[Vectors];
  const T* in = line.in + w.first * a.in_stride[4] + c;
  if constexpr (Four)
    four_taps(line, in, sum);
  else
    walk<1, Vectors>(line, in, w.taps, 1, sum);
  const T divisor = divisor_of(a, line, w);
  T* out = line.out + column * a.out_stride[4] + c * a.out_stride[1];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    store_strided<n>(out + v * n * a.out_stride[1], a.out_stride[1], sum[v].result(divisor));
    sum[v].store_place(a, line.place + column * a.at_stride[4] + (c + v * n) * a.at_stride[1], a.at_stride[1],
                       line.first_at + place_of(a, w), 0);
  }
}

// The last vector goes back over channels that are done (as far as `first`), rather than leave a rest.
template <bool Four, class A, class T>
STRIATE_INLINE void channel_rest(const ForwardArgs<T>& a, const Line<T>& line, const Window& w,
                                 int64_t column, int64_t first, int64_t begin, int64_t end) {
  constexpr int n = A::kLanesHere;
  if (begin == end) return;
  if constexpr (n > 1)
    if (end - first < n)
      return channel_rest<Four, typename A::template Lanes<narrower<T>(n)>>(a, line, w, column, first, begin, end);
  for (int64_t c = begin; c < end; c += n) channel_block<1, Four, A>(a, line, w, column, smaller(c, end - n));
}

// Pixels of less than a vector of channels, side by side in memory: a whole vector for each, which runs over what
// the next one writes. Returns the first of the pixels at the end that are left, as there it would leave the line.
template <bool Four, class A, class T>
STRIATE_INLINE int64_t few_channels(const ForwardArgs<T>& a, const Line<T>& line) {
  constexpr int n = A::kLanesHere;
  if constexpr (n > 4)
    if (2 * a.c <= n) return few_channels<Four, typename A::template Lanes<n / 2>>(a, line);
  const Axis& w = a.axis[2];
  int64_t column = 0;
  for (; column * a.c + n <= w.out * a.c; ++column) {
    const Window& window = w.window[column];
    if ((window.first + (window.taps - 1) * w.dilation) * a.c + n > w.in * a.c) break;
    if (Four && window.taps != 2) break;
    channel_block<1, Four, A>(a, line, window, column, 0);
  }
  return column;
}

template <class A, class T>
STRIATE_INLINE bool are_few(const ForwardArgs<T>& a, int64_t channels) {
  const bool places = a.at || a.tap;
  return channels == a.c && a.c < A::kLanesHere && a.in_stride[4] == a.c && a.out_stride[4] == a.c &&
         a.out_stride[1] == 1 && (!places || (a.at_stride[4] == a.c && a.at_stride[1] == 1));
}

template <bool Four, class A, class T>
STRIATE_INLINE void channels_of_pixel(const ForwardArgs<T>& a, const Line<T>& line, int64_t column, int64_t c_begin,
                                      int64_t c_end) {
  constexpr int block = 4 * A::kLanesHere;
  const Window& w = a.axis[2].window[column];
  int64_t c = c_begin;
  for (; c + block <= c_end; c += block) channel_block<4, Four, A>(a, line, w, column, c);
  channel_rest<Four, A>(a, line, w, column, c_begin, c, c_end);
}

template <template <class, int> class Of, class T>
STRIATE_INLINE void channel_lines(const ForwardArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                                  int64_t c_end) {
  using A = Of<T, kLanes<T>>;
  const int64_t rows = a.axis[1].out, images = a.axis[0].out;
  const bool few = are_few<A>(a, c_end - c_begin);
  for (int64_t i = begin; i < end; ++i) {
    const Line<T> line = line_at(a, i / rows / images, 0, i / rows % images, i % rows);
    int64_t column = 0;
    if constexpr (A::kPlaces) {
      if (few) column = few_channels<false, A>(a, line);
    } else if (line.height_taps == 2 && line.depth_taps == 1) {
      if (few) column = few_channels<true, A>(a, line);
      for (; column < a.axis[2].out && a.axis[2].window[column].taps == 2; ++column)
        channels_of_pixel<true, A>(a, line, column, c_begin, c_end);
    }
    for (; column < a.axis[2].out; ++column) channels_of_pixel<false, A>(a, line, column, c_begin, c_end);
  }
}

template <class T>
void max_channels(const ForwardArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                  int64_t c_end) noexcept {
  if (a.at || a.tap)
    channel_lines<MaxAt>(a, begin, end, c_begin, c_end);
  else
    channel_lines<Max>(a, begin, end, c_begin, c_end);
}

template <class T>
void mean_channels(const ForwardArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                   int64_t c_end) noexcept {
  channel_lines<Mean>(a, begin, end, c_begin, c_end);
}

}  // namespace

constinit const pool::ChannelsTable pool_channels_table = {{max_channels<float>, mean_channels<float>},
                                                           {max_channels<double>, mean_channels<double>}};

}  // namespace striate::STRIATE_ISA
