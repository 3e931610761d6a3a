#include "kernels/norm/norm.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using norm::MapArgs;
using norm::SumArgs;

constexpr int kWide = kLanes<double>;  // sums advance by one register of float64
using Wide = native<double>;

template <class T>
STRIATE_INLINE Wide load_wide(const T* from) {
  return __builtin_convertvector(load<vec<T, kWide>>(from), Wide);
}

// ---- sums ---------------------------------------------------------------------------------------------

template <class T, bool Grad>
STRIATE_INLINE void add_one(double x, double g, double center, double& sum, double& product) {
  const double deviation = x - center;
  const double a = Grad ? g : deviation;
  sum += a;
  product += a * deviation;
}

template <class T, bool Grad>
void sum_run_of(const SumArgs<T>& a) {
  constexpr int kSums = 4;  // independent, to hide the latency of an addition
  const double center = a.center[0];
  double sum = 0, product = 0;
  int64_t i = 0;
  if (a.x_step == 1 && (!Grad || a.g_step == 1)) {
    Wide sums[kSums] = {}, products[kSums] = {};
    for (; i + kSums * kWide <= a.count; i += kSums * kWide)
#pragma GCC unroll 4
      for (int k = 0; k < kSums; ++k) {
        const Wide deviation = load_wide(a.x + i + k * kWide) - center;
        const Wide term = Grad ? load_wide(a.g + i + k * kWide) : deviation;
        sums[k] += term;
        products[k] += term * deviation;
      }
    const Wide all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    const Wide all_products = (products[0] + products[1]) + (products[2] + products[3]);
    for (int lane = 0; lane < kWide; ++lane) {
      sum += all[lane];
      product += all_products[lane];
    }
  }
  for (; i < a.count; ++i)
    add_one<T, Grad>(a.x[i * a.x_step], Grad ? a.g[i * a.g_step] : T(0), center, sum, product);
  a.sum[0] += sum;
  a.product[0] += product;
}

// `Vectors` registers of channels from c on; only the lanes from `first_new` on are kept.
template <class T, bool Grad, int Vectors>
STRIATE_INLINE void sum_block(const SumArgs<T>& a, int64_t c, int first_new) {
  Wide center[Vectors], sum[Vectors], product[Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    center[v] = load_wide(a.center + c + v * kWide);
    sum[v] = load<Wide>(a.sum + c + v * kWide);
    product[v] = load<Wide>(a.product + c + v * kWide);
  }
  for (int64_t r = 0; r < a.count; ++r) {
    const T* x = a.x + r * a.x_step + c;
    const T* g = Grad ? a.g + r * a.g_step + c : nullptr;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const Wide deviation = load_wide(x + v * kWide) - center[v];
      const Wide term = Grad ? load_wide(g + v * kWide) : deviation;
      sum[v] += term;
      product[v] += term * deviation;
    }
  }
  if (first_new == 0) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      store(a.sum + c + v * kWide, sum[v]);
      store(a.product + c + v * kWide, product[v]);
    }
  } else {
    for (int lane = first_new; lane < kWide; ++lane) {
      a.sum[c + lane] = sum[0][lane];
      a.product[c + lane] = product[0][lane];
    }
  }
}

template <class T, bool Grad>
void sum_rows_of(const SumArgs<T>& a) {
  constexpr int kVectors = 4;
  int64_t c = 0;
  for (; c + kVectors * kWide <= a.channels; c += kVectors * kWide) sum_block<T, Grad, kVectors>(a, c, 0);
  for (; c + kWide <= a.channels; c += kWide) sum_block<T, Grad, 1>(a, c, 0);
  if (c == a.channels) return;
  if (a.channels >= kWide) {  // the last register steps back and keeps its new lanes only
    const int64_t back = a.channels - kWide;
    return sum_block<T, Grad, 1>(a, back, static_cast<int>(c - back));
  }
  for (; c < a.channels; ++c)
    for (int64_t r = 0; r < a.count; ++r)
      add_one<T, Grad>(a.x[r * a.x_step + c], Grad ? a.g[r * a.g_step + c] : T(0), a.center[c], a.sum[c],
                       a.product[c]);
}

// ---- map ----------------------------------------------------------------------------------------------

template <bool Grad, class V>
STRIATE_INLINE V mapped(V x, V g, V center, V scale, V offset, V grad_scale) {
  const V normalised = (x - center) * scale + offset;
  return Grad ? g * grad_scale + normalised : normalised;
}

template <class T, bool Grad>
void map_run_of(const MapArgs<T>& a) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const T grad_scale = Grad ? a.grad_scale[0] : T(0);
  const V center = broadcast<V>(a.center[0]), scale = broadcast<V>(a.scale[0]);
  const V offset = broadcast<V>(a.offset[0]), grads = broadcast<V>(grad_scale);
  int64_t i = 0;
  if (a.x_step == 1 && a.out_step == 1 && (!Grad || a.g_step == 1)) {
    for (; i + n <= a.count; i += n)
      store(a.out + i, mapped<Grad>(load<V>(a.x + i), Grad ? load<V>(a.g + i) : V{}, center, scale,
                                    offset, grads));
  }
  for (; i < a.count; ++i)
    a.out[i * a.out_step] = mapped<Grad>(a.x[i * a.x_step], Grad ? a.g[i * a.g_step] : T(0), a.center[0],
                                         a.scale[0], a.offset[0], grad_scale);
}

// `Vectors` registers of channels from c on. A register that steps back writes the same values again.
template <class T, bool Grad, int Vectors>
STRIATE_INLINE void map_block(const MapArgs<T>& a, int64_t c) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  V center[Vectors], scale[Vectors], offset[Vectors], grads[Vectors];
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    center[v] = load<V>(a.center + c + v * n);
    scale[v] = load<V>(a.scale + c + v * n);
    offset[v] = load<V>(a.offset + c + v * n);
    grads[v] = Grad ? load<V>(a.grad_scale + c + v * n) : V{};
  }
  for (int64_t r = 0; r < a.count; ++r) {
    const T* x = a.x + r * a.x_step + c;
    const T* g = Grad ? a.g + r * a.g_step + c : nullptr;
    T* out = a.out + r * a.out_step + c;
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      store(out + v * n, mapped<Grad>(load<V>(x + v * n), Grad ? load<V>(g + v * n) : V{}, center[v],
                                      scale[v], offset[v], grads[v]));
  }
}

template <class T, bool Grad>
void map_rows_of(const MapArgs<T>& a) {
  constexpr int kVectors = 2;
  constexpr int n = kLanes<T>;
  int64_t c = 0;
  for (; c + kVectors * n <= a.channels; c += kVectors * n) map_block<T, Grad, kVectors>(a, c);
  for (; c + n <= a.channels; c += n) map_block<T, Grad, 1>(a, c);
  if (c == a.channels) return;
  if (a.channels >= n) return map_block<T, Grad, 1>(a, a.channels - n);
  for (; c < a.channels; ++c)
    for (int64_t r = 0; r < a.count; ++r)
      a.out[r * a.out_step + c] =
          mapped<Grad>(a.x[r * a.x_step + c], Grad ? a.g[r * a.g_step + c] : T(0), a.center[c],
                       a.scale[c], a.offset[c], Grad ? a.grad_scale[c] : T(0));
}

template <class T>
void sum_run(const SumArgs<T>& a) noexcept {
  a.g ? sum_run_of<T, true>(a) : sum_run_of<T, false>(a);
}
template <class T>
void sum_rows(const SumArgs<T>& a) noexcept {
  a.g ? sum_rows_of<T, true>(a) : sum_rows_of<T, false>(a);
}
template <class T>
void map_run(const MapArgs<T>& a) noexcept {
  a.g ? map_run_of<T, true>(a) : map_run_of<T, false>(a);
}
template <class T>
void map_rows(const MapArgs<T>& a) noexcept {
  a.g ? map_rows_of<T, true>(a) : map_rows_of<T, false>(a);
}

template <class T>
constexpr norm::Kernel<T> kernel() {
  return {sum_run<T>, sum_rows<T>, map_run<T>, map_rows<T>};
}

}  // namespace

constinit const norm::Table norm_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
