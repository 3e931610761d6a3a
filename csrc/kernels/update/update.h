// One step of an optimiser over one run of a parameter's elements, in place: w the value, g its gradient.
//
//   sgd:   g' = g + weight_decay w
//          b  = g' at the first step, else momentum b + fresh g'         where there is a buffer b
//          w -= rate b, or rate (g' + momentum b) with Nesterov momentum, or rate g' without a buffer
//
//   adam:  g' = g + weight_decay w;  w *= keep
//          m  = first m + (1 - first) g';  v = second v + (1 - second) g'^2
//          w -= rate m / (sqrt(v) * root + eps)                          corrections are in rate and root
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
  int64_t w_step, g_step, mean_step, square_step;
  int64_t count;
  T rate, root, eps, weight_decay, keep;
  T first, second, fresh_first, fresh_second;
};

template <class T>
struct Kernel {
  void (*sgd)(const SgdArgs<T>&) noexcept;
  void (*adam)(const AdamArgs<T>&) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::update

STRIATE_KERNEL_TABLE(striate::update::Table, update_table)
