#include "kernels/update/update.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using update::AdamArgs;
using update::SgdArgs;

constexpr int64_t kPiece = 256;  // elements that pass through small buffers where steps are not 1

// ---- square roots ---------------------------------------------------------------------------------------

STRIATE_INLINE float root_of(float x) { return __builtin_sqrtf(x); }
STRIATE_INLINE double root_of(double x) { return __builtin_sqrt(x); }

template <class T>
STRIATE_INLINE native<T> root_of_lanes(native<T> x) {
  T lanes[kLanes<T>];
  store(lanes, x);
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = root_of(lanes[i]);  // the compiler makes it one instruction
  return load<native<T>>(lanes);
}

// ---- a register, or the lanes at the end of a run ---------------------------------------------------------

/// Loads and stores of whole registers, or of the first lanes of one.
template <class T>
struct Whole {
  STRIATE_INLINE native<T> load_from(const T* from) const { return load<native<T>>(from); }
  STRIATE_INLINE void store_to(T* to, native<T> v) const { store(to, v); }
};
template <class T>
struct Part {
  int count;
  STRIATE_INLINE native<T> load_from(const T* from) const { return load_partial<native<T>>(from, count); }
  STRIATE_INLINE void store_to(T* to, native<T> v) const { store_partial(to, v, count); }
};

/// Without weight decay an infinite weight leaves its gradient alone.
template <class V, class T>
STRIATE_INLINE V decayed(V grad, T weight_decay, V w) {
  return weight_decay == 0 ? grad : grad + weight_decay * w;
}

enum class Buffer { none, starts, continues };

template <Buffer kBuffer, bool kNesterov, class T, class Lanes>
STRIATE_INLINE void sgd_vector(const SgdArgs<T>& a, int64_t i, Lanes lanes) {
  using V = native<T>;
  const V w = lanes.load_from(a.w + i);
  V g = decayed(lanes.load_from(a.g + i), a.weight_decay, w);
  if constexpr (kBuffer != Buffer::none) {
    const V b = kBuffer == Buffer::starts ? g : a.momentum * lanes.load_from(a.buffer + i) + a.fresh * g;
    lanes.store_to(a.buffer + i, b);
    g = kNesterov ? g + a.momentum * b : b;
  }
  lanes.store_to(a.w + i, w - a.rate * g);
}

template <class T, class Lanes>
STRIATE_INLINE void adam_vector(const AdamArgs<T>& a, int64_t i, Lanes lanes) {
  using V = native<T>;
  const V w = lanes.load_from(a.w + i);
  const V g = decayed(lanes.load_from(a.g + i), a.weight_decay, w);
  const V mean = a.first * lanes.load_from(a.mean + i) + a.fresh_first * g;
  const V square = a.second * lanes.load_from(a.square + i) + a.fresh_second * (g * g);
  lanes.store_to(a.mean + i, mean);
  lanes.store_to(a.square + i, square);
  lanes.store_to(a.w + i, w * a.keep - a.rate * (mean / (root_of_lanes<T>(square) * a.root + a.eps)));
}

template <class T, class Vector>
STRIATE_INLINE void for_vectors(int64_t count, Vector vector) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + n <= count; i += n) vector(i, Whole<T>{});
  if (i < count) vector(i, Part<T>{static_cast<int>(count - i)});
}

template <Buffer kBuffer, bool kNesterov, class T>
void sgd_run(const SgdArgs<T>& a) {
  for_vectors<T>(a.count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    sgd_vector<kBuffer, kNesterov>(a, i, lanes);
  });
}

template <class T>
void dense_sgd(const SgdArgs<T>& a) {
  if (!a.buffer) return sgd_run<Buffer::none, false>(a);
  if (a.first) return a.nesterov ? sgd_run<Buffer::starts, true>(a) : sgd_run<Buffer::starts, false>(a);
  return a.nesterov ? sgd_run<Buffer::continues, true>(a) : sgd_run<Buffer::continues, false>(a);
}

template <class T>
void dense_adam(const AdamArgs<T>& a) {
  for_vectors<T>(a.count,
                 [&](int64_t i, auto lanes) __attribute__((always_inline)) { adam_vector(a, i, lanes); });
}

// ---- runs with gaps -------------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE void gather(const T* from, int64_t step, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i * step];
}
template <class T>
STRIATE_INLINE void scatter(const T* from, int64_t count, T* to, int64_t step) {
  for (int64_t i = 0; i < count; ++i) to[i * step] = from[i];
}

template <class T>
void sgd(const SgdArgs<T>& a) noexcept {
  if (a.w_step == 1 && a.g_step == 1 && (!a.buffer || a.buffer_step == 1)) return dense_sgd(a);
  T w[kPiece], g[kPiece], buffer[kPiece];
  for (int64_t begin = 0; begin < a.count; begin += kPiece) {
    SgdArgs<T> piece = a;
    piece.count = smaller(kPiece, a.count - begin);
    T* const from_w = a.w + begin * a.w_step;
    gather(from_w, a.w_step, piece.count, w);
    gather(a.g + begin * a.g_step, a.g_step, piece.count, g);
    piece.w = w;
    piece.g = g;
    if (a.buffer && !a.first) gather(a.buffer + begin * a.buffer_step, a.buffer_step, piece.count, buffer);
    if (a.buffer) piece.buffer = buffer;
    dense_sgd(piece);
    scatter(w, piece.count, from_w, a.w_step);
    if (a.buffer) scatter(buffer, piece.count, a.buffer + begin * a.buffer_step, a.buffer_step);
  }
}

template <class T>
void adam(const AdamArgs<T>& a) noexcept {
  if (a.w_step == 1 && a.g_step == 1 && a.mean_step == 1 && a.square_step == 1) return dense_adam(a);
  T w[kPiece], g[kPiece], mean[kPiece], square[kPiece];
  for (int64_t begin = 0; begin < a.count; begin += kPiece) {
    AdamArgs<T> piece = a;
    piece.count = smaller(kPiece, a.count - begin);
    gather(a.w + begin * a.w_step, a.w_step, piece.count, w);
    gather(a.g + begin * a.g_step, a.g_step, piece.count, g);
    gather(a.mean + begin * a.mean_step, a.mean_step, piece.count, mean);
    gather(a.square + begin * a.square_step, a.square_step, piece.count, square);
    piece.w = w;
    piece.g = g;
    piece.mean = mean;
    piece.square = square;
    dense_adam(piece);
    scatter(w, piece.count, a.w + begin * a.w_step, a.w_step);
    scatter(mean, piece.count, a.mean + begin * a.mean_step, a.mean_step);
    scatter(square, piece.count, a.square + begin * a.square_step, a.square_step);
  }
}

}  // namespace

constinit const update::Table update_table = {{sgd<float>, adam<float>}, {sgd<double>, adam<double>}};

}  // namespace striate::STRIATE_ISA
