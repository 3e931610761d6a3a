#include "kernels/pointwise/pointwise.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using pointwise::BinaryArgs;

// ---- the functions, of numbers or registers -------------------------------------------------------------

struct Add {
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    return a + b;
  }
};
struct Subtract {
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    return a - b;
  }
};
struct Multiply {
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    return a * b;
  }
};
struct Divide {
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    return a / b;
  }
};
struct AddRelu {
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    const V sum = a + b;
    return sum < 0 ? V{} : sum;  // a NaN stays
  }
};
struct Prelu {
  template <class V>
  static STRIATE_INLINE V of(V x, V slope) {
    return x > 0 ? x : slope * x;
  }
};
struct PreluWeightTerms {
  template <class V>
  static STRIATE_INLINE V of(V x, V g) {
    return x > 0 ? V{} : x * g;
  }
};

// ---- the run --------------------------------------------------------------------------------------------

/// Steps are 1, or 0 for one number that stands for the whole run.
template <class Function, bool kOneA, bool kOneB, class T>
STRIATE_INLINE void dense_run(const T* a, const T* b, T* out, int64_t count) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const V one_a = broadcast<V>(*a), one_b = broadcast<V>(*b);
  const auto vector = [&](int64_t i) __attribute__((always_inline)) {
    store(out + i, Function::template of<V>(kOneA ? one_a : load<V>(a + i), kOneB ? one_b : load<V>(b + i)));
  };
  int64_t i = 0;
  for (; i + 2 * n <= count; i += 2 * n) {
    vector(i);
    vector(i + n);
  }
  if (i + n <= count) {
    vector(i);
    i += n;
  }
  for (; i < count; ++i) out[i] = Function::template of<T>(kOneA ? *a : a[i], kOneB ? *b : b[i]);
}

template <class Function, class T>
void run(const BinaryArgs<T>& r) noexcept {
  if (r.out_step == 1 && r.a_step == 1 && r.b_step == 1)
    return dense_run<Function, false, false>(r.a, r.b, r.out, r.count);
  if (r.out_step == 1 && r.a_step == 1 && r.b_step == 0)
    return dense_run<Function, false, true>(r.a, r.b, r.out, r.count);
  if (r.out_step == 1 && r.a_step == 0 && r.b_step == 1)
    return dense_run<Function, true, false>(r.a, r.b, r.out, r.count);
  for (int64_t i = 0; i < r.count; ++i)
    r.out[i * r.out_step] = Function::template of<T>(r.a[i * r.a_step], r.b[i * r.b_step]);
}

template <class T>
constexpr pointwise::BinaryKernel<T> kernel() {
  return {run<Add, T>, run<Subtract, T>, run<Multiply, T>, run<Divide, T>, run<AddRelu, T>,
          run<Prelu, T>, run<PreluWeightTerms, T>};
}

}  // namespace

constinit const pointwise::BinaryTable binary_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
