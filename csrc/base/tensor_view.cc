#include "base/tensor_view.h"

#include <cstdlib>

namespace striate {
namespace {

// Axis order from slowest to fastest.
std::array<int, kMaxRank> axis_order(int rank, MemoryFormat format) {
  std::array<int, kMaxRank> order{};
  int next = 0;
  for (int axis = 0; axis < rank; ++axis)
    if (format != MemoryFormat::channels_last || axis != 1) order[static_cast<size_t>(next++)] = axis;
  if (format == MemoryFormat::channels_last && rank > 1) order[static_cast<size_t>(next)] = 1;
  return order;
}

bool is_dense(const TensorView& view, MemoryFormat format) {
  const auto order = axis_order(view.rank, format);
  int64_t expected = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    const auto axis = static_cast<size_t>(order[static_cast<size_t>(i)]);
    if (view.shape[axis] == 1) continue;
    if (view.stride[axis] != expected) return false;
    expected *= view.shape[axis];
  }
  return true;
}

}  // namespace

FormatReading read_format(const TensorView& view) {
  const bool contiguous = is_dense(view, MemoryFormat::contiguous);
  const bool channels_last = is_dense(view, MemoryFormat::channels_last);
  if (contiguous) return {MemoryFormat::contiguous, channels_last};
  return {channels_last ? MemoryFormat::channels_last : MemoryFormat::other, false};
}

MemoryFormat result_format(const TensorView& input, const TensorView* second,
                           const MemoryFormat* wish) {
  if (wish) return *wish;
  const FormatReading reading = read_format(input);
  if (reading.ambiguous && second) {
    const FormatReading other = read_format(*second);
    if (!other.ambiguous && other.format == MemoryFormat::channels_last)
      return MemoryFormat::channels_last;
  }
  return reading.format == MemoryFormat::channels_last ? MemoryFormat::channels_last
                                                       : MemoryFormat::contiguous;
}

void set_dense_strides(TensorView& view, MemoryFormat format) {
  const auto order = axis_order(view.rank, format);
  int64_t next = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    const auto axis = static_cast<size_t>(order[static_cast<size_t>(i)]);
    view.stride[axis] = next;
    next *= std::max<int64_t>(view.shape[axis], 1);
  }
}

void set_strides_like(TensorView& view, const TensorView& model) {
  std::array<size_t, kMaxRank> order{};  // slowest first
  size_t count = 0;
  set_dense_strides(view, MemoryFormat::contiguous);
  for (size_t axis = 0; axis < model.dims().size(); ++axis) {
    if (model.shape[axis] == 1) continue;
    if (model.stride[axis] == 0 || model.shape[axis] == 0) return;
    order[count++] = axis;
  }
  std::stable_sort(order.begin(), order.begin() + count, [&](size_t a, size_t b) {
    return std::abs(model.stride[a]) > std::abs(model.stride[b]);
  });
  int64_t next = 1;
  for (size_t i = count; i-- > 0;) {
    view.stride[order[i]] = next;
    next *= model.shape[order[i]];
  }
}

}  // namespace striate
