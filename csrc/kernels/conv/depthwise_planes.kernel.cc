// Depthwise convolution of planes: lanes are columns. See depthwise.h for the scratch and the phases.
#include "kernels/conv/depthwise.h"
#include "kernels/conv/even_pieces.h"
#include "kernels/conv/moves.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::PadRowsArgs;
using conv::PlaneArgs;
using conv::PlaneGradArgs;

// ---- padded rows --------------------------------------------------------------------------------------

template <class T>
void pad_rows(const PadRowsArgs<T>& a) noexcept {
  for (int64_t r = 0; r < a.rows; ++r) {
    T* to = a.to + r * a.step * a.pitch;
    const int64_t row = a.first + r;
    if (row < 0 || row >= a.plane_rows) {
      for (int64_t i = 0; i < a.step * a.pitch; ++i) to[i] = 0;
      continue;
    }
    const T* from = a.plane + row * a.plane_row;
    if (a.step == 1) {
      copy_run(from, to + a.pad, static_cast<int>(a.plane_cols));
      continue;
    }
    for (int64_t phase = 0; phase < a.step; ++phase) {
      // The first column of the plane that falls on this phase.
      const int64_t x = ((phase - a.pad) % a.step + a.step) % a.step;
      if (x >= a.plane_cols) continue;
      T* here = to + phase * a.pitch + (x + a.pad) / a.step;
      const int64_t count = (a.plane_cols - x - 1) / a.step + 1;
      if (a.step == 2) {
        copy_steps<2>(from + x, here, static_cast<int>(count));
      } else {
        for (int64_t i = 0; i < count; ++i) here[i] = from[x + i * a.step];
      }
    }
  }
}

// ---- correlation --------------------------------------------------------------------------------------

// Lanes beyond the last column go to the next row, whose turn comes later; nothing goes beyond `end`.
template <class T, int N>
STRIATE_INLINE void store_before(T* to, vec<T, N> value, const T* end) {
  if (to + N <= end)
    store(to, value);
  else if (to < end)
    store_tail<T, N>(to, value, static_cast<int>(end - to));
}

// Rows x Vectors sums. More than one row only where the vectors reach across the whole of it.
template <int N, int Rows, int Vectors, class T>
STRIATE_INLINE void plane_tile(const PlaneArgs<T>& a, const T* from, T* to, const T* end) {
  using V = vec<T, N>;
  V sum[Rows][Vectors];
  const V bias = broadcast<V>(a.bias);
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] = bias;
  const int taps = a.taps[0];
  for (int t = 0; t < taps; ++t) {
    const V weight = broadcast<V>(a.weight[t]);
    const T* x = from + a.offset[t];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] += load<V>(x + r * a.row_step + v * N) * weight;
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store_before<T, N>(to + r * a.cols + v * N, sum[r][v], end);
}

// Rows of `Vectors` vectors each, as many at a time as make four sums; the last ones go back over rows done.
template <int N, int Vectors, class T>
STRIATE_INLINE void narrow_rows(const PlaneArgs<T>& a) {
  constexpr int rows = 4 / Vectors;
  const T* end = a.out + a.rows * a.cols;
  if (a.rows < rows) {
    for (int64_t y = 0; y < a.rows; ++y)
      plane_tile<N, 1, Vectors>(a, a.padded + y * a.row_step, a.out + y * a.cols, end);
    return;
  }
  for (int64_t i = 0; i < a.rows; i += rows) {
    const int64_t y = smaller(i, a.rows - rows);
    plane_tile<N, rows, Vectors>(a, a.padded + y * a.row_step, a.out + y * a.cols, end);
  }
}

template <int N, class T>
STRIATE_INLINE void plane_rows(const PlaneArgs<T>& a) {
  const int vectors = static_cast<int>((a.cols + N - 1) / N);
  if (vectors == 1) return narrow_rows<N, 1>(a);
  if (vectors == 2) return narrow_rows<N, 2>(a);
  const T* end = a.out + a.rows * a.cols;
  for (int64_t y = 0; y < a.rows; ++y) {
    const T* from = a.padded + y * a.row_step;
    T* to = a.out + y * a.cols;
    even_pieces(vectors, 4, [&](int first, int count) {
      const T* x = from + first * N;
      T* here = to + first * N;
      if (count == 4)
        plane_tile<N, 1, 4>(a, x, here, end);
      else if (count == 3)
        plane_tile<N, 1, 3>(a, x, here, end);
      else
        plane_tile<N, 1, 2>(a, x, here, end);
    });
  }
}

// Outputs of two phases that alternate along the row, `Vectors` vectors of each.
template <int N, int Vectors, class T>
STRIATE_INLINE void paired_tile(const PlaneArgs<T>& a, const T* from, const int* taps, const int32_t* offset,
                                const T* weight, T* to, const T* end) {
  using V = vec<T, N>;
  using order = typename make_indices<N>::type;
  V sum[2][Vectors];
#pragma GCC unroll 2
  for (int phase = 0; phase < 2; ++phase) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[phase][v] = broadcast<V>(a.bias);
    for (int t = 0; t < taps[phase]; ++t) {
      const V w = broadcast<V>(*weight++);
      const T* x = from + *offset++;
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[phase][v] += load<V>(x + v * N) * w;
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    store_before<T, N>(to + 2 * v * N, zip_low(sum[0][v], sum[1][v], order{}), end);
    store_before<T, N>(to + (2 * v + 1) * N, zip_high(sum[0][v], sum[1][v], order{}), end);
  }
}

// Rows of more than one phase, in the order of memory.
template <int N, class T>
STRIATE_INLINE void phased_rows(const PlaneArgs<T>& a) {
  const T* end = a.out + a.rows * a.cols;
  const int64_t cols = (a.cols + a.col_phases - 1) / a.col_phases;
  int phase = 0;
  const T* from = a.padded;
  const int32_t* offset = a.offset;
  const T* weight = a.weight;
  const int* taps = a.taps;
  for (int64_t y = 0; y < a.rows; ++y) {
    T* to = a.out + y * a.cols;
    int64_t x = 0;
    if (a.col_phases == 2) {
      for (; x + N < cols; x += 2 * N) paired_tile<N, 2>(a, from + x, taps, offset, weight, to + 2 * x, end);
      if (x < cols) paired_tile<N, 1>(a, from + x, taps, offset, weight, to + 2 * x, end);
    } else {
      PlaneArgs<T> row = a;
      row.taps = taps;
      row.offset = offset;
      row.weight = weight;
      for (; x < cols; x += N) plane_tile<N, 1, 1>(row, from + x, to + x, end);
    }
    for (int i = 0; i < a.col_phases; ++i, ++taps) offset += *taps, weight += *taps;
    if (++phase == a.row_phases) {
      phase = 0;
      from += a.row_step;
      offset = a.offset;
      weight = a.weight;
      taps = a.taps;
    }
  }
}

template <int N, class T>
STRIATE_INLINE void correlate_by(const PlaneArgs<T>& a) {
  if (a.row_phases * a.col_phases == 1)
    plane_rows<N>(a);
  else
    phased_rows<N>(a);
}

template <class T>
void correlate(const PlaneArgs<T>& a) noexcept {
  constexpr int n = kLanes<T>;
  if constexpr (STRIATE_VECTOR_BYTES == 64)
    if (a.cols <= n / 2 * a.col_phases) return correlate_by<n / 2>(a);
  correlate_by<n>(a);
}

// ---- weight gradient ----------------------------------------------------------------------------------

template <int Taps, class T>
STRIATE_INLINE void grad_taps(const PlaneGradArgs<T>& a, int first) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  V sum[Taps];
  int64_t offset[Taps];
  T* sums = a.sums + first * n;
  vec<typename mask_of<T>::type, n> inside{};  // of a row's last vector
  for (int lane = 0; lane < a.cols % n; ++lane) inside[lane] = -1;
#pragma GCC unroll 9
  for (int t = 0; t < Taps; ++t) {
    sum[t] = load<V>(sums + t * n);
    offset[t] = a.offset[first + t];
  }
  for (int64_t y = 0; y < a.rows; ++y) {
    const T* grad = a.grad + y * a.pitch;
    const T* padded = a.padded + y * a.row_step;
    int64_t x = 0;
    for (; x + n <= a.cols; x += n) {
      const V g = load<V>(grad + x);
#pragma GCC unroll 9
      for (int t = 0; t < Taps; ++t) sum[t] += load<V>(padded + x + offset[t]) * g;
    }
    if (x < a.cols) {  // what lies beyond may be infinite, and so must not even be multiplied by 0
      const V g = load<V>(grad + x);
#pragma GCC unroll 9
      for (int t = 0; t < Taps; ++t) sum[t] += (inside ? load<V>(padded + x + offset[t]) : V{}) * g;
    }
  }
#pragma GCC unroll 9
  for (int t = 0; t < Taps; ++t) store(sums + t * n, sum[t]);
}

template <class T>
void weight_grad(const PlaneGradArgs<T>& a) noexcept {
  int first = 0;
  for (; first + 9 <= a.taps; first += 9) grad_taps<9>(a, first);
  for (; first + 3 <= a.taps; first += 3) grad_taps<3>(a, first);
  for (; first < a.taps; ++first) grad_taps<1>(a, first);
}

template <class T>
constexpr conv::DepthwisePlanes<T> planes() {
  return {kLanes<T>, pad_rows<T>, correlate<T>, weight_grad<T>};
}

}  // namespace

constinit const conv::DepthwisePlanesTable depthwise_planes_table = {planes<float>(), planes<double>()};

}  // namespace striate::STRIATE_ISA
