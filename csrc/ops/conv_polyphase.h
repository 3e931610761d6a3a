// A strided convolution as one of stride 1, with as many times the channels.
//
// Output x reads inputs x * s + k - pad. Write k = s * t + p: the inputs of one phase p, s apart, are an image of
// their own, and the taps t of that phase a small kernel without stride:
//
//     input   0 1 2 3 4 5 6 7 ...        phase 0   0 2 4 6 ...     kernel   w0 w2 w4 w6
//             s = 2, 7 taps         ->   phase 1   1 3 5 7 ...              w1 w3 w5  0
//
// The phases of both axes become channels: a first layer of 3 channels, 7 x 7 and stride 2 becomes one of 12
// channels and 4 x 4; of 11 x 11 and stride 4 one of 48 channels and 3 x 3. These have what the kernels want: lanes
// that are all in use (also in the input gradient), no stride, and a size that Winograd's forms serve. The price is
// a walk over the input and the multiplications by the zeros in the last taps.
//
// This class moves images and weights between the two; ops/conv.cc runs the inner problem between the moves.
#pragma once

#include <string>
#include <vector>

#include "base/scratch.h"
#include "kernels/conv/product.h"
#include "ops/conv_problem.h"
#include "ops/packed_weights.h"

namespace striate {

/// Why the problem has no useful phases; empty if it has.
std::string polyphase_decline(const ConvProblem& problem);

/// The problem of stride 1. It has no padding: that is part of its images.
ConvProblem polyphase_inner(const ConvProblem& problem);

template <class T>
class Polyphase {
 public:
  Polyphase(const ConvProblem& problem, const conv::Product<T>& mover);

  const ConvProblem& inner() const { return inner_; }
  /// The inner problem's, lifted: image (n, phase h, phase w, channel; channels last) and split weight.
  const TensorView& input() const { return input_; }
  const TensorView& weight() const { return weight_; }

  void split_input(const TensorView& input) const;
  /// The inner weight, which stays in `packed` if that is not null. Its own forms stay where this returns.
  PackedWeights* split_weight(const TensorView& weight, PackedWeights* packed);
  /// The adjoints: gradients of what was split. Inputs that no output reads get their channel's bias, or 0.
  void join_input(const TensorView& grad_input, const T* bias) const;
  void join_weight(const TensorView& grad_weight) const;
  /// Memory for the gradient of the inner weight, to be joined.
  const TensorView& weight_grad();
  /// A value a channel of the input for all channels of the inner one; empty if null.
  std::vector<T> repeat(const T* values) const;

 private:
  struct Row {
    int64_t image, depth, height;
  };
  template <class Visit>
  void for_each_row(int64_t heights, Visit visit) const;
  template <class Visit>
  void for_each_tap(const TensorView& weight, T* inner, Visit visit) const;

  const ConvProblem& p_;
  const conv::Product<T>& mover_;
  ConvProblem inner_;
  int64_t sh_, sw_;
  int64_t pixel_;  // channels of the inner image
  TensorView input_, weight_;
  Scratch<T> input_memory_, weight_grad_memory_;
  Packed<T> split_;
};

}  // namespace striate
