// How the elements of a window join, for values of pooling over rows: as the larger, or as a sum to be divided.
// Included by the pooling kernels only.
#pragma once

#include "kernels/pool/windows.h"

namespace striate::STRIATE_ISA {
namespace {

// What the sums of a line are divided by.
template <class T>
struct Divisor {
  T each, factor;   // of all windows, and its inverse if that is exact
  const T* counts;  // or the elements that each column counts, times `lines`; null: `each`
  T lines;

  STRIATE_INLINE native<T> share(native<T> sum, int64_t column) const {
    if (counts) return sum / (load<native<T>>(counts + column) * lines);
    return factor != 0 ? sum * factor : sum / each;
  }
};

// Knows no NaN: those who use it look for them.
template <class T>
struct Larger {
  static constexpr bool kLooksForNan = true;
  static constexpr T edge() { return -static_cast<T>(__builtin_inf()); }
  template <class V>
  static STRIATE_INLINE V join(V a, V b) {
    return b > a ? b : a;
  }
  static STRIATE_INLINE native<T> finish(native<T> value, const Divisor<T>&, int64_t) { return value; }
};

template <class T>
struct LargerOrNan : Larger<T> {
  static constexpr bool kLooksForNan = false;
  template <class V>
  static STRIATE_INLINE V join(V a, V b) {
    const V larger = b > a ? b : a;
    return b != b ? b : larger;
  }
  static STRIATE_INLINE native<T> finish(native<T> value, const Divisor<T>&, int64_t) {
    return value != value ? broadcast<native<T>>(kNan<T>) : value;
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
  static STRIATE_INLINE native<T> finish(native<T> value, const Divisor<T>& divisor, int64_t column) {
    return divisor.share(value, column);
  }
};

}  // namespace
}  // namespace striate::STRIATE_ISA
