// Sampling images at given points: a row of output pixels reads the image at positions that come from a grid in
// memory or from an affine map, each as a weighted sum over a few taps.
//
//     positions (x, y)  ->  along each axis 1, 2 or 4 indices with weights  ->  taps: offset in a plane, weight
//                                                                                 |
//                        once for a block of pixels, then for every channel:  sum over taps of weight * pixel
//
// Indices always lie in the image; a tap that the definition puts outside has weight 0, and pixels of weight 0
// are not read into a sum, so an infinity cannot leak from where it is not asked for.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::sample {

enum class Mode : int32_t { nearest, linear, cubic };
enum class Padding : int32_t { zeros, border, reflection };

/// Of an axis of the image: positions are whole numbers of 32 bits on their way.
inline constexpr int64_t kLargestSize = int64_t{1} << 20;

template <class T>
struct Args {
  const T* image;  // (n, c, d, h, w); null in input_grad
  T* result;       // forward: (n, c, output); input_grad: (n, c, d, h, w); grid_grad: (n, output, rank)
  const T* grad;   // (n, c, output); null in forward
  int64_t image_stride[5], out_stride[5];  // out: of all arrays (n, c, output)
  int64_t n, c;
  int64_t size[3], out[3];  // d, h, w of the image and of the output
  int rank;                 // 2 or 3
  Mode mode;
  Padding padding;
  bool align_corners;
  // Positions: of a grid (n, output, rank) in -1 .. 1, x first; or else of a map (n, rank, rank + 1) from output
  // to image pixels.
  const T* grid;
  int64_t grid_stride[5];
  const T* map;
  const T* fill;                   // a value a channel for what lies outside; null: zeros
  int64_t grid_grad_stride[5];
};

template <class T>
struct Kernel {
  /// Lines over (n, output d, output h).
  void (*forward)(const Args<T>&, int64_t begin, int64_t end) noexcept;
  /// Planes [begin, end) of image n, which it clears first.
  void (*input_grad)(const Args<T>&, int64_t n, int64_t begin, int64_t end) noexcept;
  /// Lines over (n, output d, output h).
  void (*grid_grad)(const Args<T>&, int64_t begin, int64_t end) noexcept;
};

struct Table {
  Kernel<float> f32;
  Kernel<double> f64;
};

}  // namespace striate::sample

STRIATE_KERNEL_TABLE(striate::sample::Table, sample_table)
