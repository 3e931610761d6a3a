// Values of pooling over rows that are contiguous in memory, in two passes a line (see pool.h):
//
//     input rows of the windows   a0 a1 a2 a3 a4 ...
//                                 b0 b1 b2 b3 b4 ...      down: whole vectors, no shuffles
//                                 c0 c1 c2 c3 c4 ...
//     joined        edge edge     j0 j1 j2 j3 j4 ...  edge     in scratch, padded: every window is whole
//     output              o0 = join(edge, j0, j1), ...     across: neighbours, or every second one
//
// Windows that overlap share the first pass. Rows are often shorter than a few vectors, so whole vectors go
// past their ends where the memory belongs to the same array: what is read there is not used, and what is
// written there belongs to lines that the same call writes later.
#include "kernels/pool/windows.h"
#include "simd/pairs.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Axis;
using pool::RowsArgs;

// ---- how two elements join -------------------------------------------------------------------------------

// Knows no NaN: those who use it look for them.
template <class T>
struct Larger {
  static constexpr bool kLooksForNan = true;
  static constexpr T edge() { return -static_cast<T>(__builtin_inf()); }
  template <class V>
  static STRIATE_INLINE V join(V a, V b) {
    return b > a ? b : a;
  }
  template <class V>
  static STRIATE_INLINE V finish(V value, V) {
    return value;
  }
};

template <class T>
struct LargerOrNan : Larger<T> {
  static constexpr bool kLooksForNan = false;
  template <class V>
  static STRIATE_INLINE V join(V a, V b) {
    const V larger = b > a ? b : a;
    return b != b ? b : larger;
  }
  template <class V>
  static STRIATE_INLINE V finish(V value, V) {
    return value != value ? V{} + kNan<T> : value;
  }
};

template <class T>
struct Sum {
  static constexpr bool kLooksForNan = false;
  static constexpr T edge() { return 0; }
  template <class V>
  static STRIATE_INLINE V join(V a, V b) {
    return a + b;
  }
  template <class V>
  static STRIATE_INLINE V finish(V value, V divisor) {
    return value / divisor;
  }
};

template <class V>
STRIATE_INLINE auto both_ordered(V a, V b) {
  return (a <= b) | (a > b);  // one comparison
}

template <class M>
STRIATE_INLINE bool all_set(M mask) {
  const auto words = reinterpret_cast<vec<int64_t, sizeof(M) / 8>>(mask);
  int64_t all = -1;
#pragma GCC unroll 8
  for (size_t i = 0; i < sizeof(M) / 8; ++i) all &= words[i];
  return all == -1;
}

// ---- down ------------------------------------------------------------------------------------------------

// to[x] = join of `Rows` rows, after what is there already if More. `whole`: elements that may be touched, at
// least `count`. False if a NaN was met (Larger only).
template <class Op, int Rows, bool More, class T>
bool join_rows(const T* from, int64_t step, int64_t count, int64_t whole, T* to) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const T *a = from, *b = from + (Rows > 1 ? step : 0), *c = from + (Rows > 2 ? 2 * step : 0);
  auto ordered = V{} == V{};
  int64_t x = 0;
  const auto vector = [&](int64_t i) __attribute__((always_inline)) {
    V first = load<V>(a + i);
    if constexpr (Rows == 1) {
      if constexpr (Op::kLooksForNan) ordered &= first == first;
      if constexpr (More) first = Op::join(load<V>(to + i), first);
    } else {
      const V second = load<V>(b + i);
      if constexpr (Op::kLooksForNan) ordered &= both_ordered(first, second);
      if constexpr (More) first = Op::join(load<V>(to + i), first);
      first = Op::join(first, second);
      if constexpr (Rows == 3) {
        const V third = load<V>(c + i);
        if constexpr (Op::kLooksForNan) ordered &= third == third;
        first = Op::join(first, third);
      }
    }
    store(to + i, first);
  };
  for (; x + 2 * n <= whole; x += 2 * n) {
    vector(x);
    vector(x + n);
  }
  for (; x < count && x + n <= whole; x += n) vector(x);
  bool clean = !Op::kLooksForNan || all_set(ordered);
  for (; x < count; ++x) {
    T value = a[x];
    clean &= !Op::kLooksForNan || value == value;
    if constexpr (More) value = Op::join(to[x], value);
    if constexpr (Rows > 1) {
      clean &= !Op::kLooksForNan || b[x] == b[x];
      value = Op::join(value, b[x]);
    }
    if constexpr (Rows > 2) {
      clean &= !Op::kLooksForNan || c[x] == c[x];
      value = Op::join(value, c[x]);
    }
    to[x] = value;
  }
  return clean;
}

template <class Op, bool More, class T>
STRIATE_INLINE bool join_some_rows(int64_t rows, const T* from, int64_t step, int64_t count, int64_t whole,
                                   T* to) {
  if (rows == 1) return join_rows<Op, 1, More>(from, step, count, whole, to);
  if (rows == 2) return join_rows<Op, 2, More>(from, step, count, whole, to);
  return join_rows<Op, 3, More>(from, step, count, whole, to);
}

// All rows of the line's windows, `count` columns from `first` on; `to` has room for whole vectors.
template <class Op, class T>
bool join_down(const RowsArgs<T>& a, const Line<T>& line, int64_t first, int64_t count, T* to) {
  bool clean = true;
  if (line.depth_taps * line.height_taps == 0)  // in a gradient: no window sees this line
    for (int64_t x = 0; x < count; ++x) to[x] = Op::edge();
  for (int64_t d = 0; d < line.depth_taps; ++d)
    for (int64_t h = 0; h < line.height_taps; h += 3) {
      const int64_t rows = smaller<int64_t>(line.height_taps - h, 3), step = line.height_step;
      const T* from = line.in + first + d * line.depth_step + h * step;
      const int64_t whole = a.in_end ? smaller(a.in_end - (from + (rows - 1) * step), count + 2 * kLanes<T> - 1)
                                     : count;
      if (d == 0 && h == 0)
        clean &= join_some_rows<Op, false>(rows, from, step, count, whole, to);
      else
        clean &= join_some_rows<Op, true>(rows, from, step, count, whole, to);
    }
  return clean;
}

// ---- across ----------------------------------------------------------------------------------------------

template <class T>
struct Divisor {
  T each;           // of all windows
  const T* counts;  // or the elements that each column counts, times `lines`; null: `each`
  T lines;

  STRIATE_INLINE native<T> at(int64_t column) const {
    if (counts) return load<native<T>>(counts + column) * lines;
    return broadcast<native<T>>(each);
  }
};

// out[j] = value(j) for whole vectors, then for the rest.
template <class T, class Value>
STRIATE_INLINE void write_row(int64_t count, int64_t whole, T* out, Value value) {
  constexpr int n = kLanes<T>;
  int64_t j = 0;
  for (; j < count && j + n <= whole; j += n) store(out + j, value(j));
  if (j < count) {
    T rest[n];
    store(rest, value(j));
    for (int64_t i = j; i < count; ++i) out[i] = rest[i - j];
  }
}

// `joined` is readable up to the taps of a last whole vector. Kernel 0: of any width.
template <class Op, int Step, int Kernel, class T>
void join_across(const Axis& w, const T* joined, int64_t count, int64_t whole, const Divisor<T>& divisor,
                 T* out) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const int64_t kernel = Kernel > 0 ? Kernel : w.kernel;
  write_row(count, whole, out, [&](int64_t j) __attribute__((always_inline)) {
    if constexpr (Step == 2) {
      const T* at = joined + 2 * j;
      V a = load<V>(at), b = load<V>(at + n);
      V value = folded_even(a, b);
      if (kernel > 1) value = Op::join(value, folded_odd(a, b));
#pragma GCC unroll 2
      for (int64_t t = 2; t < kernel; t += 2) {
        a = load<V>(at + t);
        b = load<V>(at + t + n);
        value = Op::join(value, folded_even(a, b));
        if (t + 1 < kernel) value = Op::join(value, folded_odd(a, b));
      }
      return Op::finish(unfold(value), divisor.at(j));
    } else {
      const T* at = joined + (Step == 1 ? j : j * w.stride);
      V value = load_strided<Step, n>(at, w.stride);
#pragma GCC unroll 4
      for (int64_t t = 1; t < kernel; ++t)
        value = Op::join(value, load_strided<Step, n>(at + t * w.dilation, w.stride));
      return Op::finish(value, divisor.at(j));
    }
  });
}

template <class Op, class T>
STRIATE_INLINE void join_across_any(const Axis& w, const T* joined, int64_t count, int64_t whole,
                                    const Divisor<T>& divisor, T* out) {
  if (w.stride == 1 && w.dilation == 1 && w.kernel == 3)
    join_across<Op, 1, 3>(w, joined, count, whole, divisor, out);
  else if (w.stride == 1)
    join_across<Op, 1, 0>(w, joined, count, whole, divisor, out);
  else if (w.stride == 2 && w.dilation == 1 && w.kernel == 3)
    join_across<Op, 2, 3>(w, joined, count, whole, divisor, out);
  else if (w.stride == 2 && w.dilation == 1)
    join_across<Op, 2, 0>(w, joined, count, whole, divisor, out);
  else
    join_across<Op, kAnyStep, 0>(w, joined, count, whole, divisor, out);
}

// Windows of 2 x 2 that touch no edge and each other nowhere: both passes in registers.
template <class Op, class T>
bool join_squares(const T* a, const T* b, int64_t count, int64_t whole, const Divisor<T>& divisor, T* out) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  auto ordered = V{} == V{};
  int64_t j = 0;
  for (; j < count && j + n <= whole; j += n) {
    const V a0 = load<V>(a + 2 * j), a1 = load<V>(a + 2 * j + n);
    const V b0 = load<V>(b + 2 * j), b1 = load<V>(b + 2 * j + n);
    if constexpr (Op::kLooksForNan) {
      ordered &= both_ordered(a0, b0);
      ordered &= both_ordered(a1, b1);
    }
    const V left = Op::join(a0, b0), right = Op::join(a1, b1);
    store(out + j, Op::finish(unfold(Op::join(folded_even(left, right), folded_odd(left, right))),
                              divisor.at(j)));
  }
  bool clean = !Op::kLooksForNan || all_set(ordered);
  for (; j < count; ++j) {
    using Scalar = vec<T, 1>;
    const T corner[4] = {a[2 * j], b[2 * j], a[2 * j + 1], b[2 * j + 1]};
    for (T value : corner) clean &= !Op::kLooksForNan || value == value;
    const Scalar value = Op::join(Op::join(Scalar{corner[0]}, Scalar{corner[1]}),
                                  Op::join(Scalar{corner[2]}, Scalar{corner[3]}));
    out[j] = Op::finish(value, Scalar{divisor.at(j)[0]})[0];
  }
  return clean;
}

// ---- lines -----------------------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE Divisor<T> divisor_at(const RowsArgs<T>& a, const Line<T>& line, int64_t column) {
  if (a.counts) return {T(0), a.counts + column, line.count};
  return {a.divisor, nullptr, T(1)};
}

// Columns [j, j + count) of `lines` neighbouring lines.
template <class First, class Careful, class T>
void join_block(const RowsArgs<T>& a, const Line<T>* line, int64_t lines, int64_t j, int64_t count,
                const T* out_end) {
  const Axis& w = a.axis[2];
  const int64_t needed = (count - 1) * w.stride + (w.kernel - 1) * w.dilation + 1;
  const int64_t start = j * w.stride - a.pad;  // input column of the first tap
  const int64_t left = start < 0 ? smaller(-start, needed) : 0;
  const int64_t first = start < 0 ? 0 : start;
  const int64_t inside = smaller(w.in - first, needed - left);
  bool clean[pool::kRowsTogether];
  for (int64_t i = 0; i < lines; ++i) {
    T* row = a.rows + i * a.pitch;
    clean[i] = join_down<First>(a, line[i], first, inside, row + left);
    if (!clean[i]) join_down<Careful>(a, line[i], first, inside, row + left);
    for (int64_t x = 0; x < left; ++x) row[x] = First::edge();
    for (int64_t x = left + inside; x < needed; ++x) row[x] = First::edge();
  }
  for (int64_t i = 0; i < lines; ++i) {
    T* out = line[i].out + j;
    const int64_t whole = out_end ? out_end - out : count;
    const Divisor<T> divisor = divisor_at(a, line[i], j);
    if (clean[i])
      join_across_any<First>(w, a.rows + i * a.pitch, count, whole, divisor, out);
    else
      join_across_any<Careful>(w, a.rows + i * a.pitch, count, whole, divisor, out);
  }
}

template <class First, class Careful, class T>
STRIATE_INLINE void row_lines(const RowsArgs<T>& a, int64_t begin, int64_t end) {
  const int64_t rows = a.axis[1].out, images = a.axis[0].out, columns = a.axis[2].out;
  const T* out_end = a.out_is_dense ? a.out + end * columns : nullptr;
  for (int64_t i = begin; i < end;) {
    const int64_t h = i % rows, d = i / rows % images, plane = i / rows / images;
    const int64_t count = smaller(smaller(end - i, rows - h), a.together);
    Line<T> line[pool::kRowsTogether];
    for (int64_t k = 0; k < count; ++k) line[k] = line_at(a, plane / a.c, plane % a.c, d, h + k);
    i += count;
    if (!a.squares) {
      for (int64_t j = 0; j < columns; j += pool::kRowsColumns)
        join_block<First, Careful>(a, line, count, j, smaller(columns - j, pool::kRowsColumns), out_end);
      continue;
    }
    for (int64_t k = 0; k < count; ++k) {
      const T *top = line[k].in, *bottom = top + line[k].height_step;
      const int64_t out_room = out_end ? out_end - line[k].out : columns;
      const int64_t in_room = a.in_end ? a.in_end - bottom : a.axis[2].in;
      const int64_t whole = smaller(out_room, in_room / 2);
      const Divisor<T> divisor = divisor_at(a, line[k], 0);
      if (!join_squares<First>(top, bottom, columns, whole, divisor, line[k].out))
        join_squares<Careful>(top, bottom, columns, whole, divisor, line[k].out);
    }
  }
}

template <class T>
void max_rows(const RowsArgs<T>& a, int64_t begin, int64_t end) noexcept {
  row_lines<Larger<T>, LargerOrNan<T>>(a, begin, end);
}

template <class T>
void mean_rows(const RowsArgs<T>& a, int64_t begin, int64_t end) noexcept {
  row_lines<Sum<T>, Sum<T>>(a, begin, end);
}

}  // namespace

constinit const pool::RowsTable pool_rows_table = {{max_rows<float>, mean_rows<float>},
                                                   {max_rows<double>, mean_rows<double>}};

}  // namespace striate::STRIATE_ISA
