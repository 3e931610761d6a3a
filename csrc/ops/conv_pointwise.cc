// Convolution by a single tap where pixels are neighbours in memory (NCHW): a product of matrices with output
// pixels as lanes, so that nothing is transposed.
//
//      output [oc][pixel] = weight [oc][ic] * input [ic][pixel]
//
// Pixels of all images are numbered in a row and cut into blocks of one to four vectors. A task copies its blocks
// as panels [ic][lane], which also takes strides and the gaps between images out of the inner loop; then each
// register tile of output channels reads its weights in place and leaves its sums in place. Only blocks that
// cross the end of an image line take a detour through scratch.
#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tiles.h"

namespace striate {
namespace {

constexpr int64_t kPanelBytes = 512 * 1024;  // of one task: stay in L2
constexpr int64_t kLargestTask = 256;        // pixels
constexpr int64_t kReduction = 512;          // input channels in one go
constexpr int64_t kRowGroup = 96;            // output channels whose weights serve all blocks of a task
constexpr int64_t kLeastRows = 48;           // output channels of a task, so that packing stays cheap
constexpr int64_t kEnoughTasks = 16;
constexpr double kSmallTask = 1e6;  // multiply-adds
constexpr int64_t kFewPixels = 100;   // of an image

// Pixels that advance evenly in input and output: a row, or a whole image where rows follow each other.
struct Lines {
  int64_t length, count;  // of one image
  int64_t input_step, output_step;
  std::array<int64_t, 2> size;  // lines lie in a grid (d, h) of this size ...
  std::array<int64_t, 2> input_stride, output_stride;  // ... with these strides
};

template <class T>
Lines lines_of(const Correlation<T>& c) {
  Lines lines{c.axes[2].out, 1, c.axes[2].stride * c.input_stride[kW], c.output_stride[kW], {1, 1}, {}, {}};
  bool joined = true;
  for (const size_t axis : {size_t{1}, size_t{0}}) {
    const int64_t out = c.axes[axis].out;
    const int64_t input_stride = c.axes[axis].stride * c.input_stride[axis + 2];
    const int64_t output_stride = c.output_stride[axis + 2];
    joined = joined && (out == 1 || (input_stride == lines.length * lines.input_step &&
                                     output_stride == lines.length * lines.output_step));
    if (joined) {
      lines.length *= out;
    } else {
      lines.size[axis] = out;
      lines.input_stride[axis] = input_stride;
      lines.output_stride[axis] = output_stride;
      lines.count *= out;
    }
  }
  return lines;
}

struct Blocking {
  int64_t task_pixels, pixel_tasks;
  int64_t oc_chunk, oc_chunks;
};

template <class T>
Blocking choose_blocking(const Correlation<T>& c, int64_t pixels, const conv::Product<T>& kernel) {
  const auto size = static_cast<int64_t>(sizeof(T));
  const int64_t fitting = kPanelBytes / (c.ic * size) / kernel.block * kernel.block;
  Blocking b{std::clamp<int64_t>(fitting, kernel.block, kLargestTask), 0, c.oc, 0};
  const auto tasks = [&] { return c.g * ceil_div(pixels, b.task_pixels) * ceil_div(c.oc, b.oc_chunk); };
  const auto work = [&] { return static_cast<double>(b.task_pixels * b.oc_chunk) * static_cast<double>(c.ic); };
  while (tasks() < kEnoughTasks && work() > kSmallTask) {
    if (b.task_pixels > kernel.block && pixels > kernel.block)
      b.task_pixels = std::max<int64_t>(kernel.block, b.task_pixels / 2);
    else if (b.oc_chunk >= 2 * kLeastRows)
      b.oc_chunk = ceil_div(ceil_div(b.oc_chunk, 2), kernel.rows) * kernel.rows;
    else
      break;
  }
  b.task_pixels = ceil_div(even_piece(pixels, b.task_pixels), kernel.lanes) * kernel.lanes;
  b.pixel_tasks = ceil_div(pixels, b.task_pixels);
  b.oc_chunks = ceil_div(c.oc, b.oc_chunk);
  return b;
}

// Weights as rows [oc][ic]: in place, or transposed.
template <class T>
struct Rows {
  const T* data;
  int64_t row, group;
  Packed<T> form;
};

template <class T>
Rows<T> weight_rows(const Correlation<T>& c, const conv::Product<T>& kernel) {
  if ((c.weight_i == 1 || c.ic == 1) && c.weight_o >= 0 && c.weight_o * c.oc < (int64_t{1} << 31))
    return {c.weight, c.weight_o, c.weight_g, {}};
  const int64_t row = padded_count<T>(c.ic);
  constexpr int64_t kPiece = 64;
  const int64_t pieces = ceil_div(c.oc, kPiece), tasks = c.g * pieces;
  const auto key = form_key<T>(WeightForm::rows, std::span(&c, 1), &kernel);
  Rows<T> rows{nullptr, row, row * c.oc, packed<T>(c.packed, key, row * c.oc * c.g, [&](T* to) {
    parallel_for(tasks, workers_for(tasks, static_cast<double>(c.g * c.oc * c.ic)), FpMode::exact,
                 [&](int64_t task, int) {
      const int64_t group = task / pieces, first = task % pieces * kPiece;
      kernel.move({.from = c.weight + group * c.weight_g + first * c.weight_o,
                   .from_row = c.weight_o,
                   .from_column = c.weight_i,
                   .rows = static_cast<int>(std::min(kPiece, c.oc - first)),
                   .columns = static_cast<int>(c.ic),
                   .to = to + (group * c.oc + first) * row,
                   .to_row = row,
                   .to_column = 1});
    });
  })};
  rows.data = rows.form.get();
  return rows;
}

// Lanes [0, width) of a task's panels, beginning at pixel `first`.
struct PixelBlock {
  int64_t first;
  int pixels, width;  // width: whole vectors
  int64_t panel;      // offset in the panels
  int first_piece, pieces;  // runs of one line
  bool direct;  // sums go straight to the output
};

template <class T>
class Pointwise {
 public:
  Pointwise(const Correlation<T>& c, const conv::Product<T>& kernel)
      : c_(c),
        kernel_(kernel),
        lines_(lines_of(c)),
        image_pixels_(lines_.length * lines_.count),
        pixels_(c.n * image_pixels_),
        b_(choose_blocking(c, pixels_, kernel)),
        weight_(weight_rows(c, kernel)),
        row_offset_(std::min(b_.oc_chunk, kRowGroup)),
        direct_row_(row_offset_count()),
        scratch_row_(row_offset_count()) {
    for (int64_t r = 0; r < row_offset_count(); ++r) {
      row_offset_.get()[r] = static_cast<int32_t>(r * weight_.row);
      direct_row_.get()[r] = r * c.output_stride[kC];
      scratch_row_.get()[r] = r * kernel.block;
    }
  }

  int64_t tasks() const { return c_.g * b_.pixel_tasks * b_.oc_chunks; }

  struct Workspace {
    Scratch<T> panels, sums;
    std::vector<PixelBlock> blocks;
    std::vector<conv::PanelPiece> input;  // from the image to the panels
    std::vector<int64_t> output;          // where each of them goes
  };
  Workspace make_workspace() const {
    Workspace ws;
    ws.panels = Scratch<T>(b_.task_pixels * c_.ic);
    const int64_t blocks = ceil_div(b_.task_pixels, kernel_.block);
    ws.sums = Scratch<T>(blocks * kernel_.block * row_offset_count());
    ws.blocks.reserve(static_cast<size_t>(blocks));
    ws.input.reserve(static_cast<size_t>(b_.task_pixels));
    ws.output.reserve(static_cast<size_t>(b_.task_pixels));
    return ws;
  }

  // noexcept in effect: all memory is there.
  void run(int64_t task, Workspace& ws) const {
    // Chunks of output channels outside, pixels inside: neighbouring tasks share weights.
    const int64_t pixel_task = task % b_.pixel_tasks;
    const int64_t chunk = task / b_.pixel_tasks % b_.oc_chunks;
    const int64_t group = task / b_.pixel_tasks / b_.oc_chunks;
    const int64_t first = pixel_task * b_.task_pixels;
    cut(first, std::min(b_.task_pixels, pixels_ - first), ws);
    pack(group, ws);

    const int64_t begin = chunk * b_.oc_chunk, end = std::min(c_.oc, begin + b_.oc_chunk);
    const int64_t largest = even_piece(end - begin, row_offset_count());
    for (int64_t oc = begin; oc < end; oc += largest)
      for (int64_t ic = 0; ic < c_.ic; ic += reduction())
        for (const PixelBlock& block : ws.blocks)
          multiply(block, group, oc, std::min(largest, end - oc), ic, ws);
  }

 private:
  int64_t row_offset_count() const { return std::min(b_.oc_chunk, kRowGroup); }
  int64_t reduction() const { return even_piece(c_.ic, kReduction); }

  void cut(int64_t first, int64_t pixels, Workspace& ws) const {
    ws.blocks.clear();
    ws.input.clear();
    ws.output.clear();
    const int64_t vectors = ceil_div(pixels, kernel_.lanes);
    const int64_t count = ceil_div(pixels, kernel_.block);
    int64_t lane = 0;  // of the task
    for (int64_t i = 0; i < count; ++i) {
      const int64_t width = (vectors * (i + 1) / count - vectors * i / count) * kernel_.lanes;
      const int64_t used = std::min(width, pixels - lane);
      PixelBlock block{first + lane, static_cast<int>(used), static_cast<int>(width), lane * c_.ic,
                       static_cast<int>(ws.input.size()), 0, false};
      for (int64_t at = 0; at < used;) {
        const int64_t pixel = block.first + at;
        const int64_t image = pixel / image_pixels_, line = pixel % image_pixels_ / lines_.length;
        const int64_t x = pixel % lines_.length;
        const int64_t h = line % lines_.size[1], d = line / lines_.size[1];
        const int64_t length = std::min(used - at, lines_.length - x);
        ws.input.push_back({image * c_.input_stride[kN] + d * lines_.input_stride[0] +
                                h * lines_.input_stride[1] + x * lines_.input_step,
                            block.panel + at, static_cast<int>(length), block.width});
        ws.output.push_back(image * c_.output_stride[kN] + d * lines_.output_stride[0] +
                            h * lines_.output_stride[1] + x * lines_.output_step);
        at += length;
        ++block.pieces;
      }
      block.direct = block.pieces == 1 && lines_.output_step == 1;
      ws.blocks.push_back(block);
      lane += width;
    }
  }

  void pack(int64_t group, Workspace& ws) const {
    kernel_.panels({.from = c_.input + group * c_.ic * c_.input_stride[kC],
                    .from_row = c_.input_stride[kC],
                    .step = lines_.input_step,
                    .rows = static_cast<int>(c_.ic),
                    .piece = ws.input.data(),
                    .pieces = static_cast<int>(ws.input.size()),
                    .to = ws.panels.get()});
    // Lanes beyond the last pixel are never read back, but must not start out as garbage.
    const PixelBlock& last = ws.blocks.back();
    if (last.pixels == last.width) return;
    T* panel = ws.panels.get() + last.panel;
    for (int64_t k = 0; k < c_.ic; ++k)
      std::fill(panel + k * last.width + last.pixels, panel + (k + 1) * last.width, T(0));
  }

  void multiply(const PixelBlock& block, int64_t group, int64_t oc, int64_t rows, int64_t ic,
                Workspace& ws) const {
    const int64_t channel = group * c_.oc + oc;
    const int64_t count = std::min(reduction(), c_.ic - ic);
    const auto index = static_cast<int64_t>(&block - ws.blocks.data());
    T* sums = ws.sums.get() + index * kernel_.block * row_offset_count();
    T* output = c_.output + channel * c_.output_stride[kC];
    const int64_t* to = ws.output.data() + block.first_piece;
    kernel_.multiply({.a = weight_.data + group * weight_.group + oc * weight_.row + ic,
                      .row_offset = row_offset_.get(),
                      .rows = static_cast<int>(rows),
                      .a_is_far = false,
                      .a_tap = nullptr,
                      .b = ws.panels.get() + block.panel + ic * block.width,
                      .b_step = block.width,
                      .b_tap = nullptr,
                      .b_block_stride = 0,
                      .b_last_step = block.width,
                      .lanes = block.pixels,
                      .taps = 1,
                      .run = static_cast<int>(count),
                      .c = block.direct ? output + to[0] : sums,
                      .c_row = block.direct ? direct_row_.get() : scratch_row_.get(),
                      .c_block_stride = 0,
                      .bias = c_.bias ? c_.bias + channel : nullptr,
                      .bias_of = c_.bias ? conv::BiasOf::row : conv::BiasOf::none,
                      .accumulate = ic > 0});
    if (block.direct || ic + count < c_.ic) return;
    const conv::PanelPiece* piece = ws.input.data() + block.first_piece;
    for (int i = 0; i < block.pieces; ++i)
      kernel_.move({.from = sums + (piece[i].to - block.panel),
                    .from_row = kernel_.block,
                    .from_column = 1,
                    .rows = static_cast<int>(rows),
                    .columns = piece[i].count,
                    .to = output + to[i],
                    .to_row = c_.output_stride[kC],
                    .to_column = lines_.output_step});
  }

  const Correlation<T>& c_;
  const conv::Product<T>& kernel_;
  Lines lines_;
  int64_t image_pixels_, pixels_;
  Blocking b_;
  Rows<T> weight_;
  Scratch<int32_t> row_offset_;
  Scratch<int64_t> direct_row_, scratch_row_;
};

}  // namespace

template <class T>
bool is_pointwise(const Correlation<T>& c) {
  if (c.taps() != 1 || (c.ic > 1 ? c.input_stride[kC] : c.output_stride[kC]) == 1) return false;
  // Weights that must be transposed to be rows are lanes as they lie, and few pixels would not pay for it.
  const int64_t pixels = c.axes[0].out * c.axes[1].out * c.axes[2].out;
  if (c.weight_o == 1 && c.weight_i != 1 && c.ic > 1 && pixels <= kFewPixels) return false;
  for (const CorrelationAxis& a : c.axes)
    if (a.pad > 0 || (a.out - 1) * a.stride - a.pad >= a.in) return false;
  return true;
}

template <class T>
void correlate_pointwise(const Correlation<T>& correlation, const conv::Product<T>& kernel) {
  Correlation<T> c = correlation;
  for (size_t i = 0; i < 3; ++i) c.input -= c.axes[i].pad * c.input_stride[i + 2];
  const Pointwise<T> product(c, kernel);
  const int workers = workers_for(product.tasks(), c.macs() / kMacsPerInstruction);
  std::vector<typename Pointwise<T>::Workspace> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(product.make_workspace());
  parallel_for(product.tasks(), workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    product.run(task, workspaces[static_cast<size_t>(worker)]);
  });
}

template bool is_pointwise(const Correlation<float>&);
template bool is_pointwise(const Correlation<double>&);
template void correlate_pointwise(const Correlation<float>&, const conv::Product<float>&);
template void correlate_pointwise(const Correlation<double>&, const conv::Product<double>&);

}  // namespace striate
