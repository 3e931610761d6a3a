#include "kernels/norm/lanes.h"
#include "kernels/norm/norm.h"

namespace striate::STRIATE_ISA {
namespace {

using norm::Args;

constexpr int kChain = 64;  // additions in T, at most, before a sum moves on to float64
constexpr int kSums = 4;    // independent ones in a run, to hide the latency of an addition

/// What is added: x - center, or the output gradient, or of that what passes the gate of a fused ReLU.
enum class Terms { deviations, grads, gated_grads };

template <class V>
struct Coefficients {
  V center, gate_scale, gate_offset;
};

template <Terms kTerms, class V>
STRIATE_INLINE V term_of(V deviation, V g, const Coefficients<V>& of) {
  if constexpr (kTerms == Terms::deviations) return deviation;
  if constexpr (kTerms == Terms::grads) return g;
  return deviation * of.gate_scale + of.gate_offset <= 0 ? V{} : g;
}

// ---- runs -----------------------------------------------------------------------------------------------

template <class T, Terms kTerms>
class RunSums {
 public:
  using V = native<T>;
  static constexpr int n = kLanes<T>;

  STRIATE_INLINE explicit RunSums(const Coefficients<V>& of) : of_(of) {}

  /// `next_x` and `next_g` are the runs after this one, or null.
  STRIATE_INLINE void add_run(const T* x, const T* g, int64_t count, const T* next_x, const T* next_g) {
    int64_t i = 0;
    const auto steps_of = [&]<bool kRequest>(int64_t steps) __attribute__((always_inline)) {
      for (int64_t step = 0; step < steps; ++step, i += kSums * n) {
        if (kRequest) request(next_x + i, next_g + i);
#pragma GCC unroll 4
        for (int k = 0; k < kSums; ++k) add<false>(k, x + i + k * n, g + i + k * n, bits_of<T>{});
      }
    };
    while (i + kSums * n <= count) {
      const int64_t steps = smaller<int64_t>((count - i) / (kSums * n), kChain - chain_);
      next_x ? steps_of.template operator()<true>(steps) : steps_of.template operator()<false>(steps);
      grow(static_cast<int>(steps));
    }
#pragma GCC unroll 4
    for (int k = 0; k + 1 < kSums; ++k)
      if (i + n <= count) {
        add<false>(k, x + i, g + i, bits_of<T>{});
        i += n;
      }
    if (const int rest = static_cast<int>(count - i); rest > 0) {
      if (count >= n) {  // a register that steps back, of which the new lanes count
        add<true>(kSums - 1, x + count - n, g + count - n, last_lanes<T>(rest));
      } else {
        T few_x[n] = {}, few_g[n] = {};
        for (int lane = 0; lane < rest; ++lane) {
          few_x[lane] = x[i + lane];
          if (kTerms != Terms::deviations) few_g[lane] = g[i + lane];
        }
        add<true>(kSums - 1, few_x, few_g, first_lanes<T>(rest));
      }
    }
    grow(1);
  }

  STRIATE_INLINE void finish(double* sum, double* product) {
    fold();
    *sum += wide_sum_;
    *product += wide_product_;
  }

 private:
  STRIATE_INLINE static void request(const T* x, const T* g) {
#pragma GCC unroll 4
    for (int at = 0; at < kSums * n; at += 64 / static_cast<int>(sizeof(T))) {
      __builtin_prefetch(x + at);
      if (kTerms != Terms::deviations) __builtin_prefetch(g + at);
    }
  }

  template <bool kMasked>
  STRIATE_INLINE void add(int k, const T* x, const T* g, bits_of<T> mask) {
    const V deviation = load<V>(x) - of_.center;
    V term = term_of<kTerms, V>(deviation, kTerms == Terms::deviations ? V{} : load<V>(g), of_);
    if (kMasked) term = masked<T>(term, mask);
    sum_[k] += term;
    product_[k] += term * deviation;
  }

  STRIATE_INLINE void grow(int steps) {
    chain_ += steps;
    if (chain_ >= kChain) fold();
  }

  STRIATE_INLINE void fold() {
    wide_sum_ += total((sum_[0] + sum_[1]) + (sum_[2] + sum_[3]));
    wide_product_ += total((product_[0] + product_[1]) + (product_[2] + product_[3]));
#pragma GCC unroll 4
    for (int k = 0; k < kSums; ++k) sum_[k] = product_[k] = V{};
    chain_ = 0;
  }

  Coefficients<V> of_;
  V sum_[kSums] = {}, product_[kSums] = {};
  double wide_sum_ = 0, wide_product_ = 0;
  int chain_ = 0;
};

template <class T, Terms kTerms>
Coefficients<native<T>> of_channel(const Args<T>& a, int64_t c) {
  constexpr bool gated = kTerms == Terms::gated_grads;
  return {broadcast<native<T>>(a.of.center[c]), broadcast<native<T>>(gated ? a.of.gate_scale[c] : T(0)),
          broadcast<native<T>>(gated ? a.of.gate_offset[c] : T(0))};
}

template <class T, Terms kTerms>
void dense_runs(const Args<T>& a) {
  for (int64_t c = 0; c < a.channels; ++c) {
    const T* x = a.x + c * a.x_channel;
    const T* g = kTerms == Terms::deviations ? x : a.g + c * a.g_channel;
    const int64_t* g_at = kTerms == Terms::deviations ? a.x_at : a.g_at;
    RunSums<T, kTerms> sums(of_channel<T, kTerms>(a, c));
    for (int64_t r = 0; r < a.runs; ++r) {
      const bool last = r + 1 == a.runs || !a.ahead;
      sums.add_run(x + a.x_at[r], g + g_at[r], a.count, last ? nullptr : x + a.x_at[r + 1],
                   last ? nullptr : g + g_at[r + 1]);
    }
    sums.finish(a.sum + c, a.product + c);
  }
}

// Gathered piece by piece, so that every element takes the same vector code.
template <class T, Terms kTerms>
void strided_runs(const Args<T>& a) {
  constexpr int kPiece = 256;
  T x[kPiece], g[kPiece];
  for (int64_t c = 0; c < a.channels; ++c) {
    RunSums<T, kTerms> sums(of_channel<T, kTerms>(a, c));
    for (int64_t r = 0; r < a.runs; ++r)
      for (int64_t begin = 0; begin < a.count; begin += kPiece) {
        const int count = static_cast<int>(smaller<int64_t>(kPiece, a.count - begin));
        const T* from = a.x + c * a.x_channel + a.x_at[r] + begin * a.x_step;
        for (int i = 0; i < count; ++i) x[i] = from[i * a.x_step];
        if constexpr (kTerms != Terms::deviations) {
          from = a.g + c * a.g_channel + a.g_at[r] + begin * a.g_step;
          for (int i = 0; i < count; ++i) g[i] = from[i * a.g_step];
        }
        sums.add_run(x, g, count, nullptr, nullptr);
      }
    sums.finish(a.sum + c, a.product + c);
  }
}

template <class T, Terms kTerms>
void runs_of(const Args<T>& a) {
  if (a.count == 1 || (a.x_step == 1 && (kTerms == Terms::deviations || a.g_step == 1)))
    dense_runs<T, kTerms>(a);
  else
    strided_runs<T, kTerms>(a);
}

// ---- rows -----------------------------------------------------------------------------------------------

// `kVectors` registers of channels from c on, for up to kChain rows. Of a register that steps back only the
// last `fresh` lanes count.
template <class T, Terms kTerms, int kVectors, bool kMasked = false>
STRIATE_INLINE void row_block(const Args<T>& a, int64_t first, int64_t rows, int64_t c, int fresh = 0) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  Coefficients<V> of[kVectors];
  V sum[kVectors] = {}, product[kVectors] = {};
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    of[v].center = load<V>(a.of.center + c + v * n);
    if (kTerms != Terms::gated_grads) continue;
    of[v].gate_scale = load<V>(a.of.gate_scale + c + v * n);
    of[v].gate_offset = load<V>(a.of.gate_offset + c + v * n);
  }
  const T* x = a.x + first * a.x_step + c;
  const T* g = kTerms == Terms::deviations ? x : a.g + first * a.g_step + c;
  for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const V deviation = load<V>(x + v * n) - of[v].center;
      const V term =
          term_of<kTerms, V>(deviation, kTerms == Terms::deviations ? V{} : load<V>(g + v * n), of[v]);
      sum[v] += term;
      product[v] += term * deviation;
    }
    x += a.x_step;
    if (kTerms != Terms::deviations) g += a.g_step;
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    if (kMasked) {
      sum[v] = masked<T>(sum[v], last_lanes<T>(fresh));
      product[v] = masked<T>(product[v], last_lanes<T>(fresh));
    }
    add_lanes(a.sum + c + v * n, sum[v]);
    add_lanes(a.product + c + v * n, product[v]);
  }
}

template <class T, Terms kTerms>
void rows_of(const Args<T>& a) {
  constexpr int n = kLanes<T>;
  // As many as the registers hold: a gate takes five for each vector, the others three.
  constexpr int kVectors = STRIATE_REGISTERS >= 32 || kTerms != Terms::gated_grads ? 4 : 2;
  // Long rows: fewer of them at a time, so that all columns of these pass while their pages are at hand.
  const int64_t block = larger<int64_t>(kChain / 4, smaller<int64_t>(kChain, 32768 / a.channels));
  for (int64_t first = 0; first < a.count; first += block) {
    const int64_t rows = smaller<int64_t>(block, a.count - first);
    int64_t c = 0;
    for (; c + kVectors * n <= a.channels; c += kVectors * n)
      row_block<T, kTerms, kVectors>(a, first, rows, c);
    for (; c + n <= a.channels; c += n) row_block<T, kTerms, 1>(a, first, rows, c);
    if (c == a.channels) continue;
    if (a.channels >= n) {
      row_block<T, kTerms, 1, true>(a, first, rows, a.channels - n, static_cast<int>(a.channels - c));
      continue;
    }
    for (; c < a.channels; ++c) {  // less than one register of channels
      constexpr bool gated = kTerms == Terms::gated_grads;
      T sum = 0, product = 0;
      for (int64_t r = first; r < first + rows; ++r) {
        const T deviation = a.x[r * a.x_step + c] - a.of.center[c];
        T term = kTerms == Terms::deviations ? deviation : a.g[r * a.g_step + c];
        if (gated && deviation * a.of.gate_scale[c] + a.of.gate_offset[c] <= 0) term = 0;
        sum += term;
        product += term * deviation;
      }
      a.sum[c] += static_cast<double>(sum);
      a.product[c] += static_cast<double>(product);
    }
  }
}

template <class T>
void runs(const Args<T>& a) noexcept {
  a.of.gate_scale ? runs_of<T, Terms::gated_grads>(a)
  : a.g           ? runs_of<T, Terms::grads>(a)
                  : runs_of<T, Terms::deviations>(a);
}
template <class T>
void rows(const Args<T>& a) noexcept {
  a.of.gate_scale ? rows_of<T, Terms::gated_grads>(a)
  : a.g           ? rows_of<T, Terms::grads>(a)
                  : rows_of<T, Terms::deviations>(a);
}

}  // namespace

constinit const norm::Table norm_sums_table = {{runs<float>, rows<float>}, {runs<double>, rows<double>}};

}  // namespace striate::STRIATE_ISA
