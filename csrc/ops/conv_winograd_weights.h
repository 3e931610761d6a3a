// Weights for Winograd's convolution. Transformed they lie as [group][point][lane block][channel][lane] or, of a task
// that transforms its own, [point][channel][lane].
//
// What may stay for later calls are not these, which are two to four times as large as the weights (to read them again
// takes longer than to make them), but the weights with lanes as neighbours: [group][lane block][channel][tap][lane].
// So nothing is left to gather, and one form serves all sizes of tiles.
#pragma once

#include <algorithm>

#include "base/parallel.h"
#include "base/scratch.h"
#include "kernels/conv/winograd.h"
#include "ops/conv_tiles.h"

namespace striate {

class WinogradWeights {
 public:
  WinogradWeights(const Correlation<float>& c, conv::WinogradForm form, const conv::WinogradKernel& kernel)
      : c_(c),
        form_(static_cast<size_t>(form)),
        points_(conv::size_of(form).points() * conv::size_of(form).points()),
        kernel_(kernel),
        blocks_(ceil_div(c.oc, kernel.lanes)),
        rows_(kept<float>(c.packed, form_key(WeightForm::winograd, std::span(&c, 1), &kernel),
                          c.g * blocks_ * c.ic * c.taps() * kernel.lanes, [&](float* to) { gather(to); })) {}

  int64_t block() const { return c_.ic * kernel_.lanes; }      // to the next lane block
  int64_t point() const { return blocks_ * block() + kPad; }   // to the next point
  int64_t offset(int64_t group, int64_t lane_block, int64_t ic) const {
    return group * points_ * point() + lane_block * block() + ic * kernel_.lanes;
  }

  Scratch<float> transform_all() const {
    Scratch<float> u(c_.g * points_ * point());
    const int64_t pieces = ceil_div(c_.ic, kChannels), tasks = c_.g * blocks_ * pieces;
    const auto work = static_cast<double>(c_.g * c_.oc * c_.ic * points_) / 8;
    parallel_for(tasks, workers_for(tasks, work), FpMode::flush_denormals, [&](int64_t task, int) {
      const int64_t ic = task % pieces * kChannels, block = task / pieces % blocks_, group = task / pieces / blocks_;
      transform(group, block, ic, std::min(kChannels, c_.ic - ic), u.get() + offset(group, block, ic), point());
    });
    return u;
  }

  /// One lane block's weights of channels [ic, ic + count).
  void transform(int64_t group, int64_t lane_block, int64_t ic, int64_t count, float* u, int64_t u_point) const {
    const int64_t oc = lane_block * kernel_.lanes, tap = kernel_.lanes, row = c_.axes[2].taps * tap;
    conv::WinogradWeightArgs<float> args{.weight = rows_.get() + row_of(group, lane_block, ic),
                                         .o = 1,
                                         .i = c_.taps() * tap,
                                         .h = row,
                                         .w = tap,
                                         .lanes_used = kernel_.lanes,
                                         .channels = static_cast<int>(count),
                                         .u = u,
                                         .u_point = u_point};
    if (!rows_) {
      args.weight = c_.weight + group * c_.weight_g + oc * c_.weight_o + ic * c_.weight_i;
      args.o = c_.weight_o;
      args.i = c_.weight_i;
      args.h = c_.weight_tap[1];
      args.w = c_.weight_tap[2];
      args.lanes_used = static_cast<int>(std::min<int64_t>(kernel_.lanes, c_.oc - oc));
    }
    kernel_.weight[form_](args);
  }

 private:
  static constexpr int64_t kPad = 16;       // power-of-two strides thrash L1
  static constexpr int64_t kChannels = 64;  // of a task

  int64_t row_of(int64_t group, int64_t lane_block, int64_t ic) const {
    return ((group * blocks_ + lane_block) * c_.ic + ic) * c_.taps() * kernel_.lanes;
  }

  void gather(float* to) const {
    const int64_t tasks = c_.g * blocks_, columns = c_.axes[2].taps;
    const auto work = static_cast<double>(c_.g * c_.oc * c_.ic * c_.taps());
    parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
      const int64_t block = task % blocks_, group = task / blocks_, first = block * kernel_.lanes;
      const int64_t used = std::min<int64_t>(kernel_.lanes, c_.oc - first);
      const float* from = c_.weight + group * c_.weight_g + first * c_.weight_o;
      float* row = to + row_of(group, block, 0);
      for (int64_t i = 0; i < c_.ic; ++i)
        for (int64_t tap = 0; tap < c_.taps(); ++tap, row += kernel_.lanes) {
          const float* lane = from + i * c_.weight_i + tap / columns * c_.weight_tap[1] +
                              tap % columns * c_.weight_tap[2];
          for (int64_t o = 0; o < kernel_.lanes; ++o) row[o] = o < used ? lane[o * c_.weight_o] : 0.0f;
        }
    });
  }

  const Correlation<float>& c_;
  const size_t form_;
  const int64_t points_;  // of a tile
  const conv::WinogradKernel& kernel_;
  const int64_t blocks_;  // of lanes
  const Packed<float> rows_;
};

}  // namespace striate
