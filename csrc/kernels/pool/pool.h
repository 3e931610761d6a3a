// Pooling: what the driver (ops/pool.cc) asks of a kernel.
//
// Windows are cut to the input by the driver, one table an axis, so a kernel meets no padding:
//
//     input   |  0  1  2  3  4 |        window[0] = {first 0, taps 2, skipped 1}     (3 wide, stride 2, pad 1)
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
  int32_t first;    // input position of the first tap inside
  int32_t taps;     // how many lie inside
  int32_t count;    // how many a mean counts
  int32_t skipped;  // taps cut off before the first
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
  // Where a maximum is: its flat position in the image, or the number of its tap in the kernel, which fits a
  // byte. At most one of them is asked for.
  int64_t* at;
  uint8_t* tap;
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
  T factor;    // its inverse, if that is exact; else 0
};

/// Rows whose pixels are neighbours, in the input and in the output.
template <class T>
struct RowsArgs : ForwardArgs<T> {
  const T* in_end;    // of the memory, if rows lie in it one behind another; null: read no element of other rows
  const T* counts;    // of a mean whose windows differ: the elements that each column counts; else null
  bool out_is_dense;  // lines lie one behind another
  bool squares;       // all windows are 2 x 2, whole and apart
  bool neighbours;    // values only: 3 x 3, one around each pixel of dense planes, for which `rows` has room
  int64_t together;   // lines that go together; `rows` has room for them, `pitch` apart
  // With taps of maxima: `rows` and `row_taps` have room for the input rows of lines that go together; and lines
  // where a NaN was met are left to `careful`, of the problem as it was before dense planes became one.
  T* row_taps;
  const ForwardArgs<T>* original;
  void (*careful)(const ForwardArgs<T>&, int64_t begin, int64_t end) noexcept;
};

constexpr int64_t kRowsColumns = 2048;  // of the output at a time; longer lines go one by one

/// Gradient of a mean, lanes along the rows; the line is a row of the pool's input. (With stride 1, or channels
/// in the lanes, the gradient is a sum over windows of grad: the mean kernels do it.)
template <class T>
struct SpreadArgs {
  const T* grad;
  T* out;
  int64_t grad_stride[5], out_stride[5];
  const T* grad_end;       // of the memory, if rows lie in it one behind another; else null
  bool out_is_dense;       // lines lie one behind another
  int64_t c;
  Axis axis[3];            // depth and height: for each input position the windows that see it;
                           // width: the pool's own windows
  int64_t pad;             // of the width, low side
  T divisor, factor;       // factor: the inverse, if it is exact; else 0
  T* sums;                 // scratch: columns of grad, and kSpreadMargin + kernel on both sides
  T* row;                  // scratch: columns of out
};

constexpr int64_t kSpreadMargin = 64;

/// Gradient of a maximum from the taps that won; no dilation. The line is a row of the pool's input: over
/// (n, c, d, h) with pixels in the lanes, over (n, d, h) with channels in them (all innermost strides 1).
template <class T>
struct WinnersArgs {
  const T* grad;
  const uint8_t* tap;
  T* out;
  int64_t grad_stride[5], tap_stride[5], out_stride[5];
  int64_t c;
  Axis axis[3];  // for each input position the windows that see it
  int64_t pad[3];
  // Pixels only.
  const T* grad_end;       // of the memory, if rows lie in it one behind another; else null
  const uint8_t* tap_end;
  bool out_is_dense;       // lines lie one behind another
  // Scratch: [windows that see a line in depth][most_rows][pitch] of grad and of winners (integers as wide as T),
  // each row with a margin on both sides, for the windows that see the lines which go together.
  T* rows;
  T* winners;
  int64_t rows_size, most_rows, pitch, margin, together;
  int32_t* start;  // [strides of height and width, multiplied, + 1]
  T* row;  // scratch: columns of out
};

/// Gradients where windows are 2 x 2, side by side and whole, and all arrays dense. The line is a row of windows:
/// over (n, c, d, h), or over (n, d, h) with channels in the lanes, where windows cover all.
template <class T>
struct SquaresArgs {
  const T* grad;
  const uint8_t* tap;  // of a maximum
  T* out;
  int64_t windows;        // in all
  int64_t rows, columns;  // of windows in a plane
  int64_t height, width;  // of a plane of pixels
  int64_t channels;       // in the lanes
  T divisor, factor;      // of a mean; factor: the inverse, if it is exact; else 0
};

/// Gradient of a maximum where windows are 3 x 3, move by two and have the same padding, 0 or 1, in height and width;
/// all arrays dense. The line is a plane.
template <class T>
struct ThreesArgs {
  const T* grad;
  const uint8_t* tap;
  T* out;
  int64_t windows;        // in all
  int64_t rows, columns;  // of windows in a plane
  int64_t height, width;  // of a plane of pixels
  int64_t pad;
  T *grads, *winners;  // scratch: (rows + 2) * (columns + 2) + kRunMargin each
};

/// Gradient of a maximum where windows move by one and are as many as pixels, and all arrays dense. The line is a
/// pixel.
template <class T>
struct WinnerRunArgs {
  const T* grad;
  const uint8_t* tap;
  T* out;
  int64_t size;   // of each array
  int64_t reach;  // how far the windows lie that see a pixel
  // What a pixel asks, window by window: whether the one `offset` - `reach` from it was won by tap `number`.
  int64_t asked;
  const int64_t* offset;
  const int32_t* number;
  T *rows, *winners;  // scratch: kRunPixels + 2 * reach + kRunMargin each
};

constexpr int64_t kRunPixels = 1024, kRunMargin = 64;

// Lines are rows of the output, over (n, c, d, h); lanes are pixels.
template <class T>
struct PlanesKernel {
  using Lines = void (*)(const ForwardArgs<T>&, int64_t begin, int64_t end) noexcept;
  Lines max, mean;
};

// Lines are rows of the output, as for planes.
template <class T>
struct RowsKernel {
  using Lines = void (*)(const RowsArgs<T>&, int64_t begin, int64_t end) noexcept;
  Lines max, mean;
};

// The same with the taps of maxima.
template <class T>
using RowTapsKernel = void (*)(const RowsArgs<T>&, int64_t begin, int64_t end) noexcept;

struct RowTapsTable {
  RowTapsKernel<float> f32;
  RowTapsKernel<double> f64;
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
  // Windows that do not overlap, lanes along channels that are neighbours; the line is a row over (n, d, h).
  void (*apart)(const SpreadArgs<T>&, int64_t begin, int64_t end) noexcept;
  // Dense planes of `size` pixels, each with one share.
  void (*fill)(const T* grad, T divisor, int64_t planes, int64_t size, T* out) noexcept;
  // to = from / (counts * lines), with a step each; a count_step of 0 is one count for all
  void (*divide)(const T* from, int64_t from_step, const T* counts, int64_t count_step, T lines, int64_t count,
                 T* to, int64_t to_step) noexcept;
};

template <class T>
struct WinnersKernel {
  void (*planes)(const WinnersArgs<T>&, int64_t begin, int64_t end) noexcept;
  void (*channels)(const WinnersArgs<T>&, int64_t begin, int64_t end, int64_t c_begin, int64_t c_end) noexcept;
};

/// The same where rows are short, window by window; over whole images (n, c), of any strides.
template <class T>
using ScatterKernel = void (*)(const WinnersArgs<T>&, int64_t begin, int64_t end) noexcept;

struct ScatterTable {
  ScatterKernel<float> f32;
  ScatterKernel<double> f64;
};

template <class T>
struct SquaresKernel {
  using Lines = void (*)(const SquaresArgs<T>&, int64_t begin, int64_t end) noexcept;
  Lines mean, max, max_channels;
};

template <class T>
using WinnerRunsKernel = void (*)(const WinnerRunArgs<T>&, int64_t begin, int64_t end) noexcept;

template <class T>
using ThreesKernel = void (*)(const ThreesArgs<T>&, int64_t begin, int64_t end) noexcept;

struct ThreesTable {
  ThreesKernel<float> f32;
  ThreesKernel<double> f64;
};

struct SquaresTable {
  SquaresKernel<float> f32;
  SquaresKernel<double> f64;
};

struct WinnerRunsTable {
  WinnerRunsKernel<float> f32;
  WinnerRunsKernel<double> f64;
};

struct WinnersTable {
  WinnersKernel<float> f32;
  WinnersKernel<double> f64;
};

struct PlanesTable {
  PlanesKernel<float> f32;
  PlanesKernel<double> f64;
};

struct RowsTable {
  RowsKernel<float> f32;
  RowsKernel<double> f64;
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
STRIATE_KERNEL_TABLE(striate::pool::RowsTable, pool_rows_table)
STRIATE_KERNEL_TABLE(striate::pool::RowTapsTable, pool_row_taps_table)
STRIATE_KERNEL_TABLE(striate::pool::ChannelsTable, pool_channels_table)
STRIATE_KERNEL_TABLE(striate::pool::SpreadTable, pool_spread_table)
STRIATE_KERNEL_TABLE(striate::pool::WinnersTable, pool_winners_table)
STRIATE_KERNEL_TABLE(striate::pool::ScatterTable, pool_scatter_table)
STRIATE_KERNEL_TABLE(striate::pool::SquaresTable, pool_squares_table)
STRIATE_KERNEL_TABLE(striate::pool::ThreesTable, pool_threes_table)
STRIATE_KERNEL_TABLE(striate::pool::WinnerRunsTable, pool_winner_runs_table)
