#include "kernels/update/lanes.h"
#include "kernels/update/update.h"

namespace striate::STRIATE_ISA {
namespace {

using update::ScaledArgs;

template <class T, class Lanes>
STRIATE_INLINE void adagrad_vector(const ScaledArgs<T>& a, int64_t i, Lanes lanes) {
  using V = native<T>;
  const V w = lanes.load_from(a.w + i);
  const V g = decayed(lanes.load_from(a.g + i), a.weight_decay, w);
  const V square = lanes.load_from(a.square + i) + g * g;
  lanes.store_to(a.square + i, square);
  lanes.store_to(a.w + i, w - a.rate * (g / (root_of_lanes<T>(square) + a.eps)));
}

template <bool kMean, bool kBuffer, class T, class Lanes>
STRIATE_INLINE void rmsprop_vector(const ScaledArgs<T>& a, int64_t i, Lanes lanes) {
  using V = native<T>;
  const V w = lanes.load_from(a.w + i);
  const V g = decayed(lanes.load_from(a.g + i), a.weight_decay, w);
  const V square = a.second * lanes.load_from(a.square + i) + a.fresh * (g * g);
  lanes.store_to(a.square + i, square);
  V variance = square;
  if constexpr (kMean) {
    const V mean = a.second * lanes.load_from(a.mean + i) + a.fresh * g;
    lanes.store_to(a.mean + i, mean);
    variance = square - mean * mean;
    variance = variance < 0 ? V{} : variance;  // by rounding; a NaN stays
  }
  V step = g / (root_of_lanes<T>(variance) + a.eps);
  if constexpr (kBuffer) {
    step = a.momentum * lanes.load_from(a.buffer + i) + step;
    lanes.store_to(a.buffer + i, step);
  }
  lanes.store_to(a.w + i, w - a.rate * step);
}

template <class T>
void dense_adagrad(const ScaledArgs<T>& a) {
  for_vectors<T>(a.count,
                 [&](int64_t i, auto lanes) __attribute__((always_inline)) { adagrad_vector(a, i, lanes); });
}

template <bool kMean, bool kBuffer, class T>
void rmsprop_run(const ScaledArgs<T>& a) {
  for_vectors<T>(a.count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    rmsprop_vector<kMean, kBuffer>(a, i, lanes);
  });
}

template <class T>
void dense_rmsprop(const ScaledArgs<T>& a) {
  if (a.mean) return a.buffer ? rmsprop_run<true, true>(a) : rmsprop_run<true, false>(a);
  return a.buffer ? rmsprop_run<false, true>(a) : rmsprop_run<false, false>(a);
}

/// What an update writes to, of a piece: gathered, and scattered again.
template <class T>
struct Held {
  T values[kPiece];
  T* from;
  int64_t step, count;

  STRIATE_INLINE T* take(T* all, int64_t begin, int64_t all_step, int64_t pieces) {
    from = all ? all + begin * all_step : nullptr;
    step = all_step;
    count = pieces;
    if (from) gather(from, step, count, values);
    return from ? values : nullptr;
  }
  STRIATE_INLINE void give() {
    if (from) scatter(values, count, from, step);
  }
};

template <class T, class Dense>
STRIATE_INLINE void run(const ScaledArgs<T>& a, Dense dense) {
  if (a.w_step == 1 && a.g_step == 1 && a.square_step == 1 && (!a.mean || a.mean_step == 1) &&
      (!a.buffer || a.buffer_step == 1))
    return dense(a);
  Held<T> w, square, mean, buffer;
  T g[kPiece];
  for (int64_t begin = 0; begin < a.count; begin += kPiece) {
    ScaledArgs<T> piece = a;
    const int64_t count = piece.count = smaller(kPiece, a.count - begin);
    gather(a.g + begin * a.g_step, a.g_step, count, g);
    piece.g = g;
    piece.w = w.take(a.w, begin, a.w_step, count);
    piece.square = square.take(a.square, begin, a.square_step, count);
    piece.mean = mean.take(a.mean, begin, a.mean_step, count);
    piece.buffer = buffer.take(a.buffer, begin, a.buffer_step, count);
    dense(piece);
    w.give();
    square.give();
    mean.give();
    buffer.give();
  }
}

template <class T>
void adagrad(const ScaledArgs<T>& a) noexcept {
  run(a, dense_adagrad<T>);
}
template <class T>
void rmsprop(const ScaledArgs<T>& a) noexcept {
  run(a, dense_rmsprop<T>);
}

}  // namespace

constinit const update::ScaledTable scaled_update_table = {{adagrad<float>, rmsprop<float>},
                                                           {adagrad<double>, rmsprop<double>}};

}  // namespace striate::STRIATE_ISA
