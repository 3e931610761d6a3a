// Region by region - some images, or some rows of one - inputs and output gradients are transformed together, and then
// multiplied: a task is (part, point, block of input channels), whose sums no other touches. They stay from region to
// region; at the end they are transformed to the taps.
#include "ops/conv_winograd_rows_grad.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_winograd_rows_inputs.h"

namespace striate {
namespace {

using conv::kRowOutputs;

constexpr int64_t kRegionBytes = 4 << 20;  // transformed inputs and gradients: in the caches of two cores
constexpr int64_t kIcBlock = 64;
constexpr int64_t kPixels = 64;            // of one product: operands in L1 and L2, and short sums round less
constexpr int64_t kTaskRows = 8;           // image rows that a task transforms

class RowWeightGrad {
 public:
  RowWeightGrad(const Correlation<float>& forward, const TensorView& grad_output, const TensorView& grad_weight,
                const conv::WinogradRowsKernel& rows, const conv::Product<float>& product,
                const conv::WeightKernel<float>& kernel)
      : c_(forward),
        grad_(grad_output),
        dw_(grad_weight),
        rows_(rows),
        product_(product),
        kernel_(kernel),
        f_(std::span(&c_, 1), c_.axes),
        inputs_(c_, c_.axes, f_, rows, product),
        ic_block_(even_piece(c_.ic, kIcBlock)),
        pitch_(spread(ceil_div(ic_block_, kernel.lanes / 2) * (kernel.lanes / 2))),
        ic_blocks_(ceil_div(c_.ic, ic_block_)),
        lane_blocks_(ceil_div(c_.oc, kernel.lanes)),
        kernel_rows_(c_.axes[1].taps),
        sum_(padded_count<float>(kernel_rows_ * ic_block_ * kernel.lanes)) {
    cut();
  }

  void run() {
    const int64_t images = c_.n * c_.axes[0].out;
    const double work = c_.macs() / (1.3 * kMacsPerInstruction);
    const int64_t products = c_.g * weight_points_ * ic_blocks_;
    const int workers = workers_for(std::max<int64_t>(products, 2), work);
    for (int i = 0; i < workers; ++i) lines_.emplace_back(std::max(inputs_.line_elements(), grad_line_elements()));
    for (Scratch<float>& line : lines_) std::fill_n(line.get(), inputs_.line_elements(), 0.0f);
    for (int i = 0; i < workers; ++i) sums_.emplace_back(sum_);
    bool first = true;
    for (int64_t image = 0; image < images; image += images_)
      for (int64_t row = 0; row < c_.axes[1].out; row += row_block_, first = false) {
        const Region r{image, row, std::min(images_, images - image), std::min(row_block_, c_.axes[1].out - row)};
        lay_out(r);
        transform(r, workers);
        parallel_for(products, workers_for(products, work), FpMode::flush_denormals,
                     [&](int64_t task, int worker) {
          multiply(r, task, first, sums_[static_cast<size_t>(worker)].get());
        });
      }
    finish();
  }

 private:
  struct Region {
    int64_t image, row, images, rows;
  };

  // Pixels a power of two apart would share a few lines of L1.
  static int64_t spread(int64_t pitch) { return pitch % 32 == 0 ? pitch + 16 : pitch; }

  void cut() {
    for (const RowPart& part : f_.parts) {
      point_part_.insert(point_part_.end(), static_cast<size_t>(weight_points(f_.forms[part.form].taps)), &part);
      first_point_.push_back(weight_points_);
      weight_points_ += weight_points(f_.forms[part.form].taps);
    }
    const int64_t images = c_.n * c_.axes[0].out, size = sizeof(float);
    const auto bytes = [&](int64_t rows) {
      return c_.g * f_.points * f_.tiles * size *
             (inputs_.seen(rows) * ic_blocks_ * pitch_ + rows * lane_blocks_ * kernel_.lanes);
    };
    row_block_ = c_.axes[1].out;
    while (row_block_ > 4 && bytes(row_block_) > kRegionBytes) row_block_ = ceil_div(row_block_, 2);
    row_block_ = even_piece(c_.axes[1].out, row_block_);
    images_ = 1;
    if (row_block_ == c_.axes[1].out)
      images_ = even_piece(images, std::clamp<int64_t>(kRegionBytes / bytes(row_block_), 1, images));
    inputs_.cut(pitch_, row_block_);
    v_block_ = images_ * inputs_.image(pitch_);
    pixels_ = images_ * f_.tiles * row_block_;
    z_point_ = padded_count<float>(pixels_ * kernel_.lanes);
    v_ = Scratch<float>(c_.g * ic_blocks_ * v_block_ + RowInputs::kPad);
    z_ = Scratch<float>(c_.g * lane_blocks_ * z_lane_block());
    du_ = Scratch<float>(c_.g * weight_points_ * ic_blocks_ * lane_blocks_ * sum_);
    row_offset_ = Scratch<int32_t>(kernel_rows_ * ic_block_);
    for (int64_t i = 0; i < kernel_rows_ * ic_block_; ++i)
      row_offset_.get()[i] = static_cast<int32_t>(i / ic_block_ * pitch_ + i % ic_block_);
    run_offset_ = Scratch<int32_t>(kRowOutputs * images_ * f_.tiles);
  }

  // ---- operands -----------------------------------------------------------------------------------------

  // Z of a lane block: [part][point][pixel][lane]; parts of one tap take as much.
  int64_t z_lane_block() const { return f_.part_points * z_point_; }
  float* z(int64_t group, int64_t block, const RowPart& part) const {
    return z_.get() + (group * lane_blocks_ + block) * z_lane_block() + part.point * z_point_;
  }
  int64_t grad_line_elements() const { return c_.axes[2].out * c_.oc; }

  // Products of one row of tiles above the other follow each other: runs.
  void lay_out(const Region& r) {
    int32_t* offset = run_offset_.get();
    for (int64_t point = 0; point < kRowOutputs; ++point)
      for (int64_t image = 0; image < r.images; ++image)
        for (int64_t tile = 0; tile < f_.tiles; ++tile)
          *offset++ = static_cast<int32_t>(point * inputs_.point(pitch_) + image * inputs_.image(pitch_) +
                                           tile * inputs_.tile(pitch_));
  }

  void transform(const Region& r, int workers) const {
    const int64_t seen = inputs_.seen(r.rows), input_pieces = ceil_div(seen, kTaskRows),
                  grad_pieces = ceil_div(r.rows, kTaskRows);
    const int64_t inputs = c_.g * ic_blocks_ * r.images * input_pieces, grads = c_.g * r.images * grad_pieces;
    parallel_for(inputs + grads, std::min<int>(workers, static_cast<int>(inputs + grads)), FpMode::flush_denormals,
                 [&](int64_t task, int worker) {
      float* line = lines_[static_cast<size_t>(worker)].get();
      if (task >= inputs) {
        const int64_t piece = (task - inputs) % grad_pieces, image = (task - inputs) / grad_pieces % r.images;
        for (int64_t row = piece * kTaskRows; row < std::min(r.rows, (piece + 1) * kTaskRows); ++row)
          transform_grad(r, (task - inputs) / grad_pieces / r.images, image, row, line);
        return;
      }
      const int64_t piece = task % input_pieces, image = task / input_pieces % r.images;
      const int64_t block = task / input_pieces / r.images, ic = block % ic_blocks_ * ic_block_;
      inputs_.transform(block / ic_blocks_, r.image + image, r.row, piece * kTaskRows,
                        std::min(seen, (piece + 1) * kTaskRows), ic, std::min(ic_block_, c_.ic - ic), pitch_, line,
                        v_.get() + block * v_block_ + image * inputs_.image(pitch_));
    });
  }

  void transform_grad(const Region& r, int64_t group, int64_t image, int64_t row, float* line) const {
    const auto s = strides_of(grad_);
    const int64_t number = r.image + image, cols = c_.axes[2].out;
    const float* from = grad_.as<float>() + number / c_.axes[0].out * s[kN] + number % c_.axes[0].out * s[kD] +
                        group * c_.oc * s[kC] + (r.row + row) * s[kH];
    int64_t step = s[kW];
    if (s[kC] != 1) {
      product_.move({.from = from,
                     .from_row = s[kW],
                     .from_column = s[kC],
                     .rows = static_cast<int>(cols),
                     .columns = static_cast<int>(c_.oc),
                     .to = line,
                     .to_row = c_.oc,
                     .to_column = 1});
      from = line;
      step = c_.oc;
    }
    const int64_t pixel = image * f_.tiles * r.rows + row;
    for (const RowPart& part : f_.parts)
      for (int64_t block = 0; block < lane_blocks_; ++block) {
        const int64_t oc = block * kernel_.lanes, channels = std::min<int64_t>(kernel_.lanes, c_.oc - oc);
        rows_.grad[f_.forms[part.form].taps - 1]({.grad = from + oc,
                                                  .grad_w = step,
                                                  .cols = static_cast<int>(cols),
                                                  .channels = static_cast<int>(channels),
                                                  .rows = static_cast<int>(r.rows),
                                                  .pixels = r.images * f_.tiles * r.rows,
                                                  .z = z(group, block, part) + pixel * lanes_of(block),
                                                  .z_point = z_point_});
      }
  }

  // A last block that one vector holds is as narrow.
  int64_t lanes_of(int64_t block) const {
    return c_.oc - block * kernel_.lanes <= kernel_.lanes / 2 ? kernel_.lanes / 2 : kernel_.lanes;
  }

  // ---- sums ---------------------------------------------------------------------------------------------

  float* du(int64_t group, int64_t point, int64_t ic_block, int64_t lane_block) const {
    return du_.get() + (((group * weight_points_ + point) * ic_blocks_ + ic_block) * lane_blocks_ + lane_block) * sum_;
  }

  // All lane blocks, while the inputs are near. Sums of pieces are added up: that rounds less than one long chain.
  void multiply(const Region& r, int64_t task, bool first, float* sum) const {
    const int64_t ic_block = task % ic_blocks_, point = task / ic_blocks_ % weight_points_;
    const int64_t group = task / ic_blocks_ / weight_points_;
    const RowPart& part = *point_part_[static_cast<size_t>(point)];
    const RowForm& form = f_.forms[part.form];
    const int64_t number = point - first_point_[static_cast<size_t>(&part - f_.parts.data())];
    const float* v = v_.get() + (group * ic_blocks_ + ic_block) * v_block_ +
                     (form.point + number) * inputs_.point(pitch_);
    const int64_t runs = (form.taps == 1 ? kRowOutputs : 1) * r.images * f_.tiles;
    const int64_t piece = even_piece(runs, std::max<int64_t>(1, kPixels / r.rows));
    for (int64_t block = 0; block < lane_blocks_; ++block) {
      const int64_t lanes = lanes_of(block);
      const float* z_from = z(group, block, part) + number * z_point_;
      float* total = du(group, point, ic_block, block);
      for (int64_t run = 0; run < runs; run += piece) {
        const bool begins = first && run == 0;
        kernel_.tile({.slab = v,
                      .row_offset = row_offset_.get(),
                      .rows = static_cast<int>(kernel_rows_ * ic_block_),
                      .run_offset = run_offset_.get() + run,
                      .runs = static_cast<int>(std::min(piece, runs - run)),
                      .run = static_cast<int>(r.rows),
                      .last_run = static_cast<int>(r.rows),
                      .step = static_cast<int>(c_.axes[1].stride * pitch_),
                      .grad = z_from + run * r.rows * lanes,
                      .grad_block_stride = 0,
                      .lane_blocks = 1,
                      .last_block_channels = static_cast<int>(std::min(lanes, c_.oc - block * kernel_.lanes)),
                      .acc = begins ? total : sum,
                      .acc_block_stride = 0,
                      .accumulate = false,
                      .ahead = nullptr,
                      .aheads = 0});
        if (!begins) kernel_.add(sum, kernel_rows_ * ic_block_ * kernel_.lanes, total);
      }
    }
  }

  void finish() const {
    const int64_t taps = c_.taps(), tasks = c_.g * ic_blocks_ * lane_blocks_;
    const int workers = workers_for(tasks, static_cast<double>(c_.g * c_.oc * c_.ic * f_.weight_taps));
    std::vector<Scratch<float>> sums;
    for (int i = 0; i < workers; ++i) sums.emplace_back(ic_block_ * taps * kernel_.lanes);
    const auto s = strides_of(dw_);
    const bool dense = s[kH] == c_.axes[2].taps * s[kW] && s[kC] == kernel_rows_ * s[kH];
    parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
      const int64_t lane_block = task % lane_blocks_, ic_block = task / lane_blocks_ % ic_blocks_;
      const int64_t group = task / lane_blocks_ / ic_blocks_, oc = lane_block * kernel_.lanes;
      const int64_t ic = ic_block * ic_block_, channels = std::min(ic_block_, c_.ic - ic);
      float* sum = sums[static_cast<size_t>(worker)].get();
      for (size_t i = 0; i < f_.parts.size(); ++i)
        for (int64_t h = 0; h < kernel_rows_; ++h)
          rows_.weight_grad[f_.forms[f_.parts[i].form].taps - 1](
              {.du = du(group, first_point_[i], ic_block, lane_block) + h * ic_block_ * kernel_.lanes,
               .du_point = ic_blocks_ * lane_blocks_ * sum_,
               .rows = static_cast<int>(channels),
               .taps = sum + (h * c_.axes[2].taps + f_.parts[i].first_tap) * kernel_.lanes,
               .tap = c_.axes[2].stride * kernel_.lanes,
               .row = taps * kernel_.lanes});
      const int64_t length = dense ? channels * taps : c_.axes[2].taps;  // of what adjoins
      for (int64_t at = 0; at < channels * taps; at += length)
        kernel_.put({.acc = sum + at * kernel_.lanes,
                     .acc_block_stride = 0,
                     .rows = static_cast<int>(length),
                     .channels = static_cast<int>(std::min<int64_t>(kernel_.lanes, c_.oc - oc)),
                     .out = dw_.as<float>() + (group * c_.oc + oc) * s[kN] + (ic + at / taps) * s[kC] +
                            at % taps / c_.axes[2].taps * s[kH],
                     .out_lane = s[kN],
                     .out_row = s[kW]});
    });
  }

  const Correlation<float>& c_;  // forward
  const TensorView &grad_, &dw_;
  const conv::WinogradRowsKernel& rows_;
  const conv::Product<float>& product_;
  const conv::WeightKernel<float>& kernel_;
  const RowForms f_;
  RowInputs inputs_;
  const int64_t ic_block_, pitch_, ic_blocks_, lane_blocks_, kernel_rows_, sum_;
  std::vector<const RowPart*> point_part_;  // of each point with a weight
  std::vector<int64_t> first_point_;        // of each part
  int64_t weight_points_ = 0;
  int64_t images_, row_block_, pixels_, v_block_, z_point_;
  Scratch<float> v_, z_, du_;
  Scratch<int32_t> row_offset_, run_offset_;
  std::vector<Scratch<float>> lines_, sums_;  // of each worker
};

}  // namespace

void weight_grad_winograd_rows(const ConvProblem& p, const TensorView& input, const TensorView& grad_output,
                               const TensorView& grad_weight, const conv::WinogradRowsKernel& rows,
                               const conv::Product<float>& product, const conv::WeightKernel<float>& kernel) {
  Correlation<float> c{};
  c.axes = correlation_axes(p);
  c.n = p.n;
  c.g = p.g;
  c.ic = p.ic_group();
  c.oc = p.oc_group();
  c.input = input.as<float>();
  c.input_stride = strides_of(input);
  c.input_slack = input.slack;
  RowWeightGrad(c, grad_output, grad_weight, rows, product, kernel).run();
}

}  // namespace striate
