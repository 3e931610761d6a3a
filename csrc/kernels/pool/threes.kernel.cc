// The gradient of a maximum where windows are 3 x 3 and move by two, in dense planes: see ThreesArgs.
//
// The windows of a plane are copied to scratch, each winner as wide as T, with a border that nobody won. Of two
// neighbouring pixels one is the middle of a window, the other lies between that window and the one before or
// (where there is padding) the next:
//
//     pad 0    (before, here)  here  | ...            pad 1    here  (here, after)  | ...
//
// and of two lines likewise. So a line asks one row of windows or two, with the same few taps in all lanes.
#include "kernels/pool/pool.h"
#include "kernels/pool/won.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::ThreesArgs;

template <class T>
using Where = vec<typename mask_of<T>::type, kLanes<T>>;

template <class T>
void fill_nobody(T* winners, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<T>) store(winners + i, Where<T>{} + 255);
}

// Row r of windows goes to scratch row r + 1, from column 1 on. Vectors run over into what is written next.
template <class T>
void fetch_plane(const ThreesArgs<T>& a, int64_t plane) {
  constexpr int n = kLanes<T>;
  const int64_t columns = a.columns, pitch = columns + 2;
  const T* grad = a.grad + plane * a.rows * columns;
  const uint8_t* tap = a.tap + plane * a.rows * columns;
  const int64_t left = a.windows - plane * a.rows * columns;  // to the end of memory
  T *grads = a.grads + pitch + 1, *winners = a.winners + pitch + 1;
  fill_nobody(a.winners, pitch + 1);
  for (int64_t r = 0; r < a.rows; ++r) {
    int64_t j = 0;
    for (; j < columns && r * columns + j + n <= left; j += n) {
      store(grads + j, load<native<T>>(grad + j));
      store(winners + j, load_winners<T, n>(tap + j));
    }
    for (; j < columns; ++j) {
      grads[j] = grad[j];
      store(winners + j, typename mask_of<T>::type{tap[j]});
    }
    store(winners + columns, typename mask_of<T>::type{255});
    store(winners + columns + 1, typename mask_of<T>::type{255});
    grad += columns;
    tap += columns;
    grads += pitch;
    winners += pitch;
  }
  fill_nobody(winners, pitch);
}

// Pixels 2m and on of a line, a vector of each kind.
template <int Pad, bool Middle, class T>
STRIATE_INLINE void ask(const T* grads, const T* winners, int64_t pitch, native<T>& left, native<T>& right) {
  const auto won = [](const T* grad, const T* winner, int32_t tap) __attribute__((always_inline)) {
    return if_won(load<native<T>>(grad), load<Where<T>>(winner), tap);
  };
  const auto ask_row = [&](const T* grad, const T* winner, int32_t tap) __attribute__((always_inline)) {
    if constexpr (Pad == 0) {
      left += won(grad - 1, winner - 1, tap + 2);
      left += won(grad, winner, tap);
      right += won(grad, winner, tap + 1);
    } else {
      left += won(grad, winner, tap + 1);
      right += won(grad, winner, tap + 2);
      right += won(grad + 1, winner + 1, tap);
    }
  };
  if constexpr (Middle) {
    ask_row(grads, winners, 3);
  } else {
    ask_row(grads - pitch, winners - pitch, 6);
    ask_row(grads, winners, 0);
  }
}

// A line of pixels, of which `room` elements may be written. `grads` and `winners`: of the lower row that it asks.
template <int Pad, bool Middle, class T>
STRIATE_INLINE void write_line(const T* grads, const T* winners, int64_t pitch, int64_t width, int64_t room, T* out) {
  constexpr int n = kLanes<T>;
  using order = typename make_indices<n>::type;
  for (int64_t x = 0, m = 0; x < width; x += 2 * n, m += n) {
    native<T> left{}, right{};
    ask<Pad, Middle>(grads + m, winners + m, pitch, left, right);
    const native<T> first = zip_low(left, right, order{}), second = zip_high(left, right, order{});
    if (x + 2 * n <= room) {
      store(out + x, first);
      store(out + x + n, second);
    } else {
      T rest[2 * n];
      store(rest, first);
      store(rest + n, second);
      for (int64_t i = x; i < width; ++i) out[i] = rest[i - x];
    }
  }
}

template <int Pad, class T>
STRIATE_INLINE void write_planes(const ThreesArgs<T>& args, int64_t begin, int64_t end) {
  const ThreesArgs<T> a = args;  // no store can change it
  const int64_t pitch = a.columns + 2;
  T* out = a.out + begin * a.height * a.width;
  const T* out_end = a.out + end * a.height * a.width;
  for (int64_t plane = begin; plane < end; ++plane) {
    fetch_plane(a, plane);
    for (int64_t y = 0; y < a.height; ++y, out += a.width) {
      const int64_t at = ((y + a.pad) / 2 + 1) * pitch + 1;
      if ((y + a.pad) % 2 != 0)
        write_line<Pad, true>(a.grads + at, a.winners + at, pitch, a.width, out_end - out, out);
      else
        write_line<Pad, false>(a.grads + at, a.winners + at, pitch, a.width, out_end - out, out);
    }
  }
}

template <class T>
void threes(const ThreesArgs<T>& a, int64_t begin, int64_t end) noexcept {
  if (a.pad == 0)
    write_planes<0>(a, begin, end);
  else
    write_planes<1>(a, begin, end);
}

}  // namespace

constinit const pool::ThreesTable pool_threes_table = {threes<float>, threes<double>};

}  // namespace striate::STRIATE_ISA
