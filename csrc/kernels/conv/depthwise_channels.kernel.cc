// Depthwise convolution, channels last: lanes are channels. See depthwise.h.
//
// A tile of several columns walks over the channels, so that memory is read along many straight lines, whole
// cache lines at a time: columns may lie a power of two apart, and the other way round they would fight for
// few sets of the cache.
#include "kernels/conv/depthwise.h"
#include "kernels/conv/even_pieces.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::ChannelArgs;
using conv::ChannelGradArgs;
using conv::ChannelRow;

constexpr int kCols = 4;

// Outputs whose taps are all inside: [first, last).
struct Inner {
  int64_t first, last;
};
template <class T>
STRIATE_INLINE Inner inner_cols(const ChannelRow<T>& r) {
  const int64_t reach = (r.kw - 1) * r.dilation;
  const int64_t room = r.cols_in - 1 - reach + r.pad;  // of the last such output's first tap
  const int64_t first = smaller(r.cols, r.pad > 0 ? (r.pad + r.stride - 1) / r.stride : 0);
  const int64_t last = room < 0 ? 0 : smaller(r.cols, room / r.stride + 1);
  return {first, larger(first, last)};
}

// Calls body<N>(c, vectors) for blocks of channels: two vectors, then one, the last of which goes back over
// channels done. Fewer channels than a vector has lanes take shorter vectors.
template <int N, class T, class Body>
STRIATE_INLINE void channel_blocks(int64_t channels, Body body) {
  if constexpr (N > 1)
    if (channels < N) return channel_blocks<N / 2, T>(channels, body);
  int64_t c = 0;
  if constexpr (N == kLanes<T>)
    for (; c + 2 * N <= channels; c += 2 * N) body.template operator()<N, 2>(c);
  for (; c < channels; c += N) body.template operator()<N, 1>(smaller(c, channels - N));
}

// ---- correlation --------------------------------------------------------------------------------------

template <int Cols, class T>
STRIATE_INLINE void inner_tile(const ChannelArgs<T>& a, int64_t col) {
  const ChannelRow<T>& in = a.in;
  const int64_t from = (col * in.stride - in.pad) * in.pixel;
  const int64_t step = in.stride * in.pixel, tap_step = in.dilation * in.pixel;
  T* out = a.out + col * a.out_pixel;
  channel_blocks<kLanes<T>, T>(in.channels, [&]<int N, int Vectors>(int64_t c) __attribute__((always_inline)) {
    using V = vec<T, N>;
    V sum[Cols][Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      const V bias = a.bias ? load<V>(a.bias + c + v * N) : V{};
#pragma GCC unroll 4
      for (int i = 0; i < Cols; ++i) sum[i][v] = bias;
    }
    const T* const* weight = a.weight;
    for (int h = 0; h < in.kh; ++h) {
      const T* row = in.row[h];
      if (!row) {
        for (int w = 0; w < in.kw; ++w, ++weight)
#pragma GCC unroll 2
          for (int v = 0; v < Vectors; ++v) {
            const V nothing = load<V>(*weight + c + v * N) * V{};
#pragma GCC unroll 4
            for (int i = 0; i < Cols; ++i) sum[i][v] += nothing;
          }
        continue;
      }
      const T* x = row + from + c;
      for (int w = 0; w < in.kw; ++w, ++weight, x += tap_step) {
        V tap[Vectors];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) tap[v] = load<V>(*weight + c + v * N);
#pragma GCC unroll 4
        for (int i = 0; i < Cols; ++i)
#pragma GCC unroll 2
          for (int v = 0; v < Vectors; ++v) sum[i][v] += load<V>(x + i * step + v * N) * tap[v];
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < Cols; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) store(out + i * a.out_pixel + c + v * N, sum[i][v]);
  });
}

// A pixel some of whose taps are in the padding.
template <class T>
void edge_pixel(const ChannelArgs<T>& a, int64_t col) {
  const ChannelRow<T>& in = a.in;
  T* out = a.out + col * a.out_pixel;
  channel_blocks<kLanes<T>, T>(in.channels, [&]<int N, int Vectors>(int64_t c) __attribute__((always_inline)) {
    using V = vec<T, N>;
    V sum[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[v] = a.bias ? load<V>(a.bias + c + v * N) : V{};
    const T* const* weight = a.weight;
    for (int h = 0; h < in.kh; ++h) {
      int64_t x = col * in.stride - in.pad;
      for (int w = 0; w < in.kw; ++w, ++weight, x += in.dilation) {
        const bool inside = in.row[h] && x >= 0 && x < in.cols_in;
        const T* from = inside ? in.row[h] + x * in.pixel + c : nullptr;
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v)
          sum[v] += (inside ? load<V>(from + v * N) : V{}) * load<V>(*weight + c + v * N);
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store(out + c + v * N, sum[v]);
  });
}

template <class T>
void correlate(const ChannelArgs<T>& a) noexcept {
  const Inner inner = inner_cols(a.in);
  for (int64_t col = 0; col < inner.first; ++col) edge_pixel(a, col);
  even_pieces(static_cast<int>(inner.last - inner.first), kCols, [&](int first, int count) {
    const int64_t col = inner.first + first;
    if (count == 4)
      inner_tile<4>(a, col);
    else if (count == 3)
      inner_tile<3>(a, col);
    else if (count == 2)
      inner_tile<2>(a, col);
    else
      inner_tile<1>(a, col);
  });
  for (int64_t col = inner.last; col < a.in.cols; ++col) edge_pixel(a, col);
}

// ---- weight gradient ----------------------------------------------------------------------------------

// `Taps` neighbouring taps of row `h` of the kernel, from tap `first` on.
template <int Taps, int N, int Vectors, class T>
STRIATE_INLINE void grad_taps(const ChannelGradArgs<T>& a, int h, int first, int64_t c) {
  using V = vec<T, N>;
  const ChannelRow<T>& in = a.in;
  const T* row = in.row[h];
  const int64_t step = in.stride * in.pixel, tap_step = in.dilation * in.pixel;
  T* sums = a.sums + (h * in.kw + first) * a.sum_step + c;
  V sum[Taps][Vectors];
#pragma GCC unroll 3
  for (int t = 0; t < Taps; ++t)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[t][v] = load<V>(sums + t * a.sum_step + v * N);
  // The columns for which all these taps are inside.
  ChannelRow<T> reach = in;
  reach.kw = Taps;
  reach.pad = in.pad - first * in.dilation;
  const Inner inner = row ? inner_cols(reach) : Inner{in.cols, in.cols};
  const T* grad = a.grad + c;
  const auto edge = [&](int64_t begin, int64_t end) {
    for (int64_t col = begin; col < end; ++col) {
      const int64_t x = col * in.stride - reach.pad;
#pragma GCC unroll 3
      for (int t = 0; t < Taps; ++t) {
        const int64_t at = x + t * in.dilation;
        const bool inside = row && at >= 0 && at < in.cols_in;
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v)
          sum[t][v] += (inside ? load<V>(row + at * in.pixel + c + v * N) : V{}) *
                       load<V>(grad + col * a.grad_pixel + v * N);
      }
    }
  };
  edge(0, inner.first);
  const T* x = inner.first == inner.last ? nullptr : row + (inner.first * in.stride - reach.pad) * in.pixel + c;
  const T* g = grad + inner.first * a.grad_pixel;
  for (int64_t col = inner.first; col < inner.last; ++col, x += step, g += a.grad_pixel) {
    V here[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) here[v] = load<V>(g + v * N);
#pragma GCC unroll 3
    for (int t = 0; t < Taps; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[t][v] += load<V>(x + t * tap_step + v * N) * here[v];
  }
  edge(inner.last, in.cols);
#pragma GCC unroll 3
  for (int t = 0; t < Taps; ++t)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(sums + t * a.sum_step + v * N, sum[t][v]);
}

template <int N, int Vectors, class T>
void grad_block(const ChannelGradArgs<T>& a, int64_t c) {
  for (int h = 0; h < a.in.kh; ++h) {
    int w = 0;
    for (; w + 3 <= a.in.kw; w += 3) grad_taps<3, N, Vectors>(a, h, w, c);
    for (; w < a.in.kw; ++w) grad_taps<1, N, Vectors>(a, h, w, c);
  }
}

// Sums are added to, so no vector may go back.
template <int N, class T>
void grad_rest(const ChannelGradArgs<T>& a, int64_t c) {
  for (; c + N <= a.in.channels; c += N) grad_block<N, 1>(a, c);
  if constexpr (N > 1)
    if (c < a.in.channels) grad_rest<N / 2>(a, c);
}

template <class T>
void weight_grad(const ChannelGradArgs<T>& a) noexcept {
  constexpr int n = kLanes<T>;
  int64_t c = 0;
  for (; c + 4 * n <= a.in.channels; c += 4 * n) grad_block<n, 4>(a, c);
  grad_rest<n>(a, c);
}

template <class T>
constexpr conv::DepthwiseChannels<T> channels() {
  return {kLanes<T>, correlate<T>, weight_grad<T>};
}

}  // namespace

constinit const conv::DepthwiseChannelsTable depthwise_channels_table = {channels<float>(), channels<double>()};

}  // namespace striate::STRIATE_ISA
