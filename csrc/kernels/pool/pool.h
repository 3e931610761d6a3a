// Pooling: what the driver (ops/pool.cc) asks of a kernel.
//
// Windows are cut to the input by the driver, one table an axis, so a kernel meets no padding:
//
//     input   |  0  1  2  3  4 |        window[0] = {first 0, taps 2}      (3 wide, stride 2, pad 1)
//          [-----]                      window[1] = {first 1, taps 3}
//                [-----]                window[2] = {first 3, taps 2}
//                      [-----]          inner columns: 1 ... 2, their windows are whole
//
// A line is one row of output pixels. `planes` walks lines of (n, c, d, h) and has pixels in its lanes;
// `channels` walks lines of (n, d, h) and has channels in them. Taps are met in row-major order in both.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::pool {

struct Window {
  int32_t first;  // input position of the first tap inside
  int32_t taps;   // how many lie inside
  int32_t count;  // how many a mean counts
};

constexpr int64_t kWindowMargin = 64;

struct Axis {
  int64_t in, out, kernel, stride, dilation;
  const Window* window;  // [out + kWindowMargin]: whole vectors may look past the end
};

template <class T>
struct ForwardArgs {
  const T* in;
  T* out;
  int64_t* at;  // null: nobody asks where a maximum is
  int64_t in_stride[5], out_stride[5], at_stride[5];
  int64_t n, c;
  Axis axis[3];
  int64_t inner_begin, inner_end;  // columns whose windows are whole
  bool runs;   // windows are long runs of neighbours: lanes go along the window
  // Short rows are kept in a ring of padded copies, stride by stride: neighbouring pixels then read neighbours,
  // and no pixel is special. [ring of depths][ring of heights][stride][pitch]; null: read the input itself.
  T* rows;
  int64_t rows_size;
  int64_t* row_key;      // [ring of depths][ring of heights]: the input row that a place holds
  int64_t* row_place;    // [depth taps][height taps]: where a line finds its rows
  int64_t ring[2];       // the reach of a window in depth and height
  int64_t pitch, pad;    // pad: low side of the width
  T divisor;   // of a mean; 0: the product of the windows' counts
};

/// Gradient of a mean, lanes along the rows; the line is a row of the pool's input. (With stride 1, or channels
/// in the lanes, the gradient is a sum over windows of grad: the mean kernels do it.)
template <class T>
struct SpreadArgs {
  const T* grad;
  T* out;
  int64_t grad_stride[5], out_stride[5];
  int64_t c;
  Axis axis[3];            // depth and height: for each input position the windows that see it;
                           // width: the pool's own windows
  int64_t pad;             // of the width, low side
  T divisor;
  T* sums;                 // scratch: columns of grad, and kSpreadMargin + kernel on both sides
  T* row;                  // scratch: columns of out
};

constexpr int64_t kSpreadMargin = 64;

// Lines are rows of the output, over (n, c, d, h); lanes are pixels.
template <class T>
struct PlanesKernel {
  using Lines = void (*)(const ForwardArgs<T>&, int64_t begin, int64_t end) noexcept;
  Lines max, mean;
};

// Lines over (n, d, h); lanes are the channels [c_begin, c_end).
template <class T>
struct ChannelsKernel {
  using Lines = void (*)(const ForwardArgs<T>&, int64_t begin, int64_t end, int64_t c_begin,
                         int64_t c_end) noexcept;
  Lines max, mean;
};

template <class T>
struct SpreadKernel {
  void (*spread)(const SpreadArgs<T>&, int64_t begin, int64_t end) noexcept;
};

struct PlanesTable {
  PlanesKernel<float> f32;
  PlanesKernel<double> f64;
};

struct ChannelsTable {
  ChannelsKernel<float> f32;
  ChannelsKernel<double> f64;
};

struct SpreadTable {
  SpreadKernel<float> f32;
  SpreadKernel<double> f64;
};

}  // namespace striate::pool

STRIATE_KERNEL_TABLE(striate::pool::PlanesTable, pool_planes_table)
STRIATE_KERNEL_TABLE(striate::pool::ChannelsTable, pool_channels_table)
STRIATE_KERNEL_TABLE(striate::pool::SpreadTable, pool_spread_table)
