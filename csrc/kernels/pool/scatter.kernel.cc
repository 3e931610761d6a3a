// The gradient of a maximum where rows are short: vectors would be mostly empty, so window after window adds its
// gradient to the pixel that won. Lines are whole images (n, c). See WinnersArgs.
#include "kernels/pool/pool.h"
#include "simd/strided.h"

namespace striate::STRIATE_ISA {
namespace {

using pool::Axis;
using pool::WinnersArgs;

// Where the pixel of each tap lies, from the pixel of the first.
struct Taps {
  int64_t count;
  int32_t at[256][3];
  int64_t offset[256];
  bool lies_inside[256];  // in depth and height, of the row at hand
};

template <class T>
void list_taps(const WinnersArgs<T>& a, Taps& taps) {
  taps.count = 0;
  for (int64_t d = 0; d < a.axis[0].kernel; ++d)
    for (int64_t h = 0; h < a.axis[1].kernel; ++h)
      for (int64_t w = 0; w < a.axis[2].kernel; ++w, ++taps.count) {
        int32_t* at = taps.at[taps.count];
        at[0] = static_cast<int32_t>(d);
        at[1] = static_cast<int32_t>(h);
        at[2] = static_cast<int32_t>(w);
        taps.offset[taps.count] = d * a.out_stride[2] + h * a.out_stride[3] + w * a.out_stride[4];
      }
}

// The windows [begin, end) of an axis that lie in the input as a whole.
STRIATE_INLINE void whole_windows(const Axis& axis, int64_t pad, int64_t& begin, int64_t& end) {
  begin = smaller((pad + axis.stride - 1) / axis.stride, axis.out);
  const int64_t room = axis.in + pad - axis.kernel;
  end = room < 0 ? 0 : smaller(room / axis.stride + 1, axis.out);
}

template <class T>
void clear(const WinnersArgs<T>& a, T* image) {
  constexpr int n = kLanes<T>;
  const int64_t columns = a.axis[2].in, step = a.out_stride[4];
  for (int64_t d = 0; d < a.axis[0].in; ++d)
    for (int64_t h = 0; h < a.axis[1].in; ++h) {
      T* row = image + d * a.out_stride[2] + h * a.out_stride[3];
      int64_t w = 0;
      if (step == 1)
        for (; w + n <= columns; w += n) store(row + w, native<T>{});
      for (; w < columns; ++w) row[w * step] = 0;
    }
}

template <class T>
void find_inside(const WinnersArgs<T>& a, int64_t d, int64_t h, Taps& taps) {
  for (int64_t t = 0; t < taps.count; ++t) {
    const int64_t at_d = d + taps.at[t][0], at_h = h + taps.at[t][1];
    taps.lies_inside[t] = at_d >= 0 && at_d < a.axis[0].in && at_h >= 0 && at_h < a.axis[1].in;
  }
}

// Windows [begin, end) of a row; `first` is the pixel of window 0's first tap. Checked: some columns lie outside.
template <bool Checked, class T>
STRIATE_INLINE void add_windows(const WinnersArgs<T>& a, const Taps& taps, const T* grad, const uint8_t* tap,
                                int64_t begin, int64_t end, T* first) {
  const int64_t grad_step = a.grad_stride[4], tap_step = a.tap_stride[4], stride = a.axis[2].stride;
  const int64_t step = stride * a.out_stride[4];
  for (int64_t j = begin; j < end; ++j) {
    const uint8_t winner = tap[j * tap_step];
    if (!taps.lies_inside[winner]) continue;
    if constexpr (Checked) {
      const int64_t w = j * stride - a.pad[2] + taps.at[winner][2];
      if (w < 0 || w >= a.axis[2].in) continue;
    }
    first[j * step + taps.offset[winner]] += grad[j * grad_step];
  }
}

template <class T>
void scatter_winners(const WinnersArgs<T>& a, int64_t begin, int64_t end) noexcept {
  Taps taps{};
  list_taps(a, taps);
  int64_t whole[3][2];
  for (int i = 0; i < 3; ++i) whole_windows(a.axis[i], a.pad[i], whole[i][0], whole[i][1]);
  const int64_t columns = a.axis[2].out, left = whole[2][0], right = larger(whole[2][1], left);
  bool found_whole = false;  // lies_inside holds for all rows of windows inside
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = i / a.c, c = i % a.c;
    T* image = a.out + n * a.out_stride[0] + c * a.out_stride[1];
    clear(a, image);
    for (int64_t d = 0; d < a.axis[0].out; ++d)
      for (int64_t h = 0; h < a.axis[1].out; ++h) {
        const auto at = [&](const int64_t(&stride)[5]) {
          return n * stride[0] + c * stride[1] + d * stride[2] + h * stride[3];
        };
        const T* grad = a.grad + at(a.grad_stride);
        const uint8_t* tap = a.tap + at(a.tap_stride);
        const int64_t at_d = d * a.axis[0].stride - a.pad[0], at_h = h * a.axis[1].stride - a.pad[1];
        T* first = image + at_d * a.out_stride[2] + at_h * a.out_stride[3] - a.pad[2] * a.out_stride[4];
        const bool whole_rows = d >= whole[0][0] && d < whole[0][1] && h >= whole[1][0] && h < whole[1][1];
        if (!whole_rows || !found_whole) find_inside(a, at_d, at_h, taps);
        found_whole = whole_rows;
        add_windows<true>(a, taps, grad, tap, 0, left, first);
        add_windows<false>(a, taps, grad, tap, left, right, first);
        add_windows<true>(a, taps, grad, tap, right, columns, first);
      }
  }
}

}  // namespace

constinit const pool::ScatterTable pool_scatter_table = {scatter_winners<float>, scatter_winners<double>};

}  // namespace striate::STRIATE_ISA
