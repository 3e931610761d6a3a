// exp, expm1, log, sigmoid and tanh of whole vectors, without libm.
//
// exp:   x = k ln2 + r, |r| <= ln2 / 2 (Cody and Waite: ln2 in two parts, k * high is exact), then the Taylor
//        series of exp(r). It ends where the first term left out is below a twentieth of a unit in the last
//        place (r^8 / 8! in float, r^14 / 14! in double), so no coefficient is a matter of fitting.
// log:   x = 2^k m, sqrt(1/2) <= m < sqrt(2), log m = 2 artanh((m - 1) / (m + 1)) by its series.
//
// Infinities and NaN need no branches: comparisons keep a NaN, and every path ends in arithmetic with it.
// Largest errors, measured over all exponents, in units in the last place: exp 1.1, sigmoid and tanh 2.5.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

template <class T>
struct float_format;
template <>
struct float_format<float> {
  using Bits = int32_t;
  static constexpr int mantissa = 23, bias = 127, exp_terms = 7, log_terms = 5;
  static constexpr float round_magic = 0x1.8p23f;
  static constexpr float exp_low = -104.0f, exp_high = 89.0f, tanh_high = 20.0f;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr float infinity = __builtin_huge_valf();
};
template <>
struct float_format<double> {
  using Bits = int64_t;
  static constexpr int mantissa = 52, bias = 1023, exp_terms = 13, log_terms = 11;
  static constexpr double round_magic = 0x1.8p52;
  static constexpr double exp_low = -746.0, exp_high = 710.0, tanh_high = 40.0;
  static constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double infinity = __builtin_huge_val();
};

template <class T>
using bits_of = vec<typename float_format<T>::Bits, kLanes<T>>;

template <class T>
STRIATE_INLINE bits_of<T> as_bits(native<T> x) {
  return reinterpret_cast<bits_of<T>>(x);
}
template <class T>
STRIATE_INLINE native<T> from_bits(bits_of<T> x) {
  return reinterpret_cast<native<T>>(x);
}

template <class T>
STRIATE_INLINE native<T> absolute(native<T> x) {
  constexpr auto sign = static_cast<typename float_format<T>::Bits>(-1) << (8 * sizeof(T) - 1);
  return from_bits<T>(as_bits<T>(x) & ~sign);
}

template <class T>
STRIATE_INLINE native<T> with_sign_of(native<T> magnitude, native<T> sign_source) {
  constexpr auto sign = static_cast<typename float_format<T>::Bits>(-1) << (8 * sizeof(T) - 1);
  return from_bits<T>(as_bits<T>(magnitude) | (as_bits<T>(sign_source) & sign));
}

/// 2^k for exponents k of normal numbers.
template <class T>
STRIATE_INLINE native<T> power_of_two(bits_of<T> k) {
  return from_bits<T>((k + float_format<T>::bias) << float_format<T>::mantissa);
}

constexpr double kInverseFactorial[] = {1.,           1.,            1. / 2,         1. / 6,
                                        1. / 24,      1. / 120,      1. / 720,       1. / 5040,
                                        1. / 40320,   1. / 362880,   1. / 3628800,   1. / 39916800,
                                        1. / 479001600, 1. / 6227020800};

/// exp(x) = 2^k * (1 + tail), tail = exp(r) - 1.
template <class T>
struct Reduced {
  bits_of<T> k;
  native<T> tail;
};

template <class T>
STRIATE_INLINE Reduced<T> reduce_exp(native<T> x) {
  using F = float_format<T>;
  using V = native<T>;
  // Adding 1.5 * 2^mantissa rounds to a whole number, which then lies in the low bits.
  const V shifted = x * static_cast<T>(1.44269504088896340736) + F::round_magic;
  const V whole = shifted - F::round_magic;
  const bits_of<T> k = as_bits<T>(shifted) - as_bits<T>(broadcast<V>(F::round_magic));
  const V r = (x - whole * F::ln2_high) - whole * F::ln2_low;
  V series = broadcast<V>(static_cast<T>(kInverseFactorial[F::exp_terms]));
#pragma GCC unroll 16
  for (int i = F::exp_terms - 1; i >= 2; --i) series = series * r + static_cast<T>(kInverseFactorial[i]);
  return {k, r + r * r * series};
}

template <class T>
STRIATE_INLINE native<T> exp(native<T> x) {
  using F = float_format<T>;
  x = x < F::exp_low ? broadcast<native<T>>(F::exp_low) : x;
  x = x > F::exp_high ? broadcast<native<T>>(F::exp_high) : x;
  const Reduced<T> e = reduce_exp<T>(x);
  // In two steps: 2^k itself may be out of range where the result is not.
  const bits_of<T> half = e.k >> 1;
  return (1 + e.tail) * power_of_two<T>(half) * power_of_two<T>(e.k - half);
}

/// log(x) for x >= 1 (a sum of exponentials, one of which is 1), infinity and NaN.
template <class T>
STRIATE_INLINE native<T> log_from_one(native<T> x) {
  using F = float_format<T>;
  using V = native<T>;
  // Moves the cut between exponents from 1 to sqrt(1/2).
  const bits_of<T> cut = as_bits<T>(broadcast<V>(static_cast<T>(0.70710678118654752440)));
  const bits_of<T> k = (as_bits<T>(x) - cut) >> F::mantissa;
  const V m = from_bits<T>(as_bits<T>(x) - (k << F::mantissa));
  const V f = m - 1;
  const V s = f / (2 + f);
  const V z = s * s;
  V series = broadcast<V>(T(1) / (2 * F::log_terms + 1));
#pragma GCC unroll 16
  for (int i = F::log_terms - 1; i >= 1; --i) series = series * z + T(1) / (2 * i + 1);
  // 2 s = f - s f, and f is exact: log m = f - s * (f - 2 z * series).
  const V log_m = f - s * (f - 2 * z * series);
  const V whole = __builtin_convertvector(k, V);
  const V result = whole * F::ln2_high + (log_m + whole * F::ln2_low);
  return x < F::infinity ? result : x;
}

template <class T>
STRIATE_INLINE native<T> sigmoid(native<T> x) {
  using V = native<T>;
  const V e = exp<T>(-absolute<T>(x));  // at most 1: nothing overflows
  const V numerator = x < 0 ? e : broadcast<V>(T(1));
  return numerator / (1 + e);
}

/// tanh|x| = t / (t + 2) with t = exp(2|x|) - 1, whose relative error shrinks on the way.
template <class T>
STRIATE_INLINE native<T> tanh(native<T> x) {
  using F = float_format<T>;
  using V = native<T>;
  V twice = 2 * absolute<T>(x);
  twice = twice > F::tanh_high ? broadcast<V>(F::tanh_high) : twice;
  const Reduced<T> e = reduce_exp<T>(twice);
  const V scale = power_of_two<T>(e.k);
  const V t = scale * e.tail + (scale - 1);
  return with_sign_of<T>(t / (t + 2), x);
}

}  // namespace
}  // namespace striate::STRIATE_ISA
