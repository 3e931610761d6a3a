// The normal distribution, on whole vectors: density and distribution function, as GELU needs them.
//
// P(normal < -x) = erfc(z) / 2 for x > 0, z = x / sqrt(2), and erfc(z) = exp(-z^2) t Q(t), t = 4 / (4 + z). Q is
// smooth on all of (0, 1]: a polynomial through its values at Chebyshev's nodes, with z up to 28, is off by
// 3e-9 in degree 11 and by 6e-18 in degree 22. So the tail keeps its relative accuracy until it underflows.
#pragma once

#include "simd/math.h"

namespace striate::STRIATE_ISA {
namespace {

template <class T>
struct erfc_series;  // in u = (t - 9/16) / (7/16), constant first
template <>
struct erfc_series<float> {
  static constexpr int degree = 11;
  static constexpr float of[] = {0.307822094769487104f,  0.262065854172531274f,   0.193462422051406475f,
                                 0.123380934588569831f,  0.0673249477156111545f,  0.0308540965187522016f,
                                 0.0114639246602458569f, 0.0031940012642133145f,  0.000514328751204454756f,
                                 -0.0000357822666425378826f, -0.0000405108830104143266f, -6.31249880920628661e-6f};
};
template <>
struct erfc_series<double> {
  static constexpr int degree = 22;
  static constexpr double of[] = {
      0.307822095566532785,     0.262065854569596024,      0.1934623646622928,        0.123380905964567802,
      0.0673256173615228871,    0.0308544326006821154,     0.0114610667925480354,     0.00319254827772306151,
      0.000519841206306617767,  -0.0000329085026853600599, -0.0000454062973934684898, -9.0075551385509636e-6,
      1.61487772355338215e-6,   1.05253113707813055e-6,    2.41575179801003025e-8,    -9.32453073910618503e-8,
      -1.19778889755282101e-8,  8.17877081982409637e-9,    1.67322230200437507e-9,    -7.2366708571372083e-10,
      -1.77561692017945089e-10, 4.74643813964558633e-11,   1.20342824768617912e-11};
};

/// exp(-x^2 / 2) for x up to 40. The rounding of x^2, which exp would magnify, is put back: Dekker's product.
template <class T>
STRIATE_INLINE native<T> exp_of_half_square(native<T> x) {
  using V = native<T>;
  constexpr T splitter = sizeof(T) == 4 ? T(4097) : T(134217729);
  const V scaled = x * splitter;
  const V high = scaled - (scaled - x), low = x - high;
  const V square = x * x;
  const V lost = ((high * high - square) + 2 * (high * low)) + low * low;
  const V e = exp<T>(square * T(-0.5));
  return e - e * (lost * T(0.5));
}

template <class T>
struct Normal {
  native<T> density, distribution;
};

template <class T>
STRIATE_INLINE Normal<T> normal(native<T> x) {
  using V = native<T>;
  using S = erfc_series<T>;
  constexpr T far = T(38.6);  // beyond it nothing is left of the tail
  V a = absolute<T>(x);
  a = a > far ? broadcast<V>(far) : a;
  const V e = exp_of_half_square<T>(a);
  const V t = 4 / (4 + a * static_cast<T>(0.70710678118654752440));
  const V u = (t - T(0.5625)) * static_cast<T>(1 / 0.4375);
  V series = broadcast<V>(S::of[S::degree]);
#pragma GCC unroll 22
  for (int i = S::degree - 1; i >= 0; --i) series = series * u + S::of[i];
  const V tail = T(0.5) * (e * (t * series));
  return {e * static_cast<T>(0.39894228040143267794), x < 0 ? tail : 1 - tail};
}

}  // namespace
}  // namespace striate::STRIATE_ISA
