// Functions of one number whose gradient is taken from it: activations whose output does not tell the slope, or
// not well, and losses of a difference. Over
// one run of elements, as in pointwise.h. `first` and `second` are the settings of a curve:
//
//   elu          x > 0 ? second x : first (exp(x) - 1)
//   clip         min(max(x, first), second)
//   hardsigmoid  min(max(x + 3, 0), 6) / 6               hardswish    x hardsigmoid(x)
//   softplus     log(1 + exp(first x)) / first, but x where first x > second
//   logsigmoid   log(sigmoid(x))                         silu         x sigmoid(x)
//   gelu         x P(normal < x)                         gelu_tanh    x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))
//   mish         x tanh(log(1 + exp(x)))
//   absolute     |x|
//   huber        second (|x| <= first ? x^2 / 2 : first (|x| - first / 2))
//
// At an infinity each is its limit, and so is its gradient. A NaN stays one, but where the gradient does not
// look at x.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::pointwise {

template <class T>
struct CurveArgs {
  const T* a;  // the input
  const T* g;  // the output gradient; null forward
  T* out;
  int64_t a_step, g_step, out_step;
  int64_t count;
  T first, second;
};

template <class T>
using CurveRun = void (*)(const CurveArgs<T>&) noexcept;

template <class T>
struct Curve {
  CurveRun<T> value, grad;
};

template <class T>
struct CurveKernel {
  Curve<T> elu, clip, hardsigmoid, hardswish, softplus, logsigmoid, silu, gelu, gelu_tanh, mish, absolute, huber;
};

struct CurveTable {
  CurveKernel<float> f32;
  CurveKernel<double> f64;
};

}  // namespace striate::pointwise

STRIATE_KERNEL_TABLE(striate::pointwise::CurveTable, curve_table)
