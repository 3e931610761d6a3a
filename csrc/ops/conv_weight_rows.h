// Weights as rows that a reduction walks, one an output channel: for the drivers whose lanes are not output channels.
//
//      long runs of channels     [group * output channel][tap][input channel]
//      few channels              [group * output channel][input channel][tap]
//
// Taps on padding may be left out where all weights are finite: only then is their part of the sum 0.
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
        data_(packed<T>(c.packed, form_key<T>(WeightForm::pixels, std::span(&c, 1), &kernel), c.g * c.oc * row_ + 1,
                        [&](T* to) { pack(c, to); })),
        finite_(data_.get()[c.g * c.oc * row_] == 0),
        row_offset_(c.oc) {
    for (int64_t r = 0; r < c.oc; ++r) row_offset_.get()[r] = static_cast<int32_t>(r * row_);
  }

  bool channels_run() const { return channels_run_; }  // channels are neighbours, or else taps
  int64_t row() const { return row_; }                 // elements of one
  bool finite() const { return finite_; }
  const T* get(int64_t channel) const { return data_.get() + channel * row_; }
  const int32_t* offsets() const { return row_offset_.get(); }

 private:
  static constexpr int64_t kLongRun = 8;  // channels

  void pack(const Correlation<T>& c, T* to) const {
    const CorrelationAxes& axes = c.axes;
    T* const begin = to;
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
    *to = zero_times(begin, to - begin);
  }

  // 0, or NaN if any is not finite.
  static T zero_times(const T* values, int64_t count) {
    constexpr int64_t n = 8;
    T sum[n] = {};
    int64_t i = 0;
    for (; i + n <= count; i += n)
      for (int64_t j = 0; j < n; ++j) sum[j] += values[i + j] * 0;
    for (; i < count; ++i) sum[0] += values[i] * 0;
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }

  bool channels_run_;
  int64_t row_;
  Packed<T> data_;  // and behind them 0 times all of them
  bool finite_;
  Scratch<int32_t> row_offset_;
};

}  // namespace striate
