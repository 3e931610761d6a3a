#include "ops/pool_tables.h"

#include <algorithm>

namespace striate {
namespace {

// An axis that one window covers, whole.
bool is_global(const PoolAxis& axis) {
  return axis.out == 1 && axis.pad == 0 && axis.dilation == 1 && axis.kernel >= axis.in;
}

std::vector<pool::Window> windows_of(const PoolProblem& p, const PoolAxis& axis) {
  std::vector<pool::Window> windows;
  windows.reserve(static_cast<size_t>(axis.out + pool::kWindowMargin));
  for (int64_t out = 0; out < axis.out; ++out) {
    const int64_t start = out * axis.stride - axis.pad;
    const int64_t skipped = start < 0 ? (-start + axis.dilation - 1) / axis.dilation : 0;
    const int64_t first = start + skipped * axis.dilation;
    const int64_t fitting = (axis.in - 1 - first) / axis.dilation + 1;
    const int64_t taps = std::min(axis.kernel - skipped, fitting);
    const int64_t padded = std::min(start + axis.kernel, axis.in + axis.pad_end) - start;
    windows.push_back({static_cast<int32_t>(first), static_cast<int32_t>(taps),
                       static_cast<int32_t>(p.count_include_pad ? padded : taps),
                       static_cast<int32_t>(skipped)});
  }
  windows.resize(windows.size() + pool::kWindowMargin, windows.back());
  return windows;
}

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

// The windows that see an input position, as a window on the output.
std::vector<pool::Window> covers_of(const PoolAxis& axis) {
  std::vector<pool::Window> covers(static_cast<size_t>(axis.in + pool::kWindowMargin), {0, 0, 1, 0});
  for (int64_t in = 0; in < axis.in; ++in) {
    const int64_t low = std::max<int64_t>(ceil_div(in + axis.pad - axis.kernel + 1, axis.stride), 0);
    const int64_t high = std::min((in + axis.pad) / axis.stride, axis.out - 1);
    if (low <= high)
      covers[static_cast<size_t>(in)] = {static_cast<int32_t>(low), static_cast<int32_t>(high - low + 1), 1, 0};
  }
  return covers;
}

}  // namespace

PoolProblem fold_global(const PoolProblem& p, TensorView& image) {
  PoolProblem folded = p;
  for (size_t i = 2; i-- > 0;) {  // height into width, then depth
    PoolAxis& width = folded.axis[2];
    PoolAxis& outer = folded.axis[i];
    const auto axis = static_cast<size_t>(kD) + i;
    const bool dense = outer.in == 1 || image.stride[axis] == image.shape[kW] * image.stride[kW];
    if (!is_global(width) || !is_global(outer) || !dense) break;
    if (outer.in * width.in > 0x7fffffff) break;
    if (folded.divisor == 0) {
      // What the mean counts is settled before the axes are gone.
      const auto counted = [&](const PoolAxis& a) {
        return p.count_include_pad ? std::min(a.kernel, a.in + a.pad_end) : a.in;
      };
      folded.divisor = counted(p.axis[0]) * counted(p.axis[1]) * counted(p.axis[2]);
      for (const PoolAxis& a : p.axis)
        if (!is_global(a)) folded.divisor = 0;
      if (folded.divisor == 0) return p;
    }
    if (width.in == 1) image.stride[kW] = image.stride[axis];
    width.in *= outer.in;
    width.kernel = width.in;
    width.stride = width.in;
    width.pad_end = 0;
    image.shape[kW] = width.in;
    image.shape[axis] = 1;
    outer = PoolAxis{};
  }
  return folded;
}

PoolTables window_tables(const PoolProblem& p) {
  return {windows_of(p, p.axis[0]), windows_of(p, p.axis[1]), windows_of(p, p.axis[2])};
}

PoolTables cover_tables(const PoolProblem& p) {
  return {covers_of(p.axis[0]), covers_of(p.axis[1]), covers_of(p.axis[2])};
}

int64_t common_divisor(const PoolProblem& p, const PoolTables& tables) {
  if (p.divisor != 0) return p.divisor;
  int64_t product = 1;
  for (const auto& windows : tables) {
    for (const pool::Window& w : windows)
      if (w.count != windows.front().count) return 0;  // the margin repeats the last
    product *= windows.front().count;
  }
  return product;
}

}  // namespace striate
