#include "kernels/runs/runs.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using runs::Run;

template <bool Add, int N, int FromStep, class T>
STRIATE_INLINE void vector_at(const T* from, int64_t from_step, T* to) {
  using V = vec<T, N>;
  const V value = load_strided<FromStep, N>(from, from_step);
  if constexpr (Add)
    store(to, load<V>(to) + value);
  else
    store(to, value);
}

// What is left of a row after whole vectors: halves of vectors, down to single elements.
template <bool Add, int N, int FromStep, class T>
STRIATE_INLINE void rest(const T* from, int64_t from_step, T* to, int64_t i, int64_t count) {
  if (i + N <= count) {
    vector_at<Add, N, FromStep>(from + i * from_step, from_step, to + i);
    i += N;
  }
  if constexpr (N > 1) rest<Add, N / 2, FromStep>(from, from_step, to, i, count);
}

template <bool Add, int FromStep, class T>
STRIATE_INLINE void to_neighbours(const T* from, int64_t from_step, T* to, int64_t count) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + n <= count; i += n) vector_at<Add, n, FromStep>(from + i * from_step, from_step, to + i);
  rest<Add, n / 2, FromStep>(from, from_step, to, i, count);
}

template <bool Add, class T>
STRIATE_INLINE void any_steps(const T* from, int64_t from_step, T* to, int64_t to_step, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (Add)
      to[i * to_step] += from[i * from_step];
    else
      to[i * to_step] = from[i * from_step];
  }
}

// Two runs of every second element, from neighbours, that fill one row together: pixels of a shuffle by two.
template <class T>
STRIATE_INLINE void zip(const T* even, const T* odd, T* to, int64_t count) {
  constexpr int n = kLanes<T>;
  using order = typename make_indices<n>::type;
  int64_t i = 0;
  for (; i + n <= count; i += n) {
    const native<T> a = load<native<T>>(even + i), b = load<native<T>>(odd + i);
    store(to + 2 * i, zip_low(a, b, order{}));
    store(to + 2 * i + n, zip_high(a, b, order{}));
  }
  for (; i < count; ++i) {
    to[2 * i] = even[i];
    to[2 * i + 1] = odd[i];
  }
}

STRIATE_INLINE bool zips(const Run& a, const Run& b) {
  return a.to_step == 2 && b.to_step == 2 && a.from_step == 1 && b.from_step == 1 && b.to == a.to + 1 &&
         a.count == b.count;
}

template <class T>
void copy(const T* from, T* to, const Run* runs, int64_t count) noexcept {
  for (int64_t r = 0; r < count; ++r) {
    const Run& run = runs[r];
    if (r + 1 < count && zips(run, runs[r + 1])) {
      zip(from + run.from, from + runs[r + 1].from, to + run.to, run.count);
      ++r;
    } else if (run.to_step == 1 && run.from_step == 1) {
      to_neighbours<false, 1>(from + run.from, 1, to + run.to, run.count);
    } else if (run.to_step == 1 && run.from_step == 2) {
      to_neighbours<false, 2>(from + run.from, 2, to + run.to, run.count);
    } else {
      any_steps<false>(from + run.from, run.from_step, to + run.to, run.to_step, run.count);
    }
  }
}

template <class T>
void add(const T* from, T* to, const Run* runs, int64_t count) noexcept {
  for (int64_t r = 0; r < count; ++r) {
    const Run& run = runs[r];
    if (run.to_step == 1 && run.from_step == 1)
      to_neighbours<true, 1>(from + run.from, 1, to + run.to, run.count);
    else
      any_steps<true>(from + run.from, run.from_step, to + run.to, run.to_step, run.count);
  }
}

template <class T>
void fill(T* to, int64_t count, int64_t step, T value) noexcept {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  if (step == 1)
    for (const native<T> all = broadcast<native<T>>(value); i + n <= count; i += n) store(to + i, all);
  for (; i < count; ++i) to[i * step] = value;
}

}  // namespace

constinit const runs::Table runs_table = {{copy<float>, add<float>, fill<float>},
                                          {copy<double>, add<double>, fill<double>}};

}  // namespace striate::STRIATE_ISA
