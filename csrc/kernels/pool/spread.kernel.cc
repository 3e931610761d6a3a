// The gradient of a mean: every input pixel gathers from the windows that see it. See pool.h.
//
// One row of the input at a time: add the rows of grad that see it (whole vectors), then spread the sums
// along the row. Windows that see a row are added in order, so the bits depend on the problem alone.
#include "kernels/pool/pool.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::SpreadArgs;
using pool::Window;

// The sum of the rows of grad that see a line; lanes past the end are zero again afterwards.
template <class T>
void add_rows(const SpreadArgs<T>& a, const T* grad, const Window& depth, const Window& height, T* sums) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  const int64_t columns = a.axis[2].out, step = a.grad_stride[4];
  const int64_t down = a.grad_stride[3], in = a.grad_stride[2];
  int64_t whole = step == 1 ? columns : 0;
  if (a.grad_end) whole = a.grad_end - (grad + (depth.taps - 1) * in + (height.taps - 1) * down);
  int64_t w = 0;
  for (; w < columns && w + n <= whole; w += n) {
    V sum{};
    for (int64_t d = 0; d < depth.taps; ++d)
      for (int64_t h = 0; h < height.taps; ++h) sum += load<V>(grad + d * in + h * down + w);
    store(sums + w, sum / a.divisor);
  }
  for (; w < columns; ++w) {
    T sum = 0;
    for (int64_t d = 0; d < depth.taps; ++d)
      for (int64_t h = 0; h < height.taps; ++h) sum += grad[d * in + h * down + w * step];
    sums[w] = sum / a.divisor;
  }
  store(sums + columns, V{});
}

STRIATE_INLINE int64_t floor_half(int64_t value) { return value >> 1; }

// Stride 2: even and odd pixels see a fixed number of windows each; vectors of both are zipped. `sums` is
// zero on both sides, so no pixel is special. `whole`: elements of `row` that may be written.
template <class T>
void spread_pairs(const SpreadArgs<T>& a, const T* sums, int64_t whole, T* row) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  using order = typename make_indices<n>::type;
  const int64_t columns = a.axis[2].in, kernel = a.axis[2].kernel;
  int64_t low[2], high[2];  // pixel 2j + phase sees windows j + low ... j + high
  for (int phase = 0; phase < 2; ++phase) {
    high[phase] = floor_half(phase + a.pad);
    low[phase] = floor_half(phase + a.pad - kernel + 2);
  }
  for (int64_t j = 0; 2 * j < columns; j += n) {
    V part[2] = {};
    for (int phase = 0; phase < 2; ++phase)
      for (int64_t m = low[phase]; m <= high[phase]; ++m) part[phase] += load<V>(sums + j + m);
    const V first = zip_low(part[0], part[1], order{}), second = zip_high(part[0], part[1], order{});
    if (2 * (j + n) <= whole) {
      store(row + 2 * j, first);
      store(row + 2 * j + n, second);
    } else {
      T rest[2 * n];
      store(rest, first);
      store(rest + n, second);
      for (int64_t w = 2 * j; w < columns; ++w) row[w] = rest[w - 2 * j];
    }
  }
}

// Windows that do not overlap: a pixel has one share or, in a gap, none.
template <class T>
void spread_apart(const SpreadArgs<T>& a, const T* sums, int64_t whole, T* row) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  int64_t done = 0;
  for (int64_t ow = 0; ow <= a.axis[2].out; ++ow) {
    const bool is_window = ow < a.axis[2].out;
    const Window& window = a.axis[2].window[ow];
    const int64_t first = is_window ? window.first : a.axis[2].in;
    for (; done < first; ++done) row[done] = 0;
    if (!is_window) return;
    const V share = broadcast<V>(sums[ow]);
    const int64_t end = first + window.taps;
    int64_t i = first;
    for (; i < end && i + n <= whole; i += n) store(row + i, share);
    for (; i < end; ++i) row[i] = sums[ow];
    done = end;
  }
}

template <class T>
void spread_wide(const SpreadArgs<T>& a, const T* sums, T* row) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  for (int64_t w = 0; w < a.axis[2].in; ++w) row[w] = 0;
  for (int64_t ow = 0; ow < a.axis[2].out; ++ow) {
    const Window& window = a.axis[2].window[ow];
    T* to = row + window.first;
    int64_t i = 0;
    for (; i + n <= window.taps; i += n) store(to + i, load<V>(to + i) + sums[ow]);
    for (; i < window.taps; ++i) to[i] += sums[ow];
  }
}

template <class T>
STRIATE_INLINE void copy_row(const T* from, int64_t count, int64_t whole, T* to) {
  constexpr int n = kLanes<T>;
  int64_t i = 0;
  for (; i < count && i + n <= whole; i += n) store(to + i, load<native<T>>(from + i));
  for (; i < count; ++i) to[i] = from[i];
}

template <class T>
void spread(const SpreadArgs<T>& a, int64_t begin, int64_t end) noexcept {
  const int64_t rows = a.axis[1].in, images = a.axis[0].in, columns = a.axis[2].in;
  T* sums = a.sums + pool::kSpreadMargin + a.axis[2].kernel;
  for (T* at = a.sums; at < sums; ++at) *at = 0;
  for (int64_t i = 0; i < pool::kSpreadMargin + a.axis[2].kernel; ++i) sums[a.axis[2].out + i] = 0;
  const T* out_end = a.out_is_dense ? a.out + end * columns : nullptr;
  int64_t h = begin % rows, d = begin / rows % images, plane = begin / rows / images;
  const T* last = nullptr;  // the line before, if its windows are the same
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = plane / a.c, c = plane % a.c;
    const Window& wd = a.axis[0].window[d];
    const Window& wh = a.axis[1].window[h];
    T* out = a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3];
    T* row = a.out_stride[4] == 1 ? out : a.row;
    const int64_t whole = out_end ? out_end - out : columns;
    if (last) {
      if (row != last) copy_row(last, columns, whole, row);
    } else {
      add_rows(a, a.grad + n * a.grad_stride[0] + c * a.grad_stride[1] + wd.first * a.grad_stride[2] +
                      wh.first * a.grad_stride[3],
               wd, wh, sums);
      if (a.axis[2].stride == 2)
        spread_pairs(a, sums, whole, row);
      else if (a.axis[2].stride >= a.axis[2].kernel)
        spread_apart(a, sums, whole, row);
      else
        spread_wide(a, sums, row);
    }
    if (row != out)
      for (int64_t w = 0; w < columns; ++w) out[w * a.out_stride[4]] = row[w];
    if (++h == rows) {
      h = 0;
      last = nullptr;
      if (++d == images) {
        d = 0;
        ++plane;
      }
    } else {
      const Window& next = a.axis[1].window[h];
      last = next.first == wh.first && next.taps == wh.taps ? row : nullptr;
    }
  }
}

// ---- other lanes ------------------------------------------------------------------------------------------

// The share of a window goes to `Pixels` of its pixels in a row.
template <int N, int Pixels, class T>
STRIATE_INLINE void share_pixels(const SpreadArgs<T>& a, const T* grad, T* out) {
  for (int64_t i = 0; i < a.c; i += N) {
    const int64_t c = smaller(i, a.c - N);  // the last vector goes back, rather than leave a rest
    const auto from = load<vec<T, N>>(grad + c);
    const auto share = a.factor != 0 ? from * a.factor : from / a.divisor;
#pragma GCC unroll 4
    for (int w = 0; w < Pixels; ++w) store(out + w * a.out_stride[4] + c, share);
  }
}

template <class T>
void zero_pixels(T* out, int64_t pixels, int64_t step, int64_t channels) {
  for (int64_t w = 0; w < pixels; ++w)
    for (int64_t c = 0; c < channels; ++c) out[w * step + c] = 0;
}

template <int N, class T>
void spread_channels(const SpreadArgs<T>& args, int64_t begin, int64_t end) {
  if constexpr (N > 1)
    if (args.c < N) return spread_channels<(sizeof(T) == 4 && N > 4 ? N / 2 : 1)>(args, begin, end);
  const SpreadArgs<T> a = args;  // no store can change it
  const int64_t rows = a.axis[1].in, images = a.axis[0].in, columns = a.axis[2].in, step = a.out_stride[4];
  for (int64_t i = begin; i < end; ++i) {
    const int64_t h = i % rows, d = i / rows % images, n = i / rows / images;
    const Window &depth = a.axis[0].window[d], &height = a.axis[1].window[h];
    T* out = a.out + n * a.out_stride[0] + d * a.out_stride[2] + h * a.out_stride[3];
    const T* grad = a.grad + n * a.grad_stride[0] + depth.first * a.grad_stride[2] + height.first * a.grad_stride[3];
    const bool is_seen = depth.taps * height.taps > 0;
    int64_t done = 0;
    for (int64_t ow = 0; is_seen && ow < a.axis[2].out; ++ow, grad += a.grad_stride[4]) {
      const Window& window = a.axis[2].window[ow];
      if (done < window.first) zero_pixels(out + done * step, window.first - done, step, a.c);
      // Four at a time: pixels of many channels may fall on the same few lines of the cache.
      int64_t w = window.first;
      done = w + window.taps;
      for (; w + 4 <= done; w += 4) share_pixels<N, 4>(a, grad, out + w * step);
      for (; w + 2 <= done; w += 2) share_pixels<N, 2>(a, grad, out + w * step);
      if (w < done) share_pixels<N, 1>(a, grad, out + w * step);
    }
    zero_pixels(out + done * step, columns - done, step, a.c);
  }
}

template <class T>
void spread_apart_channels(const SpreadArgs<T>& a, int64_t begin, int64_t end) noexcept {
  spread_channels<kLanes<T>>(a, begin, end);
}

// Vectors run over into the next plane, which is written next.
template <class T>
void fill_planes(const T* grad, T divisor, int64_t planes, int64_t size, T* out) noexcept {
  constexpr int n = kLanes<T>;
  const T* end = out + planes * size;
  for (int64_t plane = 0; plane < planes; ++plane, out += size) {
    const T share = grad[plane] / divisor;
    const int64_t whole = end - out - n;
    int64_t i = 0;
    for (; i < size && i <= whole; i += n) store(out + i, broadcast<native<T>>(share));
    for (; i < size; ++i) out[i] = share;
  }
}

// A row of grad divided by what each of its windows counts.
template <class T>
void divide(const T* from, int64_t from_step, const T* counts, int64_t count_step, T lines, int64_t count,
            T* to, int64_t to_step) noexcept {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  int64_t i = 0;
  if (from_step == 1 && to_step == 1)
    for (; i + n <= count; i += n) {
      const V divisor = count_step == 1 ? load<V>(counts + i) : broadcast<V>(*counts);
      store(to + i, load<V>(from + i) / (divisor * lines));
    }
  for (; i < count; ++i) to[i * to_step] = from[i * from_step] / (counts[i * count_step] * lines);
}

}  // namespace

constinit const pool::SpreadTable pool_spread_table = {
    {spread<float>, spread_apart_channels<float>, fill_planes<float>, divide<float>},
    {spread<double>, spread_apart_channels<double>, fill_planes<double>, divide<double>}};

}  // namespace striate::STRIATE_ISA
