#include "kernels/softmax/cross_entropy.h"
#include "kernels/softmax/rows.h"

namespace striate::STRIATE_ISA {
namespace {

template <class T>
using Args = softmax::CrossEntropyArgs<T>;

// ---- lanes are rows -------------------------------------------------------------------------------------

/// Rows first .. first + rows - 1 of the call; their scores at x + i * along, a lane a row.
template <class T>
STRIATE_INLINE void forward_lanes(const Args<T>& s, const T* x, int64_t along, int64_t first, int rows) {
  using V = native<T>;
  const V most = largest_of_lanes<T>(x, along, s.count);
  const V log_sum = log_from_one<T>(
      sum_blocks<V>(s.count, [&](int64_t i) { return exp<T>(load<V>(x + i * along) - most); }));
  for (int lane = 0; lane < rows; ++lane) {
    const int64_t at = (first + lane) * s.step;
    s.most[at] = most[lane];
    s.log_sum[at] = log_sum[lane];
    s.loss[at] = log_sum[lane] - (x[s.target[at] * along + lane] - most[lane]);
  }
}

template <class T>
STRIATE_INLINE void grad_lanes(const Args<T>& s, const T* x, int64_t x_along, T* dx, int64_t dx_along,
                               int64_t first, int rows) {
  using V = native<T>;
  V most{}, log_sum{}, g{};
  for (int lane = 0; lane < rows; ++lane) {
    most[lane] = s.most[(first + lane) * s.step];
    log_sum[lane] = s.log_sum[(first + lane) * s.step];
    g[lane] = s.g[(first + lane) * s.g_row];
  }
  for (int64_t i = 0; i < s.count; ++i)
    store(dx + i * dx_along, g * exp<T>((load<V>(x + i * x_along) - most) - log_sum));
  for (int lane = 0; lane < rows; ++lane) dx[s.target[(first + lane) * s.step] * dx_along + lane] -= g[lane];
}

template <class T>
void packed_forward(const Args<T>& s, int64_t first, int rows) {
  constexpr int n = kLanes<T>;
  T x[kShort * n];
  pack(s.x + first * s.x_row, s.x_row, s.x_along, rows, s.count, x);
  forward_lanes<T>(s, x, n, first, rows);
}

template <class T>
void packed_grad(const Args<T>& s, int64_t first, int rows) {
  constexpr int n = kLanes<T>;
  T x[kShort * n], dx[kShort * n];
  pack(s.x + first * s.x_row, s.x_row, s.x_along, rows, s.count, x);
  grad_lanes<T>(s, x, n, dx, n, first, rows);
  T* to = s.dx + first * s.dx_row;
  for (int r = 0; r < rows; ++r)
    for (int64_t i = 0; i < s.count; ++i) to[r * s.dx_row + i * s.dx_along] = dx[i * n + r];
}

// ---- lanes are neighbours: a long row --------------------------------------------------------------------

template <class T>
void forward_row(const Args<T>& s, const T* x, int64_t row) {
  using V = native<T>;
  const int64_t at = row * s.step;
  const T most = largest_of_row<T>(x, s.count);
  const T sum = sum_row<T>(s.count, [&](int64_t i) { return exp<T>(load<V>(x + i) - most); });
  const T log_sum = log_from_one<T>(broadcast<V>(sum))[0];
  s.most[at] = most;
  s.log_sum[at] = log_sum;
  s.loss[at] = log_sum - (x[s.target[at]] - most);
}

template <class T>
void grad_row(const Args<T>& s, const T* x, T* dx, int64_t row) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  const int64_t at = row * s.step;
  const T most = s.most[at], log_sum = s.log_sum[at], g = s.g[row * s.g_row];
  const auto vector = [&](int64_t i) { store(dx + i, g * exp<T>((load<V>(x + i) - most) - log_sum)); };
  for (int64_t i = 0; i + n <= s.count; i += n) vector(i);
  vector(s.count - n);
  dx[s.target[at]] -= g;
}

// ---- many rows ------------------------------------------------------------------------------------------

template <class T>
void forward(const Args<T>& s) noexcept {
  constexpr int n = kLanes<T>;
  if (s.x_row == 1 && s.rows >= n) {
    for (int64_t r = 0; r < s.rows; r += n) {
      r = smaller(r, s.rows - n);  // the last register steps back and takes some rows again
      forward_lanes<T>(s, s.x + r, s.x_along, r, n);
    }
  } else if (s.count <= kShort) {
    for (int64_t r = 0; r < s.rows; r += n)
      packed_forward(s, r, static_cast<int>(smaller<int64_t>(n, s.rows - r)));
  } else {
    for (int64_t r = 0; r < s.rows; ++r) {
      const T* x = s.x + r * s.x_row;
      if (s.x_along != 1) {
        for (int64_t i = 0; i < s.count; ++i) s.scratch[i] = x[i * s.x_along];
        x = s.scratch;
      }
      forward_row(s, x, r);
    }
  }
}

template <class T>
void grad(const Args<T>& s) noexcept {
  constexpr int n = kLanes<T>;
  if (s.x_row == 1 && s.dx_row == 1 && s.rows >= n) {
    for (int64_t r = 0; r < s.rows; r += n) {
      r = smaller(r, s.rows - n);
      grad_lanes<T>(s, s.x + r, s.x_along, s.dx + r, s.dx_along, r, n);
    }
  } else if (s.count <= kShort) {
    for (int64_t r = 0; r < s.rows; r += n)
      packed_grad(s, r, static_cast<int>(smaller<int64_t>(n, s.rows - r)));
  } else {
    for (int64_t r = 0; r < s.rows; ++r) {
      const T* x = s.x + r * s.x_row;
      T* const to = s.dx + r * s.dx_row;
      if (s.x_along == 1 && s.dx_along == 1) {
        grad_row(s, x, to, r);
        continue;
      }
      for (int64_t i = 0; i < s.count; ++i) s.scratch[i] = x[i * s.x_along];
      grad_row(s, s.scratch, s.scratch + s.count, r);
      for (int64_t i = 0; i < s.count; ++i) to[i * s.dx_along] = s.scratch[s.count + i];
    }
  }
}

}  // namespace

constinit const softmax::CrossEntropyTable cross_entropy_table = {{forward<float>, grad<float>},
                                                                  {forward<double>, grad<double>}};

}  // namespace striate::STRIATE_ISA
