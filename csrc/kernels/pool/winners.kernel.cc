// The gradient of a maximum from the taps that won: every pixel of the input asks the windows that see it
// whether it was their winner, and is written once. See WinnersArgs.
//
// Windows are asked in row-major order, so sums have the bits of a scatter in that order.
#include "kernels/pool/pool.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Window;
using pool::WinnersArgs;

// A window that may have been won by the pixels at hand, if its winner was `tap`.
struct Question {
  int64_t grad, winner;  // elements from where the lanes begin
  uint8_t tap;
};
constexpr int kMostQuestions = 256;  // a pixel is one tap to each of its windows, and taps fit a byte

// Adds grad where the winner is `tap`. Bytes are compared as bytes: GCC widens a result well, a load badly.
template <int N, class T>
STRIATE_INLINE vec<T, N> add_if_won(vec<T, N> sum, const T* grad, const uint8_t* winner, uint8_t tap) {
  using Mask = vec<typename mask_of<T>::type, N>;
  const auto won = load<vec<uint8_t, N>>(winner) == tap;
  const Mask mask = __builtin_convertvector(won, Mask);
  return sum + reinterpret_cast<vec<T, N>>(mask & reinterpret_cast<Mask>(load<vec<T, N>>(grad)));
}

// ---- lanes are channels ----------------------------------------------------------------------------------

template <int Vectors, int N, class T>
STRIATE_INLINE void channel_block(const Question* asked, int count, const T* grad, const uint8_t* winner, T* out) {
  vec<T, N> sum[Vectors] = {};
  for (int i = 0; i < count; ++i) {
    const T* from = grad + asked[i].grad;
    const uint8_t* at = winner + asked[i].winner;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[v] = add_if_won<N>(sum[v], from + v * N, at + v * N, asked[i].tap);
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) store(out + v * N, sum[v]);
}

// The last vector goes back over channels that are done, rather than leave a rest.
template <int N, class T>
STRIATE_INLINE void channel_rest(const Question* asked, int count, const T* grad, const uint8_t* winner,
                                 int64_t first, int64_t begin, int64_t end, T* out) {
  if (begin == end) return;
  constexpr int narrow = sizeof(T) == 4 && N > 4 ? N / 2 : 1;
  if constexpr (N > 1)
    if (end - first < N) return channel_rest<narrow>(asked, count, grad, winner, first, begin, end, out);
  for (int64_t c = begin; c < end; c += N) {
    const int64_t at = smaller(c, end - N);
    channel_block<1, N>(asked, count, grad + at, winner + at, out + at);
  }
}

template <class T>
void channel_winners(const WinnersArgs<T>& a, int64_t begin, int64_t end, int64_t c_begin,
                     int64_t c_end) noexcept {
  constexpr int n = kLanes<T>, block = 4 * n;
  const int64_t rows = a.axis[1].in, images = a.axis[0].in, columns = a.axis[2].in;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t h = i % rows, d = i / rows % images, image = i / rows / images;
    const Window& wd = a.axis[0].window[d];
    const Window& wh = a.axis[1].window[h];
    T* out = a.out + image * a.out_stride[0] + d * a.out_stride[2] + h * a.out_stride[3];
    const T* grad = a.grad + image * a.grad_stride[0];
    const uint8_t* winner = a.tap + image * a.tap_stride[0];
    for (int64_t w = 0; w < columns; ++w, out += a.out_stride[4]) {
      const Window& ww = a.axis[2].window[w];
      Question asked[kMostQuestions];
      int count = 0;
      for (int64_t od = wd.first; od < wd.first + wd.taps; ++od)
        for (int64_t oh = wh.first; oh < wh.first + wh.taps; ++oh) {
          const int64_t tap_d = d + a.pad[0] - od * a.axis[0].stride, tap_h = h + a.pad[1] - oh * a.axis[1].stride;
          const int64_t tap_row = (tap_d * a.axis[1].kernel + tap_h) * a.axis[2].kernel + w + a.pad[2];
          for (int64_t ow = ww.first; ow < ww.first + ww.taps; ++ow)
            asked[count++] = {od * a.grad_stride[2] + oh * a.grad_stride[3] + ow * a.grad_stride[4],
                              od * a.tap_stride[2] + oh * a.tap_stride[3] + ow * a.tap_stride[4],
                              static_cast<uint8_t>(tap_row - ow * a.axis[2].stride)};
        }
      int64_t c = c_begin;
      for (; c + block <= c_end; c += block) channel_block<4, n>(asked, count, grad + c, winner + c, out + c);
      channel_rest<n>(asked, count, grad, winner, c_begin, c, c_end, out);
    }
  }
}

// ---- lanes are pixels ------------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE void copy_row(const T* from, int64_t step, int64_t count, T* to) {
  constexpr int n = STRIATE_VECTOR_BYTES / static_cast<int>(sizeof(T)), few = sizeof(T) == 1 ? 4 : 2;
  int64_t i = 0;
  if (step == 1)
    for (; i + n <= count; i += n) store(to + i, load<vec<T, n>>(from + i));
  if (step == 1)
    for (; i + few <= count; i += few) store(to + i, load<vec<T, few>>(from + i));
  for (; i < count; ++i) to[i] = from[i * step];
}

// Fills a.row_place with where the windows that see a line are in the rings, first copying what is missing.
template <class T>
void fetch_rows(const WinnersArgs<T>& a, int64_t plane, const Window& wd, const Window& wh) {
  const int64_t n = plane / a.c, c = plane % a.c;
  int64_t seen = 0;
  for (int64_t od = wd.first; od < wd.first + wd.taps; ++od)
    for (int64_t oh = wh.first; oh < wh.first + wh.taps; ++oh, ++seen) {
      const int64_t place =
          (a.ring[0] == 1 ? 0 : od % a.ring[0] * a.ring[1]) + (a.ring[1] == 1 ? 0 : oh % a.ring[1]);
      const int64_t key = (plane * a.axis[0].out + od) * a.axis[1].out + oh;
      const int64_t to = a.row_place[seen] = place * a.pitch + a.margin;
      if (a.row_key[place] == key) continue;
      a.row_key[place] = key;
      const auto at = [&](const int64_t(&stride)[5]) {
        return n * stride[0] + c * stride[1] + od * stride[2] + oh * stride[3];
      };
      copy_row(a.grad + at(a.grad_stride), a.grad_stride[4], a.axis[2].out, a.rows + to);
      copy_row(a.tap + at(a.tap_stride), a.tap_stride[4], a.axis[2].out, a.winners + to);
    }
}

// Pixels j * Stride + p of a line, for j and the lanes after it, are seen by the windows at asked[p] + j.
template <int Stride, int Vectors, class T>
STRIATE_INLINE void winners_block(const WinnersArgs<T>& a, const Question (&asked)[Stride][kMostQuestions],
                                  const int (&count)[Stride], int64_t j, int64_t columns, int64_t whole, T* out) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  V sum[Stride][Vectors] = {};
#pragma GCC unroll 2
  for (int p = 0; p < Stride; ++p)
    for (int i = 0; i < count[p]; ++i) {
      const int64_t at = asked[p][i].grad + j;
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v)
        sum[p][v] = add_if_won<n>(sum[p][v], a.rows + at + v * n, a.winners + at + v * n, asked[p][i].tap);
    }
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const int64_t at = (j + v * n) * Stride;
    V part[Stride];
    if constexpr (Stride == 1) {
      part[0] = sum[0][v];
    } else {
      using order = typename make_indices<n>::type;
      part[0] = zip_low(sum[0][v], sum[1][v], order{});
      part[1] = zip_high(sum[0][v], sum[1][v], order{});
    }
    if (at + n * Stride <= whole) {
#pragma GCC unroll 2
      for (int p = 0; p < Stride; ++p) store(out + at + p * n, part[p]);
    } else {
      T rest[Stride * n];
      for (int p = 0; p < Stride; ++p) store(rest + p * n, part[p]);
      for (int64_t w = at; w < columns; ++w) out[w] = rest[w - at];
    }
  }
}

template <int Stride, class T>
void winners_row(const WinnersArgs<T>& a, const Window& depth, const Window& height, int64_t tap_d, int64_t tap_h,
                 int64_t whole, T* out) {
  constexpr int n = kLanes<T>;
  const int64_t columns = a.axis[2].in, kernel = a.axis[2].kernel;
  Question asked[Stride][kMostQuestions];
  int count[Stride] = {};
  const int64_t* place = a.row_place;
  for (int64_t d = 0; d < depth.taps; ++d)
    for (int64_t h = 0; h < height.taps; ++h, ++place) {
      const int64_t row = (tap_d - d * a.axis[0].stride) * a.axis[1].kernel + tap_h - h * a.axis[1].stride;
      for (int p = 0; p < Stride; ++p) {
        const int64_t last = (p + a.pad[2]) / Stride, tap = (p + a.pad[2]) % Stride;
        for (int64_t t = tap + (kernel - 1 - tap) / Stride * Stride; t >= tap && t < kernel; t -= Stride)
          asked[p][count[p]++] = {*place + last - (t - tap) / Stride, 0,
                                  static_cast<uint8_t>(row * kernel + t)};
      }
    }
  int64_t j = 0;
  for (; (j + n) * Stride < columns; j += 2 * n) winners_block<Stride, 2>(a, asked, count, j, columns, whole, out);
  if (j * Stride < columns) winners_block<Stride, 1>(a, asked, count, j, columns, whole, out);
}

// Any stride: a row of zeros, to which every window adds at its winner.
template <class T>
void scatter_row(const WinnersArgs<T>& a, const Window& depth, const Window& height, int64_t tap_d,
                 int64_t tap_h, T* out) {
  const int64_t kernel = a.axis[2].kernel, columns = a.axis[2].in;
  for (int64_t w = 0; w < columns; ++w) out[w] = 0;
  const int64_t* place = a.row_place;
  for (int64_t d = 0; d < depth.taps; ++d)
    for (int64_t h = 0; h < height.taps; ++h) {
      const T* grad = a.rows + *place++;
      const uint8_t* winner = a.winners + (grad - a.rows);
      const int64_t row = ((tap_d - d * a.axis[0].stride) * a.axis[1].kernel + tap_h - h * a.axis[1].stride) * kernel;
      for (int64_t i = 0; i < a.axis[2].out; ++i) {
        const int64_t tap = winner[i] - row, w = i * a.axis[2].stride + tap - a.pad[2];
        if (tap >= 0 && tap < kernel && w >= 0 && w < columns) out[w] += grad[i];
      }
    }
}

template <class T>
void plane_winners(const WinnersArgs<T>& a, int64_t begin, int64_t end) noexcept {
  const int64_t rows = a.axis[1].in, images = a.axis[0].in, columns = a.axis[2].in;
  const T* out_end = a.out_is_dense ? a.out + end * columns : nullptr;
  for (int64_t i = 0; i < a.ring[0] * a.ring[1] * a.pitch; ++i) {
    a.rows[i] = 0;
    a.winners[i] = 255;  // no tap
  }
  for (int64_t i = 0; i < a.ring[0] * a.ring[1]; ++i) a.row_key[i] = -1;
  int64_t h = begin % rows, d = begin / rows % images, plane = begin / rows / images;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = plane / a.c, c = plane % a.c;
    const Window& wd = a.axis[0].window[d];
    const Window& wh = a.axis[1].window[h];
    fetch_rows(a, plane, wd, wh);
    T* out = a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3];
    T* row = a.out_stride[4] == 1 ? out : a.row;
    const int64_t whole = out_end ? out_end - out : columns;
    const int64_t tap_d = d + a.pad[0] - wd.first * a.axis[0].stride;
    const int64_t tap_h = h + a.pad[1] - wh.first * a.axis[1].stride;
    if (a.axis[2].stride == 1)
      winners_row<1>(a, wd, wh, tap_d, tap_h, whole, row);
    else if (a.axis[2].stride == 2)
      winners_row<2>(a, wd, wh, tap_d, tap_h, whole, row);
    else
      scatter_row(a, wd, wh, tap_d, tap_h, row);
    if (row != out)
      for (int64_t w = 0; w < columns; ++w) out[w * a.out_stride[4]] = row[w];
    if (++h == rows) {
      h = 0;
      if (++d == images) {
        d = 0;
        ++plane;
      }
    }
  }
}

}  // namespace

constinit const pool::WinnersTable pool_winners_table = {
    {plane_winners<float>, channel_winners<float>}, {plane_winners<double>, channel_winners<double>}};

}  // namespace striate::STRIATE_ISA
