// Inputs of Winograd's convolution along rows (kernels/conv/winograd_rows.h): which rows there are, once a stride has
// taken them apart, and their transforms. Shared by the convolution and its weight gradient.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "kernels/conv/product.h"
#include "kernels/conv/winograd_rows.h"
#include "ops/conv_tiles.h"

namespace striate {

/// The inputs of one phase of the width, as a row of their own.
struct RowForm {
  int taps;
  int64_t first;  // the column that output 0 sees through tap 0
  int64_t point;  // its first, among those of all forms
};

/// What a form does for one correlation.
struct RowPart {
  size_t correlation, form;
  int64_t first_tap;  // of the weight's columns; the next are a stride away
  int64_t weight;     // weight points times kernel rows of the parts before
  int64_t point;      // its first, among those of all parts
};

/// Points that have a weight of their own.
constexpr int64_t weight_points(int taps) { return taps == 1 ? 1 : conv::row_points(taps); }

/// Forms and parts of correlations that share their input. `axes` are the shared ones.
struct RowForms {
  RowForms(std::span<const Correlation<float>> phases, const CorrelationAxes& axes);

  std::vector<RowForm> forms;
  std::vector<RowPart> parts;
  int64_t tiles;                         // of a row
  int64_t points = 0, part_points = 0;   // of all forms; of all parts
  int64_t weight_taps = 0;               // weight points times kernel rows of all parts
  int64_t most_row_taps = 0;             // kernel rows
  int64_t first_column = 0, columns = 0; // that any form sees
};

/// V of blocks of input channels: [image][point][tile][row][channel].
class RowInputs {
 public:
  RowInputs(const Correlation<float>& c, const CorrelationAxes& axes, const RowForms& forms,
            const conv::WinogradRowsKernel& rows, const conv::Product<float>& product)
      : c_(c), axes_(axes), f_(forms), rows_(rows), product_(product) {}

  /// Blocks of `ic_block` channels, regions of up to `rows` rows of outputs.
  void cut(int64_t ic_block, int64_t rows) {
    ic_block_ = ic_block;
    tile_rows_ = seen(rows);
  }

  int64_t seen(int64_t rows) const { return (rows - 1) * axes_[1].stride + axes_[1].taps; }  // by rows of outputs
  int64_t tile(int64_t channels) const { return tile_rows_ * channels + kPad; }
  int64_t point(int64_t channels) const { return f_.tiles * tile(channels) + kPad; }
  int64_t image(int64_t channels) const { return f_.points * point(channels); }
  /// Where the block that begins with channel `ic` begins, of regions of `images` images; at the end, the size.
  int64_t block(int64_t ic, int64_t images) const { return ceil_div(ic, ic_block_) * images * image(ic_block_); }
  int64_t line_elements() const { return f_.columns * ic_block_ + kPad; }
  static constexpr int64_t kPad = 16;  // power-of-two strides thrash L1; and vectors may reach beyond the last channel

  /// Input rows [first, last) of those that the outputs from `row` on see, of `channels` channels from `ic` on. An
  /// image of several planes counts as so many. `v`: of this image and block, whose rows are `pitch` apart; vectors
  /// may write beyond a row, so rows are made in order.
  void transform(int64_t group, int64_t image, int64_t row, int64_t first, int64_t last, int64_t ic, int64_t channels,
                 int64_t pitch, float* line, float* v) const;

 private:
  std::pair<int64_t, int64_t> tiles_in_place(int64_t channels) const;
  struct Row {
    int64_t channels, pitch;
    float* v;
  };
  void by_line(const float* row, int64_t begin, int64_t end, float* line, const Row& to) const;
  void tiles(const float* line, int64_t column, int64_t begin, int64_t end, const Row& to) const;

  const Correlation<float>& c_;
  const CorrelationAxes& axes_;
  const RowForms& f_;
  const conv::WinogradRowsKernel& rows_;
  const conv::Product<float>& product_;
  int64_t ic_block_ = 0, tile_rows_ = 0;
};

}  // namespace striate
