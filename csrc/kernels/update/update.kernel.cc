#include "kernels/update/update.h"

#include "kernels/update/lanes.h"

namespace striate::STRIATE_ISA {
namespace {

using update::AdamArgs;
using update::SgdArgs;

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

template <bool kMost, class T, class Lanes>
STRIATE_INLINE void adam_vector(const AdamArgs<T>& a, int64_t i, Lanes lanes) {
  using V = native<T>;
  const V w = lanes.load_from(a.w + i);
  const V g = decayed(lanes.load_from(a.g + i), a.weight_decay, w);
  const V mean = a.first * lanes.load_from(a.mean + i) + a.fresh_first * g;
  const V square = a.second * lanes.load_from(a.square + i) + a.fresh_second * (g * g);
  lanes.store_to(a.mean + i, mean);
  lanes.store_to(a.square + i, square);
  V scale = square;
  if constexpr (kMost) {
    const V before = lanes.load_from(a.most + i);
    scale = before > square ? before : square;  // a NaN in the new one stays
    lanes.store_to(a.most + i, scale);
  }
  lanes.store_to(a.w + i, w * a.keep - a.rate * (mean / (root_of_lanes<T>(scale) * a.root + a.eps)));
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

template <bool kMost, class T>
void adam_run(const AdamArgs<T>& a) {
  for_vectors<T>(a.count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    adam_vector<kMost>(a, i, lanes);
  });
}

template <class T>
void dense_adam(const AdamArgs<T>& a) {
  a.most ? adam_run<true>(a) : adam_run<false>(a);
}

// ---- runs with gaps -------------------------------------------------------------------------------------

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
  if (a.w_step == 1 && a.g_step == 1 && a.mean_step == 1 && a.square_step == 1 && (!a.most || a.most_step == 1))
    return dense_adam(a);
  T w[kPiece], g[kPiece], mean[kPiece], square[kPiece], most[kPiece];
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
    if (a.most) gather(a.most + begin * a.most_step, a.most_step, piece.count, most);
    if (a.most) piece.most = most;
    dense_adam(piece);
    scatter(w, piece.count, a.w + begin * a.w_step, a.w_step);
    scatter(mean, piece.count, a.mean + begin * a.mean_step, a.mean_step);
    scatter(square, piece.count, a.square + begin * a.square_step, a.square_step);
    if (a.most) scatter(most, piece.count, a.most + begin * a.most_step, a.most_step);
  }
}

}  // namespace

constinit const update::Table update_table = {{sgd<float>, adam<float>}, {sgd<double>, adam<double>}};

}  // namespace striate::STRIATE_ISA
