// Weights for Winograd's convolution along rows, transformed: [group][lane block][part][point][channel block][kernel
// row][channel][lane]. Lane blocks are the tile driver's.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tile_blocking.h"
#include "ops/conv_winograd_rows_inputs.h"

namespace striate {

inline constexpr int64_t kMostRowKernel = 32;  // kernel rows

class RowWeights {
 public:
  RowWeights(std::span<const Correlation<float>> phases, const RowForms& forms, const conv::WinogradRowsKernel& rows,
             const conv::Product<float>& product)
      : phases_(phases),
        c_(phases[0]),
        f_(forms),
        rows_(rows),
        product_(product),
        lanes_(lane_block(c_.oc, product.lanes, product.block)),
        blocks_(ceil_div(c_.oc, lanes_)) {}

  int64_t lanes() const { return lanes_; }  // of a lane block
  int64_t blocks() const { return blocks_; }
  /// Lanes of a row, used or not.
  int64_t step(int64_t block) const {
    return std::min(lanes_, ceil_div(c_.oc - block * lanes_, product_.lanes) * product_.lanes);
  }
  /// Bytes of the weights of a lane block.
  int64_t block_bytes() const { return f_.weight_taps * c_.ic * lanes_ * static_cast<int64_t>(sizeof(float)); }

  const float* at(int64_t group, int64_t block, const RowPart& part, int64_t ic) const {
    return u_.get() + offset(group, block, part, ic);
  }
  int64_t point(const RowPart& part, int64_t block) const { return kernel_rows(part) * c_.ic * step(block); }

  void transform_all(int64_t ic_block) {
    const auto fill = [&](float* to) {
      const int64_t pieces = ceil_div(c_.ic, ic_block), parts = static_cast<int64_t>(f_.parts.size());
      const int64_t tasks = c_.g * blocks_ * parts * pieces;
      const int workers = workers_for(tasks, static_cast<double>(c_.g * c_.oc * c_.ic * f_.weight_taps));
      std::vector<Scratch<float>> taps;
      for (int i = 0; i < workers; ++i)
        taps.emplace_back(conv::kMostRowTaps * f_.most_row_taps * ic_block * lanes_);
      parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
        const int64_t ic = task % pieces * ic_block, block = task / pieces / parts % blocks_;
        transform(task / pieces / parts / blocks_, block, f_.parts[static_cast<size_t>(task / pieces % parts)], ic,
                  std::min(ic_block, c_.ic - ic), taps[static_cast<size_t>(worker)].get(), to);
      });
    };
    u_ = striate::packed<float>(c_.packed, form_key(WeightForm::winograd_rows, phases_, &rows_, {ic_block}),
                                c_.g * blocks_ * block_elements(), fill);
  }

 private:
  int64_t kernel_rows(const RowPart& part) const { return phases_[part.correlation].axes[1].taps; }
  int64_t block_elements() const { return padded_count<float>(f_.weight_taps * c_.ic * lanes_); }
  int64_t offset(int64_t group, int64_t block, const RowPart& part, int64_t ic) const {
    return (group * blocks_ + block) * block_elements() + (part.weight * c_.ic + kernel_rows(part) * ic) * step(block);
  }

  // The taps of one part and channel block are packed as for direct convolution, [tap][kernel row][channel][lane].
  void transform(int64_t group, int64_t block, const RowPart& part, int64_t ic, int64_t channels, float* packed,
                 float* u) const {
    const Correlation<float>& c = phases_[part.correlation];
    const int taps = f_.forms[part.form].taps;
    const int64_t rows = kernel_rows(part);
    std::array<int64_t, conv::kMostRowTaps * kMostRowKernel> tap;
    for (int64_t w = 0, at = 0; w < taps; ++w)
      for (int64_t h = 0; h < rows; ++h, ++at)
        tap[static_cast<size_t>(at)] = h * c.weight_tap[1] + (part.first_tap + w * c.axes[2].stride) * c.weight_tap[2];
    float* to = u + offset(group, block, part, ic);
    product_.pack_lanes({.weight = c.weight + group * c.weight_g + block * lanes_ * c.weight_o + ic * c.weight_i,
                         .o = c.weight_o,
                         .i = c.weight_i,
                         .tap = tap.data(),
                         .taps = static_cast<int>(taps * rows),
                         .lanes = static_cast<int>(std::min(lanes_, c.oc - block * lanes_)),
                         .channels = static_cast<int>(channels),
                         .packed = taps == 1 ? to : packed,
                         .step = step(block)});
    if (taps == 1) return;  // as it is
    rows_.weight[taps - 1](
        {.weight = packed, .count = rows * channels * step(block), .u = to, .u_point = point(part, block)});
  }

  std::span<const Correlation<float>> phases_;
  const Correlation<float>& c_;  // what all share
  const RowForms& f_;
  const conv::WinogradRowsKernel& rows_;
  const conv::Product<float>& product_;
  int64_t lanes_, blocks_;
  Packed<float> u_;
};

}  // namespace striate
