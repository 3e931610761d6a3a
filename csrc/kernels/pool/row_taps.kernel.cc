// Maxima over rows that are contiguous in memory, each with the number of the tap that won: what training keeps.
//
//     rows of the input, padded    NaN a0 a1 a2 a3 ... -inf     in scratch, where every window is whole
//     across                       the largest of each window's taps in a row, and which of them it is
//     down                         the largest of a window's rows
//
// Across first, so the first of equals in a row wins, and then the first of equal rows: the order of taps. Windows
// that overlap share the first pass. Padding loses to everything: -inf does behind a window, where it would have
// to be larger to win; and NaN before it, where the next tap wins unless it is known to be no larger. A NaN in the
// input itself is left to those who know NaNs (RowsArgs::careful).
#include "kernels/pool/windows.h"
#include "simd/pairs.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Axis;

template <class T>
using Taps = vec<typename mask_of<T>::type, kLanes<T>>;

template <class T>
struct Best {
  native<T> value;
  Taps<T> tap{};

  // A later tap: the first of equals stays, but padding (NaN) does not.
  STRIATE_INLINE void meet(native<T> v, Taps<T> at) {
    tap = later<T>(~(v <= value), at, tap);
    value = value > v ? value : v;
  }
  STRIATE_INLINE void meet(native<T> v, int64_t at) { meet(v, Taps<T>{} + static_cast<typename mask_of<T>::type>(at)); }
};

// `left` of the lanes; all of them where `whole` elements may be written. `first_tap`: of what `best` tells of.
template <bool Folded, class T>
STRIATE_INLINE void write(const Best<T>& best, int64_t first_tap, int64_t left, int64_t whole, T* out, uint8_t* tap) {
  constexpr int n = kLanes<T>;
  using order = typename make_indices<n>::type;
  native<T> value = best.value;
  Taps<T> wide = best.tap;
  if constexpr (Folded) {
    value = unfold(value);
    wide = unfold(wide);
  }
  wide += static_cast<typename mask_of<T>::type>(first_tap);  // not before: GCC narrows permuted vectors badly
  const auto taps = low_bytes(wide, order{});
  if (whole >= n) {
    store(out, value);
    store(tap, taps);
    return;
  }
  T values[n];
  uint8_t numbers[n];
  store(values, value);
  store(numbers, taps);
  for (int64_t i = 0; i < left; ++i) {
    out[i] = values[i];
    tap[i] = numbers[i];
  }
}

// Lines that go together: `lines` of them from row h on of one image.
template <class T>
struct Block {
  const T* in;  // row 0, column 0
  T* out;       // of the first line, column 0
  uint8_t* tap;
  int64_t h, lines, first_tap;  // first_tap: taps cut off in depth
  int64_t whole;                // elements that may be written from `out` on; 0: not past the end of a line
};

// ---- rows to scratch -------------------------------------------------------------------------------------

// Input columns [first, first + inside) of `rows` rows, with `left` before them and padding up to `needed`. False
// if there was a NaN (lanes past the end may raise a false alarm).
template <class T>
bool pad_rows(const RowsArgs<T>& a, const T* from, int64_t rows, int64_t left, int64_t inside, int64_t needed) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  auto ordered = V{} == V{};
  bool clean = true;
  T* row = a.rows;
  for (int64_t r = 0; r < rows; ++r, from += a.in_stride[3], row += a.pitch) {
    T* to = row + left;
    const int64_t whole = a.in_end ? a.in_end - from : inside;
    int64_t x = 0;
    for (; x < left; ++x) row[x] = kNan<T>;
    for (x = 0; x + n < inside && x + 2 * n <= whole; x += 2 * n) {
      const V one = load<V>(from + x), two = load<V>(from + x + n);
      ordered &= both_ordered(one, two);
      store(to + x, one);
      store(to + x + n, two);
    }
    for (; x < inside && x + n <= whole; x += n) {
      const V one = load<V>(from + x);
      ordered &= one == one;
      store(to + x, one);
    }
    for (; x < inside; ++x) {
      to[x] = from[x];
      clean &= from[x] == from[x];
    }
    for (x = left + inside; x < needed; ++x) row[x] = -static_cast<T>(__builtin_inf());
  }
  return clean && all_set(ordered);
}

// ---- across ----------------------------------------------------------------------------------------------

// In place, and the taps beside: vectors are read before what they overwrite. With Step 2 results are folded.
// Kernel 0: of any width.
template <int Step, int Kernel, class T>
void across(const RowsArgs<T>& a, int64_t rows, int64_t count) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  const Axis& w = a.axis[2];
  const int64_t kernel = Kernel > 0 ? Kernel : w.kernel;
  for (int64_t r = 0; r < rows; ++r) {
    T *row = a.rows + r * a.pitch, *taps = a.row_taps + r * a.pitch;
    for (int64_t j = 0; j < count; j += n) {
      Best<T> best;
      if constexpr (Step == 2) {
        const T* at = row + 2 * j;
        V left = load<V>(at), right = load<V>(at + n);
        best.value = folded_even(left, right);
        if (kernel > 1) best.meet(folded_odd(left, right), 1);
#pragma GCC unroll 2
        for (int64_t t = 2; t < kernel; t += 2) {
          left = load<V>(at + t);
          right = load<V>(at + t + n);
          best.meet(folded_even(left, right), t);
          if (t + 1 < kernel) best.meet(folded_odd(left, right), t + 1);
        }
      } else {
        const T* at = row + (Step == 1 ? j : j * w.stride);
        best.value = load_strided<Step, n>(at, w.stride);
#pragma GCC unroll 4
        for (int64_t t = 1; t < kernel; ++t) best.meet(load_strided<Step, n>(at + t, w.stride), t);
      }
      store(row + j, best.value);
      store(taps + j, reinterpret_cast<V>(best.tap));
    }
  }
}

// ---- down ------------------------------------------------------------------------------------------------

// Rows 0: of any number.
template <bool Folded, int Rows, class T>
STRIATE_INLINE void down_line(const RowsArgs<T>& a, const T* row, const T* taps, int64_t rows, int64_t first_tap,
                              int64_t count, int64_t whole, T* out, uint8_t* tap) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  const int64_t height = Rows > 0 ? Rows : rows;
  const auto width = static_cast<typename mask_of<T>::type>(a.axis[2].kernel);
  for (int64_t j = 0; j < count; j += n) {
    Best<T> best;
    best.value = load<V>(row + j);
    best.tap = load<Taps<T>>(taps + j);
#pragma GCC unroll 3
    for (int64_t r = 1; r < height; ++r)
      best.meet(load<V>(row + r * a.pitch + j),
                load<Taps<T>>(taps + r * a.pitch + j) + static_cast<typename mask_of<T>::type>(r) * width);
    write<Folded>(best, first_tap, smaller<int64_t>(count - j, n), whole - j, out + j, tap + j);
  }
}

// Columns [j, j + count) of a block, whose rows begin with input row `first`.
template <bool Folded, class T>
void down(const RowsArgs<T>& a, const Block<T>& block, int64_t first, int64_t j, int64_t count) {
  for (int64_t line = 0; line < block.lines; ++line) {
    const Window& h = a.axis[1].window[block.h + line];
    const int64_t at = (h.first - first) * a.pitch;
    const int64_t first_tap = block.first_tap + h.skipped * a.axis[2].kernel;
    const int64_t whole = block.whole ? block.whole - line * a.out_stride[3] - j : count;
    T* out = block.out + line * a.out_stride[3] + j;
    uint8_t* tap = block.tap + line * a.at_stride[3] + j;
    if (h.taps == 3)
      down_line<Folded, 3>(a, a.rows + at, a.row_taps + at, 3, first_tap, count, whole, out, tap);
    else if (h.taps == 2)
      down_line<Folded, 2>(a, a.rows + at, a.row_taps + at, 2, first_tap, count, whole, out, tap);
    else
      down_line<Folded, 0>(a, a.rows + at, a.row_taps + at, h.taps, first_tap, count, whole, out, tap);
  }
}

// ---- blocks ----------------------------------------------------------------------------------------------

template <class T>
bool max_block(const RowsArgs<T>& a, const Block<T>& block, int64_t j, int64_t count) {
  const Axis& w = a.axis[2];
  const Window &top = a.axis[1].window[block.h], &bottom = a.axis[1].window[block.h + block.lines - 1];
  const int64_t rows = bottom.first + bottom.taps - top.first;
  const int64_t needed = (count - 1) * w.stride + w.kernel, start = j * w.stride - a.pad;
  const int64_t left = start < 0 ? smaller(-start, needed) : 0, first = start < 0 ? 0 : start;
  const int64_t inside = smaller(w.in - first, needed - left);
  if (!pad_rows(a, block.in + top.first * a.in_stride[3] + first, rows, left, inside, needed)) return false;
  if (w.stride == 1 && w.kernel == 3)
    across<1, 3>(a, rows, count);
  else if (w.stride == 1)
    across<1, 0>(a, rows, count);
  else if (w.stride == 2 && w.kernel == 3)
    across<2, 3>(a, rows, count);
  else if (w.stride == 2)
    across<2, 0>(a, rows, count);
  else
    across<kAnyStep, 0>(a, rows, count);
  if (w.stride == 2)
    down<true>(a, block, top.first, j, count);
  else
    down<false>(a, block, top.first, j, count);
  return true;
}

// Windows of 2 x 2 that touch no edge and each other nowhere: both passes in registers.
template <class T>
bool max_squares(const RowsArgs<T>& a, const Block<T>& block) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  const int64_t count = a.axis[2].out;
  auto ordered = V{} == V{};
  bool clean = true;
  for (int64_t line = 0; line < block.lines; ++line) {
    const T* top = block.in + (block.h + line) * 2 * a.in_stride[3];
    const T* bottom = top + a.in_stride[3];
    T* out = block.out + line * a.out_stride[3];
    uint8_t* tap = block.tap + line * a.at_stride[3];
    const int64_t in_room = a.in_end ? a.in_end - bottom : a.axis[2].in;
    const int64_t whole = smaller(block.whole ? block.whole - line * a.out_stride[3] : count, in_room / 2);
    int64_t j = 0;
    for (; j < count && j + n <= whole; j += n) {
      const V top_left = load<V>(top + 2 * j), top_right = load<V>(top + 2 * j + n);
      const V bottom_left = load<V>(bottom + 2 * j), bottom_right = load<V>(bottom + 2 * j + n);
      ordered &= both_ordered(top_left, bottom_left);
      ordered &= both_ordered(top_right, bottom_right);
      Best<T> best{folded_even(top_left, top_right)}, lower{folded_even(bottom_left, bottom_right)};
      best.meet(folded_odd(top_left, top_right), 1);
      lower.tap += 2;
      lower.meet(folded_odd(bottom_left, bottom_right), 3);
      best.meet(lower.value, lower.tap);
      write<true>(best, block.first_tap, n, n, out + j, tap + j);
    }
    for (; j < count; ++j) {
      const T corner[4] = {top[2 * j], top[2 * j + 1], bottom[2 * j], bottom[2 * j + 1]};
      uint8_t best = 0;
      for (uint8_t i = 0; i < 4; ++i) {
        clean &= corner[i] == corner[i];
        if (corner[i] > corner[best]) best = i;
      }
      out[j] = corner[best];
      tap[j] = best;
    }
  }
  return clean && all_set(ordered);
}

template <class T>
void max_row_taps(const RowsArgs<T>& a, int64_t begin, int64_t end) noexcept {
  const int64_t rows = a.axis[1].out, columns = a.axis[2].out;
  const T* out_end = a.out_is_dense ? a.out + end * columns : nullptr;
  Position at = position_of(a, begin);
  for (int64_t i = begin; i < end;) {
    const auto [n, c, d, h] = at;
    const Window& depth = a.axis[0].window[d];
    Block<T> block = {
        a.in + n * a.in_stride[0] + c * a.in_stride[1] + depth.first * a.in_stride[2],
        a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3],
        a.tap + n * a.at_stride[0] + c * a.at_stride[1] + d * a.at_stride[2] + h * a.at_stride[3],
        h,
        smaller(smaller(end - i, rows - h), a.together),
        depth.skipped * a.axis[1].kernel * a.axis[2].kernel,
        0};
    if (out_end) block.whole = out_end - block.out;
    bool clean = true;
    if (a.squares)
      clean = max_squares(a, block);
    else
      for (int64_t j = 0; j < columns && clean; j += pool::kRowsColumns)
        clean = max_block(a, block, j, smaller(columns - j, pool::kRowsColumns));
    if (!clean) a.careful(*a.original, i, i + block.lines);
    advance(a, at, block.lines);
    i += block.lines;
  }
}

}  // namespace

constinit const pool::RowTapsTable pool_row_taps_table = {max_row_taps<float>, max_row_taps<double>};

}  // namespace striate::STRIATE_ISA
