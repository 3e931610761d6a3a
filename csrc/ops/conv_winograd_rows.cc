// A task is (images, a block of output rows, a chunk of output channels): it transforms all input rows that the block
// sees, and then, a lane block of output channels after the other, multiplies and transforms back. What it multiplies
// stays in L2; where sums are short, products are transformed back a few tiles at a time, from L1.
#include "ops/conv_winograd_rows.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tile_blocking.h"
#include "ops/conv_winograd_rows_weights.h"

namespace striate {
namespace {

using conv::kRowOutputs;

constexpr int64_t kTaskBytes = 768 * 1024;        // transformed inputs of a task, and its products: in L2
constexpr int64_t kWeightSliceBytes = 64 * 1024;  // of one point
constexpr int64_t kShortWeightBytes = 48 * 1024;  // of all points of a lane block: less, and sums are short
constexpr int64_t kProductBytes = 24 * 1024;      // of all points, where sums are short
constexpr int64_t kShortRows = 16;                // of a task, where sums are short
constexpr int64_t kPixelsWanted = 64;             // rows of each product; small images share a task for that
constexpr int64_t kLeastIcBlock = 16, kLargestIcBlock = 512;
// Products added in one go. Transforms of many taps magnify their rounding, so these are kept short; to begin anew
// costs 3 % every hundred.
constexpr int kSteadyTaps = 3;
constexpr int64_t kShortChain = 96, kLongChain = 384;
constexpr int64_t kEnoughTasks = 16;
constexpr double kSmallTask = 1e6;  // multiply-adds

class RowConvolution {
 public:
  RowConvolution(std::span<const Correlation<float>> phases, const conv::WinogradRowsKernel& rows,
                 const conv::Product<float>& product)
      : phases_(phases),
        c_(phases[0]),
        rows_(rows),
        product_(product),
        axes_(shared_axes(phases)),
        interleave_(interleave_phases(phases)),
        f_(phases, axes_),
        inputs_(c_, axes_, f_, rows, product),
        weights_(phases, f_, rows, product) {
    cut();
  }

  void run() {
    weights_.transform_all(ic_block_);
    const int64_t tasks = c_.g * image_blocks_ * row_blocks_ * chunks_;
    double macs = 0;
    for (const Correlation<float>& c : phases_) macs += c.macs();
    const int workers = workers_for(tasks, macs / (1.3 * kMacsPerInstruction));
    std::vector<Workspace> workspaces;
    for (int i = 0; i < workers; ++i) workspaces.push_back(make_workspace());
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      run_task(task, workspaces[static_cast<size_t>(worker)]);
    });
  }

 private:
  // A part of the outputs. Those of one product lie in the order (image, tile, row).
  struct Region {
    int64_t group, image, row, tile;  // first; an image of several planes counts as so many
    int64_t images, rows, tiles;
    int64_t count() const { return images * rows * tiles; }
  };
  struct Workspace {
    Scratch<float> line, v, m, sums, bias;
    Scratch<int32_t> row_offset;
    Scratch<int64_t> m_row;
    std::array<int64_t, 5> laid_out{};  // what the two tables are for
  };

  // ---- how the work is cut ------------------------------------------------------------------------------

  // Of the transformed inputs of a region.
  int64_t input_bytes(int64_t rows) const {
    return f_.points * f_.tiles * inputs_.seen(rows) * c_.ic * static_cast<int64_t>(sizeof(float));
  }

  void cut() {
    const int64_t size = sizeof(float), images = c_.n * axes_[0].out;
    const int64_t slice = f_.most_row_taps * weights_.lanes() * size;
    int taps = 0;
    for (const RowForm& form : f_.forms) taps = std::max(taps, form.taps);
    const int64_t chain = (taps > kSteadyTaps ? kShortChain : kLongChain) / f_.most_row_taps;
    const int64_t most = std::clamp(std::min(kWeightSliceBytes / slice, chain), kLeastIcBlock, kLargestIcBlock);
    ic_block_ = std::min(c_.ic, ceil_div(even_piece(c_.ic, most), product_.lanes) * product_.lanes);  // whole vectors
    chunk_blocks_ = weights_.blocks();
    // Short sums: products of a few tiles stay in L1.
    const int64_t product = f_.part_points * weights_.lanes() * size;  // bytes
    short_sums_ = weights_.block_bytes() <= kShortWeightBytes;
    row_block_ = short_sums_ ? std::min(axes_[1].out, kShortRows) : axes_[1].out;
    images_ = 1;
    const auto bytes = [&](int64_t rows) { return std::max(input_bytes(rows), product * rows * f_.tiles); };
    while (row_block_ > 1 && bytes(row_block_) > kTaskBytes) row_block_ = ceil_div(row_block_, 2);
    if (row_block_ == axes_[1].out)
      images_ = even_piece(images, std::clamp<int64_t>(std::min(kPixelsWanted / (row_block_ * f_.tiles),
                                                                kTaskBytes / bytes(row_block_)),
                                                       1, images));
    double macs = 0;
    for (const Correlation<float>& c : phases_) macs += c.macs();
    const auto tasks = [&] {
      return c_.g * ceil_div(images, images_) * ceil_div(axes_[1].out, row_block_) *
             ceil_div(weights_.blocks(), chunk_blocks_);
    };
    while (tasks() < kEnoughTasks && macs / static_cast<double>(tasks()) > kSmallTask) {
      if (images_ > 1)
        images_ = ceil_div(images_, 2);
      else if (row_block_ > 3)
        row_block_ = ceil_div(row_block_, 2);
      else if (chunk_blocks_ > 1)
        chunk_blocks_ = ceil_div(chunk_blocks_, 2);
      else
        break;
    }
    row_block_ = even_piece(axes_[1].out, row_block_);
    image_blocks_ = ceil_div(images, images_);
    row_blocks_ = ceil_div(axes_[1].out, row_block_);
    chunks_ = ceil_div(weights_.blocks(), chunk_blocks_);
    inputs_.cut(ic_block_, row_block_);
    product_tiles_ = f_.tiles;
    product_rows_ = row_block_;
    product_images_ = images_;
    if (!short_sums_) return;
    product_tiles_ = even_piece(f_.tiles, std::max<int64_t>(1, kProductBytes / product));
    product_rows_ = even_piece(row_block_, std::max<int64_t>(1, kProductBytes / (product * product_tiles_)));
    product_images_ = 1;
  }

  // ---- memory -------------------------------------------------------------------------------------------

  Workspace make_workspace() const {
    const Region most{0, 0, 0, 0, product_images_, product_rows_, product_tiles_};
    int64_t sums = 0, columns = 1;
    for (size_t i = 0; i < phases_.size(); ++i) {
      if (stored_in_place(phases_[i])) continue;
      sums = most.count();
      columns = std::max(columns, interleave_[i].count);
    }
    const int64_t lanes = weights_.lanes();
    Workspace ws{Scratch<float>(inputs_.line_elements()),
                 Scratch<float>(inputs_.block(c_.ic, images_)),
                 Scratch<float>(f_.part_points * most.count() * lanes),
                 Scratch<float>(sums * kRowOutputs * columns * lanes),
                 Scratch<float>(lanes),
                 Scratch<int32_t>(kRowOutputs * most.count()),
                 Scratch<int64_t>(kRowOutputs * most.count())};
    // Vectors of channels read beyond the last one, and it does not matter what.
    std::fill_n(ws.line.get(), inputs_.line_elements(), 0.0f);
    return ws;
  }

  // ---- a task -------------------------------------------------------------------------------------------

  void run_task(int64_t task, Workspace& ws) const {
    const int64_t row_block = task % row_blocks_, image_block = task / row_blocks_ % image_blocks_;
    const int64_t chunk = task / row_blocks_ / image_blocks_ % chunks_;
    Region at{task / row_blocks_ / image_blocks_ / chunks_, image_block * images_, row_block * row_block_, 0, 0, 0,
              f_.tiles};
    at.images = std::min(images_, c_.n * axes_[0].out - at.image);
    at.rows = std::min(row_block_, axes_[1].out - at.row);
    for (int64_t ic = 0; ic < c_.ic; ic += ic_block_) {
      const int64_t channels = std::min(ic_block_, c_.ic - ic);
      for (int64_t image = 0; image < at.images; ++image)
        inputs_.transform(at.group, at.image + image, at.row, 0, inputs_.seen(at.rows), ic, channels, channels,
                          ws.line.get(),
                          ws.v.get() + inputs_.block(ic, images_) + image * inputs_.image(channels));
    }
    const int64_t begin = chunk * chunk_blocks_, end = std::min(weights_.blocks(), begin + chunk_blocks_);
    // Weights of short sums are at hand: stay where the outputs are. Otherwise stay with the weights.
    if (short_sums_)
      for_each_product(at, [&](const Region& part) {
        for (int64_t block = begin; block < end; ++block) run_product(at, part, block, ws);
      });
    else
      for (int64_t block = begin; block < end; ++block)
        for_each_product(at, [&](const Region& part) { run_product(at, part, block, ws); });
  }

  template <class Body>
  void for_each_product(const Region& at, Body body) const {
    for (int64_t image = 0; image < at.images; image += product_images_)
      for (int64_t row = 0; row < at.rows; row += product_rows_)
        for (int64_t tile = 0; tile < at.tiles; tile += product_tiles_)
          body({at.group, at.image + image, at.row + row, tile, std::min(product_images_, at.images - image),
                std::min(product_rows_, at.rows - row), std::min(product_tiles_, at.tiles - tile)});
  }

  void run_product(const Region& at, const Region& part, int64_t block, Workspace& ws) const {
    multiply(at, part, block, ws);
    for (size_t i = 0; i < phases_.size(); ++i) finish(i, part, block, ws);
  }

  // Where the rows of a product lie. A form of one tap has one weight for all its points: they are rows, too.
  void lay_out(const Region& r, int64_t channels, int64_t lanes, Workspace& ws) const {
    const std::array<int64_t, 5> what{r.images, r.tiles, r.rows, channels, lanes};
    if (std::exchange(ws.laid_out, what) == what) return;
    int32_t* offset = ws.row_offset.get();
    for (int64_t point = 0; point < kRowOutputs; ++point)
      for (int64_t image = 0; image < r.images; ++image)
        for (int64_t tile = 0; tile < r.tiles; ++tile)
          for (int64_t row = 0; row < r.rows; ++row)
            *offset++ = static_cast<int32_t>(point * inputs_.point(channels) + image * inputs_.image(channels) +
                                             tile * inputs_.tile(channels) + row * axes_[1].stride * channels);
    for (int64_t i = 0; i < kRowOutputs * r.count(); ++i) ws.m_row.get()[i] = i * lanes;
  }

  void multiply(const Region& at, const Region& r, int64_t block, Workspace& ws) const {
    const int64_t lanes = weights_.step(block), rows = r.count();
    for (int64_t ic = 0; ic < c_.ic; ic += ic_block_) {
      const int64_t channels = std::min(ic_block_, c_.ic - ic);
      const float* first = ws.v.get() + inputs_.block(ic, images_) + (r.image - at.image) * inputs_.image(channels) +
                           r.tile * inputs_.tile(channels) + (r.row - at.row) * axes_[1].stride * channels;
      lay_out(r, channels, lanes, ws);
      for (const RowPart& part : f_.parts) {
        const Correlation<float>& c = phases_[part.correlation];
        const RowForm& form = f_.forms[part.form];
        const bool one = form.taps == 1;
        const float* v = first + form.point * inputs_.point(channels) + (axes_[1].pad - c.axes[1].pad) * channels;
        const float* u = weights_.at(at.group, block, part, ic);
        for (int64_t point = 0; point < weight_points(form.taps); ++point)
          product_.multiply({.a = v + point * inputs_.point(channels),
                             .row_offset = ws.row_offset.get(),
                             .rows = static_cast<int>(one ? kRowOutputs * rows : rows),
                             .a_is_far = false,
                             .a_tap = nullptr,
                             .b = u + point * weights_.point(part, block),
                             .b_step = lanes,
                             .b_tap = nullptr,
                             .b_block_stride = 0,
                             .b_last_step = lanes,
                             .lanes = static_cast<int>(lanes),
                             .taps = 1,
                             .run = static_cast<int>(c.axes[1].taps * channels),
                             .c = ws.m.get() + (part.point + point) * rows * lanes,
                             .c_row = ws.m_row.get(),
                             .c_block_stride = 0,
                             .bias = nullptr,
                             .bias_of = conv::BiasOf::none,
                             .accumulate = ic > 0});
      }
    }
  }

  // ---- outputs ------------------------------------------------------------------------------------------

  static bool stored_in_place(const Correlation<float>& c) { return c.output_stride[kC] == 1; }
  int64_t rows_of(const Correlation<float>& c, const Region& r) const {
    return std::clamp<int64_t>(c.axes[1].out - r.row, 0, r.rows);
  }
  int64_t cols_of(const Correlation<float>& c, const Region& r) const {
    return std::clamp<int64_t>(c.axes[2].out - r.tile * kRowOutputs, 0, r.tiles * kRowOutputs);
  }
  float* place_of(const Correlation<float>& c, const Region& r, int64_t image, int64_t oc) const {
    const auto& out = c.output_stride;
    return c.output + image / axes_[0].out * out[kN] + (r.group * c_.oc + oc) * out[kC] +
           image % axes_[0].out * out[kD] + r.row * out[kH] + r.tile * kRowOutputs * out[kW];
  }

  // One correlation's outputs. Those that alternate with others are stored with the last of them.
  void finish(size_t index, const Region& r, int64_t block, Workspace& ws) const {
    const Correlation<float>& c = phases_[index];
    const Interleave& with = interleave_[index];
    const bool in_place = stored_in_place(c);
    const int64_t lanes = weights_.step(block), oc = block * weights_.lanes(), channels = std::min(lanes, c_.oc - oc);
    const int64_t rows = rows_of(c, r);
    int64_t row_cols = 0;  // of all that alternate
    for (size_t i = with.first; i < with.first + static_cast<size_t>(with.count); ++i)
      row_cols += cols_of(phases_[i], r);
    if (c.bias)
      for (int64_t i = 0; i < lanes; ++i)
        ws.bias.get()[i] = i < channels ? c.bias[r.group * c_.oc + oc + i] : 0.0f;
    for (int64_t image = 0; image < r.images; ++image)
      for (int64_t row = 0; row < rows; ++row) {
        float* to = in_place ? place_of(c, r, r.image + image, oc) + row * c.output_stride[kH]
                             : ws.sums.get() + ((image * rows + row) * row_cols + with.index) * lanes;
        transform_outputs(index, r, image * r.tiles * r.rows + row, lanes, channels, ws, to,
                          in_place ? c.output_stride[kW] : with.count * lanes, !in_place);
      }
    if (!in_place) {
      if (index + 1 < with.first + static_cast<size_t>(with.count)) return;
      for (int64_t image = 0; image < r.images; ++image)
        store(with, r, image, oc, channels, rows, row_cols, ws.sums.get() + image * rows * row_cols * lanes, lanes);
    }
    for (size_t i = in_place ? index : with.first; i <= index && !c.epilogue.does_nothing(); ++i)
      for (int64_t image = r.image; image < r.image + r.images; ++image)
        phases_[i].epilogue.apply(
            {.out = place_of(phases_[i], r, image, oc),
             .position = {image / axes_[0].out, r.group * c_.oc + oc, image % axes_[0].out, r.row,
                          r.tile * kRowOutputs},
             .channel_step = 1,
             .channels = channels,
             .rows = rows,
             .cols = cols_of(phases_[i], r)},
            phases_[i].output_stride);
  }

  // One row, of which `first` is the number of the first product: the sum of all parts.
  void transform_outputs(size_t index, const Region& r, int64_t first, int64_t lanes, int64_t channels,
                         const Workspace& ws, float* to, int64_t to_w, bool whole_vectors) const {
    bool add = false;
    for (const RowPart& part : f_.parts) {
      if (part.correlation != index) continue;
      rows_.output[f_.forms[part.form].taps - 1]({.m = ws.m.get() + (part.point * r.count() + first) * lanes,
                                                .m_point = r.count() * lanes,
                                                .m_tile = r.rows * lanes,
                                                .cols = static_cast<int>(cols_of(phases_[index], r)),
                                                .channels = static_cast<int>(channels),
                                                .bias = phases_[index].bias ? ws.bias.get() : nullptr,
                                                .add = add,
                                                .out = to,
                                                .whole_vectors = whole_vectors,
                                                .out_w = to_w});
      add = true;
    }
  }

  // Rows of all correlations that alternate, `columns` long.
  void store(const Interleave& with, const Region& r, int64_t image, int64_t oc, int64_t channels, int64_t rows,
             int64_t columns, const float* sums, int64_t lanes) const {
    size_t lowest = with.first;
    while (interleave_[lowest].index != 0) ++lowest;
    const auto& out = phases_[lowest].output_stride;
    const int64_t step = out[kW] / with.count;
    const bool joined = rows == 1 || out[kH] == columns * step;  // rows follow each other
    const int64_t lines = joined ? 1 : rows, length = joined ? rows * columns : columns;
    float* to = place_of(phases_[lowest], r, r.image + image, oc);
    for (int64_t line = 0; line < lines; ++line)
      product_.move({.from = sums + line * length * lanes,
                     .from_row = lanes,
                     .from_column = 1,
                     .rows = static_cast<int>(length),
                     .columns = static_cast<int>(channels),
                     .to = to + line * out[kH],
                     .to_row = step,
                     .to_column = out[kC]});
  }

  std::span<const Correlation<float>> phases_;
  const Correlation<float>& c_;  // what all share
  const conv::WinogradRowsKernel& rows_;
  const conv::Product<float>& product_;
  const CorrelationAxes axes_;  // of a window that serves all
  const std::vector<Interleave> interleave_;
  const RowForms f_;
  RowInputs inputs_;
  RowWeights weights_;
  int64_t ic_block_, row_block_, images_, chunk_blocks_;
  bool short_sums_;
  int64_t product_tiles_, product_rows_, product_images_;
  int64_t image_blocks_, row_blocks_, chunks_;
};

}  // namespace

void correlate_winograd_rows(std::span<const Correlation<float>> phases, const conv::WinogradRowsKernel& rows,
                             const conv::Product<float>& product) {
  RowConvolution(phases, rows, product).run();
}

}  // namespace striate
