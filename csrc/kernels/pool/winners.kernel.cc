// The gradient of a maximum from the taps that won: every pixel of the input asks the windows that see it
// whether it was their winner, and is written once. See WinnersArgs.
//
// Windows are asked in row-major order, so sums have the bits of a scatter in that order.
#include "kernels/pool/pool.h"
#include "kernels/pool/won.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Axis;
using pool::Window;
using pool::WinnersArgs;

// A window that may have been won by the pixels at hand, if its winner was `tap`.
struct Question {
  int64_t grad, winner;  // elements from where the lanes begin
  int32_t tap;
};
constexpr int kMostQuestions = 256;  // a pixel is one tap to each of its windows, and taps fit a byte

// ---- lanes are channels ----------------------------------------------------------------------------------

template <int Vectors, int N, class T>
STRIATE_INLINE void channel_block(const Question* asked, int count, const T* grad, const uint8_t* winner, T* out) {
  vec<T, N> sum[Vectors] = {};
  for (int i = 0; i < count; ++i) {
    const T* from = grad + asked[i].grad;
    const uint8_t* at = winner + asked[i].winner;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      sum[v] += if_won<N, T>(load<vec<T, N>>(from + v * N), at + v * N, static_cast<uint8_t>(asked[i].tap));
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
                              static_cast<int32_t>(tap_row - ow * a.axis[2].stride)};
        }
      int64_t c = c_begin;
      for (; c + block <= c_end; c += block) channel_block<4, n>(asked, count, grad + c, winner + c, out + c);
      channel_rest<n>(asked, count, grad, winner, c_begin, c, c_end, out);
    }
  }
}

// ---- lanes are pixels ------------------------------------------------------------------------------------
//
// Lines go in bands. The windows that see a band are copied to scratch, where rows and columns of windows that
// do not exist, and so were won by nobody, surround them:
//
//     255 255 255 255 255 255          pixels of one remainder of height and width, modulo the strides, ask the
//     255  w   w   w   w  255          same questions, each of a window at a fixed distance
//     255  w   w   w   w  255
//
// so the questions of all remainders are written down once.

struct Band {
  int64_t plane, d, h, lines;
  int64_t first;  // row of windows that the scratch begins with
  int64_t rows;   // of windows, in scratch
};

// `to` may be written up to a vector past `count`. `end`: of the memory, if it may be read so far; else null.
template <class T>
STRIATE_INLINE void copy_row(const T* from, int64_t step, int64_t count, const T* end, T* to) {
  constexpr int n = STRIATE_VECTOR_BYTES / static_cast<int>(sizeof(T));
  const int64_t whole = end ? end - from : step == 1 ? count : 0;
  int64_t i = 0;
  for (; i < count && i + n <= whole; i += n) store(to + i, load<vec<T, n>>(from + i));
  for (; i < count; ++i) to[i] = from[i * step];
}

// Taps become as wide as T.
template <class T>
STRIATE_INLINE void widen_row(const uint8_t* from, int64_t step, int64_t count, const uint8_t* end, T* to) {
  using Where = typename mask_of<T>::type;
  constexpr int n = kLanes<T>;
  const int64_t whole = end ? end - from : step == 1 ? count : 0;
  int64_t i = 0;
  for (; i < count && i + n <= whole; i += n)
    store(to + i, load_winners<T, n>(from + i));
  for (; i < count; ++i) store(to + i, static_cast<Where>(from[i * step]));
}

template <class T>
void fetch_band(const WinnersArgs<T>& a, const Band& band) {
  using Where = vec<typename mask_of<T>::type, kLanes<T>>;
  constexpr typename mask_of<T>::type nobody = 255;
  const int64_t n = band.plane / a.c, c = band.plane % a.c, columns = a.axis[2].out;
  const Window& wd = a.axis[0].window[band.d];
  for (int64_t d = 0; d < wd.taps; ++d)
    for (int64_t row = 0; row < band.rows; ++row) {
      const int64_t od = wd.first + d, oh = band.first + row;
      const int64_t to = (d * a.most_rows + row) * a.pitch + a.margin;
      if (oh < 0 || oh >= a.axis[1].out) {
        for (int64_t i = 0; i < columns; i += kLanes<T>) store(a.winners + to + i, Where{} + nobody);
        continue;
      }
      const auto at = [&](const int64_t(&stride)[5]) {
        return n * stride[0] + c * stride[1] + od * stride[2] + oh * stride[3];
      };
      copy_row(a.grad + at(a.grad_stride), a.grad_stride[4], columns, a.grad_end, a.rows + to);
      widen_row(a.tap + at(a.tap_stride), a.tap_stride[4], columns, a.tap_end, a.winners + to);
      store(a.winners + to + columns, Where{} + nobody);
    }
}

// The questions of remainder (h, w) are asked[start[h * stride + w]] up to the next start. `grad` counts from the
// window that the line and column, divided by the strides, begin with.
template <class T>
void write_questions(const WinnersArgs<T>& a, int64_t d, Question* asked, int32_t* start) {
  const Window& wd = a.axis[0].window[d];
  const Axis &height = a.axis[1], &width = a.axis[2];
  int32_t count = 0;
  for (int64_t rh = 0; rh < height.stride; ++rh)
    for (int64_t rw = 0; rw < width.stride; ++rw) {
      *start++ = count;
      for (int64_t od = 0; od < wd.taps; ++od) {
        const int64_t tap_d = d + a.pad[0] - (wd.first + od) * a.axis[0].stride;
        const int64_t h = (rh + a.pad[1]) % height.stride, up = (rh + a.pad[1]) / height.stride;
        const int64_t w = (rw + a.pad[2]) % width.stride, ahead = (rw + a.pad[2]) / width.stride;
        // Windows from the first on: from the last tap that falls on the pixel to the first.
        for (int64_t i = (height.kernel - 1 - h + height.stride) / height.stride; i-- > 0;)
          for (int64_t j = (width.kernel - 1 - w + width.stride) / width.stride; j-- > 0;)
            asked[count++] = {(od * a.most_rows + up - i) * a.pitch + ahead - j, 0,
                              static_cast<int32_t>((tap_d * height.kernel + h + i * height.stride) * width.kernel +
                                                   w + j * width.stride)};
      }
    }
  *start = count;
}

// Sums of n pixels, a stride apart, and n after them, ...
template <int Vectors, class T>
STRIATE_INLINE void ask(const WinnersArgs<T>& a, const Question* asked, const Question* end, int64_t from,
                        native<T> (&sum)[Vectors]) {
  constexpr int n = kLanes<T>;
  using Where = vec<typename mask_of<T>::type, n>;
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) sum[v] = native<T>{};
  for (; asked < end; ++asked) {
    const int64_t at = asked->grad + from;
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      sum[v] += if_won(load<native<T>>(a.rows + at + v * n), load<Where>(a.winners + at + v * n), asked->tap);
  }
}

template <class T>
STRIATE_INLINE void store_some(T* to, native<T> value, int64_t used, int64_t whole) {
  if (whole >= kLanes<T>) {
    store(to, value);
  } else {
    T rest[kLanes<T>];
    store(rest, value);
    for (int64_t i = 0; i < used; ++i) to[i] = rest[i];
  }
}

// Vectors of pixels from column j * Stride on. Stride 0: any.
template <int Stride, int Vectors, class T>
STRIATE_INLINE void winners_block(const WinnersArgs<T>& a, const Question* asked, const int32_t* start, int64_t from,
                                  int64_t j, int64_t whole, T* out) {
  constexpr int n = kLanes<T>;
  const int64_t columns = a.axis[2].in;
  native<T> sum[2][Vectors];
  if constexpr (Stride == 0) {
    const int64_t stride = a.axis[2].stride;
    for (int64_t p = 0; p < stride; ++p) {
      ask<1>(a, asked + start[p], asked + start[p + 1], from + j, sum[0]);
      for (int64_t i = 0; i < n && (j + i) * stride + p < columns; ++i) out[(j + i) * stride + p] = sum[0][0][i];
    }
    return;
  }
  ask<Vectors>(a, asked + start[0], asked + start[1], from + j, sum[0]);
  if constexpr (Stride == 2) ask<Vectors>(a, asked + start[1], asked + start[2], from + j, sum[1]);
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const int64_t at = (j + v * n) * Stride;
    if constexpr (Stride == 1) {
      store_some(out + at, sum[0][v], columns - at, whole - at);
    } else {
      using order = typename make_indices<n>::type;
      store_some(out + at, zip_low(sum[0][v], sum[1][v], order{}), smaller<int64_t>(columns - at, n), whole - at);
      if (at + n < columns)
        store_some(out + at + n, zip_high(sum[0][v], sum[1][v], order{}), columns - at - n, whole - at - n);
    }
  }
}

template <int Stride, class T>
void winners_line(const WinnersArgs<T>& a, const Question* asked, const int32_t* start, int64_t from, int64_t whole,
                  T* out) {
  constexpr int n = kLanes<T>;
  const int64_t columns = a.axis[2].in, stride = Stride > 0 ? Stride : a.axis[2].stride;
  int64_t j = 0;
  if constexpr (Stride > 0)
    for (; (j + n) * stride < columns; j += 2 * n)
      winners_block<Stride, 2>(a, asked, start, from, j, whole, out);
  for (; j * stride < columns; j += n) winners_block<Stride, 1>(a, asked, start, from, j, whole, out);
}

template <class T>
void plane_winners(const WinnersArgs<T>& a, int64_t begin, int64_t end) noexcept {
  const int64_t rows = a.axis[1].in, images = a.axis[0].in, columns = a.axis[2].in;
  const Axis& height = a.axis[1];
  const T* out_end = a.out_is_dense ? a.out + end * columns : nullptr;
  for (int64_t i = 0; i < a.rows_size; ++i) a.rows[i] = 0;
  for (int64_t i = 0; i < a.rows_size; ++i) store(a.winners + i, typename mask_of<T>::type{255});  // no tap
  Question asked[kMostQuestions];
  int64_t written = -1;
  for (int64_t i = begin; i < end;) {
    Band band;
    band.plane = i / rows / images;
    band.d = i / rows % images;
    band.h = i % rows;
    band.lines = smaller(smaller(end - i, rows - band.h), a.together);
    i += band.lines;
    // Of windows, as many rows before the first as a pixel sees.
    const int64_t before = (height.kernel - 1) / height.stride;
    band.first = (band.h + a.pad[1]) / height.stride - before;
    band.rows = (band.h + band.lines - 1 + a.pad[1]) / height.stride - band.first + 1;
    fetch_band(a, band);
    if (written != band.d && (images > 1 || written < 0)) write_questions(a, band.d, asked, a.start);
    written = band.d;
    const int64_t n = band.plane / a.c, c = band.plane % a.c;
    T* out = a.out + n * a.out_stride[0] + c * a.out_stride[1] + band.d * a.out_stride[2] + band.h * a.out_stride[3];
    int64_t quotient = band.h / height.stride, remainder = band.h % height.stride;
    for (int64_t line = 0; line < band.lines; ++line, out += a.out_stride[3]) {
      T* row = a.out_stride[4] == 1 ? out : a.row;
      const int64_t whole = out_end ? out_end - out : columns;
      const int64_t from = (quotient - band.first) * a.pitch + a.margin;
      const int32_t* start = a.start + remainder * a.axis[2].stride;
      if (a.axis[2].stride == 1)
        winners_line<1>(a, asked, start, from, whole, row);
      else if (a.axis[2].stride == 2)
        winners_line<2>(a, asked, start, from, whole, row);
      else
        winners_line<0>(a, asked, start, from, whole, row);
      if (row != out)
        for (int64_t w = 0; w < columns; ++w) out[w * a.out_stride[4]] = row[w];
      if (++remainder == height.stride) {
        remainder = 0;
        ++quotient;
      }
    }
  }
}

}  // namespace

constinit const pool::WinnersTable pool_winners_table = {
    {plane_winners<float>, channel_winners<float>}, {plane_winners<double>, channel_winners<double>}};

}  // namespace striate::STRIATE_ISA
