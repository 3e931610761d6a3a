// Activations and their gradients over one run of elements. Steps may be anything; a run whose steps are
// not 1 passes through a small dense buffer, so every element takes the same vector code.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::pointwise {

template <class T>
struct RunArgs {
  const T* a;  // the input; of a gradient: the output of the activation
  const T* g;  // the output gradient; null forward
  T* out;
  int64_t a_step, g_step, out_step;
  int64_t count;
  T negative_slope;  // of leaky_relu
};

template <class T>
using Run = void (*)(const RunArgs<T>&) noexcept;

template <class T>
struct Kernel {
  Run<T> relu, leaky_relu, sigmoid, tanh;
  Run<T> relu_grad, leaky_relu_grad, sigmoid_grad, tanh_grad;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::pointwise

STRIATE_KERNEL_TABLE(striate::pointwise::Table, pointwise_table)
