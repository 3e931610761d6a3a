// An array of a test problem. Each has memory of exactly its size from the general allocator, so that a
// sanitizer sees a step beyond it.
#pragma once

#include <memory>
#include <new>
#include <span>
#include <string>

#include "base/tensor_view.h"

namespace striate::bench {

class Array {
 public:
  Array(DType dtype, std::span<const int64_t> shape, MemoryFormat layout);

  const TensorView& view() const { return view_; }  // lifted
  double bytes() const { return static_cast<double>(view_.size() * size_of(view_.dtype)); }

  /// Pseudo-random whole numbers from -magnitude to magnitude, times `multiple`; the same for the same seed.
  void fill_integers(uint32_t seed, int magnitude, int64_t multiple = 1);
  void fill_nan();  // so that an element left unwritten shows

 private:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  TensorView view_;
};

inline int64_t offset(const TensorView& view, const std::array<int64_t, 5>& at) {
  int64_t sum = 0;
  for (size_t axis = 0; axis < 5; ++axis) sum += at[axis] * view.stride[axis];
  return sum;
}

/// Calls body(at) for every (n, c, d, h, w) of a lifted view.
template <class Body>
void for_each_element(const TensorView& view, Body body) {
  std::array<int64_t, 5> at{};
  for (int64_t i = 0; i < view.size(); ++i) {
    int64_t rest = i;
    for (size_t axis = 5; axis-- > 0; rest /= view.shape[axis]) at[axis] = rest % view.shape[axis];
    body(at);
  }
}

/// Where two arrays of one shape first differ in a bit, and by what; empty if nowhere. With a tolerance, where
/// they differ by more than this share of the largest magnitude expected; NaN always differs.
std::string first_difference(const Array& got, const Array& expected, double tolerance = 0);

/// The largest magnitude up to 4 with which sums of `terms` products of two integers are exact in `dtype`;
/// 0 if not even 1 is.
int exact_magnitude(DType dtype, double terms);

}  // namespace striate::bench
