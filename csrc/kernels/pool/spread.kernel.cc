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

template <class T>
void add_rows(const SpreadArgs<T>& a, const T* grad, const Window& depth, const Window& height, T* sums) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  const int64_t columns = a.axis[2].out, step = a.grad_stride[4];
  int64_t w = 0;
  if (step == 1)
    for (; w + n <= columns; w += n) {
      V sum{};
      for (int64_t d = 0; d < depth.taps; ++d)
        for (int64_t h = 0; h < height.taps; ++h)
          sum += load<V>(grad + d * a.grad_stride[2] + h * a.grad_stride[3] + w);
      store(sums + w, sum / a.divisor);
    }
  for (; w < columns; ++w) {
    T sum = 0;
    for (int64_t d = 0; d < depth.taps; ++d)
      for (int64_t h = 0; h < height.taps; ++h)
        sum += grad[d * a.grad_stride[2] + h * a.grad_stride[3] + w * step];
    sums[w] = sum / a.divisor;
  }
}

STRIATE_INLINE int64_t floor_half(int64_t value) { return value >> 1; }

// Stride 2: even and odd pixels see a fixed number of windows each; vectors of both are zipped. `sums` is
// zero on both sides, so no pixel is special.
template <class T>
void spread_pairs(const SpreadArgs<T>& a, const T* sums, T* row) {
  constexpr int n = kLanes<T>;
  using V = native<T>;
  using order = typename make_indices<n>::type;
  const int64_t columns = a.axis[2].in, kernel = a.axis[2].kernel;
  int64_t low[2], high[2];  // pixel 2j + phase sees windows j + low ... j + high
  for (int phase = 0; phase < 2; ++phase) {
    high[phase] = floor_half(phase + a.pad);
    low[phase] = floor_half(phase + a.pad - kernel + 2);
  }
  int64_t j = 0;
  for (; 2 * (j + n) <= columns; j += n) {
    V part[2] = {};
    for (int phase = 0; phase < 2; ++phase)
      for (int64_t m = low[phase]; m <= high[phase]; ++m) part[phase] += load<V>(sums + j + m);
    store(row + 2 * j, zip_low(part[0], part[1], order{}));
    store(row + 2 * j + n, zip_high(part[0], part[1], order{}));
  }
  for (int64_t w = 2 * j; w < columns; ++w) {
    T sum = 0;
    for (int64_t m = low[w % 2]; m <= high[w % 2]; ++m) sum += sums[w / 2 + m];
    row[w] = sum;
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
void spread(const SpreadArgs<T>& a, int64_t begin, int64_t end) noexcept {
  const int64_t rows = a.axis[1].in, images = a.axis[0].in, columns = a.axis[2].in;
  T* sums = a.sums + pool::kSpreadMargin + a.axis[2].kernel;
  for (T* at = a.sums; at < sums; ++at) *at = 0;
  for (int64_t i = 0; i < pool::kSpreadMargin + a.axis[2].kernel; ++i) sums[a.axis[2].out + i] = 0;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t h = i % rows, d = i / rows % images, plane = i / rows / images;
    const int64_t n = plane / a.c, c = plane % a.c;
    const Window& wd = a.axis[0].window[d];
    const Window& wh = a.axis[1].window[h];
    T* out = a.out + n * a.out_stride[0] + c * a.out_stride[1] + d * a.out_stride[2] + h * a.out_stride[3];
    T* row = a.out_stride[4] == 1 ? out : a.row;
    add_rows(a, a.grad + n * a.grad_stride[0] + c * a.grad_stride[1] + wd.first * a.grad_stride[2] +
                    wh.first * a.grad_stride[3],
             wd, wh, sums);
    if (a.axis[2].stride == 2)
      spread_pairs(a, sums, row);
    else
      spread_wide(a, sums, row);
    if (row != out)
      for (int64_t w = 0; w < columns; ++w) out[w * a.out_stride[4]] = row[w];
  }
}

}  // namespace

constinit const pool::SpreadTable pool_spread_table = {{spread<float>}, {spread<double>}};

}  // namespace striate::STRIATE_ISA
