// Weights as rows that a reduction walks, one an output channel: for the drivers whose lanes are not output channels.
//
//      long runs of channels     [group * output channel][tap][input channel]
//      few channels              [group * output channel][input channel][tap]
#pragma once

#include <span>

#include "base/scratch.h"
#include "ops/conv_tiles.h"

namespace striate {

template <class T>
class WeightRows {
 public:
  WeightRows(const Correlation<T>& c, const conv::Product<T>& kernel)
      : channels_run_(c.ic >= kLongRun),
        row_(c.ic * c.taps()),
        data_(packed<T>(c.packed, form_key<T>(WeightForm::pixels, std::span(&c, 1), &kernel), c.g * c.oc * row_,
                        [&](T* to) { pack(c, to); })),
        row_offset_(c.oc) {
    for (int64_t r = 0; r < c.oc; ++r) row_offset_.get()[r] = static_cast<int32_t>(r * row_);
  }

  bool channels_run() const { return channels_run_; }  // channels are neighbours, or else taps
  int64_t row() const { return row_; }                 // elements of one
  const T* get(int64_t channel) const { return data_.get() + channel * row_; }
  const int32_t* offsets() const { return row_offset_.get(); }

 private:
  static constexpr int64_t kLongRun = 8;  // channels

  void pack(const Correlation<T>& c, T* to) const {
    const CorrelationAxes& axes = c.axes;
    const int64_t taps = c.taps(), step_c = channels_run_ ? 1 : taps, step_t = channels_run_ ? c.ic : 1;
    for (int64_t o = 0; o < c.g * c.oc; ++o, to += row_) {
      const T* from = c.weight + o / c.oc * c.weight_g + o % c.oc * c.weight_o;
      for (int64_t i = 0; i < c.ic; ++i) {
        T* out = to + i * step_c;
        for (int64_t d = 0; d < axes[0].taps; ++d)
          for (int64_t h = 0; h < axes[1].taps; ++h) {
            const T* in = from + i * c.weight_i + d * c.weight_tap[0] + h * c.weight_tap[1];
            for (int64_t w = 0; w < axes[2].taps; ++w, out += step_t) *out = in[w * c.weight_tap[2]];
          }
      }
    }
  }

  bool channels_run_;
  int64_t row_;
  Packed<T> data_;
  Scratch<int32_t> row_offset_;
};

}  // namespace striate
