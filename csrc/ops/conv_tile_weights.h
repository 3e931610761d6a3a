// Weights packed for the tile driver: [group][lane block][channel block][tap][channel][lane]. Taps of all phases
// follow each other, phase by phase. The last lane block is as narrow as whole vectors allow.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tile_blocking.h"

namespace striate {

template <class T>
class TileWeights {
 public:
  TileWeights(std::span<const Correlation<T>> phases, const conv::Product<T>& kernel, const TileBlocking& b)
      : phases_(phases),
        c_(phases[0]),
        kernel_(kernel),
        lane_block_(b.lane_block),
        ic_block_(b.ic_block),
        blocks_(ceil_div(c_.oc, b.lane_block)) {
    for (const Correlation<T>& phase : phases) {
      first_tap_.push_back(taps());
      const auto& axes = phase.axes;
      for (int64_t d = 0; d < axes[0].taps; ++d)
        for (int64_t h = 0; h < axes[1].taps; ++h)
          for (int64_t w = 0; w < axes[2].taps; ++w)
            tap_.push_back(phase.weight - c_.weight + d * phase.weight_tap[0] + h * phase.weight_tap[1] +
                           w * phase.weight_tap[2]);
    }
    block_stride_ = padded_count<T>(taps() * c_.ic * lane_block_);
  }

  /// Packs everything, for `slice` to find; `once` it would be read only where it stays for other calls.
  void pack_all(bool once) {
    const auto fill = [&](T* to) {
      const int64_t pieces = ceil_div(c_.ic, ic_block_), tasks = c_.g * blocks_ * pieces;
      const double work = static_cast<double>(c_.g * c_.oc * c_.ic * taps());
      parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
        const int64_t ic = task % pieces * ic_block_, block = task / pieces % blocks_, group = task / pieces / blocks_;
        pack(group, block, ic, to + offset(group, block, ic));
      });
    };
    const auto key = form_key(WeightForm::tiles, phases_, &kernel_, {ic_block_});
    const int64_t count = c_.g * blocks_ * block_stride_;
    form_ = once ? kept<T>(c_.packed, key, count, fill) : striate::packed<T>(c_.packed, key, count, fill);
  }
  bool packed() const { return form_.get() != nullptr; }
  const T* slice(int64_t group, int64_t block, int64_t ic) const { return form_.get() + offset(group, block, ic); }

  /// Packs one lane block of the channels from `ic` on.
  void pack(int64_t group, int64_t block, int64_t ic, T* to) const {
    kernel_.pack_lanes({.weight = c_.weight + group * c_.weight_g + block * lane_block_ * c_.weight_o +
                                  ic * c_.weight_i,
                        .o = c_.weight_o,
                        .i = c_.weight_i,
                        .tap = tap_.data(),
                        .taps = static_cast<int>(taps()),
                        .lanes = static_cast<int>(std::min<int64_t>(lane_block_, c_.oc - block * lane_block_)),
                        .channels = static_cast<int>(std::min(ic_block_, c_.ic - ic)),
                        .packed = to,
                        .step = step(block)});
  }
  int64_t slice_elements() const { return taps() * ic_block_ * lane_block_; }

  /// Lanes of a row, used or not.
  int64_t step(int64_t block) const {
    return block == blocks_ - 1 ? ceil_div(c_.oc - block * lane_block_, kernel_.lanes) * kernel_.lanes
                                : lane_block_;
  }
  int64_t taps() const { return static_cast<int64_t>(tap_.size()); }
  int64_t first_tap(size_t phase) const { return first_tap_[phase]; }

 private:
  int64_t offset(int64_t group, int64_t block, int64_t ic) const {
    return (group * blocks_ + block) * block_stride_ + taps() * ic * step(block);
  }

  std::span<const Correlation<T>> phases_;
  const Correlation<T>& c_;  // what all phases share
  const conv::Product<T>& kernel_;
  int64_t lane_block_, ic_block_, blocks_, block_stride_ = 0;
  std::vector<int64_t> tap_, first_tap_;  // first_tap_ of each phase
  Packed<T> form_;
};

}  // namespace striate
