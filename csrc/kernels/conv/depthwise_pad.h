// Rows of a plane into padded scratch: see depthwise.h. Included by the kernels of planes only.
#pragma once

#include "kernels/conv/depthwise.h"
#include "kernels/conv/moves.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::PadRows;

template <int Odd, class V, int... I>
STRIATE_INLINE V alternate(V a, V b, indices<I...>) {
  return __builtin_shufflevector(a, b, (2 * I + Odd)...);
}

// even[i] = from[2 * i], odd[i] = from[2 * i + 1] for i < count. The last vectors overlap those before.
template <int N, class T>
STRIATE_INLINE void split_run(const T* from, T* even, T* odd, int64_t count) {
  using order = typename make_indices<N>::type;
  if constexpr (N > 1)
    if (count < N) return split_run<N / 2>(from, even, odd, count);
  for (int64_t i = 0; i < count; i += N) {
    const int64_t at = smaller(i, count - N);
    const auto a = load<vec<T, N>>(from + 2 * at), b = load<vec<T, N>>(from + 2 * at + N);
    store(even + at, alternate<0>(a, b, order{}));
    store(odd + at, alternate<1>(a, b, order{}));
  }
}

template <class T, int... I>
STRIATE_INLINE auto first_lanes(int64_t count, indices<I...>) {
  using Mask = typename mask_of<T>::type;
  return vec<Mask, kLanes<T>>{I...} < vec<Mask, kLanes<T>>{} + static_cast<Mask>(count);
}

// Rows of at most one vector (a phase), full vectors of which may be read and written: how many of them are done.
template <class T>
STRIATE_INLINE int64_t pad_short_rows(const PadRows<T>& p, const T* from, T* to, int64_t rows, int64_t even,
                                      int64_t odd) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  using order = typename make_indices<n>::type;
  const int64_t reach = p.step * n, size = p.step * p.pitch;
  if (p.step > 2 || p.plane_cols > reach || (p.pad + 1) / 2 + n > p.pitch || even + n > size || odd + n > size) return 0;
  const int64_t shift = p.step - 1;  // of a division by the step
  const auto first = first_lanes<T>((p.plane_cols + shift) >> shift, order{});
  const auto second = first_lanes<T>(p.plane_cols >> shift, order{});
  int64_t r = 0;
  for (; r < rows && from + reach <= p.end; ++r, from += p.plane_row, to += size) {
    const V a = load<V>(from);
    if (p.step == 1) {
      store(to + even, first ? a : V{});
      continue;
    }
    const V b = load<V>(from + n), evens = alternate<0>(a, b, order{}), odds = alternate<1>(a, b, order{});
    store(to + even, first ? evens : V{});
    store(to + odd, second ? odds : V{});
  }
  return r;
}

template <class T>
void pad_rows(const PadRows<T>& p) {
  const int64_t size = p.step * p.pitch;
  const int64_t begin = smaller(p.rows, larger<int64_t>(0, -p.first));
  const int64_t end = larger(begin, smaller(p.rows, p.plane_rows - p.first));
  for (int64_t i = 0; i < begin * size; ++i) p.to[i] = 0;
  for (int64_t i = end * size; i < p.rows * size; ++i) p.to[i] = 0;
  // Of two phases, even columns go to the padding's, odd ones to the other.
  const int64_t even = p.step == 1 ? p.pad : p.pad / 2 + p.pad % 2 * p.pitch;
  const int64_t odd = p.step == 1 ? p.pad : (p.pad + 1) / 2 + (1 - p.pad % 2) * p.pitch;
  const int64_t done = pad_short_rows(p, p.plane + (p.first + begin) * p.plane_row, p.to + begin * size, end - begin,
                                      even, odd);
  const T* from = p.plane + (p.first + begin + done) * p.plane_row;
  T* to = p.to + (begin + done) * size;
  const auto cols = static_cast<int>(p.plane_cols);
  for (int64_t r = begin + done; r < end; ++r, from += p.plane_row, to += size) {
    if (p.step == 1) {
      copy_run(from, to + even, cols);
    } else if (p.step == 2) {
      split_run<kLanes<T>>(from, to + even, to + odd, cols / 2);
      if (cols % 2) to[even + cols / 2] = from[cols - 1];
    } else {
      for (int64_t x = 0, phase = p.pad % p.step, at = p.pad / p.step; x < cols; ++x) {
        to[phase * p.pitch + at] = from[x];
        if (++phase == p.step) phase = 0, ++at;
      }
    }
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
