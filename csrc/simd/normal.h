// The normal distribution, on whole vectors: density and distribution function, as GELU needs them.
//
// P(normal < -x) = erfc(z) / 2 for x > 0, z = x / sqrt(2), and erfc(z) = exp(-z^2) t Q(t), t = k / (k + z). Q is
// smooth on all of (0, 1]: off by 1.4e-8, relative, in degree 8 as far as float goes (the best fit, k = 27 / 8), by
// 6e-18 in degree 22 as far as double does (through its values at Chebyshev's nodes, k = 4). So the tail keeps its
// relative accuracy until it underflows.
#pragma once

#include "simd/math.h"

namespace striate::STRIATE_ISA {
namespace {

template <class T>
struct erfc_series;  // in u = (t - middle) / reach, constant first
template <>
struct erfc_series<float> {
  static constexpr int degree = 8;
  static constexpr double k = 3.375, middle = 0.633068318618403, reach = 0.366931681381597;
  static constexpr float of[] = {0.410946632f,   0.301410075f,    0.174646781f,     0.0791887308f,   0.0270713661f,
                                 0.0062914188f, 0.000632536537f, -0.000139145333f, -4.83844344e-05f};
};
template <>
struct erfc_series<double> {
  static constexpr int degree = 22;
  static constexpr double k = 4, middle = 0.5625, reach = 0.4375;
  static constexpr double of[] = {
      0.307822095566532785,     0.262065854569596024,      0.1934623646622928,        0.123380905964567802,
      0.0673256173615228871,    0.0308544326006821154,     0.0114610667925480354,     0.00319254827772306151,
      0.000519841206306617767,  -0.0000329085026853600599, -0.0000454062973934684898, -9.0075551385509636e-6,
      1.61487772355338215e-6,   1.05253113707813055e-6,    2.41575179801003025e-8,    -9.32453073910618503e-8,
      -1.19778889755282101e-8,  8.17877081982409637e-9,    1.67322230200437507e-9,    -7.2366708571372083e-10,
      -1.77561692017945089e-10, 4.74643813964558633e-11,   1.20342824768617912e-11};
};

/// Of a >= 0, which ends where the tail does: exp(-a^2 / 2) / 2, and P(normal < -a).
template <class T>
struct Tail {
  native<T> a, bell, beyond;
};

template <class T>
STRIATE_INLINE Tail<T> normal_tail(native<T> a) {
  using F = float_format<T>;
  using V = native<T>;
  using S = erfc_series<T>;
  constexpr T far = sizeof(T) == 4 ? T(13.16) : T(37.6);  // beyond it only denormal numbers are left
  const bits_of<T> ends = a > far;
  a = ends ? broadcast<V>(far) : a;
  // exp would magnify what rounding takes from a^2. The first half of a's digits has an exact square; the rest goes
  // to the remainder behind the powers of two (as in math.h).
  constexpr auto half = static_cast<typename F::Bits>(-1) << (sizeof(T) == 4 ? 12 : 27);
  const V high = from_bits<T>(as_bits<T>(a) & half);
  const V square = high * (high * T(-0.5)), rest = (a - high) * ((a + high) * T(-0.5));
  const V shifted = square * static_cast<T>(1.44269504088896340736) + F::round_magic;
  const V whole = shifted - F::round_magic;
  const bits_of<T> k = as_bits<T>(shifted) - as_bits<T>(broadcast<V>(F::round_magic));
  const V r = ((square - whole * F::ln2_high) - whole * F::ln2_low) + rest;
  V exponential = broadcast<V>(static_cast<T>(kInverseFactorial[F::exp_terms]));
#pragma GCC unroll 16
  for (int i = F::exp_terms - 1; i >= 2; --i) exponential = exponential * r + static_cast<T>(kInverseFactorial[i]);
  const V scale = power_of_two<T>(k - 1);
  V bell = scale * (r + r * r * exponential) + scale;
  bell = ends ? V{} : bell;

  constexpr T divided = static_cast<T>(S::k * 1.41421356237309504880);
  const V t = divided / (divided + a);
  const V u = t * static_cast<T>(1 / S::reach) - static_cast<T>(S::middle / S::reach);
  V series = broadcast<V>(S::of[S::degree]);
#pragma GCC unroll 22
  for (int i = S::degree - 1; i >= 0; --i) series = series * u + S::of[i];
  return {a, bell, bell * (t * series)};
}

template <class T>
struct Normal {
  native<T> density, distribution;
};

template <class T>
STRIATE_INLINE Normal<T> normal(native<T> x) {
  const Tail<T> tail = normal_tail<T>(absolute<T>(x));
  return {tail.bell * static_cast<T>(0.79788456080286535588), x < 0 ? tail.beyond : 1 - tail.beyond};
}

}  // namespace
}  // namespace striate::STRIATE_ISA
