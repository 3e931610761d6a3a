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
constexpr int64_t kShortRun = 16, kLineElements = 2048;

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

// What one call of the kernel copies: the finest axes together, and so much of the next that it is worth a call.
// Runs go along the finest, or along the longest where that is short (the r columns a pixel shuffle makes of one).
struct Line {
  std::vector<runs::Run> runs;
  int64_t of_one = 1;    // runs for each position of the next axis
  int64_t positions = 1; // of the next axis in a line
};

Line take_line(std::vector<Axis>& axes) {
  std::vector<Axis> inner;
  int64_t elements = 1;
  while (!axes.empty() && (inner.empty() || elements * axes.back().extent <= kLineElements)) {
    inner.push_back(axes.back());
    elements *= axes.back().extent;
    axes.pop_back();
  }
  Line line;
  Axis along;
  if (!inner.empty()) {
    const auto longest = inner[0].extent >= kShortRun
                             ? inner.begin()
                             : std::max_element(inner.begin(), inner.end(), [](const Axis& a, const Axis& b) {
                                 return a.extent < b.extent;
                               });
    along = *longest;
    inner.erase(longest);
  }
  line.runs.push_back({0, 0, along.from, along.to, along.extent});
  const auto repeat = [&](const Axis& axis, int64_t times) {  // inside the runs so far
    const std::vector<runs::Run> before = line.runs;
    for (int64_t i = 1; i < times; ++i)
      for (runs::Run run : before) {
        run.from += i * axis.from;
        run.to += i * axis.to;
        line.runs.push_back(run);
      }
  };
  for (const Axis& axis : inner) repeat(axis, axis.extent);  // the finest first: its runs are neighbours
  line.of_one = static_cast<int64_t>(line.runs.size());
  if (!axes.empty()) {
    line.positions = std::clamp<int64_t>(kLineElements / elements, 1, axes.back().extent);
    repeat(axes.back(), line.positions);
  }
  return line;
}

template <class T>
void run(const TensorView& input, const TensorView& output, const char* force) {
  if (choose("copy", kOneKernel, force) == OneKernel::reference)
    return runs::reference_copy<T>(input, output);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), runs_table));
  const auto work = static_cast<double>(output.size());
  std::vector<Axis> axes = walk_of(input, output);
  if (axes.size() == 1) {  // a single run, which is what is cut
    const Axis& whole = axes[0];
    const int64_t tasks = std::clamp<int64_t>(whole.extent / kTaskElements, 1, whole.extent);
    return parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
      const int64_t begin = whole.extent * task / tasks, end = whole.extent * (task + 1) / tasks;
      const runs::Run part{begin * whole.from, begin * whole.to, whole.from, whole.to, end - begin};
      kernel.copy(input.as<T>(), output.as<T>(), &part, 1);
    });
  }
  const Line line = take_line(axes);
  Axis next;  // cut into pieces of line.positions, the last perhaps shorter
  if (!axes.empty()) {
    next = axes.back();
    axes.pop_back();
  }
  const int64_t pieces = (next.extent + line.positions - 1) / line.positions;
  int64_t units = pieces;
  for (const Axis& axis : axes) units *= axis.extent;
  const int64_t tasks = std::clamp<int64_t>(output.size() / kTaskElements, 1, units);
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t first = unit % pieces * line.positions;
      int64_t rest = unit / pieces, from = first * next.from, to = first * next.to;
      for (size_t i = axes.size(); i-- > 0; rest /= axes[i].extent) {
        from += rest % axes[i].extent * axes[i].from;
        to += rest % axes[i].extent * axes[i].to;
      }
      kernel.copy(input.as<T>() + from, output.as<T>() + to, line.runs.data(),
                  line.of_one * std::min(line.positions, next.extent - first));
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
