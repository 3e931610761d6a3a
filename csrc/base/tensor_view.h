// TensorView: a typed, strided window on memory that somebody else owns.
//
// Spatial ops see every array as (n, c, d, h, w); axes that the caller's array lacks have size 1 and
// stride 0 (see `lift`). Strides count elements, not bytes, and may be negative or zero.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace striate {

enum class DType : uint8_t { f32, f64, i64, u8 };

inline int64_t size_of(DType dtype) { return dtype == DType::f32 ? 4 : dtype == DType::u8 ? 1 : 8; }
inline const char* name_of(DType dtype) {
  constexpr const char* names[] = {"float32", "float64", "int64", "uint8"};
  return names[static_cast<size_t>(dtype)];
}

inline constexpr int kMaxRank = 8;

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<int64_t, kMaxRank> shape{};
  std::array<int64_t, kMaxRank> stride{};
  int64_t slack = 0;  // elements behind the last that may be read, whatever they are

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  std::span<const int64_t> dims() const { return {shape.data(), static_cast<size_t>(rank)}; }
  int64_t size() const {
    int64_t count = 1;
    for (int64_t extent : dims()) count *= extent;
    return count;
  }
};

/// Element number `index` in C order: slow, for naive loops.
template <class T>
T& nth(const TensorView& view, int64_t index) {
  T* at = view.as<T>();
  for (auto axis = static_cast<size_t>(view.rank); axis-- > 0; index /= view.shape[axis])
    at += index % view.shape[axis] * view.stride[axis];
  return *at;
}

/// The axes of a lifted view.
enum Axis5 : int { kN, kC, kD, kH, kW };

/// (n, c, w) or (n, c, h, w) becomes (n, c, d, h, w): new axes of size 1 after the channels.
inline TensorView lift(const TensorView& view) {
  TensorView lifted = view;
  const int missing = 5 - view.rank;
  lifted.rank = 5;
  for (int axis = 4; axis >= 2; --axis) {
    const bool present = axis - missing >= 2;
    const auto to = static_cast<size_t>(axis);
    const auto from = static_cast<size_t>(present ? axis - missing : 0);
    lifted.shape[to] = present ? view.shape[from] : 1;
    lifted.stride[to] = present ? view.stride[from] : 0;
  }
  return lifted;
}

/// Product that refuses to overflow: shapes come from outside. `what` names them in the message.
inline int64_t checked_product(std::span<const int64_t> factors, const char* op, const char* what) {
  if (std::find(factors.begin(), factors.end(), 0) != factors.end()) return 0;
  int64_t product = 1;
  for (int64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product) || product > (int64_t{1} << 60))
      fail_value(op, ": ", what, " ", tuple_text(factors), " has more elements than memory can hold");
  }
  return product;
}

enum class MemoryFormat : uint8_t { contiguous, channels_last, other };

/// What the strides of an (n, c, spatial...) array say. Axes of size 1 say nothing, so a grayscale image
/// is both; `ambiguous` tells that the answer `contiguous` could as well have been `channels_last`.
struct FormatReading {
  MemoryFormat format;
  bool ambiguous;
};
FormatReading read_format(const TensorView& view);

/// The format of a result: the wish, else the input's, else (on a tie) the second array's, else contiguous.
MemoryFormat result_format(const TensorView& input, const TensorView* second,
                           const MemoryFormat* wish);

/// Fills `view.stride` with the dense strides of its shape in `format`.
void set_dense_strides(TensorView& view, MemoryFormat format);

/// Fills `view.stride` with dense strides in the axis order of `model`, an array of the same shape. A
/// broadcast array has no order: then contiguous.
void set_strides_like(TensorView& view, const TensorView& model);

}  // namespace striate
