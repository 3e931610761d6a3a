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

// Windows [begin, end) of a row; `first` is the pixel of window 0's first tap. Checked: some taps lie outside.
template <bool Checked, class T>
void add_windows(const WinnersArgs<T>& a, const Taps& taps, const T* grad, const uint8_t* tap, const int64_t (&corner)[3],
                 int64_t begin, int64_t end, T* first) {
  const int64_t grad_step = a.grad_stride[4], tap_step = a.tap_stride[4], stride = a.axis[2].stride;
  for (int64_t j = begin; j < end; ++j) {
    const int64_t winner = tap[j * tap_step];
    if (winner >= taps.count) continue;
    if constexpr (Checked) {
      const int32_t* at = taps.at[winner];
      const int64_t d = corner[0] + at[0], h = corner[1] + at[1], w = corner[2] + j * stride + at[2];
      if (d < 0 || d >= a.axis[0].in || h < 0 || h >= a.axis[1].in || w < 0 || w >= a.axis[2].in) continue;
    }
    first[j * stride * a.out_stride[4] + taps.offset[winner]] += grad[j * grad_step];
  }
}

template <class T>
void scatter_winners(const WinnersArgs<T>& a, int64_t begin, int64_t end) noexcept {
  Taps taps;
  list_taps(a, taps);
  int64_t whole[3][2];
  for (int i = 0; i < 3; ++i) whole_windows(a.axis[i], a.pad[i], whole[i][0], whole[i][1]);
  const int64_t columns = a.axis[2].out;
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
        const int64_t corner[3] = {d * a.axis[0].stride - a.pad[0], h * a.axis[1].stride - a.pad[1], -a.pad[2]};
        T* first = image + corner[0] * a.out_stride[2] + corner[1] * a.out_stride[3] + corner[2] * a.out_stride[4];
        const bool inside = d >= whole[0][0] && d < whole[0][1] && h >= whole[1][0] && h < whole[1][1] &&
                            whole[2][0] < whole[2][1];
        const int64_t left = inside ? whole[2][0] : columns, right = inside ? whole[2][1] : columns;
        add_windows<true>(a, taps, grad, tap, corner, 0, left, first);
        add_windows<false>(a, taps, grad, tap, corner, left, right, first);
        add_windows<true>(a, taps, grad, tap, corner, right, columns, first);
      }
  }
}

}  // namespace

constinit const pool::ScatterTable pool_scatter_table = {scatter_winners<float>, scatter_winners<double>};

}  // namespace striate::STRIATE_ISA
