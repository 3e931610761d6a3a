// The road of batch norm, and of group norm, over memory: sums a channel, what follows from them, the map.
//
//   prepare(first, last)   writes the centres of channels [first, last)          both on channels only,
//   finish(first, last)    from their sums, writes the numbers of the map        small beside the passes
//
// Sums are added in a fixed order that depends on shape and strides only. How the passes are laid out:
//
//   channels by themselves, many    a task takes a few channels through both passes, the second in its cache
//   else                            all tasks sum parts of the elements, then finish, then map
#pragma once

#include "base/parallel.h"
#include "base/scratch.h"
#include "base/tensor_view.h"
#include "kernels/norm/norm.h"

namespace striate {

/// One number of each kind a channel, where the kernels read them (see kernels/norm/norm.h). Behind the last
/// channel the numbers repeat, for rows that are joined (see batch_norm_passes.cc).
template <class T>
class ChannelNumbers {
 public:
  explicit ChannelNumbers(int64_t channels);

  T* center() const { return data_.get(); }
  T* scale() const { return data_.get() + columns_; }
  T* offset() const { return data_.get() + 2 * columns_; }
  T* grad_scale() const { return data_.get() + 3 * columns_; }
  T* gate_scale() const { return data_.get() + 4 * columns_; }
  T* gate_offset() const { return data_.get() + 5 * columns_; }
  double* sum() const { return sums_.get(); }
  double* product() const { return sums_.get() + channels_; }

  /// How many rows of channels may be taken as one.
  int64_t join() const { return columns_ / channels_; }
  void repeat() const;

 private:
  int64_t channels_, columns_;
  Scratch<T> data_;
  Scratch<double> sums_;
};

/// A centre for the sums of each channel: any finite value near the channel's will do. The mean of four
/// elements is nearer than one of them as a rule. There must be elements.
template <class T>
class Centres {
 public:
  explicit Centres(const TensorView& input);
  T operator()(int64_t c) const;

 private:
  const TensorView& input_;
  int64_t step_;
};

template <class T>
struct NormPasses {
  using Step = FunctionRef<void(int64_t first, int64_t last)>;

  const TensorView& x;
  const TensorView* g;  // or null
  const TensorView* out;
  const ChannelNumbers<T>& numbers;
  bool relu;     // of a map forward
  bool gated;    // g is behind a fused ReLU
  bool scaled;   // the map of a gradient takes no part of x
  bool summed;   // without sums there is the map only
  Step prepare, finish;
  int64_t together = 1;  // channels that finish needs at once, such as a group; steps begin at its multiples

  void run() const;
};

}  // namespace striate
