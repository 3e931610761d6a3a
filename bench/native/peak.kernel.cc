#include "peak.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

// Independent chains: latency 4 at two a cycle needs 8; more hide a cycle lost here and there.
constexpr int kChains = STRIATE_REGISTERS < 32 ? 12 : 24;

template <class T>
T multiply_add(int64_t rounds, T factor, T addend) noexcept {
  using V = native<T>;
  const V x = broadcast<V>(factor), y = broadcast<V>(addend);
  V chain[kChains];
#pragma GCC unroll 24
  for (int k = 0; k < kChains; ++k) chain[k] = broadcast<V>(static_cast<T>(k));
  // chain * x + y, not chain + x * y: without a fused instruction the latter product could leave the loop.
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
    for (int k = 0; k < kChains; ++k) chain[k] = chain[k] * x + y;
  V sum{};
#pragma GCC unroll 24
  for (int k = 0; k < kChains; ++k) sum += chain[k];
  T total = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) total += sum[lane];
  return total;
}

template <class T>
void copy(const T* from, T* to, int64_t count) noexcept {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + 4 * n <= count; i += 4 * n)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) store(to + i + k * n, load<V>(from + i + k * n));
  for (; i < count; ++i) to[i] = from[i];
}

template <class T>
constexpr bench::PeakKernel<T> kernel() {
  return {int64_t{kChains} * kLanes<T>, multiply_add<T>, copy<T>};
}

}  // namespace

constinit const bench::PeakTable peak_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
