// One activation, or its gradient, over one run of elements. For kernels only.
//
// Function::value<T>(a, args) and Function::grad<T>(a, g, args) work on registers. A run whose steps are not 1
// passes through a small dense buffer, so every element takes the same vector code.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

template <class Function, bool kGrad, class T, class Args>
STRIATE_INLINE native<T> apply(native<T> a, native<T> g, const Args& args) {
  if constexpr (kGrad)
    return Function::template grad<T>(a, g, args);
  else
    return Function::template value<T>(a, args);
}

/// Not inlined: its two callers share the code.
template <class Function, bool kGrad, class T, class Args>
__attribute__((noinline)) void dense_run(const T* a, const T* g, T* out, int64_t count, const Args& given) {
  using V = native<T>;
  const Args args = given;  // a copy that no store can change; what the function does not use is not copied
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + n <= count; i += n)
    store(out + i, apply<Function, kGrad, T>(load<V>(a + i), kGrad ? load<V>(g + i) : V{}, args));
  const int rest = static_cast<int>(count - i);
  if (rest > 0)
    store_partial(out + i,
                  apply<Function, kGrad, T>(load_partial<V>(a + i, rest),
                                            kGrad ? load_partial<V>(g + i, rest) : V{}, args),
                  rest);
}

template <class Function, bool kGrad, class T, template <class> class Args>
void run(const Args<T>& r) noexcept {
  if (r.a_step == 1 && r.out_step == 1 && (!kGrad || r.g_step == 1))
    return dense_run<Function, kGrad, T, Args<T>>(r.a, r.g, r.out, r.count, r);
  constexpr int kBuffer = 128;
  T a[kBuffer], g[kBuffer], out[kBuffer];
  for (int64_t begin = 0; begin < r.count; begin += kBuffer) {
    const int count = static_cast<int>(smaller<int64_t>(kBuffer, r.count - begin));
    for (int i = 0; i < count; ++i) a[i] = r.a[(begin + i) * r.a_step];
    if (kGrad)
      for (int i = 0; i < count; ++i) g[i] = r.g[(begin + i) * r.g_step];
    dense_run<Function, kGrad, T, Args<T>>(a, g, out, count, r);
    for (int i = 0; i < count; ++i) r.out[(begin + i) * r.out_step] = out[i];
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
