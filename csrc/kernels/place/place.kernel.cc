#include "kernels/place/place.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using place::Args;
using place::Axis;

template <class T>
void fill(T* to, int64_t count, int64_t step, T value) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  if (step == 1)
    for (const native<T> all = broadcast<native<T>>(value); i + n <= count; i += n) store(to + i, all);
  for (; i < count; ++i) to[i * step] = value;
}

template <int Step, class T>
void copy_step(const T* from, int64_t from_step, T* to, int64_t count) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i + n <= count; i += n) store(to + i, load_strided<Step, n>(from + i * from_step, from_step));
  for (; i < count; ++i) to[i] = from[i * from_step];
}

template <class T>
void copy(const T* from, int64_t from_step, T* to, int64_t to_step, int64_t count) {
  if (to_step != 1)
    for (int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * from_step];
  else if (from_step == 1)
    copy_step<1>(from, 1, to, count);
  else if (from_step == 2)
    copy_step<2>(from, 2, to, count);
  else
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * from_step];
}

template <class T>
void row(const Args<T>& a, const T* from, T* to) {
  const Axis& w = a.axis[2];
  const int64_t to_w = a.out_stride[4], from_w = a.in_stride[4] * w.in_step;
  from += w.in_first * a.in_stride[4];
  if (w.out_step == 1) {
    fill(to, w.out_first, to_w, a.value);
    copy(from, from_w, to + w.out_first * to_w, to_w, w.count);
    const int64_t end = w.out_first + w.count;
    fill(to + end * to_w, w.out - end, to_w, a.value);
    return;
  }
  int64_t i = 0;
  if (w.out_step == 2 && w.out_first == 0 && to_w == 1 && from_w == 1) {
    constexpr int n = kLanes<T>;
    using order = typename make_indices<n>::type;
    const native<T> gap = broadcast<native<T>>(a.value);
    for (; i + n <= w.count && 2 * (i + n) <= w.out; i += n) {
      const native<T> value = load<native<T>>(from + i);
      store(to + 2 * i, zip_low(value, gap, order{}));
      store(to + 2 * i + n, zip_high(value, gap, order{}));
    }
  }
  const int64_t done = i == 0 ? 0 : w.out_first + i * w.out_step;
  fill(to + done * to_w, w.out - done, to_w, a.value);
  copy(from + i * from_w, from_w, to + (w.out_first + i * w.out_step) * to_w, to_w * w.out_step, w.count - i);
}

template <class T>
void pixel_row(const Args<T>& a, const T* from, T* to) {
  const Axis& w = a.axis[2];
  int64_t next = w.out_first, i = 0;
  for (int64_t x = 0; x < w.out; ++x) {
    T* pixel = to + x * a.out_stride[4];
    if (x == next && i < w.count) {
      copy_step<1>(from + (w.in_first + i * w.in_step) * a.in_stride[4], 1, pixel, a.c);
      ++i;
      next += w.out_step;
    } else {
      fill(pixel, a.c, 1, a.value);
    }
  }
}

// The input position that lands on output position `out`; -1 if none does.
STRIATE_INLINE int64_t source(const Axis& axis, int64_t out) {
  const int64_t shifted = out - axis.out_first;
  if (shifted < 0 || shifted % axis.out_step != 0 || shifted / axis.out_step >= axis.count) return -1;
  return axis.in_first + shifted / axis.out_step * axis.in_step;
}

template <bool Channels, class T>
STRIATE_INLINE void lines(const Args<T>& a, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t h = i % a.axis[1].out, rest = i / a.axis[1].out;
    const int64_t d = rest % a.axis[0].out, plane = rest / a.axis[0].out;
    const int64_t n = Channels ? plane : plane / a.c, c = Channels ? 0 : plane % a.c;
    T* to = a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3];
    const int64_t from_d = source(a.axis[0], d), from_h = source(a.axis[1], h);
    if (from_d < 0 || from_h < 0) {
      if constexpr (Channels)
        for (int64_t x = 0; x < a.axis[2].out; ++x) fill(to + x * a.out_stride[4], a.c, 1, a.value);
      else
        fill(to, a.axis[2].out, a.out_stride[4], a.value);
      continue;
    }
    const T* from = a.in + n * a.in_stride[0] + c * a.in_stride[1] + from_d * a.in_stride[2] +
                    from_h * a.in_stride[3];
    if constexpr (Channels)
      pixel_row(a, from, to);
    else
      row(a, from, to);
  }
}

template <class T>
void planes(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  lines<false>(a, begin, end);
}

template <class T>
void channels(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  lines<true>(a, begin, end);
}

}  // namespace

constinit const place::Table place_table = {{planes<float>, channels<float>},
                                            {planes<double>, channels<double>}};

}  // namespace striate::STRIATE_ISA
