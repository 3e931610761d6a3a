#include "kernels/resample/reference.h"

#include "base/parallel.h"

namespace striate::resample {
namespace {

template <class T, class Body>
void for_taps(const Matrix<T>& m, int64_t row, Body body) {
  for (int32_t e = m.begin[row]; e < m.begin[row + 1]; ++e) body(m.index[e], m.weight[e]);
}

template <class T>
T pixel(const Args<T>& a, const T* plane, int64_t d, int64_t h, int64_t w) {
  T sum = 0;
  for_taps(a.axis[0], d, [&](int64_t id, T by_d) {
    for_taps(a.axis[1], h, [&](int64_t ih, T by_h) {
      for_taps(a.axis[2], w, [&](int64_t iw, T by_w) {
        sum += by_d * by_h * by_w * plane[id * a.in_stride[2] + ih * a.in_stride[3] + iw * a.in_stride[4]];
      });
    });
  });
  return sum;
}

}  // namespace

template <class T>
void reference(const Args<T>& a, int64_t images, int workers) {
  parallel_for(images * a.c, workers, FpMode::exact, [&](int64_t plane, int) {
    const T* from = a.in + plane / a.c * a.in_stride[0] + plane % a.c * a.in_stride[1];
    T* to = a.out + plane / a.c * a.out_stride[0] + plane % a.c * a.out_stride[1];
    for (int64_t d = 0; d < a.axis[0].out; ++d)
      for (int64_t h = 0; h < a.axis[1].out; ++h)
        for (int64_t w = 0; w < a.axis[2].out; ++w)
          to[d * a.out_stride[2] + h * a.out_stride[3] + w * a.out_stride[4]] = pixel(a, from, d, h, w);
  });
}

template void reference<float>(const Args<float>&, int64_t, int);
template void reference<double>(const Args<double>&, int64_t, int);

}  // namespace striate::resample
