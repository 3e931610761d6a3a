// Gradients where windows are 2 x 2, side by side and whole, so a pixel has one window: see SquaresArgs.
//
//     windows     a b c d           a a b b c c d d      of a mean: the shares
//                                   a a b b c c d d
//
//                                   a . . b . . d .      of a maximum: to the tap that won
//                                   . . . . c . . .
//
// A row of windows is read once for both rows of pixels. The last vector of a row goes back over what is done
// rather than leave a rest; where a row fills no vector, it runs over into what is written next.
#include "kernels/pool/pool.h"
#include "kernels/pool/won.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::SquaresArgs;

// What windows give to their pixels, which have the numbers of their taps: a vector of windows, or one.
template <class T>
struct Shares {
  const T* grad;
  T divisor, factor;

  struct Windows {
    native<T> share;
    STRIATE_INLINE native<T> pixels(int32_t) const { return share; }
  };
  STRIATE_INLINE explicit Shares(const SquaresArgs<T>& a, int64_t row)
      : grad(a.grad + row * a.columns), divisor(a.divisor), factor(a.factor) {}
  STRIATE_INLINE Windows at(int64_t j) const {
    const native<T> from = load<native<T>>(grad + j);
    return {factor != 0 ? from * factor : from / divisor};
  }
  STRIATE_INLINE T one(int64_t j, int32_t) const { return grad[j] / divisor; }
};

template <class T>
struct Winners {
  const T* grad;
  const uint8_t* tap;

  struct Windows {
    native<T> grad;
    decltype(load_winners<T, kLanes<T>>(nullptr)) winner;
    STRIATE_INLINE native<T> pixels(int32_t number) const { return if_won(grad, winner, number); }
  };
  STRIATE_INLINE explicit Winners(const SquaresArgs<T>& a, int64_t row)
      : grad(a.grad + row * a.columns), tap(a.tap + row * a.columns) {}
  STRIATE_INLINE Windows at(int64_t j) const {
    return {load<native<T>>(grad + j), load_winners<T, kLanes<T>>(tap + j)};
  }
  STRIATE_INLINE T one(int64_t j, int32_t number) const { return tap[j] == number ? grad[j] : T(0); }
};

template <class T, class Source>
STRIATE_INLINE void write_pixels(const Source& from, int64_t j, T* top, T* bottom) {
  constexpr int n = kLanes<T>;
  using order = typename make_indices<n>::type;
  const auto windows = from.at(j);
  const native<T> top_left = windows.pixels(0), top_right = windows.pixels(1);
  const native<T> bottom_left = windows.pixels(2), bottom_right = windows.pixels(3);
  store(top + 2 * j, zip_low(top_left, top_right, order{}));
  store(top + 2 * j + n, zip_high(top_left, top_right, order{}));
  store(bottom + 2 * j, zip_low(bottom_left, bottom_right, order{}));
  store(bottom + 2 * j + n, zip_high(bottom_left, bottom_right, order{}));
}

template <class Source, class T>
STRIATE_INLINE void square_rows(const SquaresArgs<T>& args, int64_t begin, int64_t end) {
  constexpr int n = kLanes<T>;
  const SquaresArgs<T> a = args;  // no store can change it
  const bool odd_width = 2 * a.columns < a.width, odd_height = 2 * a.rows < a.height;
  // Rows before this one may be read, and their pixels written, a vector from their beginning on.
  const int64_t in_room = a.windows - n, out_room = 2 * (end - begin) * a.width - 2 * n - a.width;
  int64_t roomy = begin;
  if (in_room >= 0 && out_room >= 0)
    roomy = smaller(smaller(end, in_room / a.columns + 1), begin + out_room / (2 * a.width) + 1);
  T* top = a.out + (begin / a.rows * a.height + begin % a.rows * 2) * a.width;
  int64_t h = begin % a.rows;
  for (int64_t row = begin; row < end; ++row) {
    const Source from(a, row);
    T* bottom = top + a.width;
    if (a.columns >= n) {
      for (int64_t j = 0; j < a.columns; j += n) write_pixels(from, smaller(j, a.columns - n), top, bottom);
    } else if (row < roomy) {
      write_pixels(from, 0, top, bottom);
    } else {
      for (int64_t j = 0; j < a.columns; ++j)
        for (int32_t i = 0; i < 2; ++i) {
          top[2 * j + i] = from.one(j, i);
          bottom[2 * j + i] = from.one(j, 2 + i);
        }
    }
    if (odd_width) top[a.width - 1] = bottom[a.width - 1] = 0;
    top = bottom + a.width;
    if (++h < a.rows) continue;
    h = 0;
    if (!odd_height) continue;
    for (int64_t w = 0; w < a.width; ++w) top[w] = 0;
    top += a.width;
  }
}

template <class T>
void square_shares(const SquaresArgs<T>& a, int64_t begin, int64_t end) noexcept {
  square_rows<Shares<T>>(a, begin, end);
}

template <class T>
void square_winners(const SquaresArgs<T>& a, int64_t begin, int64_t end) noexcept {
  square_rows<Winners<T>>(a, begin, end);
}

// ---- channels inside -------------------------------------------------------------------------------------

template <int N, class T>
void square_channels(const SquaresArgs<T>& args, int64_t begin, int64_t end) {
  if constexpr (N > 1)
    if (args.channels < N) return square_channels<(sizeof(T) == 4 && N > 4 ? N / 2 : 1)>(args, begin, end);
  const SquaresArgs<T> a = args;
  const int64_t channels = a.channels, row = a.columns * channels;
  for (int64_t line = begin; line < end; ++line) {
    const T* grad = a.grad + line * row;
    const uint8_t* tap = a.tap + line * row;
    T *top = a.out + 4 * line * row, *bottom = top + 2 * row;
    for (int64_t w = 0; w < a.columns; ++w) {
      for (int64_t i = 0; i < channels; i += N) {
        const int64_t c = smaller(i, channels - N);
        const auto from = load<vec<T, N>>(grad + c);
        const auto winner = load_winners<T, N>(tap + c);
        store(top + c, if_won(from, winner, 0));
        store(top + channels + c, if_won(from, winner, 1));
        store(bottom + c, if_won(from, winner, 2));
        store(bottom + channels + c, if_won(from, winner, 3));
      }
      grad += channels;
      tap += channels;
      top += 2 * channels;
      bottom += 2 * channels;
    }
  }
}

template <class T>
void square_winner_channels(const SquaresArgs<T>& a, int64_t begin, int64_t end) noexcept {
  square_channels<kLanes<T>>(a, begin, end);
}

}  // namespace

constinit const pool::SquaresTable pool_squares_table = {
    {square_shares<float>, square_winners<float>, square_winner_channels<float>},
    {square_shares<double>, square_winners<double>, square_winner_channels<double>}};

}  // namespace striate::STRIATE_ISA
