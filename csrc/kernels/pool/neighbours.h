// Values of pooling where windows are 3 x 3, move by one and are as many as pixels, in dense planes: each plane is
// one run, however short its rows.
//
//     down      row 0 with row 1 | every other row with the one before and the one after | the last with the one before
//     across    each element with the one before and the one after: of a row's first and last it is another row's,
//               so these are written once more
//
// Included by the pooling kernels only.
#pragma once

#include "kernels/pool/joins.h"

namespace striate::STRIATE_ISA {
namespace {

// Vectors run over the end of a plane, in both arrays.
template <class T>
STRIATE_INLINE bool has_room_for_neighbours(const RowsArgs<T>& a, const T* in, const T* out, const T* out_end) {
  const int64_t size = a.axis[1].in * a.axis[2].in + kLanes<T>;
  return a.in_end - in >= size && out_end - out >= size;
}

// to[i] = join of `Rows` rows of `count` elements, `columns` apart. Ordered: as long as
// no NaN is met; of three rows only the middle one is looked at, as each other row is met elsewhere.
template <class Op, int Rows, class T, class M>
STRIATE_INLINE void join_run(const T* from, int64_t columns, int64_t count, T* to, M& ordered) {
  using V = native<T>;
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    const V one = load<V>(from + i), two = load<V>(from + i + columns);
    V value = Op::join(one, two);
    if constexpr (Rows == 3) value = Op::join(value, load<V>(from + i + 2 * columns));
    if constexpr (Op::kLooksForNan) ordered &= Rows == 2 ? both_ordered(one, two) : two == two;
    store(to + i, value);
  }
}

// False if a NaN was met (Larger only; lanes past the end may raise a false alarm).
template <class Op, class T>
bool join_neighbours(const RowsArgs<T>& a, const T* in, T* out) {
  using V = native<T>;
  using Scalar = vec<T, 1>;
  constexpr int n = kLanes<T>;
  const int64_t rows = a.axis[1].in, columns = a.axis[2].in, size = rows * columns;
  const Divisor<T> divisor = {a.divisor, a.factor, nullptr, T(1)};
  T* joined = a.rows + n;
  auto ordered = V{} == V{};
  join_run<Op, 2>(in, columns, columns, joined, ordered);
  join_run<Op, 3>(in, columns, size - 2 * columns, joined + columns, ordered);
  join_run<Op, 2>(in + size - 2 * columns, columns, columns, joined + size - columns, ordered);
  if (Op::kLooksForNan && !all_set(ordered)) return false;
  for (int64_t i = 0; i < size; i += n) {
    const V value = Op::join(Op::join(load<V>(joined + i - 1), load<V>(joined + i)), load<V>(joined + i + 1));
    store(out + i, Op::finish(value, divisor, 0));
  }
  const auto pair = [&](int64_t at) STRIATE_LAMBDA {
    const Scalar value = Op::join(Scalar{joined[at]}, Scalar{joined[at + 1]});
    return Op::finish(broadcast<V>(value[0]), divisor, 0)[0];
  };
  for (int64_t i = 0; i < size; i += columns) {
    out[i] = pair(i);
    out[i + columns - 1] = pair(i + columns - 2);
  }
  return true;
}

}  // namespace
}  // namespace striate::STRIATE_ISA
