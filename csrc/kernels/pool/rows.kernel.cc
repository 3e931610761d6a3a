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
#include "kernels/pool/joins.h"
#include "kernels/pool/neighbours.h"
#include "simd/pairs.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Axis;

// Lines that go together: `lines` of them from (n, c, d, h) on.
template <class T>
struct Block {
  const T* in;        // first row of the depth's windows, height and column 0
  T* out;             // of the first line
  int64_t d, h, lines;
};

// ---- down ------------------------------------------------------------------------------------------------

// For `lines` lines whose first rows are `line_step` apart: to[x] = join of `Rows` rows, `step` apart, after what
// is there already if More. False if a NaN was met (Larger only; lanes past the end may raise a false alarm).
template <class Op, int Rows, bool More, class T>
bool join_rows(const RowsArgs<T>& a, const T* from, int64_t step, int64_t line_step, int64_t lines, int64_t count,
               T* to) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  auto ordered = V{} == V{};
  const auto join = [&ordered](const auto& one, const auto& two, const auto& three, auto value) STRIATE_LAMBDA {
    if constexpr (Op::kLooksForNan && sizeof(value) == sizeof(V)) {
      if constexpr (Rows > 1)
        ordered &= both_ordered(one, two);
      else
        ordered &= one == one;
      if constexpr (Rows > 2) ordered &= three == three;
    }
    value = More ? Op::join(value, one) : one;
    if constexpr (Rows > 1) value = Op::join(value, two);
    if constexpr (Rows > 2) value = Op::join(value, three);
    return value;
  };
  bool clean = true;
  for (int64_t line = 0; line < lines; ++line, from += line_step, to += a.pitch) {
    const T *one = from, *two = from + (Rows > 1 ? step : 0), *three = from + (Rows > 2 ? 2 * step : 0);
    const int64_t whole = a.in_end ? a.in_end - from - (Rows - 1) * step : count;
    int64_t x = 0;
    for (; x < count && x + n <= whole; x += n)
      store(to + x, join(load<V>(one + x), load<V>(two + x), load<V>(three + x), load<V>(to + x)));
    for (; x < count; ++x) {
      using Scalar = vec<T, 1>;
      const auto at = [x](const T* row) STRIATE_LAMBDA { return Scalar{row[x]}; };
      if constexpr (Op::kLooksForNan)
        clean &= one[x] == one[x] && two[x] == two[x] && three[x] == three[x];
      to[x] = join(at(one), at(two), at(three), at(to))[0];
    }
  }
  if constexpr (Op::kLooksForNan) clean &= all_set(ordered);
  return clean;
}

template <class Op, bool More, class T>
STRIATE_INLINE bool join_some_rows(const RowsArgs<T>& a, int64_t rows, const T* from, int64_t step,
                                   int64_t line_step, int64_t lines, int64_t count, T* to) {
  if (rows == 1) return join_rows<Op, 1, More>(a, from, step, line_step, lines, count, to);
  if (rows == 2) return join_rows<Op, 2, More>(a, from, step, line_step, lines, count, to);
  return join_rows<Op, 3, More>(a, from, step, line_step, lines, count, to);
}

// How many lines from `i` on have windows of the same height, `stride` below each other.
STRIATE_INLINE int64_t alike(const Window* height, int64_t i, int64_t lines, int64_t stride) {
  int64_t end = i + 1;
  while (end < lines && height[end].taps == height[i].taps && height[end].first == height[end - 1].first + stride)
    ++end;
  return end - i;
}

// The rows of the windows of all lines of a block, `count` columns from `first` on; `to` has room for whole vectors.
template <class Op, class T>
bool join_down(const RowsArgs<T>& a, const Block<T>& block, int64_t first, int64_t count, T* to) {
  const Window& depth = a.axis[0].window[block.d];
  const Window* height = a.axis[1].window + block.h;
  const int64_t step = a.axis[1].dilation * a.in_stride[3], line_step = a.axis[1].stride * a.in_stride[3];
  bool clean = true;
  for (int64_t i = 0, lines; i < block.lines; i += lines) {
    lines = alike(height, i, block.lines, a.axis[1].stride);
    T* row = to + i * a.pitch;
    if (depth.taps * height[i].taps == 0)  // in a gradient: no window sees these lines
      for (int64_t line = 0; line < lines; ++line)
        for (int64_t x = 0; x < count; ++x) row[line * a.pitch + x] = Op::edge();
    for (int64_t d = 0; d < depth.taps; ++d)
      for (int64_t h = 0; h < height[i].taps; h += 3) {
        const int64_t rows = smaller<int64_t>(height[i].taps - h, 3);
        const T* from = block.in + first + d * a.axis[0].dilation * a.in_stride[2] +
                        height[i].first * a.in_stride[3] + h * step;
        if (d == 0 && h == 0)
          clean &= join_some_rows<Op, false>(a, rows, from, step, line_step, lines, count, row);
        else
          clean &= join_some_rows<Op, true>(a, rows, from, step, line_step, lines, count, row);
      }
  }
  return clean;
}

// ---- across ----------------------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE Divisor<T> divisor_of_line(const RowsArgs<T>& a, const Block<T>& block, int64_t line,
                                          int64_t column) {
  if (!a.counts) return {a.divisor, a.factor, nullptr, T(1)};
  const Window &d = a.axis[0].window[block.d], &h = a.axis[1].window[block.h + line];
  return {T(0), T(0), a.counts + column, static_cast<T>(static_cast<int64_t>(d.count) * h.count)};
}

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

// Outputs j ... of all lines from their joined rows, which are readable up to the taps of a last whole vector.
// Kernel 0: of any width.
template <class Op, int Step, int Kernel, class T>
void join_across(const RowsArgs<T>& a, const Block<T>& block, int64_t first, int64_t count, const T* out_end) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const Axis& w = a.axis[2];
  const int64_t kernel = Kernel > 0 ? Kernel : w.kernel;
  for (int64_t line = 0; line < block.lines; ++line) {
    const T* joined = a.rows + line * a.pitch;
    T* out = block.out + line * a.out_stride[3] + first;
    const Divisor<T> divisor = divisor_of_line(a, block, line, first);
    write_row(count, out_end ? out_end - out : count, out, [&](int64_t j) STRIATE_LAMBDA {
      if constexpr (Step == 2) {
        const T* at = joined + 2 * j;
        V left = load<V>(at), right = load<V>(at + n);
        V value = folded_even(left, right);
        if (kernel > 1) value = Op::join(value, folded_odd(left, right));
#pragma GCC unroll 2
        for (int64_t t = 2; t < kernel; t += 2) {
          left = load<V>(at + t);
          right = load<V>(at + t + n);
          value = Op::join(value, folded_even(left, right));
          if (t + 1 < kernel) value = Op::join(value, folded_odd(left, right));
        }
        return Op::finish(unfold(value), divisor, j);
      } else {
        const T* at = joined + (Step == 1 ? j : j * w.stride);
        V value = load_strided<Step, n>(at, w.stride);
#pragma GCC unroll 4
        for (int64_t t = 1; t < kernel; ++t)
          value = Op::join(value, load_strided<Step, n>(at + t * w.dilation, w.stride));
        return Op::finish(value, divisor, j);
      }
    });
  }
}

template <class Op, class T>
STRIATE_INLINE void join_across_any(const RowsArgs<T>& a, const Block<T>& block, int64_t first, int64_t count,
                                    const T* out_end) {
  const Axis& w = a.axis[2];
  if (w.stride == 1 && w.dilation == 1 && w.kernel == 3)
    join_across<Op, 1, 3>(a, block, first, count, out_end);
  else if (w.stride == 1)
    join_across<Op, 1, 0>(a, block, first, count, out_end);
  else if (w.stride == 2 && w.dilation == 1 && w.kernel == 3)
    join_across<Op, 2, 3>(a, block, first, count, out_end);
  else if (w.stride == 2 && w.dilation == 1)
    join_across<Op, 2, 0>(a, block, first, count, out_end);
  else
    join_across<Op, kAnyStep, 0>(a, block, first, count, out_end);
}

// Lines of squares whose vectors may go past their ends, and short ones two to a vector; how many there are. Clean:
// as for join_rows.
template <class Op, class T>
STRIATE_INLINE int64_t join_roomy_squares(const RowsArgs<T>& a, const Block<T>& block, const T* out_end, bool& clean) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  using half = typename make_indices<n / 2>::type;
  const int64_t down = a.in_stride[3], out_step = a.out_stride[3];
  const int64_t count = a.axis[2].out, vectors = (count + n - 1) / n * n;
  const bool pairs = 2 * count <= n;
  const T* from = block.in + block.h * 2 * down;
  T* out = block.out;
  const int64_t in_room = a.in_end - from - down - (pairs ? n : 2 * vectors);
  const int64_t out_room = out_end - out - (pairs ? n / 2 : vectors);
  if (in_room < 0 || out_room < 0) return 0;
  const int64_t lines = smaller(block.lines, smaller(in_room / (2 * down), out_room / out_step) + 1);
  const Divisor<T> divisor = {a.divisor, a.factor, nullptr, T(1)};
  auto ordered = V{} == V{};
  // Elements of a row, or of two, after they met those below.
  const auto below = [&](const T* row) STRIATE_LAMBDA {
    const V top = load<V>(row), bottom = load<V>(row + down);
    if constexpr (Op::kLooksForNan) ordered &= both_ordered(top, bottom);
    return Op::join(top, bottom);
  };
  const auto value_of = [&](V one, V two) STRIATE_LAMBDA {
    return Op::finish(unfold(Op::join(folded_even(one, two), folded_odd(one, two))), divisor, 0);
  };
  int64_t line = 0;
  if (pairs) {
    for (; line + 2 <= lines; line += 2, from += 4 * down, out += 2 * out_step) {
      const V value = value_of(below(from), below(from + 2 * down));
      store(out, low_half(value, half{}));
      store(out + out_step, high_half(value, half{}));
    }
  } else {
    for (; line < lines; ++line, from += 2 * down, out += out_step)
      for (int64_t j = 0; j < count; j += n) store(out + j, value_of(below(from + 2 * j), below(from + 2 * j + n)));
  }
  clean = !Op::kLooksForNan || all_set(ordered);
  return line;
}

// Windows of 2 x 2 that touch no edge and each other nowhere: both passes in registers.
template <class Op, class T>
bool join_squares(const RowsArgs<T>& a, const Block<T>& block, const T* out_end) {
  using V = native<T>;
  using Scalar = vec<T, 1>;
  constexpr int n = kLanes<T>;
  const int64_t count = a.axis[2].out;
  auto ordered = V{} == V{};
  bool clean = true;
  int64_t line = 0;
  if (a.in_end && out_end && !a.counts)
    line = join_roomy_squares<Op>(a, block, out_end, clean);
  for (; line < block.lines; ++line) {
    const T* top = block.in + (block.h + line) * 2 * a.in_stride[3];
    const T* bottom = top + a.in_stride[3];
    T* out = block.out + line * a.out_stride[3];
    const int64_t in_room = a.in_end ? a.in_end - bottom : a.axis[2].in;
    const int64_t whole = smaller(out_end ? out_end - out : count, in_room / 2);
    const Divisor<T> divisor = divisor_of_line(a, block, line, 0);
    int64_t j = 0;
    for (; j < count && j + n <= whole; j += n) {
      const V top_left = load<V>(top + 2 * j), top_right = load<V>(top + 2 * j + n);
      const V bottom_left = load<V>(bottom + 2 * j), bottom_right = load<V>(bottom + 2 * j + n);
      if constexpr (Op::kLooksForNan) {
        ordered &= both_ordered(top_left, bottom_left);
        ordered &= both_ordered(top_right, bottom_right);
      }
      const V left = Op::join(top_left, bottom_left), right = Op::join(top_right, bottom_right);
      store(out + j, Op::finish(unfold(Op::join(folded_even(left, right), folded_odd(left, right))), divisor, j));
    }
    for (; j < count; ++j) {
      const T corner[4] = {top[2 * j], bottom[2 * j], top[2 * j + 1], bottom[2 * j + 1]};
      for (T value : corner) clean &= !Op::kLooksForNan || value == value;
      const Scalar value = Op::join(Op::join(Scalar{corner[0]}, Scalar{corner[1]}),
                                    Op::join(Scalar{corner[2]}, Scalar{corner[3]}));
      out[j] = Op::finish(broadcast<V>(value[0]), divisor, j)[0];
    }
  }
  if constexpr (Op::kLooksForNan) clean &= all_set(ordered);
  return clean;
}

// ---- lines -----------------------------------------------------------------------------------------------

// Columns [j, j + count) of a block.
template <class Op, class T>
bool join_block(const RowsArgs<T>& a, const Block<T>& block, int64_t j, int64_t count, const T* out_end) {
  const Axis& w = a.axis[2];
  const int64_t needed = (count - 1) * w.stride + (w.kernel - 1) * w.dilation + 1;
  const int64_t start = j * w.stride - a.pad;  // input column of the first tap
  const int64_t left = start < 0 ? smaller(-start, needed) : 0;
  const int64_t first = start < 0 ? 0 : start;
  const int64_t inside = smaller(w.in - first, needed - left);
  if (!join_down<Op>(a, block, first, inside, a.rows + left)) return false;
  if (inside < needed)
    for (int64_t line = 0; line < block.lines; ++line) {
      T* row = a.rows + line * a.pitch;
      for (int64_t x = 0; x < left; ++x) row[x] = Op::edge();
      for (int64_t x = left + inside; x < needed; ++x) row[x] = Op::edge();
    }
  join_across_any<Op>(a, block, j, count, out_end);
  return true;
}

template <class First, class Careful, class T>
STRIATE_INLINE void row_lines(const RowsArgs<T>& a, int64_t begin, int64_t end) {
  const int64_t rows = a.axis[1].out, columns = a.axis[2].out;
  const T* out_end = a.out_is_dense ? a.out + end * columns : nullptr;
  Position at = position_of(a, begin);
  for (int64_t i = begin; i < end;) {
    const auto [n, c, d, h] = at;
    if (a.neighbours && h == 0 && end - i >= rows) {
      const T* in = a.in + n * a.in_stride[0] + c * a.in_stride[1] + d * a.in_stride[2];
      T* out = a.out + i * columns;
      if (has_room_for_neighbours(a, in, out, out_end)) {
        if (!join_neighbours<First>(a, in, out)) join_neighbours<Careful>(a, in, out);
        i += rows;
        advance(a, at, rows);
        continue;
      }
    }
    const Block<T> block = {
        a.in + n * a.in_stride[0] + c * a.in_stride[1] + a.axis[0].window[d].first * a.in_stride[2],
        a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3], d, h,
        smaller(smaller(end - i, rows - h), a.together)};
    i += block.lines;
    advance(a, at, block.lines);
    if (a.squares) {
      if (!join_squares<First>(a, block, out_end)) join_squares<Careful>(a, block, out_end);
      continue;
    }
    for (int64_t j = 0; j < columns; j += pool::kRowsColumns) {
      const int64_t count = smaller(columns - j, pool::kRowsColumns);
      if (!join_block<First>(a, block, j, count, out_end)) join_block<Careful>(a, block, j, count, out_end);
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
