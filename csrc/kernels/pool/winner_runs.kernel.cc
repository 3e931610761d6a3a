// The gradient of a maximum where windows move by one and are as many as pixels: all of a dense array is one run.
//
//     windows   . . . w w w . . . w w w . . . w w w . . .     a pixel asks the windows at fixed distances,
//                           ^ pixel                           to the end of one row and image or into the next
//
// No edge is special: what lies across one is a window that the tap in question would leave the image from, and no
// window is won by such a tap. Only before and behind the array there must be windows that nobody won.
#include "kernels/pool/pool.h"
#include "kernels/pool/won.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::WinnerRunArgs;

// Windows [first, first + count) to scratch, the winners as wide as T.
template <class T>
void fetch(const WinnerRunArgs<T>& a, int64_t first, int64_t count) {
  constexpr int n = kLanes<T>;
  using Where = typename mask_of<T>::type;
  constexpr Where nobody = 255;
  const int64_t begin = smaller(larger<int64_t>(-first, 0), count), end = larger(smaller(a.size - first, count), begin);
  const T* grad = a.grad + first;
  const uint8_t* tap = a.tap + first;
  int64_t i = 0;
  for (; i < begin; ++i) store(a.winners + i, nobody);
  for (; i + n <= end; i += n) {
    store(a.rows + i, load<native<T>>(grad + i));
    store(a.winners + i, load_winners<T, n>(tap + i));
  }
  for (; i < end; ++i) {
    a.rows[i] = grad[i];
    store(a.winners + i, static_cast<Where>(tap[i]));
  }
  for (; i < count; ++i) store(a.winners + i, nobody);
}

// Sums of `Vectors` vectors of pixels, of which scratch begins `reach` windows before the first.
template <int Vectors, class T>
STRIATE_INLINE void ask(const WinnerRunArgs<T>& a, int64_t from, T* out) {
  constexpr int n = kLanes<T>;
  native<T> sum[Vectors] = {};
  for (int64_t i = 0; i < a.asked; ++i) {
    const T *grad = a.rows + from + a.offset[i], *winner = a.winners + from + a.offset[i];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      sum[v] += if_won(load<native<T>>(grad + v * n), load<vec<typename mask_of<T>::type, n>>(winner + v * n),
                       a.number[i]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) store(out + v * n, sum[v]);
}

template <class T>
void winner_runs(const WinnerRunArgs<T>& a, int64_t begin, int64_t end) noexcept {
  constexpr int n = kLanes<T>;
  for (int64_t pixel = begin; pixel < end; pixel += pool::kRunPixels) {
    const int64_t count = smaller(end - pixel, pool::kRunPixels);
    fetch(a, pixel - a.reach, count + 2 * a.reach);
    T* out = a.out + pixel;
    int64_t i = 0;
    for (; i + 4 * n <= count; i += 4 * n) ask<4>(a, i, out + i);
    for (; i + n <= count; i += n) ask<1>(a, i, out + i);
    if (i == count) continue;
    T rest[n];
    ask<1>(a, i, rest);
    for (int64_t k = i; k < count; ++k) out[k] = rest[k - i];
  }
}

}  // namespace

constinit const pool::WinnerRunsTable pool_winner_runs_table = {winner_runs<float>, winner_runs<double>};

}  // namespace striate::STRIATE_ISA
