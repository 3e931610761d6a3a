// Depthwise convolution, channels last: lanes are channels. See depthwise.h.
//
// A tile of four columns walks over the channels, so that memory is read along many straight lines, whole
// cache lines at a time: columns may lie a power of two apart, and the other way round they would fight for
// few sets of the cache. Columns of a tile share what they see.
#include "kernels/conv/depthwise.h"
#include "kernels/conv/moves.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::ChannelArgs;
using conv::ChannelGradArgs;
using conv::ChannelQuarterArgs;
using conv::ChannelRow;

constexpr int kCols = 4;
constexpr int kQuarterCols = 2;

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

// ---- correlation --------------------------------------------------------------------------------------

// Vector v holds channels from here on: the last one goes back over channels of the one before.
template <class T>
STRIATE_INLINE int64_t channel_of(int64_t v, int64_t channels) {
  return smaller(v * kLanes<T>, channels - kLanes<T>);
}

// Adds `Taps` neighbouring taps of one row of the kernel to kCols outputs, whose first sees column `x` of the image
// at `from`. Only at an edge may columns be outside.
template <int Taps, int Stride, bool Edge, class T>
STRIATE_INLINE void row_taps(const T* from, int64_t pixel, int64_t x, int64_t cols_in, const T* weight,
                             native<T> (&sum)[kCols]) {
  using V = native<T>;
  V tap[Taps];
#pragma GCC unroll 3
  for (int t = 0; t < Taps; ++t) tap[t] = load<V>(weight + t * kLanes<T>);
#pragma GCC unroll 9
  for (int j = 0; j < (kCols - 1) * Stride + Taps; ++j) {
    if (Stride > Taps && j % Stride != 0) continue;
    const V seen = !Edge || (x + j >= 0 && x + j < cols_in) ? load<V>(from + j * pixel) : V{};
#pragma GCC unroll 4
    for (int i = 0; i < kCols; ++i) {
      const int t = j - i * Stride;
      if (t >= 0 && t < Taps) sum[i] += seen * tap[t];
    }
  }
}

// kCols outputs from `col` on. Kernels of 3 x 3 are unrolled; a size of 0 is known at run time. Rows outside are
// rows without any column.
template <int Size, int Stride, bool Edge, class T>
__attribute__((noinline)) void column_tile(const ChannelArgs<T>& a, int64_t col) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const int kh = Size ? Size : a.in.kh, kw = Size ? Size : a.in.kw;
  const int64_t pixel = a.in.pixel, cols_in = a.in.cols_in, channels = a.in.channels, out_pixel = a.out_pixel;
  const int64_t x = col * Stride - a.in.pad;
  const T* const* row = a.in.row;
  const T* fixed[Size ? Size : 1];
  if constexpr (Size > 0) {
#pragma GCC unroll 3
    for (int h = 0; h < Size; ++h) fixed[h] = row[h] + (Edge && !row[h] ? 0 : x * pixel);
  }
  const T* weight = a.weight + a.first * kh * kw * n;
  T* out = a.out + col * out_pixel;
  for (int64_t v = a.first; v < a.last; ++v) {
    const int64_t c = channel_of<T>(v, channels);
    V sum[kCols];
    const V bias = a.bias ? load<V>(a.bias + c) : V{};
#pragma GCC unroll 4
    for (int i = 0; i < kCols; ++i) sum[i] = bias;
    if constexpr (Size > 0) {
#pragma GCC unroll 3
      for (int h = 0; h < Size; ++h)
        row_taps<Size, Stride, Edge>(fixed[h] + c, pixel, x, !Edge || row[h] ? cols_in : 0, weight + h * Size * n, sum);
      weight += Size * Size * n;
    } else {
      for (int h = 0; h < kh; ++h) {
        const bool inside = !Edge || row[h];
        const T* from = inside ? row[h] + x * pixel + c : nullptr;
        for (int w = 0; w < kw; ++w, weight += n)
          row_taps<1, Stride, Edge>(inside ? from + w * pixel : from, pixel, x + w, inside ? cols_in : 0, weight, sum);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCols; ++i) store(out + i * out_pixel + c, sum[i]);
  }
}

// One pixel, any window. Of fewer channels than a vector has lanes, the others are neither read nor written.
template <bool Narrow, class T>
void single_pixel(const ChannelArgs<T>& a, int64_t col) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const ChannelRow<T>& in = a.in;
  const auto lanes = static_cast<int>(in.channels);
  const T* weight = a.weight + a.first * in.kh * in.kw * n;
  for (int64_t v = a.first; v < a.last; ++v) {
    const int64_t c = Narrow ? 0 : channel_of<T>(v, in.channels);
    const auto read = [&](const T* from) { return Narrow ? load_tail<T, n>(from, lanes) : load<V>(from); };
    V sum = a.bias ? read(a.bias + c) : V{};
    for (int h = 0; h < in.kh; ++h) {
      int64_t x = col * in.stride - in.pad;
      for (int w = 0; w < in.kw; ++w, weight += n, x += in.dilation) {
        const bool inside = in.row[h] && x >= 0 && x < in.cols_in;
        sum += (inside ? read(in.row[h] + x * in.pixel + c) : V{}) * load<V>(weight);
      }
    }
    T* out = a.out + col * a.out_pixel + c;
    if constexpr (Narrow)
      store_tail<T, n>(out, sum, lanes);
    else
      store(out, sum);
  }
}

template <int Size, int Stride, class T>
STRIATE_INLINE void column_tiles(const ChannelArgs<T>& a) {
  const Inner inner = inner_cols(a.in);
  bool rows_inside = true;
  for (int h = 0; h < a.in.kh; ++h) rows_inside = rows_inside && a.in.row[h];
  for (int64_t i = 0; i < a.in.cols; i += kCols) {
    const int64_t col = smaller(i, a.in.cols - kCols);
    if (rows_inside && col >= inner.first && col + kCols <= inner.last)
      column_tile<Size, Stride, false>(a, col);
    else
      column_tile<Size, Stride, true>(a, col);
  }
}

template <class T>
void correlate(const ChannelArgs<T>& a) noexcept {
  const ChannelRow<T>& in = a.in;
  const bool narrow = in.channels < kLanes<T>;
  if (narrow || in.cols < kCols || in.dilation != 1 || in.stride > 2) {
    for (int64_t col = 0; col < in.cols; ++col) {
      if (narrow)
        single_pixel<true>(a, col);
      else
        single_pixel<false>(a, col);
    }
    return;
  }
  const bool square = in.kh == 3 && in.kw == 3;
  if (in.stride == 1)
    square ? column_tiles<3, 1>(a) : column_tiles<0, 1>(a);
  else
    square ? column_tiles<3, 2>(a) : column_tiles<0, 2>(a);
}

// ---- input gradient of stride 2 -----------------------------------------------------------------------

// What is stored a few steps on: many short lines, which hardware does not foresee.
template <class T>
STRIATE_INLINE void ask_for(T* out) {
  __builtin_prefetch(out + 256 / sizeof(T), 1);
}

// kQuarterCols columns of the output gradient from `col` on, and the 2 x 2 phases of the input gradient that lie there. Of the
// gradients a b / c d these see a, a b / a c, a b c d. Only at an edge may b, c or d be outside.
template <bool Edge, class T>
__attribute__((noinline)) void quarter_tile(const ChannelQuarterArgs<T>& q, int64_t col) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const T* above = q.row[0] + col * q.pixel;
  const T* below = Edge && !q.row[1] ? nullptr : q.row[1] + col * q.pixel;
  const int64_t inside = q.cols_in - col, outputs = q.cols - 2 * col;  // columns from here on
  const T *w0 = q.weight[0] + q.first * n, *w1 = q.weight[1] + q.first * 2 * n, *w2 = q.weight[2] + q.first * 2 * n,
          *w3 = q.weight[3] + q.first * 4 * n;
  T* even = q.out[0] + 2 * col * q.out_pixel;
  T* odd = Edge && !q.out[1] ? nullptr : q.out[1] + 2 * col * q.out_pixel;
  for (int64_t v = q.first; v < q.last; ++v, w0 += n, w1 += 2 * n, w2 += 2 * n, w3 += 4 * n) {
    const int64_t channel = channel_of<T>(v, q.channels);
    const V bias = q.bias ? load<V>(q.bias + channel) : V{};
    V a = load<V>(above + channel), c = !Edge || below ? load<V>(below + channel) : V{};
#pragma GCC unroll 4
    for (int i = 0; i < kQuarterCols; ++i) {
      const bool seen = !Edge || i + 1 < inside;
      const int64_t at = (i + 1) * q.pixel + channel, to = 2 * i * q.out_pixel + channel;
      ask_for(even + to);
      ask_for(even + to + q.out_pixel);
      if (!Edge || odd) {
        ask_for(odd + to);
        ask_for(odd + to + q.out_pixel);
      }
      const V b = seen ? load<V>(above + at) : V{}, d = seen && (!Edge || below) ? load<V>(below + at) : V{};
      store(even + to, bias + a * load<V>(w0));
      if (!Edge || 2 * i + 1 < outputs) store(even + to + q.out_pixel, bias + a * load<V>(w1) + b * load<V>(w1 + n));
      if (!Edge || odd) {
        store(odd + to, bias + a * load<V>(w2) + c * load<V>(w2 + n));
        if (!Edge || 2 * i + 1 < outputs)
          store(odd + to + q.out_pixel, bias + a * load<V>(w3) + b * load<V>(w3 + n) + c * load<V>(w3 + 2 * n) +
                                            d * load<V>(w3 + 3 * n));
      }
      a = b;
      c = d;
    }
  }
}

template <class T>
void quarters(const ChannelQuarterArgs<T>& q) noexcept {
  for (int64_t i = 0; i < q.cols_in; i += kQuarterCols) {
    const int64_t col = smaller(i, q.cols_in - kQuarterCols);
    if (q.row[1] && q.out[1] && col + kQuarterCols < q.cols_in && 2 * (col + kQuarterCols) <= q.cols)
      quarter_tile<false>(q, col);
    else
      quarter_tile<true>(q, col);
  }
}

// [tap][channel] to [vector][tap][lane].
template <class T>
void block_weights(const T* weight, int64_t channels, int taps, T* blocks) noexcept {
  constexpr int n = kLanes<T>;
  for (int64_t v = 0; v * n < channels; ++v)
    for (int t = 0; t < taps; ++t, blocks += n) {
      const T* from = weight + t * channels;
      if (channels < n)
        store(blocks, load_tail<T, n>(from, static_cast<int>(channels)));
      else
        store(blocks, load<native<T>>(from + channel_of<T>(v, channels)));
    }
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
  return {kLanes<T>, block_weights<T>, correlate<T>, kQuarterCols, quarters<T>, weight_grad<T>};
}

}  // namespace

constinit const conv::DepthwiseChannelsTable depthwise_channels_table = {channels<float>(), channels<double>()};

}  // namespace striate::STRIATE_ISA
