// Pooling with lanes along channels that are neighbours in memory. See pool.h for the layouts.
#include "kernels/pool/windows.h"

namespace striate::STRIATE_ISA {
namespace {

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
    sum[v].store_place(a, line.place + column * a.at_stride[4] + (c + v * n) * a.at_stride[1], a.at_stride[1],
                       line.first_at + place_of(a, w), 0);
  }
}

// The last vector goes back over channels that are done (as far as `first`), rather than leave a rest.
template <class A, class T>
STRIATE_INLINE void channel_rest(const ForwardArgs<T>& a, const Line<T>& line, const Window& w,
                                 int64_t column, int64_t first, int64_t begin, int64_t end) {
  constexpr int n = A::kLanesHere;
  if (begin == end) return;
  if constexpr (n > 1)
    if (end - first < n)
      return channel_rest<typename A::template Lanes<narrower<T>(n)>>(a, line, w, column, first, begin, end);
  for (int64_t c = begin; c < end; c += n) channel_block<1, A>(a, line, w, column, smaller(c, end - n));
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
      channel_rest<A<T, kLanes<T>>>(a, line, w, column, c_begin, c, c_end);
    }
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
