#include "kernels/norm/norm.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using norm::Args;

/// Forward, or the gradient; a scaled gradient has no part that flows through mean and variance.
enum class Map { forward, forward_relu, grad, gated_grad, scaled_grad, gated_scaled_grad };

constexpr bool reads_x(Map map) { return map != Map::scaled_grad; }
constexpr bool reads_g(Map map) { return map != Map::forward && map != Map::forward_relu; }
constexpr bool is_gated(Map map) { return map == Map::gated_grad || map == Map::gated_scaled_grad; }
constexpr bool is_scaled(Map map) { return map == Map::scaled_grad || map == Map::gated_scaled_grad; }

/// The numbers of one channel (V a number, or a register of copies) or of one register of channels.
template <class V>
struct Coefficients {
  V center, scale, offset, grad_scale, gate_scale, gate_offset;
};

/// `at` makes a V of the numbers from a pointer on; what the map does not use is not read.
template <Map kMap, class V, class T, class At>
STRIATE_INLINE Coefficients<V> coefficients(const norm::Channels<T>& of, int64_t c, At at) {
  Coefficients<V> k{};
  if (reads_x(kMap)) k.center = at(of.center + c);
  if (!is_scaled(kMap)) k.scale = at(of.scale + c);
  if (!is_scaled(kMap)) k.offset = at(of.offset + c);
  if (reads_g(kMap)) k.grad_scale = at(of.grad_scale + c);
  if (is_gated(kMap)) k.gate_scale = at(of.gate_scale + c);
  if (is_gated(kMap)) k.gate_offset = at(of.gate_offset + c);
  return k;
}

template <Map kMap, class V>
STRIATE_INLINE V mapped(V x, V g, const Coefficients<V>& k) {
  const V deviation = x - k.center;
  if constexpr (is_gated(kMap)) g = deviation * k.gate_scale + k.gate_offset <= 0 ? V{} : g;
  if constexpr (is_scaled(kMap)) return g * k.grad_scale;
  const V normalised = deviation * k.scale + k.offset;
  if constexpr (kMap == Map::forward_relu) return normalised < 0 ? V{} : normalised;  // a NaN stays
  if constexpr (kMap == Map::forward) return normalised;
  return g * k.grad_scale + normalised;
}

template <Map kMap, class T>
STRIATE_INLINE void map_vector(const T* x, const T* g, T* out, const Coefficients<native<T>>& k) {
  using V = native<T>;
  store(out, mapped<kMap, V>(reads_x(kMap) ? load<V>(x) : V{}, reads_g(kMap) ? load<V>(g) : V{}, k));
}

template <Map kMap, class T>
STRIATE_INLINE void map_one(const T* x, const T* g, T* out, const Coefficients<T>& k) {
  *out = mapped<kMap, T>(reads_x(kMap) ? *x : T(0), reads_g(kMap) ? *g : T(0), k);
}

template <Map kMap, class T>
STRIATE_INLINE Coefficients<T> one_channel(const Args<T>& a, int64_t c) {
  return coefficients<kMap, T>(a.of, c, [](const T* from) { return *from; });
}

// ---- runs -----------------------------------------------------------------------------------------------

// A register that steps back writes the same values again. `next` is where the run after this one is written, or null.
template <Map kMap, class T>
STRIATE_INLINE void dense_run(const T* x, const T* g, T* out, int64_t count, const Coefficients<T>& one,
                              const Coefficients<native<T>>& all, const T* next) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  const auto pairs = [&]<bool kRequest>() __attribute__((always_inline)) {
    for (; i + 2 * n <= count; i += 2 * n) {
      for (int at = 0; kRequest && at < 2 * n; at += 64 / static_cast<int>(sizeof(T)))
        __builtin_prefetch(next + i + at, 1);
      map_vector<kMap>(x + i, g + i, out + i, all);
      map_vector<kMap>(x + i + n, g + i + n, out + i + n, all);
    }
  };
  next ? pairs.template operator()<true>() : pairs.template operator()<false>();
  if (i + n <= count) {
    map_vector<kMap>(x + i, g + i, out + i, all);
    i += n;
  }
  if (i == count) return;
  if (count >= n) return map_vector<kMap>(x + count - n, g + count - n, out + count - n, all);
  for (; i < count; ++i) map_one<kMap>(x + i, g + i, out + i, one);
}

template <Map kMap, class T>
void runs_of(const Args<T>& a) {
  const bool dense = a.count == 1 || ((!reads_x(kMap) || a.x_step == 1) &&
                                      (!reads_g(kMap) || a.g_step == 1) && a.out_step == 1);
  for (int64_t c = 0; c < a.channels; ++c) {
    const Coefficients<T> one = one_channel<kMap>(a, c);
    const auto all = coefficients<kMap, native<T>>(
        a.of, c, [](const T* from) { return broadcast<native<T>>(*from); });
    for (int64_t r = 0; r < a.runs; ++r) {
      T* out = a.out + c * a.out_channel + a.out_at[r];
      const T* x = reads_x(kMap) ? a.x + c * a.x_channel + a.x_at[r] : out;
      const T* g = reads_g(kMap) ? a.g + c * a.g_channel + a.g_at[r] : out;
      if (dense) {
        T* next = r + 1 < a.runs && a.ahead ? a.out + c * a.out_channel + a.out_at[r + 1] : nullptr;
        dense_run<kMap>(x, g, out, a.count, one, all, next);
        continue;
      }
      for (int64_t i = 0; i < a.count; ++i)
        map_one<kMap>(reads_x(kMap) ? x + i * a.x_step : x, reads_g(kMap) ? g + i * a.g_step : g,
                      out + i * a.out_step, one);
    }
  }
}

// ---- rows -----------------------------------------------------------------------------------------------

// `kRows` rows at once, by whole cache lines where the numbers of their channels fit into the registers. These come
// from L1 once for the few rows; to walk over the rows again for every few channels costs more.
template <Map kMap, int kRows, class T>
STRIATE_INLINE void map_rows(const Args<T>& a, int64_t r) {
  using V = native<T>;
  constexpr int n = kLanes<T>, kVectors = STRIATE_VECTOR_BYTES == 32 ? 2 : 1;
  T* out = a.out + r * a.out_step;
  const T* x = reads_x(kMap) ? a.x + r * a.x_step : out;
  const T* g = reads_g(kMap) ? a.g + r * a.g_step : out;
  const int64_t x_step = reads_x(kMap) ? a.x_step : 0, g_step = reads_g(kMap) ? a.g_step : 0;
  const auto block = [&]<int kCount>(int64_t c) __attribute__((always_inline)) {
    Coefficients<V> k[kCount];
#pragma GCC unroll 2
    for (int v = 0; v < kCount; ++v)
      k[v] = coefficients<kMap, V>(a.of, c + v * n, [](const T* from) { return load<V>(from); });
#pragma GCC unroll 4
    for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 2
      for (int v = 0; v < kCount; ++v) {
        const int64_t at = c + v * n;
        map_vector<kMap>(x + row * x_step + at, g + row * g_step + at, out + row * a.out_step + at, k[v]);
      }
  };
  int64_t c = 0;
  for (; c + kVectors * n <= a.channels; c += kVectors * n) block.template operator()<kVectors>(c);
  for (; c + n <= a.channels; c += n) block.template operator()<1>(c);
  if (c == a.channels) return;
  if (a.channels >= n) return block.template operator()<1>(a.channels - n);
  for (; c < a.channels; ++c)
    for (int row = 0; row < kRows; ++row)
      map_one<kMap>(x + row * x_step + c, g + row * g_step + c, out + row * a.out_step + c, one_channel<kMap>(a, c));
}

template <Map kMap, class T>
void rows_of(const Args<T>& a) {
  constexpr int kRows = 4;
  int64_t r = 0;
  for (; r + kRows <= a.count; r += kRows) map_rows<kMap, kRows>(a, r);
  for (; r < a.count; ++r) map_rows<kMap, 1>(a, r);
}

// ---- choice ---------------------------------------------------------------------------------------------

template <class T>
Map map_of(const Args<T>& a) {
  if (!a.g) return a.relu ? Map::forward_relu : Map::forward;
  if (!a.of.scale) return a.of.gate_scale ? Map::gated_scaled_grad : Map::scaled_grad;
  return a.of.gate_scale ? Map::gated_grad : Map::grad;
}

template <class T>
void runs(const Args<T>& a) noexcept {
  switch (map_of(a)) {
    case Map::forward: return runs_of<Map::forward>(a);
    case Map::forward_relu: return runs_of<Map::forward_relu>(a);
    case Map::grad: return runs_of<Map::grad>(a);
    case Map::gated_grad: return runs_of<Map::gated_grad>(a);
    case Map::scaled_grad: return runs_of<Map::scaled_grad>(a);
    case Map::gated_scaled_grad: return runs_of<Map::gated_scaled_grad>(a);
  }
}

template <class T>
void rows(const Args<T>& a) noexcept {
  switch (map_of(a)) {
    case Map::forward: return rows_of<Map::forward>(a);
    case Map::forward_relu: return rows_of<Map::forward_relu>(a);
    case Map::grad: return rows_of<Map::grad>(a);
    case Map::gated_grad: return rows_of<Map::gated_grad>(a);
    case Map::scaled_grad: return rows_of<Map::scaled_grad>(a);
    case Map::gated_scaled_grad: return rows_of<Map::gated_scaled_grad>(a);
  }
}

}  // namespace

constinit const norm::Table norm_map_table = {{runs<float>, rows<float>}, {runs<double>, rows<double>}};

}  // namespace striate::STRIATE_ISA
