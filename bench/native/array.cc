#include "array.h"

#include <bit>
#include <cmath>
#include <limits>

namespace striate::bench {
namespace {

template <class T>
double largest(const TensorView& view) {
  double found = 0;
  for_each_element(view, [&](const std::array<int64_t, 5>& at) {
    found = std::max(found, std::abs(static_cast<double>(view.as<T>()[offset(view, at)])));
  });
  return found;
}

template <class T>
std::string difference(const TensorView& a, const TensorView& b, double tolerance) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const double near = tolerance > 0 ? tolerance * largest<T>(b) : -1;
  std::string found;
  for_each_element(a, [&](const std::array<int64_t, 5>& at) {
    const T got = a.as<T>()[offset(a, at)], expected = b.as<T>()[offset(b, at)];
    const bool equal = std::bit_cast<Bits>(got) == std::bit_cast<Bits>(expected) ||
                       std::abs(static_cast<double>(got) - static_cast<double>(expected)) <= near;
    if (found.empty() && !equal)
      found = concat("at (n, c, d, h, w) = ", tuple_text(at), ": ", got, ", reference ", expected);
  });
  return found;
}

}  // namespace

Array::Array(DType dtype, std::span<const int64_t> shape, MemoryFormat layout) {
  TensorView view;
  view.dtype = dtype;
  view.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  set_dense_strides(view, layout);
  const auto bytes = static_cast<size_t>(view.size() * size_of(dtype));
  memory_.reset(new (std::align_val_t{64}) std::byte[bytes]);
  view.data = memory_.get();
  view_ = lift(view);
}

void Array::fill_integers(uint32_t seed, int magnitude, int64_t multiple) {
  const int64_t count = view_.size();
  uint32_t state = seed * 2654435761u + 1;
  const auto range = static_cast<uint32_t>(2 * magnitude + 1);
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const auto value = static_cast<double>(multiple * (static_cast<int64_t>((state >> 16) % range) - magnitude));
    if (view_.dtype == DType::f32)
      view_.as<float>()[i] = static_cast<float>(value);
    else
      view_.as<double>()[i] = value;
  }
}

void Array::fill_nan() {
  if (view_.dtype == DType::f32)
    std::fill_n(view_.as<float>(), view_.size(), std::numeric_limits<float>::quiet_NaN());
  else
    std::fill_n(view_.as<double>(), view_.size(), std::numeric_limits<double>::quiet_NaN());
}

std::string first_difference(const Array& got, const Array& expected, double tolerance) {
  return got.view().dtype == DType::f32 ? difference<float>(got.view(), expected.view(), tolerance)
                                        : difference<double>(got.view(), expected.view(), tolerance);
}

int exact_magnitude(DType dtype, double terms) {
  const double limit = dtype == DType::f32 ? 0x1p24 : 0x1p53;
  int magnitude = 4;
  while (magnitude > 0 && terms * magnitude * magnitude >= limit) --magnitude;
  return magnitude;
}

}  // namespace striate::bench
