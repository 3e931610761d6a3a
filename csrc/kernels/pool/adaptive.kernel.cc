#include "kernels/pool/adaptive.h"

#include "kernels/pool/ordered.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::AdaptiveArgs;

template <class T>
using Where = vec<typename mask_of<T>::type, kLanes<T>>;

template <class T>
struct Best {
  native<T> value;
  Where<T> where;

  /// Of elements in order: the first of equals, the last NaN.
  STRIATE_INLINE void take(native<T> v, int32_t here) {
    const Where<T> wins = (v > value) | (v != v);
    value = wins ? v : value;
    where = wins ? Where<T>{} + here : where;
  }
};

template <class T>
T or_nan(T value) {
  return value != value ? static_cast<T>(__builtin_nan("")) : value;
}

// ---- planes ---------------------------------------------------------------------------------------------

// The maxima of `count` columns from w on, and their lines.
template <class T, bool kWhole>
STRIATE_INLINE void columns(const AdaptiveArgs<T>& a, int64_t w, int count) {
  using V = native<T>;
  Best<T> best{};
  bool first = true;
  for (int64_t d = a.d_begin; d < a.d_end; ++d)
    for (int64_t h = a.h_begin; h < a.h_end; ++h, first = false) {
      const T* at = a.x + d * a.x_d + h * a.x_h + w * a.x_w;
      V v{};
      if (kWhole)
        v = load<V>(at);
      else
        for (int i = 0; i < count; ++i) v[i] = at[i * a.x_w];
      const auto line = static_cast<int32_t>(d * a.in_h + h);
      if (first)
        best = {v, Where<T>{} + line};
      else
        best.take(v, line);
    }
  // All lanes: there is room behind the last column.
  store(a.line + w, __builtin_convertvector(best.where, vec<int32_t, kLanes<T>>));
  store(a.value + w, best.value);
}

template <int By, class V, int... I>
STRIATE_INLINE V turned(V v, indices<I...>) {
  return __builtin_shufflevector(v, v, ((I + By) % static_cast<int>(sizeof...(I)))...);
}

/// The largest of all lanes, in each of them; the smallest where `Up` is false.
template <bool Up, int By, int N, class V>
STRIATE_INLINE V outermost(V v) {
  if constexpr (By == 0) {
    return v;
  } else {
    const V other = turned<By>(v, typename make_indices<N>::type{});
    const auto wins = Up ? other > v : other < v;
    return outermost<Up, By / 2, N>(wins ? other : v);
  }
}

template <class T>
constexpr typename mask_of<T>::type kNowhere = static_cast<typename mask_of<T>::type>(0x7fffffff);

/// The window of columns [begin, end), of which none has a NaN: else false.
template <class T>
STRIATE_INLINE bool across(const AdaptiveArgs<T>& a, int64_t begin, int64_t end, T& value, int64_t& place) {
  using V = native<T>;
  using Step = typename mask_of<T>::type;
  constexpr int n = kLanes<T>;
  Step counted[n];
  for (int i = 0; i < n; ++i) counted[i] = i;
  const auto lane = load<Where<T>>(counted);
  const auto places = [&](int64_t i) __attribute__((always_inline)) {
    const auto line = __builtin_convertvector(load<vec<int32_t, n>>(a.line + i), Where<T>);
    return line * static_cast<Step>(a.in_w) + (lane + static_cast<Step>(i));
  };
  Best<T> best = {load<V>(a.value + begin), places(begin)};
  auto ordered = best.value == best.value;
  if (end - begin < n) {
    const auto inside = lane < static_cast<Step>(end - begin);
    best.value = inside ? best.value : V{} - static_cast<T>(__builtin_inf());
    best.where = inside ? best.where : Where<T>{} + kNowhere<T>;
  }
  for (int64_t i = begin + n; i < end; i += n) {  // the last vector goes back over what was seen
    const int64_t at = smaller(i, end - n);
    const V v = load<V>(a.value + at);
    const Where<T> here = places(at);
    const Where<T> wins = (v > best.value) | ((v == best.value) & (here < best.where));
    ordered &= v == v;
    best.value = wins ? v : best.value;
    best.where = wins ? here : best.where;
  }
  if (!all_set(ordered)) return false;
  const V largest = outermost<true, n / 2, n>(best.value);
  const Where<T> first = best.value == largest ? best.where : Where<T>{} + kNowhere<T>;
  place = outermost<false, n / 2, n>(first)[0];
  value = largest[0];
  if (value == 0) value = a.value[place % a.in_w];  // with its own sign
  return true;
}

template <class T>
void across_with_nan(const AdaptiveArgs<T>& a, int64_t begin, int64_t end, T& value, int64_t& place) {
  T best = a.value[begin];
  int32_t line = a.line[begin];
  int64_t column = begin;
  for (int64_t i = begin + 1; i < end; ++i) {
    const T v = a.value[i];
    const int32_t other = a.line[i];
    const bool larger = (v > best) | ((v == best) & (other < line));
    const bool last_nan = (v != v) & ((best == best) | (other >= line));
    const bool wins = larger | last_nan;
    best = wins ? v : best;
    line = wins ? other : line;
    column = wins ? i : column;
  }
  value = or_nan(best);
  place = line * a.in_w + column;
}

template <class T>
void planes(const AdaptiveArgs<T>& a) noexcept {
  constexpr int n = kLanes<T>;
  if (a.x_w == 1 && a.in_w >= n)  // the last vector goes back over columns that are done
    for (int64_t w = 0; w < a.in_w; w += n) columns<T, true>(a, smaller(w, a.in_w - n), n);
  else
    for (int64_t w = 0; w < a.in_w; w += n)
      columns<T, false>(a, w, static_cast<int>(smaller<int64_t>(n, a.in_w - w)));
  for (int64_t o = 0; o < a.out_w; ++o) {
    const int64_t begin = o * a.in_w / a.out_w, end = ((o + 1) * a.in_w + a.out_w - 1) / a.out_w;
    T value;
    int64_t place;
    if (!across(a, begin, end, value, place)) across_with_nan(a, begin, end, value, place);
    a.out[o * a.out_step] = value;
    a.places[o * a.out_step] = place;
  }
}

// ---- channels -------------------------------------------------------------------------------------------

// `kMany` registers of channels from c on; with kWhole false the first `count` lanes of one.
template <class T, int kMany, bool kWhole>
STRIATE_INLINE void window(const AdaptiveArgs<T>& a, int64_t o, int64_t w_begin, int64_t w_end, int64_t c, int count) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  Best<T> best[kMany] = {};
  bool first = true;
  for (int64_t d = a.d_begin; d < a.d_end; ++d)
    for (int64_t h = a.h_begin; h < a.h_end; ++h) {
      const T* at = a.x + d * a.x_d + h * a.x_h + w_begin * a.x_w + c;
      const int64_t line = (d * a.in_h + h) * a.in_w;
      for (int64_t w = w_begin; w < w_end; ++w, at += a.x_w, first = false)
#pragma GCC unroll 4
        for (int k = 0; k < kMany; ++k) {
          const V v = kWhole ? load<V>(at + k * n) : load_partial<V>(at, count);
          if (first)
            best[k] = {v, Where<T>{} + static_cast<int32_t>(line + w)};
          else
            best[k].take(v, static_cast<int32_t>(line + w));
        }
    }
  T* out = a.out + o * a.out_step + c;
  int64_t* places = a.places + o * a.out_step + c;
#pragma GCC unroll 4
  for (int k = 0; k < kMany; ++k)
    for (int i = 0; i < (kWhole ? n : count); ++i) {
      out[k * n + i] = or_nan<T>(best[k].value[i]);
      places[k * n + i] = best[k].where[i];
    }
}

template <class T>
void channels(const AdaptiveArgs<T>& a) noexcept {
  constexpr int n = kLanes<T>;
  for (int64_t o = 0; o < a.out_w; ++o) {
    const int64_t begin = o * a.in_w / a.out_w, end = ((o + 1) * a.in_w + a.out_w - 1) / a.out_w;
    int64_t c = 0;
    for (; c + 4 * n <= a.channels; c += 4 * n) window<T, 4, true>(a, o, begin, end, c, n);
    for (; c + n <= a.channels; c += n) window<T, 1, true>(a, o, begin, end, c, n);
    if (c < a.channels) window<T, 1, false>(a, o, begin, end, c, static_cast<int>(a.channels - c));
  }
}

}  // namespace

constinit const pool::AdaptiveTable adaptive_max_table = {{planes<float>, channels<float>},
                                                          {planes<double>, channels<double>}};

}  // namespace striate::STRIATE_ISA
