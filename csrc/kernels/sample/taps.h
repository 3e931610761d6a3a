// Where a block of output pixels reads: positions, and the taps along each axis. For *.kernel.cc files.
#pragma once

#include "kernels/sample/sample.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using sample::Args;
using sample::kLargestSize;
using sample::Mode;
using sample::Padding;

template <class T>
using whole = vec<typename mask_of<T>::type, kLanes<T>>;

template <class T>
STRIATE_INLINE native<T> to_float(whole<T> x) {
  return __builtin_convertvector(x, native<T>);
}
template <class T>
STRIATE_INLINE native<T> floor_of(native<T> x) {
  const native<T> cut = to_float<T>(__builtin_convertvector(x, whole<T>));
  return x < cut ? cut - 1 : cut;
}
/// To the nearest whole number, to the even one from the middle; for |x| < 2^22.
template <class T>
STRIATE_INLINE native<T> round_of(native<T> x) {
  const T magic = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);
  return (x + magic) - magic;
}
/// NaN goes to `low`.
template <class T>
STRIATE_INLINE native<T> clamp_to(native<T> x, T low, T high) {
  const native<T> least = broadcast<native<T>>(low), most = broadcast<native<T>>(high);
  x = x > least ? x : least;
  return x < most ? x : most;
}

/// A position with its derivative by the coordinate that it came from.
template <class T>
struct Position {
  native<T> at, slope;
};

// As PyTorch: mirrored at `low` and low + span, then clamped. A whole number may be used as well.
template <class T>
STRIATE_INLINE Position<T> padded(const Args<T>& a, int64_t size, Position<T> p) {
  const T last = static_cast<T>(size - 1);
  const native<T> zero{};
  if (a.padding == Padding::reflection) {
    const T low = a.align_corners ? T(0) : T(-0.5);
    const T span = a.align_corners ? last : static_cast<T>(size);
    if (span == 0) return {zero, zero};
    native<T> in = p.at - low;
    p.slope = in < zero ? -p.slope : p.slope;
    in = in < zero ? -in : in;
    in = clamp_to<T>(in, 0, span * kLargestSize);
    const native<T> flips = floor_of<T>(in / span);
    const native<T> extra = in - flips * span;
    const auto even = floor_of<T>(flips * T(0.5)) * T(2) == flips;
    p.slope = even ? p.slope : -p.slope;
    p.at = even ? extra + low : span - extra + low;
  }
  if (a.padding != Padding::zeros) {
    p.slope = p.at > zero ? p.slope : zero;
    p.slope = p.at < broadcast<native<T>>(last) ? p.slope : zero;
    p.at = clamp_to<T>(p.at, 0, last);
  }
  return p;
}

/// What an axis contributes: `taps` indices, weights, and the weights' derivatives by the coordinate.
template <class T, int Taps>
struct AxisTaps {
  native<T> index[Taps], weight[Taps], slope[Taps], covered;  // covered: the part of the weights inside
};

template <class T>
STRIATE_INLINE void cubic_weights(native<T> t, native<T> (&w)[4], native<T> (&slope)[4]) {
  const T a = T(-0.75);
  const auto far = [&](native<T> x) { return ((x - 5) * x + 8) * x * a - 4 * a; };
  const auto near = [&](native<T> x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  w[0] = far(t + 1);
  w[1] = near(t);
  w[2] = near(1 - t);
  w[3] = far(2 - t);
  const auto far_slope = [&](native<T> x) { return ((3 * x - 10) * x + 8) * a; };
  const auto near_slope = [&](native<T> x) { return (3 * (a + 2) * x - 2 * (a + 3)) * x; };
  slope[0] = far_slope(t + 1);
  slope[1] = near_slope(t);
  slope[2] = -near_slope(1 - t);
  slope[3] = -far_slope(2 - t);
}

template <class T, int Taps>
STRIATE_INLINE void axis_taps(const Args<T>& a, int64_t size, Position<T> p, AxisTaps<T, Taps>& out) {
  const native<T> zero{}, one = zero + 1;
  const T last = static_cast<T>(size - 1);
  if constexpr (Taps != 4) p = padded(a, size, p);
  // Further out there is nothing but the outside. NaN counts as before the first pixel.
  const bool zeros = a.padding == Padding::zeros;
  p.at = clamp_to<T>(p.at, zeros ? T(-3) : T(-kLargestSize), zeros ? last + 3 : T(kLargestSize));
  if constexpr (Taps == 1) {
    const native<T> at = round_of<T>(p.at);
    out.index[0] = clamp_to<T>(at, 0, last);
    out.weight[0] = out.index[0] == at ? one : zero;
    out.slope[0] = zero;
    out.covered = out.weight[0];
  } else if constexpr (Taps == 2) {
    // The pair of neighbours lies in the image, and whichever tap is one of them gives it its weight.
    const native<T> left = floor_of<T>(p.at), fraction = p.at - left;
    const native<T> base = clamp_to<T>(left, 0, size > 1 ? last - 1 : T(0)), right = left + 1;
    const auto inside = left == base;
    const bool pair = size > 1;
    out.index[0] = base;
    out.index[1] = pair ? base + 1 : base;
    out.weight[0] = inside ? one - fraction : right == base ? fraction : zero;
    out.slope[0] = inside ? -p.slope : right == base ? p.slope : zero;
    out.weight[1] = inside ? fraction : left == base + 1 ? one - fraction : zero;
    out.slope[1] = inside ? p.slope : left == base + 1 ? -p.slope : zero;
    if (!pair) out.weight[1] = out.slope[1] = zero;
    out.covered = out.weight[0] + out.weight[1];
    if (pair) out.covered = inside ? one : out.covered;
  } else {
    const native<T> left = floor_of<T>(p.at);
    cubic_weights<T>(p.at - left, out.weight, out.slope);
    out.covered = one;
    for (int t = 0; t < 4; ++t) {
      const native<T> at = padded<T>(a, size, {left + T(t - 1), one}).at;
      out.index[t] = clamp_to<T>(round_of<T>(at), 0, last);
      if (zeros) {
        const auto inside = out.index[t] == at;
        out.covered = inside ? out.covered : out.covered - out.weight[t];
        out.weight[t] = inside ? out.weight[t] : zero;
        out.slope[t] = inside ? out.slope[t] * p.slope : zero;
      } else {
        out.slope[t] = out.slope[t] * p.slope;
      }
    }
  }
}

template <class T>
STRIATE_INLINE native<T> strided_lanes(const T* from, int64_t step, int64_t count) {
  constexpr int n = kLanes<T>;
  if (count >= n && step == 2) return load_strided<2, n>(from, step);
  native<T> value{};
  for (int i = 0; i < n; ++i) value[i] = i < count ? from[i * step] : 0;
  return value;
}

/// Positions of `kLanes` pixels from (n, d, h, w) on, `count` of which are asked for; axis 0 is x.
template <class T, int Rank>
STRIATE_INLINE void positions(const Args<T>& a, int64_t n, int64_t d, int64_t h, int64_t w, int64_t count,
                              Position<T> (&p)[Rank]) {
  if (a.grid) {
    const T* from = a.grid + n * a.grid_stride[0] + d * a.grid_stride[1] + h * a.grid_stride[2] +
                    w * a.grid_stride[3];
    for (int axis = 0; axis < Rank; ++axis) {
      const native<T> at = strided_lanes(from + axis * a.grid_stride[4], a.grid_stride[3], count);
      const T size = static_cast<T>(a.size[2 - axis]);
      if (a.align_corners)
        p[axis] = {(at + 1) / T(2) * (size - 1), broadcast<native<T>>((size - 1) / 2)};
      else
        p[axis] = {((at + 1) * size - 1) / T(2), broadcast<native<T>>(size / 2)};
    }
    return;
  }
  native<T> column{};
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<T>; ++i) column[i] = static_cast<T>(i);
  column += static_cast<T>(w);
  const T y = static_cast<T>(h), z = static_cast<T>(d);
  for (int axis = 0; axis < Rank; ++axis) {
    const T* row = a.map + (n * Rank + axis) * (Rank + 1);
    T constant = row[1] * y + row[Rank];
    if (Rank == 3) constant += row[2] * z;
    p[axis] = {row[0] * column + constant, broadcast<native<T>>(T(1))};
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
