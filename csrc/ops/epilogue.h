// What a convolution's sums still go through before they are final:
//
//   y = activation(sum + bias + addend)
//
// An epilogue is applied to each tile of results just after it was stored, while it is still in cache; the
// result is never walked again. What a kernel cannot do in registers, `TileEpilogue` does on memory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/tensor_view.h"
#include "ops/pointwise.h"

namespace striate {
namespace pointwise {
template <class T>
struct RunArgs;
}

struct Epilogue {
  const void* bias = nullptr;          // one a channel, dense; null: none
  const TensorView* addend = nullptr;  // lifted, of the result's shape: a residual; null: none
  std::optional<Activation> activation;
  double negative_slope = 0.01;  // of leaky_relu

  Epilogue(const void* channel_bias = nullptr) : bias(channel_bias) {}  // NOLINT: implicit on purpose
  bool only_bias() const { return !addend && !activation; }
};

/// The part of a result that a task has just stored, of one image and one depth.
template <class T>
struct StoredTile {
  T* out;                           // its first element
  std::array<int64_t, 5> position;  // where that is in the result: n, c, d, h, w
  int64_t channel_step;             // from one channel of the tile to the next
  int64_t channels, rows, cols;
};

/// Addend and activation for one number type, bound to the instruction set in force.
template <class T>
class TileEpilogue {
 public:
  TileEpilogue() = default;  // does nothing
  explicit TileEpilogue(const Epilogue& epilogue);

  bool does_nothing() const { return !addend_ && !activate_; }
  /// `stride` of the result: n, c, d, h, w.
  void apply(const StoredTile<T>& tile, const std::array<int64_t, 5>& stride) const;
  /// The same to a whole lifted result, in parallel: where results do not come tile by tile.
  void apply_to_all(const TensorView& result) const;

 private:
  void run(T* out, const T* addend, int64_t count, int64_t step, int64_t addend_step) const;

  const T* addend_ = nullptr;
  std::array<int64_t, 5> addend_stride_{};
  void (*add_)(const T* from, int64_t rows, int64_t row_stride, int64_t columns, T* sums) noexcept = nullptr;
  void (*activate_)(const pointwise::RunArgs<T>&) noexcept = nullptr;
  T negative_slope_ = 0;
};

}  // namespace striate
