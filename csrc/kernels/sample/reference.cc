#include "kernels/sample/reference.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"

namespace striate::sample {
namespace {

// One tap of one axis; an index of -1 lies outside.
struct Tap {
  int64_t index = -1;
  double weight = 0, slope = 0;
};
struct AxisTaps {
  Tap tap[4];
  int count = 0;
};
struct Pixel {
  int64_t n, d, h, w;
};

template <class T>
double pad(const Args<T>& a, int64_t size, double at, double& slope) {
  const double last = static_cast<double>(size - 1);
  if (a.padding == Padding::reflection) {
    const double low = a.align_corners ? 0 : -0.5, span = a.align_corners ? last : last + 1;
    if (span == 0) return slope = 0;
    if (at < low) slope = -slope;
    const double in = std::abs(at - low), flips = std::floor(in / span), extra = in - flips * span;
    const bool even = std::fmod(flips, 2.0) == 0;
    if (!even) slope = -slope;
    at = even ? extra + low : span - extra + low;
  }
  if (a.padding != Padding::zeros) {
    if (!(at > 0 && at < last)) slope = 0;
    at = at > 0 ? std::min(at, last) : 0;
  }
  return at;
}

double keys(double x) {
  x = std::abs(x);
  return x < 1 ? (1.25 * x - 2.25) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.75 : 0;
}
double keys_slope(double x) {
  const double sign = x < 0 ? -1 : 1;
  x = std::abs(x);
  return sign * (x < 1 ? (3.75 * x - 4.5) * x : x < 2 ? ((3 * x - 10) * x + 8) * -0.75 : 0);
}

template <class T>
AxisTaps taps_of(const Args<T>& a, int64_t size, double at, double slope) {
  AxisTaps taps;
  if (a.mode != Mode::cubic) at = pad(a, size, at, slope);
  if (!(std::abs(at) < 1e15)) at = -1e15;  // NaN and what is too far for whole numbers: outside
  const auto add = [&](double position, double weight, double by) {
    if (position >= 0 && position < static_cast<double>(size))
      taps.tap[taps.count] = {static_cast<int64_t>(position), weight, by};
    else
      taps.tap[taps.count] = {-1, weight, 0};
    ++taps.count;
  };
  const double left = std::floor(at), fraction = at - left;
  if (a.mode == Mode::nearest) {
    add(std::nearbyint(at), 1, 0);
  } else if (a.mode == Mode::linear) {
    add(left, 1 - fraction, -slope);
    add(left + 1, fraction, slope);
  } else {
    for (int t = -1; t <= 2; ++t) {
      double unused = 1;
      add(pad(a, size, left + t, unused), keys(fraction - t), slope * keys_slope(fraction - t));
    }
  }
  return taps;
}

// Calls body(offset in the plane or -1, weight, slope by x, by y, by z) for every tap of a pixel.
template <class T, class Body>
void for_taps(const Args<T>& a, const Pixel& p, Body body) {
  AxisTaps axis[3];
  axis[2].count = 1;
  axis[2].tap[0] = {0, 1, 0};
  for (int r = 0; r < a.rank; ++r) {
    const int64_t size = a.size[2 - r];
    const auto extent = static_cast<double>(size);
    if (a.grid) {
      const double x = a.grid[p.n * a.grid_stride[0] + p.d * a.grid_stride[1] + p.h * a.grid_stride[2] +
                              p.w * a.grid_stride[3] + r * a.grid_stride[4]];
      axis[r] = a.align_corners ? taps_of(a, size, (x + 1) / 2 * (extent - 1), (extent - 1) / 2)
                                : taps_of(a, size, ((x + 1) * extent - 1) / 2, extent / 2);
    } else {
      const T* row = a.map + (p.n * a.rank + r) * (a.rank + 1);
      double at = static_cast<double>(row[0]) * static_cast<double>(p.w) +
                  static_cast<double>(row[1]) * static_cast<double>(p.h) + static_cast<double>(row[a.rank]);
      if (a.rank == 3) at += static_cast<double>(row[2]) * static_cast<double>(p.d);
      axis[r] = taps_of(a, size, at, 1);
    }
  }
  for (int z = 0; z < axis[2].count; ++z)
    for (int y = 0; y < axis[1].count; ++y)
      for (int x = 0; x < axis[0].count; ++x) {
        const Tap &tz = axis[2].tap[z], &ty = axis[1].tap[y], &tx = axis[0].tap[x];
        const bool outside = tz.index < 0 || ty.index < 0 || tx.index < 0;
        const int64_t offset =
            tz.index * a.image_stride[2] + ty.index * a.image_stride[3] + tx.index * a.image_stride[4];
        const double slope[3] = {tx.slope * ty.weight * tz.weight, tx.weight * ty.slope * tz.weight,
                                 tx.weight * ty.weight * tz.slope};
        body(outside, offset, tx.weight * ty.weight * tz.weight, slope);
      }
}

// Every output pixel of image n.
template <class T, class Body>
void for_pixels(const Args<T>& a, int64_t n, Body body) {
  for (int64_t d = 0; d < a.out[0]; ++d)
    for (int64_t h = 0; h < a.out[1]; ++h)
      for (int64_t w = 0; w < a.out[2]; ++w) body(Pixel{n, d, h, w});
}

template <class T>
int64_t place(const Args<T>& a, const Pixel& p, int64_t c) {
  return p.n * a.out_stride[0] + c * a.out_stride[1] + p.d * a.out_stride[2] + p.h * a.out_stride[3] +
         p.w * a.out_stride[4];
}

}  // namespace

template <class T>
void reference_forward(const Args<T>& a, int workers) {
  parallel_for(a.n, workers, FpMode::exact, [&](int64_t n, int) {
    for_pixels(a, n, [&](const Pixel& p) {
      for (int64_t c = 0; c < a.c; ++c) {
        const T* plane = a.image + n * a.image_stride[0] + c * a.image_stride[1];
        double sum = 0;
        for_taps(a, p, [&](bool outside, int64_t offset, double weight, const double*) {
          if (weight == 0) return;
          if (!outside) sum += weight * static_cast<double>(plane[offset]);
          if (outside && a.fill) sum += weight * static_cast<double>(a.fill[c]);
        });
        a.result[place(a, p, c)] = static_cast<T>(sum);
      }
    });
  });
}

template <class T>
void reference_input_grad(const Args<T>& a, int workers) {
  parallel_for(a.n, workers, FpMode::exact, [&](int64_t n, int) {
    T* image = a.result + n * a.image_stride[0];
    for (int64_t c = 0; c < a.c; ++c)
      for (int64_t d = 0; d < a.size[0]; ++d)
        for (int64_t h = 0; h < a.size[1]; ++h)
          for (int64_t w = 0; w < a.size[2]; ++w)
            image[c * a.image_stride[1] + d * a.image_stride[2] + h * a.image_stride[3] + w * a.image_stride[4]] = 0;
    for_pixels(a, n, [&](const Pixel& p) {
      for_taps(a, p, [&](bool outside, int64_t offset, double weight, const double*) {
        if (outside || weight == 0) return;
        for (int64_t c = 0; c < a.c; ++c)
          image[c * a.image_stride[1] + offset] += static_cast<T>(weight) * a.grad[place(a, p, c)];
      });
    });
  });
}

template <class T>
void reference_grid_grad(const Args<T>& a, int workers) {
  parallel_for(a.n, workers, FpMode::exact, [&](int64_t n, int) {
    for_pixels(a, n, [&](const Pixel& p) {
      double sum[3] = {};
      for (int64_t c = 0; c < a.c; ++c) {
        const T* plane = a.image + n * a.image_stride[0] + c * a.image_stride[1];
        const auto g = static_cast<double>(a.grad[place(a, p, c)]);
        for_taps(a, p, [&](bool outside, int64_t offset, double, const double* slope) {
          for (int r = 0; r < a.rank && !outside; ++r)
            if (slope[r] != 0) sum[r] += slope[r] * g * static_cast<double>(plane[offset]);
        });
      }
      for (int r = 0; r < a.rank; ++r)
        a.result[n * a.grid_grad_stride[0] + p.d * a.grid_grad_stride[1] + p.h * a.grid_grad_stride[2] +
                 p.w * a.grid_grad_stride[3] + r * a.grid_grad_stride[4]] = static_cast<T>(sum[r]);
    });
  });
}

template void reference_forward<float>(const Args<float>&, int);
template void reference_forward<double>(const Args<double>&, int);
template void reference_input_grad<float>(const Args<float>&, int);
template void reference_input_grad<double>(const Args<double>&, int);
template void reference_grid_grad<float>(const Args<float>&, int);
template void reference_grid_grad<double>(const Args<double>&, int);

}  // namespace striate::sample
