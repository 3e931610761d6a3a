#include "kernels/norm/layer.h"

#include "kernels/norm/lanes.h"

namespace striate::STRIATE_ISA {
namespace {

using norm::LayerArgs;

constexpr int kSums = 4;    // independent ones in a row, to hide the latency of an addition
constexpr int kChain = 64;  // additions in T, at most, before a sum moves on to float64
constexpr int kRows = STRIATE_REGISTERS >= 32 ? 4 : 2;  // of the gradient at once: one access to its column sums

/// kMany sums over the whole registers of a row, of which there are count / lanes: term(i, sum) adds to sum[0], ...
/// what the elements from i on give.
template <class T, int kMany>
struct RowSums {
  double of[kMany] = {};

  template <class Term>
  STRIATE_INLINE void add(int64_t count, Term term) {
    constexpr int n = kLanes<T>;
    int64_t i = 0;
    while (i + n <= count) {
      native<T> sum[kSums][kMany] = {};
      const int64_t blocks = smaller<int64_t>((count - i) / (kSums * n), kChain);
      for (int64_t block = 0; block < blocks; ++block, i += kSums * n)
#pragma GCC unroll 4
        for (int k = 0; k < kSums; ++k) term(i + k * n, sum[k]);
      if (blocks < kChain)
#pragma GCC unroll 4
        for (int k = 0; k + 1 < kSums; ++k)
          if (i + n <= count) {
            term(i, sum[k]);
            i += n;
          }
#pragma GCC unroll 2
      for (int v = 0; v < kMany; ++v) of[v] += total((sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]));
    }
  }
};

// ---- forward --------------------------------------------------------------------------------------------

template <class T>
void forward(const LayerArgs<T>& a) noexcept {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const int64_t whole = a.count / n * n;
  const auto count = static_cast<double>(a.count);
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* x = a.x + r * a.x_step;
    T* out = a.out + r * a.out_step;

    RowSums<T, 1> plain;
    plain.add(whole, [&](int64_t i, V* sum) __attribute__((always_inline)) { sum[0] += load<V>(x + i); });
    for (int64_t i = whole; i < a.count; ++i) plain.of[0] += static_cast<double>(x[i]);
    const T near = static_cast<T>(plain.of[0] / count);

    RowSums<T, 2> about;
    about.add(whole, [&](int64_t i, V* sum) __attribute__((always_inline)) {
      const V deviation = load<V>(x + i) - near;
      sum[0] += deviation;
      sum[1] += deviation * deviation;
    });
    for (int64_t i = whole; i < a.count; ++i) {
      const double deviation = static_cast<double>(x[i] - near);
      about.of[0] += deviation;
      about.of[1] += deviation * deviation;
    }
    const double shift = about.of[0] / count;
    const double squares = about.of[1] - about.of[0] * shift;
    const double var = (squares < 0 ? 0 : squares) / count;  // a NaN stays
    const double inverse = 1 / __builtin_sqrt(var + a.eps);
    a.mean[r] = static_cast<T>(static_cast<double>(near) + shift);
    a.var[r] = static_cast<T>(var);

    const T scale = static_cast<T>(inverse), offset = static_cast<T>(-shift * inverse);
    int64_t i = 0;
    for (; i < whole; i += n)
      store(out + i, ((load<V>(x + i) - near) * scale + offset) * load<V>(a.weight + i) + load<V>(a.bias + i));
    for (; i < a.count; ++i) out[i] = ((x[i] - near) * scale + offset) * a.weight[i] + a.bias[i];
  }
}

// ---- gradient -------------------------------------------------------------------------------------------

/// `kMany` rows from r on. Their parts of the gradients of weight and bias go to a.few.
template <class T, int kMany>
STRIATE_INLINE void grad_of(const LayerArgs<T>& a, int64_t r) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const int64_t whole = a.count / n * n;
  const T *x[kMany], *g[kMany];
  T mean[kMany], inverse[kMany];
  double behind[kMany] = {}, product[kMany] = {};  // sums of h and of h * normal
#pragma GCC unroll 4
  for (int k = 0; k < kMany; ++k) {
    x[k] = a.x + (r + k) * a.x_step;
    g[k] = a.g + (r + k) * a.g_step;
    mean[k] = a.mean[r + k];
    inverse[k] = static_cast<T>(1 / __builtin_sqrt(static_cast<double>(a.var[r + k]) + a.eps));
  }
  T* const weights = a.few;
  T* const biases = a.few + a.count;

  for (int64_t begin = 0; begin < whole; begin += kChain * n) {
    const int64_t end = smaller<int64_t>(whole, begin + kChain * n);
    V sum[kMany] = {}, products[kMany] = {};
    for (int64_t i = begin; i < end; i += n) {
      const V weight = load<V>(a.weight + i);
      V of_weight = load<V>(weights + i), of_bias = load<V>(biases + i);
#pragma GCC unroll 4
      for (int k = 0; k < kMany; ++k) {
        const V grad = load<V>(g[k] + i), normal = (load<V>(x[k] + i) - mean[k]) * inverse[k];
        const V h = grad * weight;
        of_weight += grad * normal;
        of_bias += grad;
        sum[k] += h;
        products[k] += h * normal;
      }
      store(weights + i, of_weight);
      store(biases + i, of_bias);
    }
#pragma GCC unroll 4
    for (int k = 0; k < kMany; ++k) {
      behind[k] += total(sum[k]);
      product[k] += total(products[k]);
    }
  }
  for (int64_t i = whole; i < a.count; ++i)
    for (int k = 0; k < kMany; ++k) {
      const T grad = g[k][i], normal = (x[k][i] - mean[k]) * inverse[k];
      weights[i] += grad * normal;
      biases[i] += grad;
      behind[k] += static_cast<double>(grad * a.weight[i]);
      product[k] += static_cast<double>(grad * a.weight[i]) * static_cast<double>(normal);
    }

#pragma GCC unroll 4
  for (int k = 0; k < kMany; ++k) {
    T* out = a.out + (r + k) * a.out_step;
    const double wide = static_cast<double>(inverse[k]) / static_cast<double>(a.count);
    const T offset = static_cast<T>(-wide * behind[k]);
    const T slope = static_cast<T>(-wide * product[k] * static_cast<double>(inverse[k]));
    int64_t i = 0;
    for (; i < whole; i += n) {
      const V h = load<V>(g[k] + i) * load<V>(a.weight + i);
      store(out + i, h * inverse[k] + ((load<V>(x[k] + i) - mean[k]) * slope + offset));
    }
    for (; i < a.count; ++i)
      out[i] = g[k][i] * a.weight[i] * inverse[k] + ((x[k][i] - mean[k]) * slope + offset);
  }
}

template <class T>
void grad(const LayerArgs<T>& a) noexcept {
  for (int64_t first = 0; first < a.rows; first += kChain) {
    const int64_t last = smaller<int64_t>(a.rows, first + kChain);
    for (int64_t i = 0; i < 2 * a.count; ++i) a.few[i] = 0;
    int64_t r = first;
    for (; r + kRows <= last; r += kRows) grad_of<T, kRows>(a, r);
    for (; r < last; ++r) grad_of<T, 1>(a, r);
    for (int64_t i = 0; i < a.count; ++i) a.grad_weight[i] += static_cast<double>(a.few[i]);
    for (int64_t i = 0; i < a.count; ++i) a.grad_bias[i] += static_cast<double>(a.few[a.count + i]);
  }
}

}  // namespace

constinit const norm::LayerTable norm_layer_table = {{forward<float>, grad<float>},
                                                     {forward<double>, grad<double>}};

}  // namespace striate::STRIATE_ISA
