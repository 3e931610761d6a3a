// The one-dimensional transforms of Winograd's convolution, on vectors of channels. With the points p[0],
// p[1], ..., infinity and N[j] = product over k != j of (p[j] - p[k]):
//
//     A^T[i][j] = p[j]^i                       (the last column, infinity: 1 in the last row)
//     G[j][i]   = p[j]^i / N[j]                (the last row: 1 in the last column)
//     B^T[j]    = coefficients of the product over k != j of (x - p[k]); the last row: of all of them
//
// Points come as 0, +a, -a, +b, -b: a sum and a difference serve a pair. `Transposed` forms are the
// adjoints, for the weight gradient.
#pragma once

#include "kernels/conv/winograd.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::WinogradForm;
constexpr float kA = 0.70710678118654752440f;  // a^2 = 1/2, b^2 = 2: so a^2 b^2 = 1
constexpr float kB = 1.41421356237309504880f;

/// a * x + y, both vectors; the compiler contracts it to one instruction.
template <class V>
STRIATE_INLINE V axpy(float a, V x, V y) {
  return x * a + y;
}

/// B^T d.
template <int Points, class V>
STRIATE_INLINE void input_transform(V (&d)[Points]) {
  if constexpr (Points == 6) {
    const V even_a = axpy(-2.0f, d[2], d[4]), odd_a = axpy(-2.0f, d[1], d[3]);
    const V even_b = axpy(-0.5f, d[2], d[4]), odd_b = axpy(-0.5f, d[1], d[3]);
    d[0] = axpy(-2.5f, d[2], d[0] + d[4]);
    d[5] = axpy(-2.5f, d[3], d[1] + d[5]);
    d[1] = axpy(kA, odd_a, even_a);
    d[2] = axpy(-kA, odd_a, even_a);
    d[3] = axpy(kB, odd_b, even_b);
    d[4] = axpy(-kB, odd_b, even_b);
  } else {
    static_assert(Points == 4);
    const V first = d[0] - d[2], plus = d[1] + d[2], minus = d[2] - d[1], last = d[3] - d[1];
    d[0] = first;
    d[1] = plus;
    d[2] = minus;
    d[3] = last;
  }
}

/// A^T m: `Points` values to `Outputs`.
template <int Outputs, int Points, class V>
STRIATE_INLINE void output_transform(const V (&m)[Points], V (&y)[Outputs]) {
  if constexpr (Points == 6) {
    const V sum_a = m[1] + m[2], dif_a = m[1] - m[2], sum_b = m[3] + m[4], dif_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = axpy(kA, dif_a, dif_b * kB);
    if constexpr (Outputs > 2) y[2] = axpy(0.5f, sum_a, sum_b * 2.0f);
    if constexpr (Outputs > 3) y[3] = axpy(0.5f * kA, dif_a, dif_b * (2.0f * kB));
  } else {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = m[1] - m[2];
  }
  y[Outputs - 1] += m[Points - 1];
}

/// A y, the adjoint: `Outputs` values to `Points`.
template <int Outputs, int Points, class V>
STRIATE_INLINE void grad_transform(const V (&y)[Outputs], V (&m)[Points]) {
  m[0] = y[0];
  if constexpr (Points == 6) {
    V even_a = y[0], even_b = y[0], odd_a = y[1] * kA, odd_b = y[1] * kB;
    if constexpr (Outputs > 2) {
      even_a = axpy(0.5f, y[2], even_a);
      even_b = axpy(2.0f, y[2], even_b);
    }
    if constexpr (Outputs > 3) {
      odd_a = axpy(0.5f * kA, y[3], odd_a);
      odd_b = axpy(2.0f * kB, y[3], odd_b);
    }
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
  } else {
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
  }
  m[Points - 1] = y[Outputs - 1];
}

/// G w: `Taps` values to `Points`.
template <int Taps, int Points, class V>
STRIATE_INLINE void weight_transform(const V (&w)[Taps], V (&u)[Points]) {
  if constexpr (Points == 6) {
    constexpr float na = -1.0f / 1.5f, nb = 1.0f / 6.0f;
    // Powers of a point: even and odd ones apart.
    V even_a = w[0] * na, odd_a = w[1] * (na * kA);
    V even_b = w[0] * nb, odd_b = w[1] * (nb * kB);
    if constexpr (Taps > 2) {
      even_a = axpy(na * 0.5f, w[2], even_a);
      even_b = axpy(nb * 2.0f, w[2], even_b);
    }
    if constexpr (Taps > 3) {
      odd_a = axpy(na * 0.5f * kA, w[3], odd_a);
      odd_b = axpy(nb * 2.0f * kB, w[3], odd_b);
    }
    if constexpr (Taps > 4) {
      even_a = axpy(na * 0.25f, w[4], even_a);
      even_b = axpy(nb * 4.0f, w[4], even_b);
    }
    u[0] = w[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
  } else {
    static_assert(Points == 4 && Taps == 3);
    const V even = (w[0] + w[2]) * 0.5f, odd = w[1] * 0.5f;
    u[0] = w[0];
    u[1] = even + odd;
    u[2] = even - odd;
  }
  u[Points - 1] = w[Taps - 1];
}

/// G^T u, the adjoint: `Points` values to `Taps`.
template <int Taps, int Points, class V>
STRIATE_INLINE void weight_grad_transform(const V (&u)[Points], V (&w)[Taps]) {
  if constexpr (Points == 6) {
    constexpr float na = -1.0f / 1.5f, nb = 1.0f / 6.0f;
    const V sum_a = (u[1] + u[2]) * na, dif_a = (u[1] - u[2]) * (na * kA);
    const V sum_b = (u[3] + u[4]) * nb, dif_b = (u[3] - u[4]) * (nb * kB);
    w[0] = u[0] + sum_a + sum_b;
    w[1] = dif_a + dif_b;
    if constexpr (Taps > 2) w[2] = axpy(0.5f, sum_a, sum_b * 2.0f);
    if constexpr (Taps > 3) w[3] = axpy(0.5f, dif_a, dif_b * 2.0f);
    if constexpr (Taps > 4) w[4] = axpy(0.25f, sum_a, sum_b * 4.0f);
  } else {
    static_assert(Points == 4 && Taps == 3);
    const V sum = (u[1] + u[2]) * 0.5f;
    w[0] = u[0] + sum;
    w[1] = (u[1] - u[2]) * 0.5f;
    w[2] = sum;
  }
  w[Taps - 1] += u[Points - 1];
}

/// V = B^T d B of a strip of tiles; shared by the convolution and its weight gradient.
template <WinogradForm form>
void transform_input(const conv::WinogradInputArgs<float>& a) noexcept {
  using V = native<float>;
  constexpr int points = size_of(form).points(), outputs = size_of(form).outputs;
  for (int t = 0; t < a.tiles; ++t) {
    for (int c = 0; c < a.channels; c += kLanes<float>) {
      const float* from = a.slab + t * outputs * a.slab_w + c;
      float* to = a.v + t * a.v_tile + c;
      V d[points][points];  // by column
#pragma GCC unroll 8
      for (int x = 0; x < points; ++x) {
#pragma GCC unroll 8
        for (int y = 0; y < points; ++y) d[x][y] = load<V>(from + y * a.slab_h + x * a.slab_w);
        input_transform<points>(d[x]);
      }
#pragma GCC unroll 8
      for (int y = 0; y < points; ++y) {
        V row[points];
#pragma GCC unroll 8
        for (int x = 0; x < points; ++x) row[x] = d[x][y];
        input_transform<points>(row);
#pragma GCC unroll 8
        for (int x = 0; x < points; ++x) store(to + (y * points + x) * a.v_point, row[x]);
      }
    }
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
