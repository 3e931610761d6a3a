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

template <class T>
using lane_of = pool::WinnerOf<T>;

// sum, plus grad where the winner is `tap`
template <class V, class W>
STRIATE_INLINE V add_if_won(V sum, V grad, W winner, W tap) {
  if constexpr (STRIATE_VECTOR_BYTES == 64)
    return winner == tap ? sum + grad : sum;
  else
    return sum + reinterpret_cast<V>((winner == tap) & reinterpret_cast<W>(grad));
}

// ---- lanes are channels ----------------------------------------------------------------------------------

// Where the windows that see a pixel begin, and how many there are an axis.
template <class T>
struct Seen {
  const T* grad;
  const uint8_t* winner;
  int64_t depth, height, width;
  int32_t tap;  // of the first window; later windows have lower ones
};

template <int Vectors, int N, class T>
STRIATE_INLINE void channel_block(const WinnersArgs<T>& a, const Seen<T>& seen, int64_t c, T* out) {
  using V = vec<T, N>;
  using W = vec<lane_of<T>, N>;
  const int64_t kh = a.axis[1].kernel, kw = a.axis[2].kernel;
  const int64_t sd = a.axis[0].stride, sh = a.axis[1].stride, sw = a.axis[2].stride;
  V sum[Vectors] = {};
  for (int64_t d = 0; d < seen.depth; ++d)
    for (int64_t h = 0; h < seen.height; ++h) {
      const T* grad = seen.grad + d * a.grad_stride[2] + h * a.grad_stride[3] + c;
      const uint8_t* winner = seen.winner + d * a.tap_stride[2] + h * a.tap_stride[3] + c;
      auto tap = static_cast<lane_of<T>>(seen.tap - (d * sd * kh + h * sh) * kw);
      for (int64_t w = 0; w < seen.width; ++w) {
        const W wanted = W{} + tap;
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
          const auto won = __builtin_convertvector(load<vec<uint8_t, N>>(winner + v * N), W);
          sum[v] = add_if_won(sum[v], load<V>(grad + v * N), won, wanted);
        }
        grad += a.grad_stride[4];
        winner += a.tap_stride[4];
        tap -= static_cast<lane_of<T>>(sw);
      }
    }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) store(out + c + v * N, sum[v]);
}

// The last vector goes back over channels that are done, rather than leave a rest.
template <int N, class T>
STRIATE_INLINE void channel_rest(const WinnersArgs<T>& a, const Seen<T>& seen, int64_t first, int64_t begin,
                                 int64_t end, T* out) {
  if (begin == end) return;
  constexpr int narrow = sizeof(T) == 4 && N > 4 ? N / 2 : 1;
  if constexpr (N > 1)
    if (end - first < N) return channel_rest<narrow>(a, seen, first, begin, end, out);
  for (int64_t c = begin; c < end; c += N) channel_block<1, N>(a, seen, smaller(c, end - N), out);
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
    const T* grad = a.grad + image * a.grad_stride[0] + wd.first * a.grad_stride[2] + wh.first * a.grad_stride[3];
    const uint8_t* winner =
        a.tap + image * a.tap_stride[0] + wd.first * a.tap_stride[2] + wh.first * a.tap_stride[3];
    const int64_t tap_d = d + a.pad[0] - wd.first * a.axis[0].stride;
    const int64_t tap_h = h + a.pad[1] - wh.first * a.axis[1].stride;
    for (int64_t w = 0; w < columns; ++w, out += a.out_stride[4]) {
      const Window& ww = a.axis[2].window[w];
      const int64_t tap_w = w + a.pad[2] - ww.first * a.axis[2].stride;
      const Seen<T> seen = {grad + ww.first * a.grad_stride[4],
                            winner + ww.first * a.tap_stride[4],
                            wd.taps,
                            wh.taps,
                            ww.taps,
                            static_cast<int32_t>((tap_d * a.axis[1].kernel + tap_h) * a.axis[2].kernel + tap_w)};
      int64_t c = c_begin;
      for (; c + block <= c_end; c += block) channel_block<4, n>(a, seen, c, out);
      channel_rest<n>(a, seen, c_begin, c, c_end, out);
    }
  }
}

// ---- lanes are pixels ------------------------------------------------------------------------------------

// A row of windows in scratch: grad, and the winners as wide as grad; around both, windows that nobody won.
template <class T>
void fetch_row(const WinnersArgs<T>& a, const T* grad, const uint8_t* winner, T* to, lane_of<T>* to_winner) {
  constexpr int n = kLanes<T>;
  using W = vec<lane_of<T>, n>;
  const int64_t columns = a.axis[2].out;
  int64_t w = 0;
  if (a.grad_stride[4] == 1 && a.tap_stride[4] == 1)
    for (; w + n <= columns; w += n) {
      store(to + w, load<native<T>>(grad + w));
      store(to_winner + w, __builtin_convertvector(load<vec<uint8_t, n>>(winner + w), W));
    }
  for (; w < columns; ++w) {
    to[w] = grad[w * a.grad_stride[4]];
    to_winner[w] = winner[w * a.tap_stride[4]];
  }
}

// Pixels of one remainder of the column modulo the stride: n of them, `Stride` columns apart. They see the
// windows [low, high] after `rows`; the tap of `high` is `tap`.
struct Phase {
  int64_t low, high, tap;
};

template <int Stride, class T>
void winners_row(const WinnersArgs<T>& a, const Window& depth, const Window& height, int64_t tap_d, int64_t tap_h,
                 int64_t whole, T* out) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  using W = vec<lane_of<T>, n>;
  const int64_t columns = a.axis[2].in, kernel = a.axis[2].kernel;
  const int64_t sd = a.axis[0].stride, sh = a.axis[1].stride;
  Phase phase[Stride];
  for (int p = 0; p < Stride; ++p) {
    const int64_t high = (p + a.pad[2]) / Stride, tap = (p + a.pad[2]) % Stride;
    phase[p] = {tap < kernel ? high - (kernel - 1 - tap) / Stride : high + 1, high, tap};
  }
  for (int64_t j = 0; j * Stride < columns; j += n) {
    V sum[Stride] = {};
    const int64_t* place = a.row_place;
    for (int64_t d = 0; d < depth.taps; ++d)
      for (int64_t h = 0; h < height.taps; ++h) {
        const T* grad = a.rows + *place++ + j;
        const lane_of<T>* winner = a.winners + (grad - a.rows);
        const int64_t row = ((tap_d - d * sd) * a.axis[1].kernel + tap_h - h * sh) * kernel;
#pragma GCC unroll 2
        for (int p = 0; p < Stride; ++p) {
          auto tap = static_cast<lane_of<T>>(row + phase[p].tap + (phase[p].high - phase[p].low) * Stride);
          for (int64_t m = phase[p].low; m <= phase[p].high; ++m, tap -= Stride)
            sum[p] = add_if_won(sum[p], load<V>(grad + m), load<W>(winner + m), W{} + tap);
        }
      }
    T* to = out + j * Stride;
    const bool fits = (j + n) * Stride <= whole;
    V part[Stride];
    if constexpr (Stride == 1) {
      part[0] = sum[0];
    } else {
      using order = typename make_indices<n>::type;
      part[0] = zip_low(sum[0], sum[1], order{});
      part[1] = zip_high(sum[0], sum[1], order{});
    }
    if (fits) {
      for (int p = 0; p < Stride; ++p) store(to + p * n, part[p]);
    } else {
      T rest[Stride * n];
      for (int p = 0; p < Stride; ++p) store(rest + p * n, part[p]);
      for (int64_t w = j * Stride; w < columns; ++w) out[w] = rest[w - j * Stride];
    }
  }
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
      const lane_of<T>* winner = a.winners + (grad - a.rows);
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
    a.winners[i] = -1;
  }
  for (int64_t i = 0; i < a.ring[0] * a.ring[1]; ++i) a.row_key[i] = -1;
  int64_t h = begin % rows, d = begin / rows % images, plane = begin / rows / images;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = plane / a.c, c = plane % a.c;
    const Window& wd = a.axis[0].window[d];
    const Window& wh = a.axis[1].window[h];
    int64_t seen = 0;
    for (int64_t od = wd.first; od < wd.first + wd.taps; ++od)
      for (int64_t oh = wh.first; oh < wh.first + wh.taps; ++oh, ++seen) {
        const int64_t place = (a.ring[0] == 1 ? 0 : od % a.ring[0] * a.ring[1]) + (a.ring[1] == 1 ? 0 : oh % a.ring[1]);
        const int64_t key = (plane * a.axis[0].out + od) * a.axis[1].out + oh;
        a.row_place[seen] = place * a.pitch + a.margin;
        if (a.row_key[place] == key) continue;
        a.row_key[place] = key;
        const auto at = [&](const int64_t(&stride)[5]) {
          return n * stride[0] + c * stride[1] + od * stride[2] + oh * stride[3];
        };
        fetch_row(a, a.grad + at(a.grad_stride), a.tap + at(a.tap_stride), a.rows + a.row_place[seen],
                  a.winners + a.row_place[seen]);
      }
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
