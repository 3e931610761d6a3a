// What the softmax kernels share: sums along rows, in two ways to fill a register. With neighbours of one row
// (long rows of unit step), or with one element each of `lanes` rows. The second serves strided axes, and
// short rows after they are packed:
//
//     10 classes, 8 lanes:    row 0: a0 a1 ... a9          buffer: a0 b0 c0 d0 e0 f0 g0 h0
//                             row 1: b0 b1 ... b9    ->            a1 b1 c1 ...
//                             ...                                  ...           (10 x 8)
#pragma once

#include "simd/math.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

constexpr int kShort = 32;          // rows up to this long are packed
constexpr int64_t kSumBlock = 128;  // sums are sums of block sums: errors grow slowly

// ---- lanes are rows -------------------------------------------------------------------------------------

template <class V, class Term>
STRIATE_INLINE V sum_blocks(int64_t count, Term term) {
  V total{};
  for (int64_t begin = 0; begin < count; begin += kSumBlock) {
    const int64_t end = smaller(begin + kSumBlock, count);
    V block{};
    for (int64_t i = begin; i < end; ++i) block += term(i);
    total += block;
  }
  return total;
}

template <class T>
STRIATE_INLINE native<T> largest_of_lanes(const T* a, int64_t along, int64_t count) {
  using V = native<T>;
  V most = load<V>(a);
  for (int64_t i = 1; i < count; ++i) {
    const V x = load<V>(a + i * along);
    most = x > most ? x : most;  // a NaN passed over here returns in the sum
  }
  return most;
}

template <class T>
STRIATE_INLINE void pack(const T* from, int64_t row, int64_t along, int rows, int64_t count, T* to) {
  constexpr int n = kLanes<T>;
  for (int64_t i = 0; i < count; ++i)
    for (int r = rows; r < n; ++r) to[i * n + r] = 0;
  for (int r = 0; r < rows; ++r)
    for (int64_t i = 0; i < count; ++i) to[i * n + r] = from[r * row + i * along];
}

// ---- lanes are neighbours -------------------------------------------------------------------------------
// Rows of at least one register. The last register steps back to end with the row; where it takes part in
// a sum, the lanes that were there before count 0.

template <class T, class Term>
STRIATE_INLINE T sum_row(int64_t count, Term term) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  V total = sum_blocks<V>(count / n, [&](int64_t i) { return term(i * n); });
  if (const int rest = static_cast<int>(count % n); rest > 0) {
    V last = term(count - n);
    for (int lane = 0; lane < n - rest; ++lane) last[lane] = 0;
    total += last;
  }
  T sum = 0;
  for (int lane = 0; lane < n; ++lane) sum += total[lane];
  return sum;
}

template <class T>
STRIATE_INLINE T largest_of_row(const T* a, int64_t count) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  V most = load<V>(a + count - n);
  for (int64_t i = 0; i + n <= count; i += n) {
    const V x = load<V>(a + i);
    most = x > most ? x : most;
  }
  T largest = most[0];
  for (int lane = 1; lane < n; ++lane) largest = larger(largest, most[lane]);
  return largest;
}

}  // namespace
}  // namespace striate::STRIATE_ISA
