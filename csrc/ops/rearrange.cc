#include "ops/rearrange.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/cpu.h"
#include "base/parallel.h"
#include "kernels/runs/reference.h"
#include "kernels/runs/runs.h"

namespace striate {
namespace {

constexpr int64_t kTaskElements = 32768;
constexpr int64_t kShortRun = 16;

struct Axis {
  int64_t extent = 1, from = 0, to = 0;
};

// The axes as the result lies in memory, slowest first; neighbours that both arrays walk as one are one.
std::vector<Axis> walk_of(const TensorView& input, const TensorView& output) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < static_cast<size_t>(output.rank); ++i)
    if (output.shape[i] != 1) axes.push_back({output.shape[i], input.stride[i], output.stride[i]});
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return std::abs(a.to) > std::abs(b.to); });
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    if (!merged.empty() && merged.back().from == axis.extent * axis.from &&
        merged.back().to == axis.extent * axis.to) {
      merged.back() = {merged.back().extent * axis.extent, axis.from, axis.to};
    } else {
      merged.push_back(axis);
    }
  }
  return merged;
}

// A line is the two finest axes: one is walked by runs, the other numbers them. Where the finest is short (the
// r columns that a pixel shuffle makes of one), runs go along the other.
template <class T>
void run(const TensorView& input, const TensorView& output, const char* force) {
  if (choose("copy", kOneKernel, force) == OneKernel::reference)
    return runs::reference_copy<T>(input, output);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), runs_table));
  std::vector<Axis> axes = walk_of(input, output);
  Axis along, across;
  if (!axes.empty()) {
    along = axes.back();
    axes.pop_back();
  }
  if (!axes.empty() && along.extent < kShortRun && axes.back().extent > along.extent) {
    across = along;
    along = axes.back();
    axes.pop_back();
  }
  std::vector<runs::Run> line;
  for (int64_t i = 0; i < across.extent; ++i)
    line.push_back({i * across.from, i * across.to, along.from, along.to, along.extent});
  const int64_t elements = along.extent * across.extent, lines = output.size() / elements;
  // A line may be the whole array: then the run is what is cut.
  const int64_t pieces = lines > 1 ? 1 : std::clamp<int64_t>(elements / kTaskElements, 1, along.extent);
  const int64_t units = lines * pieces;
  const auto work = static_cast<double>(output.size());
  const int64_t tasks = std::clamp<int64_t>(output.size() / kTaskElements, 1, units);
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      int64_t rest = unit / pieces, from = 0, to = 0;
      for (size_t i = axes.size(); i-- > 0; rest /= axes[i].extent) {
        from += rest % axes[i].extent * axes[i].from;
        to += rest % axes[i].extent * axes[i].to;
      }
      if (pieces == 1) {
        kernel.copy(input.as<T>() + from, output.as<T>() + to, line.data(), across.extent);
        continue;
      }
      const int64_t piece = unit % pieces;
      const int64_t begin = along.extent * piece / pieces, end = along.extent * (piece + 1) / pieces;
      for (runs::Run part : line) {
        part.from += begin * along.from;
        part.to += begin * along.to;
        part.count = end - begin;
        kernel.copy(input.as<T>() + from, output.as<T>() + to, &part, 1);
      }
    }
  });
}

}  // namespace

void copy_elements(const TensorView& input, const TensorView& output, const char* force) {
  if (output.size() == 0) return;
  if (output.dtype == DType::f32)
    run<float>(input, output, force);
  else
    run<double>(input, output, force);
}

}  // namespace striate
