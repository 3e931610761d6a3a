#include "kernels/resample/resample.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using resample::Args;
using resample::Matrix;

constexpr int kRowsAtOnce = 4;

// Rows to add up, each with its weight; flushed into `to` four at a time.
template <class T>
struct RowSum {
  T* to;
  int64_t count, step;  // elements between neighbours of a row
  const T* row[kRowsAtOnce];
  T weight[kRowsAtOnce];
  int rows = 0;
  bool started = false;

  template <int Rows>
  STRIATE_INLINE void flush_rows() {
    constexpr int n = kLanes<T>;
    using V = native<T>;
    int64_t i = 0;
    if (step == 1)
      for (; i + n <= count; i += n) {
        V sum = weight[0] * load<V>(row[0] + i);
        if (started) sum += load<V>(to + i);
#pragma GCC unroll 4
        for (int r = 1; r < Rows; ++r) sum += weight[r] * load<V>(row[r] + i);
        store(to + i, sum);
      }
    for (; i < count; ++i) {
      T sum = weight[0] * row[0][i * step];
      if (started) sum += to[i];
      for (int r = 1; r < Rows; ++r) sum += weight[r] * row[r][i * step];
      to[i] = sum;
    }
  }
  void flush() {
    if (rows == 1) flush_rows<1>();
    if (rows == 2) flush_rows<2>();
    if (rows == 3) flush_rows<3>();
    if (rows == 4) flush_rows<4>();
    started = started || rows > 0;
    rows = 0;
  }
  STRIATE_INLINE void add(const T* from, T by) {
    row[rows] = from;
    weight[rows] = by;
    if (++rows == kRowsAtOnce) flush();
  }
  void finish() {
    flush();
    if (!started)
      for (int64_t i = 0; i < count; ++i) to[i] = 0;
  }
};

// ---- along the width ----------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE void width_elements(const Matrix<T>& m, const T* from, T* to, int64_t begin, int64_t end) {
  for (int64_t o = begin; o < end; ++o) {
    int32_t e = m.begin[o];
    const int32_t last = m.begin[o + 1];
    T sum = e < last ? m.weight[e] * from[m.index[e]] : T(0);
    for (++e; e < last; ++e) sum += m.weight[e] * from[m.index[e]];
    to[o] = sum;
  }
}

// Row `o` of the matrix for neighbouring multiples of its shift.
template <int Step, class T>
STRIATE_INLINE native<T> width_vector(const Matrix<T>& m, int64_t o, const T* from, int64_t shift) {
  int32_t e = m.begin[o];
  const int32_t last = m.begin[o + 1];
  native<T> sum = m.weight[e] * load_strided<Step, kLanes<T>>(from + m.index[e], shift);
  for (++e; e < last; ++e) sum += m.weight[e] * load_strided<Step, kLanes<T>>(from + m.index[e], shift);
  return sum;
}

template <int Step, class T>
STRIATE_INLINE int64_t width_inner(const Args<T>& a, const T* from, T* to) {
  constexpr int n = kLanes<T>;
  const int64_t first = a.inner_begin;
  int64_t o = first;
  for (; o + n <= a.inner_end; o += n)
    store(to + o, width_vector<Step>(a.axis[2], first, from + (o - first) * a.shift, a.shift));
  return o;
}

template <class T>
STRIATE_INLINE int64_t width_pairs(const Args<T>& a, const T* from, T* to) {
  constexpr int n = kLanes<T>;
  using order = typename make_indices<n>::type;
  const int64_t first = a.inner_begin;
  int64_t o = first;
  for (; o + 2 * n <= a.inner_end; o += 2 * n) {
    const T* here = from + (o - first) / 2;
    const native<T> even = width_vector<1>(a.axis[2], first, here, 1);
    const native<T> odd = width_vector<1>(a.axis[2], first + 1, here, 1);
    store(to + o, zip_low(even, odd, order{}));
    store(to + o + n, zip_high(even, odd, order{}));
  }
  return o;
}

template <class T>
void width(const Args<T>& a, const T* from, T* to) {
  const Matrix<T>& m = a.axis[2];
  width_elements(m, from, to, 0, a.inner_begin);
  int64_t done = a.inner_begin;
  if (a.period == 2)
    done = width_pairs(a, from, to);
  else if (a.period == 1 && a.shift == 1)
    done = width_inner<1>(a, from, to);
  else if (a.period == 1 && a.shift == 2)
    done = width_inner<2>(a, from, to);
  else if (a.period == 1)
    done = width_inner<kAnyStep>(a, from, to);
  width_elements(m, from, to, done, m.out);
}

// ---- lines ----------------------------------------------------------------------------------------------

// Four resampled rows. Neighbouring rows differ in the parity of depth or height, so none that a line needs
// at once share a place.
template <class T>
struct RowCache {
  T* memory;
  int64_t pitch;
  int64_t key[4] = {-1, -1, -1, -1};

  STRIATE_INLINE const T* get(const Args<T>& a, const T* plane, int64_t d, int64_t h) {
    const int place = static_cast<int>((d & 1) * 2 + (h & 1));
    T* row = memory + place * pitch;
    if (key[place] != d * a.axis[1].in + h) {
      key[place] = d * a.axis[1].in + h;
      width(a, plane + d * a.in_stride[2] + h * a.in_stride[3], row);
    }
    return row;
  }
};

template <class T>
void planes(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  const Matrix<T>&depth = a.axis[0], &height = a.axis[1];
  T* temporary = a.scratch + 4 * a.pitch;
  RowCache<T> cache{a.scratch, a.pitch};
  int64_t cached_plane = -1;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t h = i % height.out, d = i / height.out % depth.out, plane = i / height.out / depth.out;
    const int64_t n = plane / a.c, c = plane % a.c;
    const T* from = a.in + n * a.in_stride[0] + c * a.in_stride[1];
    T* to = a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3];
    const bool dense = a.out_stride[4] == 1;
    if (a.width_first && plane != cached_plane) {
      cached_plane = plane;
      for (int64_t& key : cache.key) key = -1;
    }
    RowSum<T> sum{};
    sum.to = a.width_first && dense ? to : temporary;
    sum.count = a.width_first ? a.axis[2].out : a.axis[2].in;
    sum.step = a.width_first ? 1 : a.in_stride[4];
    for (int32_t ed = depth.begin[d]; ed < depth.begin[d + 1]; ++ed)
      for (int32_t eh = height.begin[h]; eh < height.begin[h + 1]; ++eh) {
        const int64_t id = depth.index[ed], ih = height.index[eh];
        const T* row = a.width_first ? cache.get(a, from, id, ih)
                                     : from + id * a.in_stride[2] + ih * a.in_stride[3];
        sum.add(row, depth.weight[ed] * height.weight[eh]);
      }
    sum.finish();
    const T* result = temporary;
    if (!a.width_first) {
      width(a, temporary, dense ? to : a.scratch);
      result = a.scratch;
    }
    if (!dense)
      for (int64_t w = 0; w < a.axis[2].out; ++w) to[w * a.out_stride[4]] = result[w];
  }
}

constexpr int kTapsAtOnce = 32;

template <class T>
struct PixelSum {
  const T* tap[kTapsAtOnce];
  T weight[kTapsAtOnce];
  int taps = 0;
  bool started = false;

  template <int Vectors, int N>
  STRIATE_INLINE void block(T* to, int64_t c) {
    using V = vec<T, N>;
    V sum[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      sum[v] = weight[0] * load<V>(tap[0] + c + v * N);
      if (started) sum[v] += load<V>(to + c + v * N);
    }
    for (int t = 1; t < taps; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[v] += weight[t] * load<V>(tap[t] + c + v * N);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(to + c + v * N, sum[v]);
  }
  void flush(T* to, int64_t channels) {
    if (taps == 0) return;
    constexpr int n = kLanes<T>;
    int64_t c = 0;
    for (; c + 4 * n <= channels; c += 4 * n) block<4, n>(to, c);
    for (; c + n <= channels; c += n) block<1, n>(to, c);
    for (; c < channels; ++c) block<1, 1>(to, c);
    started = true;
    taps = 0;
  }
};

template <class T>
void channels(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  const Matrix<T>&depth = a.axis[0], &height = a.axis[1], &columns = a.axis[2];
  for (int64_t i = begin; i < end; ++i) {
    const int64_t h = i % height.out, d = i / height.out % depth.out, n = i / height.out / depth.out;
    const T* from = a.in + n * a.in_stride[0];
    T* row = a.out + n * a.out_stride[0] + d * a.out_stride[2] + h * a.out_stride[3];
    for (int64_t w = 0; w < columns.out; ++w) {
      T* to = row + w * a.out_stride[4];
      PixelSum<T> sum;
      for (int32_t ed = depth.begin[d]; ed < depth.begin[d + 1]; ++ed)
        for (int32_t eh = height.begin[h]; eh < height.begin[h + 1]; ++eh) {
          const T* line = from + depth.index[ed] * a.in_stride[2] + height.index[eh] * a.in_stride[3];
          const T by = depth.weight[ed] * height.weight[eh];
          for (int32_t ew = columns.begin[w]; ew < columns.begin[w + 1]; ++ew) {
            sum.tap[sum.taps] = line + columns.index[ew] * a.in_stride[4];
            sum.weight[sum.taps] = by * columns.weight[ew];
            if (++sum.taps == kTapsAtOnce) sum.flush(to, a.c);
          }
        }
      sum.flush(to, a.c);
      if (!sum.started)
        for (int64_t c = 0; c < a.c; ++c) to[c] = 0;
    }
  }
}

}  // namespace

constinit const resample::Table resample_table = {{planes<float>, channels<float>},
                                                  {planes<double>, channels<double>}};

}  // namespace striate::STRIATE_ISA
