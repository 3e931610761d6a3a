// A joint walk over arrays of one shape and any strides, as few long runs.
//
// Axes are sorted by the strides of the first array (the one that is written), neighbours that all arrays
// can walk as one are merged, axes of size 1 vanish. Arrays of equal dense layout become a single run:
//
//     (8, 64, 56, 56) contiguous                  one run of 1605632, step 1
//     the same, channels [:, 8:40] of it          8 runs of 100352, step 1
//     channels-last result, contiguous operand    axes n, h * w, c: runs of 64, steps 1 and 3136
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <type_traits>

#include "base/parallel.h"
#include "base/tensor_view.h"

namespace striate {

template <size_t N>
class StridedLoop {
 public:
  using Offsets = std::array<int64_t, N>;  // one an array, in elements

  /// All axes of the views but `skip` (an op that treats one axis by itself).
  explicit StridedLoop(const std::array<const TensorView*, N>& views, int skip = -1) {
    std::array<Axis, kMaxRank> axes{};
    int count = 0;
    for (int i = 0; i < views[0]->rank; ++i) {
      const auto axis = static_cast<size_t>(i);
      if (i == skip || views[0]->shape[axis] == 1) continue;
      Axis& to = axes[static_cast<size_t>(count++)];
      to.extent = views[0]->shape[axis];
      for (size_t a = 0; a < N; ++a) to.stride[a] = views[a]->stride[axis];
    }
    // Insertion sort: stable, so equal strides keep the order of the axes.
    for (int i = 1; i < count; ++i)
      for (int j = i; j > 0 && finer(axes[static_cast<size_t>(j - 1)], axes[static_cast<size_t>(j)]); --j)
        std::swap(axes[static_cast<size_t>(j - 1)], axes[static_cast<size_t>(j)]);
    for (int i = 0; i < count; ++i) add(axes[static_cast<size_t>(i)]);
    if (rank_ > 0) run_ = axes_[static_cast<size_t>(--rank_)];  // the finest axis is the run
    for (int i = 0; i < rank_; ++i) runs_ *= axes_[static_cast<size_t>(i)].extent;
  }

  int64_t runs() const { return runs_; }
  int64_t run_length() const { return run_.extent; }
  const Offsets& step() const { return run_.stride; }  // between neighbours of a run
  int64_t size() const { return runs_ * run_.extent; }
  bool has_unit_steps() const {
    return run_.extent == 1 || std::all_of(run_.stride.begin(), run_.stride.end(),
                                           [](int64_t step) { return step == 1; });
  }

  /// Where run number `index` begins in each array.
  Offsets begin_of(int64_t index) const {
    Offsets at{};
    for (int i = rank_ - 1; i >= 0; --i) {
      const Axis& axis = axes_[static_cast<size_t>(i)];
      for (size_t a = 0; a < N; ++a) at[a] += index % axis.extent * axis.stride[a];
      index /= axis.extent;
    }
    return at;
  }

  /// Calls body(begin, count) for each run in the elements [first, last) of the walk, cut at both ends.
  template <class Body>
  void for_each_run(int64_t first, int64_t last, Body body) const {
    if (first >= last) return;
    int64_t index = first / run_.extent;
    int64_t within = first % run_.extent;
    for (int64_t at = first; at < last; ++index, within = 0) {
      const int64_t count = std::min(run_.extent - within, last - at);
      Offsets begin = begin_of(index);
      for (size_t a = 0; a < N; ++a) begin[a] += within * run_.stride[a];
      body(begin, count);
      at += count;
    }
  }

 private:
  struct Axis {
    int64_t extent = 1;
    Offsets stride{};
  };

  // Whether `a` should lie inside `b`.
  static bool finer(const Axis& a, const Axis& b) {
    for (size_t i = 0; i < N; ++i)
      if (std::abs(a.stride[i]) != std::abs(b.stride[i]))
        return std::abs(a.stride[i]) < std::abs(b.stride[i]);
    return false;
  }

  void add(const Axis& axis) {
    if (rank_ > 0) {
      Axis& outer = axes_[static_cast<size_t>(rank_ - 1)];
      bool as_one = true;
      for (size_t a = 0; a < N; ++a) as_one &= outer.stride[a] == axis.extent * axis.stride[a];
      if (as_one) {
        outer.extent *= axis.extent;
        outer.stride = axis.stride;
        return;
      }
    }
    axes_[static_cast<size_t>(rank_++)] = axis;
  }

  int rank_ = 0;
  std::array<Axis, kMaxRank> axes_{};  // outside the run, slowest first
  Axis run_;
  int64_t runs_ = 1;
};

/// Walks a whole loop in pieces of about `grain` elements, spread over the threads. body(begin, count) must
/// not depend on where a run is cut.
template <size_t N, class Body>
void parallel_runs(const StridedLoop<N>& loop, int64_t grain, double work, FpMode mode, Body body) {
  if (loop.size() == 0) return;
  const int64_t pieces = std::max<int64_t>(1, loop.size() / grain);
  const int64_t piece = (loop.size() + pieces - 1) / pieces;
  parallel_for(pieces, workers_for(pieces, work), mode, [&](int64_t task, int) {
    loop.for_each_run(std::min(loop.size(), task * piece), std::min(loop.size(), (task + 1) * piece), body);
  });
}

}  // namespace striate
