#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/run.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using pointwise::RunArgs;

// ---- the functions --------------------------------------------------------------------------------------
// y = f(x); its gradient from the output: g * f'(x) written in y.

struct Relu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const RunArgs<T>&) {
    return x < 0 ? native<T>{} : x;  // a NaN stays
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, const RunArgs<T>&) {
    return y <= 0 ? native<T>{} : g;  // behind a NaN the gradient passes, as in PyTorch
  }
};

struct LeakyRelu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const RunArgs<T>& args) {
    return x > 0 ? x : args.negative_slope * x;
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, const RunArgs<T>& args) {
    return y > 0 ? g : args.negative_slope * g;  // a positive slope keeps the sign, so y tells the side of x
  }
};

struct Sigmoid {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const RunArgs<T>&) {
    return sigmoid<T>(x);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, const RunArgs<T>&) {
    return g * (y * (1 - y));
  }
};

struct Tanh {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const RunArgs<T>&) {
    return tanh<T>(x);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, const RunArgs<T>&) {
    return g * ((1 - y) * (1 + y));  // not 1 - y * y, which cancels near 1
  }
};

template <class Function, bool kGrad, class T>
constexpr pointwise::Run<T> of = run<Function, kGrad, T, RunArgs>;

template <class T>
constexpr pointwise::Kernel<T> kernel() {
  return {of<Relu, false, T>, of<LeakyRelu, false, T>, of<Sigmoid, false, T>, of<Tanh, false, T>,
          of<Relu, true, T>,  of<LeakyRelu, true, T>,  of<Sigmoid, true, T>,  of<Tanh, true, T>};
}

}  // namespace

constinit const pointwise::Table pointwise_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
