#include "kernels/pointwise/pointwise.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using pointwise::PreluGradArgs;

template <class V>
STRIATE_INLINE V passed(V x, V slope, V g) {
  return x > 0 ? g : slope * g;
}

template <bool kOneSlope, class T>
STRIATE_INLINE int64_t dense_part(const PreluGradArgs<T>& r) {
  using V = native<T>;
  const V one = broadcast<V>(*r.slope);
  int64_t i = 0;
  for (; i + kLanes<T> <= r.count; i += kLanes<T>)
    store(r.out + i, passed<V>(load<V>(r.x + i), kOneSlope ? one : load<V>(r.slope + i), load<V>(r.g + i)));
  return i;
}

template <class T>
void run(const PreluGradArgs<T>& r) noexcept {
  int64_t i = 0;
  if (r.x_step == 1 && r.g_step == 1 && r.out_step == 1) {
    if (r.slope_step == 0) i = dense_part<true>(r);
    if (r.slope_step == 1) i = dense_part<false>(r);
  }
  for (; i < r.count; ++i)
    r.out[i * r.out_step] = passed<T>(r.x[i * r.x_step], r.slope[i * r.slope_step], r.g[i * r.g_step]);
}

}  // namespace

constinit const pointwise::PreluGradTable prelu_grad_table = {run<float>, run<double>};

}  // namespace striate::STRIATE_ISA
