// One step of an optimiser over one run of a parameter's elements, in place: w the value, g its gradient.
//
//   sgd:   g' = g + weight_decay w
//          b  = g' at the first step, else momentum b + fresh g'         where there is a buffer b
//          w -= rate b, or rate (g' + momentum b) with Nesterov momentum, or rate g' without a buffer
//
//   adam:  g' = g + weight_decay w;  w *= keep
//          m  = first m + (1 - first) g';  v = second v + (1 - second) g'^2
//          w -= rate m / (sqrt(v) * root + eps)                          corrections are in rate and root
//          w -= rate m / (sqrt(s) * root + eps), s = max(s, v)           with s, the largest so far (AMSGrad)
//
//   adagrad:   g' = g + weight_decay w;  v += g'^2;  w -= rate g' / (sqrt(v) + eps)
//
//   rmsprop:   g' = g + weight_decay w;  v = second v + fresh g'^2
//              m = second m + fresh g'                                    where there is a mean m
//              u = g' / (sqrt(v), or sqrt(v - m^2), + eps)
//              b = momentum b + u;  w -= rate b, or rate u without a buffer b
//
// Every element is one line of this, so neither the order nor the place of a cut is seen in the result.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::update {

template <class T>
struct SgdArgs {
  T* w;
  const T* g;
  T* buffer;  // or null
  int64_t w_step, g_step, buffer_step;
  int64_t count;
  T rate, momentum, fresh, weight_decay;
  bool nesterov, first;
};

template <class T>
struct AdamArgs {
  T* w;
  const T* g;
  T *mean, *square;
  T* most;  // or null
  int64_t w_step, g_step, mean_step, square_step, most_step;
  int64_t count;
  T rate, root, eps, weight_decay, keep;
  T first, second, fresh_first, fresh_second;
};

/// Of adagrad and rmsprop.
template <class T>
struct ScaledArgs {
  T* w;
  const T* g;
  T* square;
  T *mean, *buffer;  // or null
  int64_t w_step, g_step, square_step, mean_step, buffer_step;
  int64_t count;
  T rate, eps, weight_decay, second, fresh, momentum;
};

template <class T>
struct Kernel {
  void (*sgd)(const SgdArgs<T>&) noexcept;
  void (*adam)(const AdamArgs<T>&) noexcept;
};

template <class T>
struct ScaledKernel {
  void (*adagrad)(const ScaledArgs<T>&) noexcept;
  void (*rmsprop)(const ScaledArgs<T>&) noexcept;
};

struct ScaledTable {
  ScaledKernel<float> f32;
  ScaledKernel<double> f64;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::update

STRIATE_KERNEL_TABLE(striate::update::Table, update_table)
STRIATE_KERNEL_TABLE(striate::update::ScaledTable, scaled_update_table)
