// Activations, their gradients, and the arithmetic of two arrays, over one run of elements. Steps may be
// anything. A run of an activation whose steps are not 1 passes through a small dense buffer, so every element
// takes the same vector code. Every element is read before its place is written: `out` may be an operand.
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

/// The gradient of prelu(x, slope): out = x > 0 ? g : slope g. A step of 0 makes the slope one number.
template <class T>
struct PreluGradArgs {
  const T *x, *slope, *g;
  T* out;
  int64_t x_step, slope_step, g_step, out_step;
  int64_t count;
};

template <class T>
using PreluGradRun = void (*)(const PreluGradArgs<T>&) noexcept;

struct PreluGradTable {
  PreluGradRun<float> f32;
  PreluGradRun<double> f64;
};

/// out = a op b; a step of 0 makes an operand one number.
template <class T>
struct BinaryArgs {
  const T* a;
  const T* b;
  T* out;
  int64_t a_step, b_step, out_step;
  int64_t count;
};

template <class T>
using BinaryRun = void (*)(const BinaryArgs<T>&) noexcept;

template <class T>
struct BinaryKernel {
  BinaryRun<T> add, subtract, multiply, divide, add_relu, prelu, prelu_weight_terms;
};

struct BinaryTable {
  BinaryKernel<float> f32;
  BinaryKernel<double> f64;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::pointwise

STRIATE_KERNEL_TABLE(striate::pointwise::Table, pointwise_table)
STRIATE_KERNEL_TABLE(striate::pointwise::BinaryTable, binary_table)
STRIATE_KERNEL_TABLE(striate::pointwise::PreluGradTable, prelu_grad_table)
