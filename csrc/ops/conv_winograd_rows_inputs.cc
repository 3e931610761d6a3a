#include "ops/conv_winograd_rows_inputs.h"

#include <algorithm>

namespace striate {

using conv::kRowOutputs;
using conv::row_points;

RowForms::RowForms(std::span<const Correlation<float>> phases, const CorrelationAxes& axes)
    : tiles(ceil_div(axes[2].out, kRowOutputs)) {
  const int64_t stride = axes[2].stride;
  for (size_t i = 0; i < phases.size(); ++i) {
    const CorrelationAxis& w = phases[i].axes[2];
    for (int64_t phase = 0; phase < std::min(stride, w.taps); ++phase) {
      const int taps = static_cast<int>(ceil_div(w.taps - phase, stride));
      const int64_t first = phase - w.pad;
      size_t form = 0;
      while (form < forms.size() && (forms[form].taps != taps || forms[form].first != first)) ++form;
      if (form == forms.size()) {
        forms.push_back({taps, first, points});
        points += row_points(taps);
      }
      parts.push_back({i, form, phase, weight_taps, part_points});
      weight_taps += weight_points(taps) * phases[i].axes[1].taps;
      part_points += row_points(taps);
    }
    most_row_taps = std::max(most_row_taps, phases[i].axes[1].taps);
  }
  first_column = forms[0].first;
  int64_t last = first_column;
  for (const RowForm& form : forms) {
    first_column = std::min(first_column, form.first);
    last = std::max(last, form.first + (kRowOutputs * tiles - 2 + form.taps) * stride);
  }
  columns = last - first_column + 1;
}

// Every row is laid out as a line once, channels inside and with its padding, and transformed to all forms. Where
// channels are neighbours in the image, only the tiles at its borders need that.
void RowInputs::transform(int64_t group, int64_t image, int64_t row, int64_t first, int64_t last, int64_t ic,
                          int64_t channels, int64_t pitch, float* line, float* v) const {
  const auto& in = c_.input_stride;
  const CorrelationAxis& h = axes_[1];
  const float* from = c_.input + image / axes_[0].out * in[kN] + image % axes_[0].out * in[kD] +
                      (group * c_.ic + ic) * in[kC];
  const auto [begin, end] = tiles_in_place(channels);
  for (int64_t i = first; i < last; ++i) {
    const int64_t y = row * h.stride - h.pad + i;
    const Row to{channels, pitch, v + i * pitch};
    if (y < 0 || y >= h.in) {
      for (int64_t at = 0; at < f_.points; ++at)
        for (int64_t t = 0; t < f_.tiles; ++t) std::fill_n(to.v + at * point(pitch) + t * tile(pitch), pitch, 0.0f);
      continue;
    }
    const float* image_row = from + y * in[kH];
    by_line(image_row, 0, begin, line, to);
    tiles(image_row + f_.first_column * in[kW], in[kW], begin, end, to);
    by_line(image_row, end, f_.tiles, line, to);
  }
}

// The tiles whose inputs all exist, where vectors of channels can be loaded.
std::pair<int64_t, int64_t> RowInputs::tiles_in_place(int64_t channels) const {
  if (c_.input_stride[kC] != 1) return {0, 0};
  if (channels % product_.lanes != 0 && c_.input_slack < product_.lanes) return {0, 0};
  const int64_t stride = kRowOutputs * axes_[2].stride, last = f_.columns - (f_.tiles - 1) * stride;  // of a tile
  const int64_t begin = f_.first_column < 0 ? ceil_div(-f_.first_column, stride) : 0;
  const int64_t room = axes_[2].in - last - f_.first_column;
  const int64_t end = room < 0 ? 0 : std::min(f_.tiles, room / stride + 1);
  return begin < end ? std::pair(begin, end) : std::pair<int64_t, int64_t>(0, 0);
}

void RowInputs::by_line(const float* row, int64_t begin, int64_t end, float* line, const Row& to) const {
  if (begin >= end) return;
  const auto& in = c_.input_stride;
  const int64_t channels = to.channels;
  const int64_t stride = kRowOutputs * axes_[2].stride, first = f_.first_column + begin * stride;
  const int64_t columns = f_.columns - (f_.tiles - (end - begin)) * stride;
  const int64_t left = std::clamp<int64_t>(-first, 0, columns);
  const int64_t right = std::clamp<int64_t>(axes_[2].in - first, left, columns);
  std::fill_n(line, left * channels, 0.0f);
  product_.move({.from = row + (first + left) * in[kW],
                 .from_row = in[kW],
                 .from_column = in[kC],
                 .rows = static_cast<int>(right - left),
                 .columns = static_cast<int>(channels),
                 .to = line + left * channels,
                 .to_row = channels,
                 .to_column = 1});
  std::fill_n(line + right * channels, (columns - right) * channels, 0.0f);
  tiles(line - begin * stride * channels, channels, begin, end, to);
}

// Tiles [begin, end) of a row; `line`: where the first input of tile 0 would lie, `column` steps to the next.
void RowInputs::tiles(const float* line, int64_t column, int64_t begin, int64_t end, const Row& to) const {
  if (begin >= end) return;
  for (const RowForm& form : f_.forms)
    rows_.input[form.taps - 1](
        {.line = line + (form.first - f_.first_column + begin * kRowOutputs * axes_[2].stride) * column,
         .column = axes_[2].stride * column,
         .tiles = static_cast<int>(end - begin),
         .channels = static_cast<int>(to.channels),
         .v = to.v + form.point * point(to.pitch) + begin * tile(to.pitch),
         .v_point = point(to.pitch),
         .v_tile = tile(to.pitch)});
}

}  // namespace striate
