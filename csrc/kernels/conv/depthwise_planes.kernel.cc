// Depthwise correlation of planes: lanes are columns. See depthwise.h for the scratch and the phases.
#include "kernels/conv/depthwise_pad.h"
#include "kernels/conv/even_pieces.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::PlanesArgs;

// What the tiles of one plane have in common; `taps`, `offset` and `weight_offset` of one phase.
template <class T>
struct Plane {
  int64_t row_step, cols;
  const T* weight;
  T bias;
  int taps;
  const int32_t* offset;
  const int32_t* weight_offset;
  const T* end;  // of the outputs
};

// Lanes beyond the last column go to the next row, whose turn comes later; nothing goes beyond `end`.
template <class T, int N>
STRIATE_INLINE void store_before(T* to, vec<T, N> value, const T* end) {
  if (to + N <= end)
    store(to, value);
  else if (to < end)
    store_tail<T, N>(to, value, static_cast<int>(end - to));
}

// One tap of a tile.
template <int N, int Rows, int Vectors, class T>
STRIATE_INLINE void add_tap(const Plane<T>& p, const T* from, int t, vec<T, N> (&sum)[Rows][Vectors]) {
  using V = vec<T, N>;
  const V weight = broadcast<V>(p.weight[p.weight_offset[t]]);
  const T* x = from + p.offset[t];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] += load<V>(x + r * p.row_step + v * N) * weight;
}

// Rows x Vectors sums. More than one row only where the vectors reach across the whole of it.
template <int N, int Rows, int Vectors, class T>
STRIATE_INLINE void plane_tile(const Plane<T>& p, const T* from, T* to) {
  using V = vec<T, N>;
  V sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] = broadcast<V>(p.bias);
  for (int t = 0; t < p.taps; ++t) add_tap<N, Rows, Vectors>(p, from, t, sum);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store_before<T, N>(to + r * p.cols + v * N, sum[r][v], p.end);
}

// Rows of `Vectors` vectors each, `Rows` at a time; the last ones go back over rows done.
template <int N, int Rows, int Vectors, class T>
STRIATE_INLINE void narrow_rows(const Plane<T>& p, const T* from, T* to, int64_t rows) {
  if (rows < Rows) {
    for (int64_t y = 0; y < rows; ++y) plane_tile<N, 1, Vectors>(p, from + y * p.row_step, to + y * p.cols);
    return;
  }
  for (int64_t i = 0; i < rows; i += Rows) {
    const int64_t y = smaller(i, rows - Rows);
    plane_tile<N, Rows, Vectors>(p, from + y * p.row_step, to + y * p.cols);
  }
}

template <int N, class T>
STRIATE_INLINE void plane_rows(const Plane<T>& p, const T* from, T* to, int64_t rows) {
  const int vectors = static_cast<int>((p.cols + N - 1) / N);
  if (vectors == 1) return narrow_rows<N, 4, 1>(p, from, to, rows);
  if (vectors == 2) return narrow_rows<N, 2, 2>(p, from, to, rows);
  for (int64_t y = 0; y < rows; ++y, from += p.row_step, to += p.cols)
    even_pieces(vectors, 4, [&](int first, int count) {
      if (count == 4)
        plane_tile<N, 1, 4>(p, from + first * N, to + first * N);
      else if (count == 3)
        plane_tile<N, 1, 3>(p, from + first * N, to + first * N);
      else
        plane_tile<N, 1, 2>(p, from + first * N, to + first * N);
    });
}

// ---- kernels of 3 x 3 ---------------------------------------------------------------------------------

// Taps at offset + h * row + {0, col[0], col[1]}; outputs `stride` rows apart: neighbours share rows.
struct Square {
  int64_t first, row, col[2];
  int stride;
};
template <class T>
STRIATE_INLINE bool find_square(const PlanesArgs<T>& a, Square& s) {
  if (a.row_phases * a.col_phases != 1 || a.taps[0] != 9) return false;
  const int32_t* o = a.offset;
  s = {o[0], o[3] - o[0], {o[1] - o[0], o[2] - o[0]}, a.row_step == o[3] - o[0] ? 1 : 2};
  if (a.row_step != s.stride * s.row) return false;
  for (int h = 0; h < 3; ++h)
    if (o[3 * h] - o[0] != h * s.row || o[3 * h + 1] - o[3 * h] != s.col[0] || o[3 * h + 2] - o[3 * h] != s.col[1])
      return false;
  return true;
}

// Four rows of one vector. Weights stay in registers for the whole plane, a row is read once for all outputs.
template <int N, int Rows, int Stride, class T>
STRIATE_INLINE void square_tile(const Plane<T>& p, const Square& s, const vec<T, N> (&weight)[9], const T* from,
                                T* to) {
  using V = vec<T, N>;
  V sum[Rows];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) sum[r] = broadcast<V>(p.bias);
#pragma GCC unroll 9
  for (int i = 0; i < (Rows - 1) * Stride + 3; ++i) {
    const T* row = from + i * s.row;
#pragma GCC unroll 3
    for (int w = 0; w < 3; ++w) {
      const V x = load<V>(w == 0 ? row : row + s.col[w - 1]);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const int h = i - r * Stride;
        if (h >= 0 && h < 3) sum[r] += x * weight[3 * h + w];
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) store_before<T, N>(to + r * p.cols, sum[r], p.end);
}

// The last vector of a row and the last rows go back over what is done. Rows shorter than a vector run over.
template <int N, int Stride, class T>
STRIATE_INLINE void square_rows(const Plane<T>& p, const Square& s, const T* from, T* to, int64_t rows) {
  vec<T, N> weight[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) weight[t] = broadcast<vec<T, N>>(p.weight[p.weight_offset[t]]);
  const int64_t last = larger<int64_t>(p.cols - N, 0);
  if (rows < 4) {
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t i = 0; i < p.cols; i += N) {
        const int64_t x = smaller(i, last);
        square_tile<N, 1, Stride>(p, s, weight, from + y * p.row_step + x, to + y * p.cols + x);
      }
    return;
  }
  for (int64_t j = 0; j < rows; j += 4) {
    const int64_t y = smaller(j, rows - 4);
    for (int64_t i = 0; i < p.cols; i += N) {
      const int64_t x = smaller(i, last);
      square_tile<N, 4, Stride>(p, s, weight, from + y * p.row_step + x, to + y * p.cols + x);
    }
  }
}

// ---- kernels of 3 x 3, stride 2 and padding 1 to the left: no scratch ---------------------------------

template <class V, int... I>
STRIATE_INLINE V shift_in(V a, V left, indices<I...>) {
  return __builtin_shufflevector(a, left, (I == 0 ? static_cast<int>(sizeof...(I)) : I - 1)...);
}

// from[0], from[2] ... and from[1], from[3] ... Vectors of two halves are loaded so that none of theirs changes sides.
template <class V>
struct Pair {
  V even, odd;
};
template <int N, class T, int... I>
STRIATE_INLINE Pair<vec<T, N>> load_split(const T* from, indices<I...> order) {
  using V = vec<T, N>;
  if constexpr (sizeof(V) == 32) {
    constexpr int h = N / 2, q = N / 4;
    using H = vec<T, h>;
    const V a = __builtin_shufflevector(load<H>(from), load<H>(from + N), I...);
    const V b = __builtin_shufflevector(load<H>(from + h), load<H>(from + N + h), I...);
    return {__builtin_shufflevector(a, b, (I / h * h + I % h / q * N + I % q * 2)...),
            __builtin_shufflevector(a, b, (I / h * h + I % h / q * N + I % q * 2 + 1)...)};
  } else {
    const V a = load<V>(from), b = load<V>(from + N);
    return {alternate<0>(a, b, order), alternate<1>(a, b, order)};
  }
}

// What N outputs see of one row: columns 2 i - 1, 2 i and 2 i + 1.
template <class V>
struct Thirds {
  V before, even, odd;
};

template <int N, class T>
struct HalvedColumns {
  using Mask = vec<typename mask_of<T>::type, N>;
  const PadRows<T>& in;
  int64_t ahead;  // to what comes after these rows: hardware foresees lines, not columns
  int64_t x;      // first output
  Mask even_inside, odd_inside;
};

template <int N, class T>
STRIATE_INLINE Thirds<vec<T, N>> see_row(const HalvedColumns<N, T>& c, int64_t y) {
  using V = vec<T, N>;
  using order = typename make_indices<N>::type;
  if (y < 0 || y >= c.in.plane_rows) return {V{}, V{}, V{}};
  const T* from = c.in.plane + y * c.in.plane_row + 2 * c.x;
#pragma GCC unroll 2
  for (int i = 0; i < 2 * N; i += larger(64 / static_cast<int>(sizeof(T)), 1)) __builtin_prefetch(from + c.ahead + i);
  const V left = c.x > 0 ? broadcast<V>(from[-1]) : V{};
  T rest[2 * N];
  if (from + 2 * N > c.in.end) {  // the last rows of all
    const int64_t count = larger<int64_t>(c.in.end - from, 0);
    for (int64_t i = 0; i < 2 * N; ++i) rest[i] = i < count ? from[i] : T(0);
    from = rest;
  }
  const Pair<V> split = load_split<N>(from, order{});
  const V odd = c.odd_inside ? split.odd : V{};
  return {shift_in(odd, left, order{}), c.even_inside ? split.even : V{}, odd};
}

template <class V>
STRIATE_INLINE V add_row(V sum, const Thirds<V>& x, const V* weight) {
  return sum + x.before * weight[0] + x.even * weight[1] + x.odd * weight[2];
}

template <int N, int... I, class T>
STRIATE_INLINE auto lanes_below(int64_t count, indices<I...>, const T*) {
  using Mask = typename mask_of<T>::type;
  return vec<Mask, N>{I...} < vec<Mask, N>{} + static_cast<Mask>(count);
}

// Down the rows, so that each is read once; `top` is the row of the plane that the first output sees first.
template <int N, class T>
STRIATE_INLINE void halved_rows(const Plane<T>& p, const PadRows<T>& in, int64_t top, T* to, int64_t rows) {
  using V = vec<T, N>;
  using order = typename make_indices<N>::type;
  V weight[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) weight[t] = broadcast<V>(p.weight[p.weight_offset[t]]);
  const V bias = broadcast<V>(p.bias);
  const int64_t last = larger<int64_t>(p.cols - N, 0);
  for (int64_t i = 0; i < p.cols; i += N) {
    const int64_t x = smaller(i, last), room = in.plane_cols - 2 * x;
    const HalvedColumns<N, T> columns{in, 2 * rows * in.plane_row, x, lanes_below<N>((room + 1) / 2, order{}, to),
                                      lanes_below<N>(room / 2, order{}, to)};
    V sum = add_row(bias, see_row<N>(columns, top), weight);
    for (int64_t y = 0; y < rows; ++y) {
      sum = add_row(sum, see_row<N>(columns, top + 2 * y + 1), weight + 3);
      const Thirds<V> below = see_row<N>(columns, top + 2 * y + 2);
      store_before<T, N>(to + y * p.cols + x, add_row(sum, below, weight + 6), p.end);
      sum = add_row(bias, below, weight);
    }
  }
}

// ---- several phases -----------------------------------------------------------------------------------

// Outputs of two phases that alternate along the row, `Vectors` vectors of each.
template <int N, int Vectors, class T>
STRIATE_INLINE void paired_tile(const Plane<T>& p, const int* taps, const T* from, T* to) {
  using V = vec<T, N>;
  using order = typename make_indices<N>::type;
  V even[1][Vectors], odd[1][Vectors];
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) even[0][v] = odd[0][v] = broadcast<V>(p.bias);
  for (int t = 0; t < taps[0]; ++t) add_tap<N, 1, Vectors>(p, from, t, even);
  for (int t = taps[0]; t < taps[0] + taps[1]; ++t) add_tap<N, 1, Vectors>(p, from, t, odd);
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    store_before<T, N>(to + 2 * v * N, zip_low(even[0][v], odd[0][v], order{}), p.end);
    store_before<T, N>(to + (2 * v + 1) * N, zip_high(even[0][v], odd[0][v], order{}), p.end);
  }
}

// The four phases of a gradient of stride 2, kernel 3 and padding 1, with rows and columns that pair off. Of the
// gradients a b / c d of the outputs the inputs between see a, a b / a c, a b c d.
template <class T>
STRIATE_INLINE bool is_quartered(const PlanesArgs<T>& a) {
  if (a.row_phases != 2 || a.col_phases != 2 || a.rows % 2 || a.cols % 2) return false;
  if (a.taps[0] != 1 || a.taps[1] != 2 || a.taps[2] != 2 || a.taps[3] != 4) return false;
  const int32_t* o = a.offset;
  const auto row = static_cast<int32_t>(a.row_step);
  const int32_t seen[9] = {0, 0, 1, 0, row, 0, 1, row, row + 1};
  for (int t = 0; t < 9; ++t)
    if (o[t] - o[0] != seen[t]) return false;
  return true;
}

template <int N, class T>
STRIATE_INLINE void quartered_rows(const Plane<T>& p, const T* from, T* to, int64_t rows) {
  using V = vec<T, N>;
  using order = typename make_indices<N>::type;
  V w[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) w[t] = broadcast<V>(p.weight[p.weight_offset[t]]);
  const V bias = broadcast<V>(p.bias);
  const int64_t last = larger<int64_t>(p.cols / 2 - N, 0);
  from += p.offset[0];
  for (int64_t y = 0; y < rows; y += 2, from += p.row_step, to += 2 * p.cols)
    for (int64_t i = 0; i < p.cols / 2; i += N) {
      const int64_t x = smaller(i, last);
      const T* above = from + x;
      const T* below = above + p.row_step;
      const V a = load<V>(above), b = load<V>(above + 1), c = load<V>(below), d = load<V>(below + 1);
      const V sum[4] = {bias + a * w[0], bias + a * w[1] + b * w[2], bias + a * w[3] + c * w[4],
                        bias + a * w[5] + b * w[6] + c * w[7] + d * w[8]};
#pragma GCC unroll 2
      for (int r = 0; r < 2; ++r) {
        T* here = to + r * p.cols + 2 * x;
        store_before<T, N>(here, zip_low(sum[2 * r], sum[2 * r + 1], order{}), p.end);
        store_before<T, N>(here + N, zip_high(sum[2 * r], sum[2 * r + 1], order{}), p.end);
      }
    }
}

// Rows of more than one phase, in the order of memory.
template <int N, class T>
STRIATE_INLINE void phased_rows(const PlanesArgs<T>& a, const Plane<T>& plane, const T* from, T* to) {
  const int64_t cols = (a.cols + a.col_phases - 1) / a.col_phases;
  Plane<T> p = plane;
  const int* taps = a.taps;
  int phase = 0;
  for (int64_t y = 0; y < a.rows; ++y, to += a.cols) {
    int64_t x = 0;
    if (a.col_phases == 2) {
      for (; x + N < cols; x += 2 * N) paired_tile<N, 2>(p, taps, from + x, to + 2 * x);
      if (x < cols) paired_tile<N, 1>(p, taps, from + x, to + 2 * x);
    } else {
      p.taps = *taps;
      for (; x < cols; x += N) plane_tile<N, 1, 1>(p, from + x, to + x);
    }
    for (int i = 0; i < a.col_phases; ++i, ++taps) p.offset += *taps, p.weight_offset += *taps;
    if (++phase == a.row_phases) {
      phase = 0;
      from += a.row_step;
      taps = a.taps;
      p.offset = a.offset;
      p.weight_offset = a.weight_offset;
    }
  }
}

template <int N, class T>
STRIATE_INLINE void correlate_by(const PlanesArgs<T>& a) {
  PadRows<T> in = a.in;
  T* out = a.out;
  Square square{};
  const bool is_square = find_square(a, square), quartered = is_quartered(a);
  const bool halved = is_square && square.stride == 2 && in.step == 2 && in.pad == 1 && square.first == 0 &&
                      square.row == 2 * in.pitch && square.col[0] == in.pitch && square.col[1] == 1;
  const int64_t top = in.first - (in.to - a.padded) / (in.step * in.pitch);
  Plane<T> p{a.row_step, a.cols, a.weight, T(0), a.taps[0], a.offset, a.weight_offset, nullptr};
  for (int64_t i = 0; i < a.planes; ++i, in.plane += a.in_step, p.weight += a.weight_step, out += a.out_step) {
    if (a.bias) p.bias = a.bias[i];
    p.end = out + a.rows * a.cols;
    if (halved) {
      halved_rows<N>(p, in, top, out, a.rows);
      continue;
    }
    pad_rows(in);
    if (is_square && square.stride == 1)
      square_rows<N, 1>(p, square, a.padded + square.first, out, a.rows);
    else if (is_square)
      square_rows<N, 2>(p, square, a.padded + square.first, out, a.rows);
    else if (a.row_phases * a.col_phases == 1)
      plane_rows<N>(p, a.padded, out, a.rows);
    else if (quartered)
      quartered_rows<N>(p, a.padded, out, a.rows);
    else
      phased_rows<N>(a, p, a.padded, out);
  }
}

template <class T>
void correlate(const PlanesArgs<T>& a) noexcept {
  constexpr int n = kLanes<T>;
  if constexpr (STRIATE_VECTOR_BYTES == 64)
    if (a.cols <= n / 2 * a.col_phases) return correlate_by<n / 2>(a);
  correlate_by<n>(a);
}

template <class T>
constexpr conv::DepthwisePlanes<T> planes() {
  return {kLanes<T>, correlate<T>};
}

}  // namespace

constinit const conv::DepthwisePlanesTable depthwise_planes_table = {planes<float>(), planes<double>()};

}  // namespace striate::STRIATE_ISA
