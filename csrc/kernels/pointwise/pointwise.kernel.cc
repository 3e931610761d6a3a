#include "kernels/pointwise/pointwise.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using pointwise::RunArgs;

// ---- the functions --------------------------------------------------------------------------------------
// y = f(x); its gradient from the output: g * f'(x) written in y. The last argument is the negative slope.

struct Relu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, T) {
    return x < 0 ? native<T>{} : x;  // a NaN stays
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, T) {
    return y <= 0 ? native<T>{} : g;  // behind a NaN the gradient passes, as in PyTorch
  }
};

struct LeakyRelu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, T slope) {
    return x > 0 ? x : slope * x;
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, T slope) {
    return y > 0 ? g : slope * g;  // a positive slope keeps the sign, so y tells the side of x
  }
};

struct Sigmoid {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, T) {
    return sigmoid<T>(x);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, T) {
    return g * (y * (1 - y));
  }
};

struct Tanh {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, T) {
    return tanh<T>(x);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> y, native<T> g, T) {
    return g * ((1 - y) * (1 + y));  // not 1 - y * y, which cancels near 1
  }
};

// ---- the run --------------------------------------------------------------------------------------------

template <class Function, bool Grad, class T>
STRIATE_INLINE native<T> apply(native<T> a, native<T> g, T slope) {
  if constexpr (Grad)
    return Function::template grad<T>(a, g, slope);
  else
    return Function::template value<T>(a, slope);
}

template <class Function, bool Grad, class T>
void dense_run(const T* a, const T* g, T* out, int64_t count, T slope) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + n <= count; i += n)
    store(out + i, apply<Function, Grad, T>(load<V>(a + i), Grad ? load<V>(g + i) : V{}, slope));
  const int rest = static_cast<int>(count - i);
  if (rest > 0)
    store_partial(out + i,
                  apply<Function, Grad, T>(load_partial<V>(a + i, rest),
                                           Grad ? load_partial<V>(g + i, rest) : V{}, slope),
                  rest);
}

template <class Function, bool Grad, class T>
void run(const RunArgs<T>& r) noexcept {
  if (r.a_step == 1 && r.out_step == 1 && (!Grad || r.g_step == 1))
    return dense_run<Function, Grad, T>(r.a, r.g, r.out, r.count, r.negative_slope);
  constexpr int kBuffer = 128;
  T a[kBuffer], g[kBuffer], out[kBuffer];
  for (int64_t begin = 0; begin < r.count; begin += kBuffer) {
    const int count = static_cast<int>(smaller<int64_t>(kBuffer, r.count - begin));
    for (int i = 0; i < count; ++i) a[i] = r.a[(begin + i) * r.a_step];
    if (Grad)
      for (int i = 0; i < count; ++i) g[i] = r.g[(begin + i) * r.g_step];
    dense_run<Function, Grad, T>(a, g, out, count, r.negative_slope);
    for (int i = 0; i < count; ++i) r.out[(begin + i) * r.out_step] = out[i];
  }
}

template <class T>
constexpr pointwise::Kernel<T> kernel() {
  return {run<Relu, false, T>, run<LeakyRelu, false, T>, run<Sigmoid, false, T>, run<Tanh, false, T>,
          run<Relu, true, T>,  run<LeakyRelu, true, T>,  run<Sigmoid, true, T>,  run<Tanh, true, T>};
}

}  // namespace

constinit const pointwise::Table pointwise_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
