// Layer normalisation of rows, each by itself, and its gradients. A row of `count` elements lies side by side:
//
//   forward:  out = (x - mean) * inverse * weight + bias,      inverse = 1 / sqrt(var + eps)
//   grad:     out = inverse * (h - average of h - normal * average of (h * normal)),     h = g * weight
//             grad_weight += g * normal,  grad_bias += g,      normal = (x - mean) * inverse
//
// A row stays in L1 or L2 from its first pass to its last, so memory is read and written once. Mean and variance
// are exact but for their last bits: the row is summed, then its deviations from that mean and their squares.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::norm {

template <class T>
struct LayerArgs {
  const T* x;
  const T* g;  // of the gradient
  T* out;
  int64_t x_step, g_step, out_step;  // from row to row
  int64_t rows, count;
  double eps;
  const T* weight;
  const T* bias;
  T* mean;  // one a row: forward writes them, the gradient reads them
  T* var;
  // Of the gradient: added to over these rows; and room for as many numbers of type T.
  double* grad_weight;
  double* grad_bias;
  T* few;  // 2 * count
};

template <class T>
struct LayerKernel {
  void (*forward)(const LayerArgs<T>&) noexcept;
  void (*grad)(const LayerArgs<T>&) noexcept;
};

struct LayerTable {
  LayerKernel<float> f32;
  LayerKernel<double> f64;
};

}  // namespace striate::norm

STRIATE_KERNEL_TABLE(striate::norm::LayerTable, norm_layer_table)
