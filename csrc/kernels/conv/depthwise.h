// Depthwise convolution: every channel has a kernel of its own, so nothing is shared between channels and a
// sum is as short as the kernel has taps. The work is to touch memory once; there is no packing of channels.
//
// Channels last: lanes are channels. An input row is used as it lies, for several columns at a time.
//
//      row -1  |c c c c|c c c c|c c c c| ...      a tap is a vector of weights; rows outside are null,
//      row  0  |c c c c|c c c c|c c c c| ...      columns outside belong to the few pixels at the ends
//      row  1  |c c c c|c c c c|c c c c| ...
//
// Planes: lanes are columns. The rows that a piece of a plane sees are copied into padded scratch, which
// stays in L1: no borders are left, and neighbouring outputs see neighbouring elements whatever the stride.
//
//      plane            scratch [row][phase][pitch]      out
//      . . . .          0 0 0 0 0 0 -                    the last vector of a row runs over into the next
//      . . . .   pad    0 . . . . 0 -   planes           row, which is stored after it
//      . . . .  ----->  0 . . . . 0 -  -------->         . . . . + + + +
//
// Kernels of 3 x 3 with stride 2 and a padding of 1 to the left go without: their rows are split in registers.
//
// An input gradient of stride s is s x s correlations (phases) that share the scratch and whose outputs lie
// between each other. Padding is multiplied: infinite weights make it NaN.
#pragma once

#include <stdint.h>

#include "kernels/table.h"

namespace striate::conv {

/// Rows of a plane into scratch: column x of the plane becomes column x + pad of the padded row, and that
/// column q goes to [q % step][q / step]. Rows outside become 0; padding to the sides is left as it is.
template <class T>
struct PadRows {
  const T* plane;
  int64_t plane_row;  // elements from row to row
  int64_t plane_rows, plane_cols;
  const T* end;  // of all planes: nothing is read from there on
  int64_t first, rows;  // rows of the plane that are wanted; some may be outside
  int64_t pad, step, pitch;
  T* to;  // [rows][step][pitch]
};

/// Dense rows of outputs of several planes, each from its own rows.
template <class T>
struct PlanesArgs {
  PadRows<T> in;  // of the first plane
  const T* padded;
  int64_t planes, in_step, weight_step, out_step;  // how many, and elements from one to the next
  int64_t row_step;              // from what a row sees to what the next row of its phase sees
  int row_phases, col_phases;    // output row y is of phase y % row_phases; col_phases is 1 or 2
  const int* taps;               // how many each phase has: [row_phases][col_phases]
  const int32_t* offset;         // of each tap in `padded`, phase by phase
  const int32_t* weight_offset;  // likewise in `weight`
  const T* weight;
  const T* bias;  // of the first plane, or null
  T* out;
  int64_t rows, cols;
};

/// totals[channel][tap] = sum of grad * padded over images, rows and columns, `piece` rows at a time.
template <class T>
struct PlanesGradArgs {
  PadRows<T> in;  // of the first piece
  const T* padded;
  int64_t padded_step;  // there is a second scratch area
  int64_t images, channels, in_image, in_channel, grad_image, grad_channel;
  int64_t row_step, row_stride;  // from row to row: elements in scratch, rows of the plane
  const int32_t* offset;         // of each tap in `padded`
  int taps;
  const T* grad;      // dense planes
  const T* grad_end;  // of all of them
  int64_t rows, cols, piece;
  T* sums;  // scratch: [tap][lane]
  T* totals;
};

/// What a row of outputs sees, channels last.
template <class T>
struct ChannelRow {
  const T* const* row;        // input row of each row of the kernel, column 0; null: padding
  int kh, kw;
  int64_t pixel;              // elements from column to column
  int64_t cols_in, stride, dilation, pad;
  int64_t cols;               // outputs
  int64_t channels;
};

/// Vectors [first, last) of channels; the last vector of all goes back to end with the last channel.
template <class T>
struct ChannelArgs {
  ChannelRow<T> in;
  const T* weight;            // [vector][tap][lane], of all vectors
  const T* bias;              // of all channels, or null
  T* out;
  int64_t out_pixel;
  int64_t first, last;
};

/// Two rows of an input gradient of stride 2, kernel 3 x 3 and padding 1: see `quarters`.
template <class T>
struct ChannelQuarterArgs {
  const T* row[2];     // of the output gradient; null: outside
  int64_t pixel, cols_in;
  const T* weight[4];  // of the phases, each [vector][tap][lane]
  const T* bias;
  T* out[2];           // null: there is no second row
  int64_t out_pixel, cols;
  int64_t channels, first, last;  // as in ChannelArgs
};

/// sums[tap * sum_step + channel] += grad * input, over one row.
template <class T>
struct ChannelGradArgs {
  ChannelRow<T> in;
  const T* grad;
  int64_t grad_pixel;
  T* sums;
  int64_t sum_step;
};

template <class T>
struct DepthwisePlanes {
  int lanes;
  void (*correlate)(const PlanesArgs<T>&) noexcept;
};

template <class T>
struct DepthwisePlanesGrad {
  int lanes;
  void (*weight_grad)(const PlanesGradArgs<T>&) noexcept;
};

template <class T>
struct DepthwiseChannels {
  int lanes;
  void (*block_weights)(const T* weight, int64_t channels, int taps, T* blocks) noexcept;  // from [tap][channel]
  void (*correlate)(const ChannelArgs<T>&) noexcept;
  int quarter_cols;  // of the output gradient, that `quarters` needs
  void (*quarters)(const ChannelQuarterArgs<T>&) noexcept;
  void (*weight_grad)(const ChannelGradArgs<T>&) noexcept;
};

struct DepthwisePlanesTable {
  DepthwisePlanes<float> f32;
  DepthwisePlanes<double> f64;
};
struct DepthwisePlanesGradTable {
  DepthwisePlanesGrad<float> f32;
  DepthwisePlanesGrad<double> f64;
};
struct DepthwiseChannelsTable {
  DepthwiseChannels<float> f32;
  DepthwiseChannels<double> f64;
};

}  // namespace striate::conv

STRIATE_KERNEL_TABLE(striate::conv::DepthwisePlanesTable, depthwise_planes_table)
STRIATE_KERNEL_TABLE(striate::conv::DepthwisePlanesGradTable, depthwise_planes_grad_table)
STRIATE_KERNEL_TABLE(striate::conv::DepthwiseChannelsTable, depthwise_channels_table)
