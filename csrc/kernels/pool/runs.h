// Long windows over pixels that are neighbours (global pooling above all): lanes run along the window, and
// are combined at its end. Included by the pooling kernels only.
#pragma once

#include "kernels/pool/windows.h"
#include "simd/pairs.h"

namespace striate::STRIATE_ISA {
namespace {

template <class T, int N>
struct RunMax {
  using Where = typename mask_of<T>::type;
  vec<T, N> value = vec<T, N>{} - static_cast<T>(__builtin_inf());
  vec<Where, N> where{};

  STRIATE_INLINE void take(vec<T, N> v, vec<Where, N> here) {
    where = v > value ? here : where;
    where = v != v ? here : where;
    value = v > value ? v : value;
    value = v != v ? v : value;
  }
};

// The better of two maxima found in any order: the first of equals, but the last NaN.
template <class T, int N>
STRIATE_INLINE RunMax<T, N> better(const RunMax<T, N>& a, const RunMax<T, N>& b) {
  const auto wins = (b.value > a.value) | ((b.value == a.value) & (b.where < a.where)) |
                    ((b.value != b.value) & ((a.value == a.value) | (b.where > a.where)));
  RunMax<T, N> best;
  best.value = wins ? b.value : a.value;
  best.where = wins ? b.where : a.where;
  return best;
}

template <class T, int N>
STRIATE_INLINE RunMax<T, 1> best_lane(const RunMax<T, N>& all) {
  if constexpr (N == 1) {
    return all;
  } else {
    using half = typename make_indices<N / 2>::type;
    RunMax<T, N / 2> low, high;
    low.value = low_half(all.value, half{});
    low.where = low_half(all.where, half{});
    high.value = high_half(all.value, half{});
    high.where = high_half(all.where, half{});
    return best_lane<T, N / 2>(better<T, N / 2>(low, high));
  }
}

// `best.where` counts from the window's first tap, like `at`.
template <class T, int N>
STRIATE_INLINE void take_run(const T* from, int64_t count, int32_t at, RunMax<T, 1>& best) {
  using Where = typename mask_of<T>::type;
  int64_t i = 0;
  if (count >= 2 * N) {
    RunMax<T, N> part[2];
    vec<Where, N> here{};
    for (int lane = 0; lane < N; ++lane) here[lane] = at + lane;
    for (int k = 0; k < 2; ++k) {
      part[k].value = load<vec<T, N>>(from + k * N);
      part[k].where = here + k * N;
    }
    for (i = 2 * N; i + 2 * N <= count; i += 2 * N) {
      here += 2 * N;
#pragma GCC unroll 2
      for (int k = 0; k < 2; ++k) part[k].take(load<vec<T, N>>(from + i + k * N), here + k * N);
    }
    best = better<T, 1>(best, best_lane<T, N>(better<T, N>(part[0], part[1])));
  }
  for (; i < count; ++i) best.take(vec<T, 1>{from[i]}, vec<Where, 1>{static_cast<Where>(at + i)});
}

template <class T, int N>
STRIATE_INLINE T sum_run(const T* from, int64_t count) {
  vec<T, N> part[4] = {};
  int64_t i = 0;
  for (; i + 4 * N <= count; i += 4 * N)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) part[k] += load<vec<T, N>>(from + i + k * N);
  for (; i + N <= count; i += N) part[0] += load<vec<T, N>>(from + i);
  const vec<T, N> all = (part[0] + part[1]) + (part[2] + part[3]);
  T total = 0;
  for (int lane = 0; lane < N; ++lane) total += all[lane];
  for (; i < count; ++i) total += from[i];
  return total;
}

// The blocks of 16 bytes that are even, or odd, in two vectors.
template <int Odd, class V, int... I>
STRIATE_INLINE V every_second_block(V a, V b, indices<I...>) {
  constexpr int block = kFold<V>;
  return __builtin_shufflevector(a, b, ((2 * (I / block) + Odd) * block + I % block)...);
}

// Lane k becomes the sum of all lanes of part[k]: neighbours are added, those of two vectors in one, until one
// is left.
template <class T>
STRIATE_INLINE native<T> sums_of_lanes(native<T> (&part)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  using order = typename make_indices<n>::type;
#pragma GCC unroll 8
  for (int width = 1, left = n / 2; left > 0; width *= 2, left /= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < left; ++i) {
      const native<T> a = part[2 * i], b = part[2 * i + 1];
      part[i] = width < kFold<native<T>>
                    ? folded_even(a, b) + folded_odd(a, b)
                    : every_second_block<0>(a, b, order{}) + every_second_block<1>(a, b, order{});
    }
  }
  return part[0];
}

// Sums of `count` elements, not fewer than lanes, from as many planes as there are lanes, `step` apart. `rest`: the
// lanes of a last vector, which ends with the plane, that the whole vectors have left.
template <class T>
STRIATE_INLINE native<T> sum_planes(const T* from, int64_t step, int64_t count,
                                    vec<typename mask_of<T>::type, kLanes<T>> rest) {
  using Bits = decltype(rest);
  constexpr int n = kLanes<T>, half = n / 2;
  const T *low = from, *high = from + half * step, *end = from + count;
  native<T> sum[n] = {};
  for (; low + n <= end; low += n, high += n)
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) {
      sum[k] += load<native<T>>(low + k * step);
      sum[half + k] += load<native<T>>(high + k * step);
    }
  if (low < end) {
    const auto last = [&](const T* plane) STRIATE_LAMBDA {
      return reinterpret_cast<native<T>>(rest & load<Bits>(plane + count - n));
    };
#pragma GCC unroll 16
    for (int k = 0; k < n; ++k) sum[k] += last(from + k * step);
  }
  return sums_of_lanes<T>(sum);
}

// Whether planes lie at even distances, in the input and in the output.
template <class T>
bool planes_are_even(const ForwardArgs<T>& a) {
  return a.n == 1 || (a.in_stride[0] == a.c * a.in_stride[1] && a.out_stride[0] == a.c * a.out_stride[1]);
}

// Lines are planes, each of one window that is a run of neighbours. The last group goes back over planes that are
// done.
template <class T>
void mean_planes_together(const ForwardArgs<T>& a, int64_t begin, int64_t end) {
  constexpr int n = kLanes<T>;
  const Window& w = a.axis[2].window[0];
  const int64_t step = a.in_stride[1], out_step = a.out_stride[1];
  vec<typename mask_of<T>::type, n> rest{};
  for (int lane = 0; lane < n; ++lane) rest[lane] = lane >= n - w.taps % n ? -1 : 0;
  const T* in = a.in + w.first;
  for (int64_t i = begin; i < end && end - begin < n; ++i)
    a.out[i * out_step] = sum_planes<T>(in + i * step, 0, w.taps, rest)[0] / a.divisor;
  for (int64_t i = begin; i < end && end - begin >= n; i += n) {
    const int64_t first = smaller(i, end - n);
    const native<T> mean = sum_planes<T>(in + first * step, step, w.taps, rest) / a.divisor;
    store_strided<n>(a.out + first * out_step, out_step, mean);
  }
}

template <bool IsMean, class T>
void run_pixel(const ForwardArgs<T>& a, const Line<T>& line, int64_t column) {
  const Window& w = a.axis[2].window[column];
  const T* from = line.in + w.first;
  RunMax<T, 1> best;
  T total = 0;
  for (int64_t d = 0; d < line.depth_taps; ++d)
    for (int64_t h = 0; h < line.height_taps; ++h) {
      const T* tap = from + d * line.depth_step + h * line.height_step;
      if constexpr (IsMean)
        total += sum_run<T, kLanes<T>>(tap, w.taps);
      else
        take_run<T, kLanes<T>>(
            tap, w.taps,
            static_cast<int32_t>(d) * line.depth_at + static_cast<int32_t>(h) * line.height_at, best);
    }
  T& out = line.out[column * a.out_stride[4]];
  if constexpr (IsMean) {
    out = total / divisor_of(a, line, w);
    return;
  }
  out = best.value[0] != best.value[0] ? kNan<T> : best.value[0];
  const int64_t place = line.first_at + place_of(a, w) + best.where[0];
  const int64_t to = line.place + column * a.at_stride[4];
  if (a.at) a.at[to] = place;
  if (a.tap) a.tap[to] = static_cast<uint8_t>(place);
}

}  // namespace
}  // namespace striate::STRIATE_ISA
