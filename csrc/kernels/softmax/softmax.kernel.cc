#include "kernels/softmax/softmax.h"

#include "kernels/softmax/rows.h"

namespace striate::STRIATE_ISA {
namespace {

using softmax::RowsArgs;

enum class Kind { plain, log };

// ---- lanes are rows -------------------------------------------------------------------------------------

template <Kind kKind, class T>
STRIATE_INLINE void forward_lanes(const T* a, int64_t a_along, T* out, int64_t out_along, int64_t count) {
  using V = native<T>;
  const V most = largest_of_lanes<T>(a, a_along, count);
  const V sum = sum_blocks<V>(count, [&](int64_t i) {
    const V e = exp<T>(load<V>(a + i * a_along) - most);
    if (kKind == Kind::plain) store(out + i * out_along, e);
    return e;
  });
  if constexpr (kKind == Kind::plain) {
    for (int64_t i = 0; i < count; ++i) store(out + i * out_along, load<V>(out + i * out_along) / sum);
  } else {
    const V log_sum = log_from_one<T>(sum);
    for (int64_t i = 0; i < count; ++i)
      store(out + i * out_along, (load<V>(a + i * a_along) - most) - log_sum);
  }
}

template <Kind kKind, class T>
STRIATE_INLINE native<T> gradient(native<T> y, native<T> g, native<T> sum) {
  if constexpr (kKind == Kind::plain)
    return y * (g - sum);
  else
    return g - exp<T>(y) * sum;
}

template <Kind kKind, class T>
STRIATE_INLINE void grad_lanes(const T* a, int64_t a_along, const T* g, int64_t g_along, T* out,
                               int64_t out_along, int64_t count) {
  using V = native<T>;
  const V sum = sum_blocks<V>(count, [&](int64_t i) {
    const V grad = load<V>(g + i * g_along);
    return kKind == Kind::plain ? grad * load<V>(a + i * a_along) : grad;
  });
  for (int64_t i = 0; i < count; ++i)
    store(out + i * out_along,
          gradient<kKind, T>(load<V>(a + i * a_along), load<V>(g + i * g_along), sum));
}

// ---- lanes are neighbours -------------------------------------------------------------------------------
template <Kind kKind, class T>
void forward_row(const T* a, T* out, int64_t count) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const T largest = largest_of_row<T>(a, count);
  const T sum = sum_row<T>(count, [&](int64_t i) {
    const V e = exp<T>(load<V>(a + i) - largest);
    if (kKind == Kind::plain) store(out + i, e);
    return e;
  });
  if constexpr (kKind == Kind::plain) {
    const V last = load<V>(out + count - n);
    for (int64_t i = 0; i + n <= count; i += n) store(out + i, load<V>(out + i) / sum);
    store(out + count - n, last / sum);
  } else {
    const T log_sum = log_from_one<T>(broadcast<V>(sum))[0];
    for (int64_t i = 0; i + n <= count; i += n) store(out + i, (load<V>(a + i) - largest) - log_sum);
    store(out + count - n, (load<V>(a + count - n) - largest) - log_sum);
  }
}

template <Kind kKind, class T>
void grad_row(const T* a, const T* g, T* out, int64_t count) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const T sum = sum_row<T>(count, [&](int64_t i) {
    const V grad = load<V>(g + i);
    return kKind == Kind::plain ? grad * load<V>(a + i) : grad;
  });
  const V sums = broadcast<V>(sum);
  for (int64_t i = 0; i + n <= count; i += n)
    store(out + i, gradient<kKind, T>(load<V>(a + i), load<V>(g + i), sums));
  store(out + count - n, gradient<kKind, T>(load<V>(a + count - n), load<V>(g + count - n), sums));
}

// ---- many rows ------------------------------------------------------------------------------------------

template <Kind kKind, bool kGrad, class T>
void packed_rows(const RowsArgs<T>& s, int64_t first, int rows) {
  constexpr int n = kLanes<T>;
  T a[kShort * n], g[kGrad ? kShort * n : 1], out[kShort * n];
  pack(s.a + first * s.a_row, s.a_row, s.a_along, rows, s.count, a);
  if constexpr (kGrad) {
    pack(s.g + first * s.g_row, s.g_row, s.g_along, rows, s.count, g);
    grad_lanes<kKind>(a, n, g, n, out, n, s.count);
  } else {
    forward_lanes<kKind>(a, n, out, n, s.count);
  }
  T* to = s.out + first * s.out_row;
  for (int r = 0; r < rows; ++r)
    for (int64_t i = 0; i < s.count; ++i) to[r * s.out_row + i * s.out_along] = out[i * n + r];
}

template <Kind kKind, bool kGrad, class T>
STRIATE_INLINE void one_row(const T* a, const T* g, T* out, int64_t count) {
  if constexpr (kGrad)
    grad_row<kKind>(a, g, out, count);
  else
    forward_row<kKind>(a, out, count);
}

template <Kind kKind, bool kGrad, class T>
void gathered_row(const RowsArgs<T>& s, int64_t r) {
  T* a = s.scratch;
  T* g = s.scratch + s.count;
  T* out = s.scratch + 2 * s.count;
  for (int64_t i = 0; i < s.count; ++i) a[i] = s.a[r * s.a_row + i * s.a_along];
  if (kGrad)
    for (int64_t i = 0; i < s.count; ++i) g[i] = s.g[r * s.g_row + i * s.g_along];
  one_row<kKind, kGrad>(a, g, out, s.count);
  for (int64_t i = 0; i < s.count; ++i) s.out[r * s.out_row + i * s.out_along] = out[i];
}

template <Kind kKind, bool kGrad, class T>
void run(const RowsArgs<T>& s) noexcept {
  constexpr int n = kLanes<T>;
  const bool unit_rows = s.a_row == 1 && s.out_row == 1 && (!kGrad || s.g_row == 1);
  const bool unit_along = s.a_along == 1 && s.out_along == 1 && (!kGrad || s.g_along == 1);
  if (unit_rows && s.rows >= n) {
    for (int64_t r = 0; r < s.rows; r += n) {
      r = smaller(r, s.rows - n);  // the last register steps back and writes some rows again
      if constexpr (kGrad)
        grad_lanes<kKind>(s.a + r, s.a_along, s.g + r, s.g_along, s.out + r, s.out_along, s.count);
      else
        forward_lanes<kKind>(s.a + r, s.a_along, s.out + r, s.out_along, s.count);
    }
  } else if (s.count <= kShort) {
    for (int64_t r = 0; r < s.rows; r += n)
      packed_rows<kKind, kGrad>(s, r, static_cast<int>(smaller<int64_t>(n, s.rows - r)));
  } else if (unit_along) {
    for (int64_t r = 0; r < s.rows; ++r)
      one_row<kKind, kGrad>(s.a + r * s.a_row, kGrad ? s.g + r * s.g_row : nullptr,
                            s.out + r * s.out_row, s.count);
  } else {
    for (int64_t r = 0; r < s.rows; ++r) gathered_row<kKind, kGrad>(s, r);
  }
}

template <class T>
constexpr softmax::Kernel<T> kernel() {
  return {run<Kind::plain, false, T>, run<Kind::log, false, T>, run<Kind::plain, true, T>,
          run<Kind::log, true, T>};
}

}  // namespace

constinit const softmax::Table softmax_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
