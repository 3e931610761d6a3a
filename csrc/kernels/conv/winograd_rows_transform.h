// The matrices of F(4, r), r = 1 ... 5, and their products with vectors of channels. With the points p[0], p[1], ...,
// infinity and N[j] = product over k != j of (p[j] - p[k]):
//
//     A^T[i][j] = p[j]^i                       (the last column, infinity: 1 in the last row)
//     G[j][i]   = p[j]^i / N[j]                (the last row: 1 in the last column)
//     B^T[j]    = coefficients of the product over k != j of (x - p[k]); the last row: of all of them
//
// Points come as 0, +a, -a, +b, -b, ..., c: a sum and a difference serve a pair. They are short binary fractions, so A
// and B are exact, and of many tried those with the least rounding error: 1.7 (3 taps) to 2.7 (5 taps) times that of
// direct sums. Included by *.kernel.cc only.
#pragma once

#include "kernels/conv/winograd_rows.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::kRowOutputs;

template <int Taps>
struct RowForm {
  static constexpr int points = conv::row_points(Taps);
  static constexpr int finite = points - 1;
  static constexpr int pairs = (finite - 1) / 2;   // after point 0
  static constexpr bool single = finite % 2 == 0;  // the last finite point has no partner

  struct Tables {
    float at[kRowOutputs][points] = {};
    float g[points][Taps] = {};
    float first[points] = {}, last[points] = {};  // rows of B^T: of 0 and infinity
    float lone[points] = {};                      // of the single point
    float shared[pairs][points] = {};  // of each pair: the product over all but the two
    float pair[pairs] = {};
  };
  static constexpr Tables make() {
    constexpr double chosen[6][6] = {{}, {}, {0.75, -2}, {0.75, 1.5}, {0.5, 1, 2}, {0.5, 1, 2}};
    double p[points] = {};
    for (int i = 0; i < pairs; ++i) {
      p[1 + 2 * i] = chosen[Taps][i];
      p[2 + 2 * i] = -chosen[Taps][i];
    }
    if (single) p[finite - 1] = chosen[Taps][pairs];

    Tables t;
    for (int j = 0; j < finite; ++j) {
      double n = 1, power = 1;
      for (int k = 0; k < finite; ++k)
        if (k != j) n *= p[j] - p[k];
      for (int i = 0; i < kRowOutputs || i < Taps; ++i, power *= p[j]) {
        if (i < kRowOutputs) t.at[i][j] = static_cast<float>(power);
        if (i < Taps) t.g[j][i] = static_cast<float>(power / n);
      }
    }
    t.at[kRowOutputs - 1][finite] = 1;
    t.g[finite][Taps - 1] = 1;
    // Coefficients of the product over all points but [begin, end).
    const auto without = [&](int begin, int end, float (&to)[points]) {
      double c[points + 1] = {1};
      for (int k = 0, degree = 0; k < finite; ++k) {
        if (k >= begin && k < end) continue;
        ++degree;
        for (int i = degree; i >= 0; --i) c[i] = (i > 0 ? c[i - 1] : 0) - p[k] * c[i];
      }
      for (int i = 0; i < points; ++i) to[i] = static_cast<float>(c[i]);
    };
    without(0, 1, t.first);
    without(0, 0, t.last);
    if (single) without(finite - 1, finite, t.lone);
    for (int i = 0; i < pairs; ++i) {
      without(1 + 2 * i, 3 + 2 * i, t.shared[i]);
      t.pair[i] = static_cast<float>(p[1 + 2 * i]);
    }
    return t;
  }
  static constexpr Tables tables = make();
};

/// Which row of which matrix: so that coefficients are known where sums are written out.
enum class RowMatrix { first, last, lone, shared, weight };
template <int Taps, RowMatrix matrix, int Row>
constexpr float coefficient(int i) {
  constexpr const auto& t = RowForm<Taps>::tables;
  if constexpr (matrix == RowMatrix::first) return t.first[i];
  if constexpr (matrix == RowMatrix::last) return t.last[i];
  if constexpr (matrix == RowMatrix::lone) return t.lone[i];
  if constexpr (matrix == RowMatrix::shared) return t.shared[Row][i];
  if constexpr (matrix == RowMatrix::weight) return t.g[Row][i];
}

/// sum over i < N of coefficient(i) * x[i], without the terms that are 0; at least one is not.
template <int Taps, RowMatrix matrix, int Row, int N, int I = 0, bool begun = false, class V>
STRIATE_INLINE V combine(const V* x, V sum = V{}) {
  if constexpr (I == N) {
    return sum;
  } else {
    constexpr float c = coefficient<Taps, matrix, Row>(I);
    if constexpr (c == 0) return combine<Taps, matrix, Row, N, I + 1, begun>(x, sum);
    const V term = c == 1 ? x[I] : x[I] * c;
    return combine<Taps, matrix, Row, N, I + 1, true>(x, begun ? sum + term : term);
  }
}

/// B^T d: (x + a) and (x - a), times what they share, for each pair.
template <int Taps, int Pair = 0, class V>
STRIATE_INLINE void row_input_transform(const V (&d)[conv::row_points(Taps)], V (&v)[conv::row_points(Taps)]) {
  using Form = RowForm<Taps>;
  constexpr int points = Form::points;
  if constexpr (Pair < Form::pairs) {
    const V even = combine<Taps, RowMatrix::shared, Pair, points - 1>(d + 1);
    const V odd = combine<Taps, RowMatrix::shared, Pair, points>(d) * Form::tables.pair[Pair];
    v[1 + 2 * Pair] = even + odd;
    v[2 + 2 * Pair] = even - odd;
    row_input_transform<Taps, Pair + 1>(d, v);
  } else {
    v[0] = combine<Taps, RowMatrix::first, 0, points>(d);
    v[Form::finite] = combine<Taps, RowMatrix::last, 0, points>(d);
    if constexpr (Form::single) v[Form::finite - 1] = combine<Taps, RowMatrix::lone, 0, points>(d);
  }
}

/// G w.
template <int Taps, int Point = 0, class V>
STRIATE_INLINE void row_weight_transform(const V (&w)[Taps], V (&u)[conv::row_points(Taps)]) {
  if constexpr (Point < conv::row_points(Taps)) {
    u[Point] = combine<Taps, RowMatrix::weight, Point, Taps>(&w[0]);
    row_weight_transform<Taps, Point + 1>(w, u);
  }
}

/// A^T m.
template <int Taps, class V>
STRIATE_INLINE void row_output_transform(const V (&m)[conv::row_points(Taps)], V (&y)[kRowOutputs]) {
  using Form = RowForm<Taps>;
  constexpr const auto& t = Form::tables;
  V half[2][Form::pairs];  // sums for even powers, differences for odd ones
#pragma GCC unroll 4
  for (int i = 0; i < Form::pairs; ++i) {
    half[0][i] = m[1 + 2 * i] + m[2 + 2 * i];
    half[1][i] = m[1 + 2 * i] - m[2 + 2 * i];
  }
#pragma GCC unroll 4
  for (int j = 0; j < kRowOutputs; ++j) {
    y[j] = half[j % 2][0] * t.at[j][1];
#pragma GCC unroll 4
    for (int i = 1; i < Form::pairs; ++i) y[j] += half[j % 2][i] * t.at[j][1 + 2 * i];
    if constexpr (Form::single) y[j] += m[Form::finite - 1] * t.at[j][Form::finite - 1];
  }
  y[0] += m[0];
  y[kRowOutputs - 1] += m[Form::finite];
}

/// A y, the adjoint.
template <int Taps, class V>
STRIATE_INLINE void row_grad_transform(const V (&y)[kRowOutputs], V (&m)[conv::row_points(Taps)]) {
  using Form = RowForm<Taps>;
  constexpr const auto& t = Form::tables;
  m[0] = y[0];
  m[Form::finite] = y[kRowOutputs - 1];
#pragma GCC unroll 4
  for (int i = 0; i < Form::pairs; ++i) {
    const V even = y[0] + y[2] * t.at[2][1 + 2 * i], odd = y[1] * t.at[1][1 + 2 * i] + y[3] * t.at[3][1 + 2 * i];
    m[1 + 2 * i] = even + odd;
    m[2 + 2 * i] = even - odd;
  }
  if constexpr (Form::single) {
    constexpr int at = Form::finite - 1;
    m[at] = y[0] + y[1] * t.at[1][at] + y[2] * t.at[2][at] + y[3] * t.at[3][at];
  }
}

/// G^T u, the adjoint.
template <int Taps, class V>
STRIATE_INLINE void row_weight_grad_transform(const V (&u)[conv::row_points(Taps)], V (&w)[Taps]) {
  constexpr int points = conv::row_points(Taps);
  constexpr const auto& t = RowForm<Taps>::tables;
#pragma GCC unroll 8
  for (int i = 0; i < Taps; ++i) {
    w[i] = i == Taps - 1 ? u[points - 1] : V{};
#pragma GCC unroll 8
    for (int j = 0; j < points - 1; ++j) w[i] += u[j] * t.g[j][i];
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
