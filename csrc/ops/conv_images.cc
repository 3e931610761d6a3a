// Correlation with the images of a batch as lanes: for many small images of few channels, where neither channels nor
// the pixels of a row fill vectors, and where the padding is a large part of what the windows see.
//
//      images [n][element]  -- transposed -->  slab [element][image]
//      sums [output channel][image] of one pixel = weights [output channel][tap, ic] * slab [tap, ic][image]
//      sums [element][image] of all pixels  -- transposed -->  results [n][element]
//
// All lanes are at the same pixel, so taps on the padding are left out, for each pixel its own. Weights must be finite.
//
// A task is (lanes full of images, group, depth, band of rows). It transposes what the band sees, and in the end the
// band's sums; between them lie ic * taps multiply-adds an element.
#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_reach.h"
#include "ops/conv_tiles.h"
#include "ops/conv_weight_rows.h"

namespace striate {
namespace {

constexpr int64_t kVectors = 2;             // of images: the register tile has 6 or 9 rows then
constexpr int64_t kTaskBytes = 384 * 1024;  // slab and sums stay in L2
constexpr int64_t kEnoughTasks = 4;         // a band transposes rows that its neighbours see, too
constexpr int64_t kLongest = 1024;          // sides of images that are asked about further

// What is told from the shapes, in vectors multiplied and added.
constexpr double kMove = 2.2;         // an element transposed
constexpr double kOtherShare = 0.85;  // of the registers' speed, that the other drivers reach
constexpr double kNarrowSum = 24;     // multiply-adds lost a sum by tiles of a single vector
constexpr double kPixelSum = 8;       // and by rows of pixels
constexpr double kClearly = 0.9;      // of the others' time

// Positions that outputs [first, end) reach.
struct Span {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};
Span span_of(const CorrelationAxis& a, int64_t first, int64_t end) {
  Span span{a.in, 0};
  for (int64_t x = first; x < end; ++x) {
    const Reach r = reach_of(a, x);
    if (r.taps == 0) continue;
    span.begin = std::min(span.begin, r.position);
    span.end = std::max(span.end, r.position + (r.taps - 1) * a.dilation + 1);
  }
  return span.begin < span.end ? span : Span{0, 0};
}

// Taps inside the input, of all outputs of one channel together.
double taps_inside(const CorrelationAxes& axes) {
  double all = 1;
  for (const CorrelationAxis& a : axes) {
    int64_t taps = 0;
    for (int64_t x = 0; x < a.out; ++x) taps += reach_of(a, x).taps;
    all *= static_cast<double>(taps);
  }
  return all;
}

// A part of images (c, d, h, w), dense, with lanes full of images an element.
struct Block {
  std::array<int64_t, 4> count, step;
  int64_t elements() const { return count[0] * count[1] * count[2] * count[3]; }
};
Block block_of(const std::array<int64_t, 4>& count, bool channels_inside) {
  Block b{count, {}};
  int64_t step = 1;
  for (const size_t i : channels_inside ? std::array<size_t, 4>{0, 3, 2, 1} : std::array<size_t, 4>{3, 2, 1, 0}) {
    b.step[i] = step;
    step *= count[i];
  }
  return b;
}

// A run of neighbours in memory, and where they lie in a block.
struct Run {
  int64_t offset, step;       // in memory: of the first, and to the next
  int64_t element, elements;  // in the block, likewise
  int64_t length;
};

// Calls `visit` for runs that cover the block, as long as memory has them.
template <class Visit>
void walk(const Block& b, const std::array<int64_t, 5>& stride, Visit visit) {
  std::array<size_t, 4> axis{0, 1, 2, 3};
  std::sort(axis.begin(), axis.end(), [&](size_t x, size_t y) {
    if ((b.count[x] == 1) != (b.count[y] == 1)) return b.count[x] == 1;
    return std::abs(stride[x + 1]) < std::abs(stride[y + 1]);
  });
  size_t inner = 0;
  while (inner < 3 && b.count[axis[inner]] == 1) ++inner;
  Run run{0, stride[axis[inner] + 1], 0, b.step[axis[inner]], b.count[axis[inner]]};
  for (++inner; inner < 4; ++inner) {
    const size_t i = axis[inner];
    if (stride[i + 1] != run.length * run.step || b.step[i] != run.length * run.elements) break;
    run.length *= b.count[i];
  }
  std::array<int64_t, 4> at{};
  for (;;) {
    run.offset = run.element = 0;
    for (size_t i = inner; i < 4; ++i) {
      run.offset += at[i] * stride[axis[i] + 1];
      run.element += at[i] * b.step[axis[i]];
    }
    visit(run);
    size_t i = inner;
    for (; i < 4 && ++at[i] == b.count[axis[i]]; ++i) at[i] = 0;
    if (i == 4) return;
  }
}

struct Cut {
  int64_t rows, bands;
  int64_t slab, sums;  // elements of an image, at most
};
template <class T>
Cut cut(const Correlation<T>& c, int64_t lanes) {
  const auto& [d, h, w] = c.axes;
  const auto at_most = [&](int64_t rows) {
    Cut cut{rows, ceil_div(h.out, rows), 0, c.oc * rows * w.out};
    int64_t depths = 0, lines = 0;
    for (int64_t x = 0; x < d.out; ++x) depths = std::max(depths, span_of(d, x, x + 1).count());
    for (int64_t x = 0; x < h.out; x += rows) lines = std::max(lines, span_of(h, x, std::min(x + rows, h.out)).count());
    cut.slab = c.ic * depths * lines * w.in;
    return cut;
  };
  const int64_t others = ceil_div(c.n, lanes) * c.g * d.out;
  Cut found = at_most(even_piece(h.out, std::max<int64_t>(1, h.out / ceil_div(kEnoughTasks, others))));
  while (found.rows > 1 && (found.slab + found.sums) * lanes * static_cast<int64_t>(sizeof(T)) > kTaskBytes)
    found = at_most(even_piece(h.out, found.rows / 2));
  return found;
}

template <class T>
class Images {
 public:
  Images(const Correlation<T>& c, const conv::Product<T>& kernel)
      : c_(c),
        kernel_(kernel),
        lanes_(kVectors * kernel.lanes),
        cut_(cut(c, lanes_)),
        weight_(c, kernel),
        channels_inside_(weight_.channels_run() || c.input_stride[kC] == 1) {
    for (size_t i = 0; i < 3; ++i)
      for (int64_t x = 0; x < c.axes[i].out; ++x) reach_[i].push_back(reach_of(c.axes[i], x));
  }

  bool weights_finite() const { return weight_.finite(); }

  struct Workspace {
    Scratch<T> slab, sums;
    Scratch<int32_t> weight_tap, slab_tap;
    Scratch<int64_t> sum_row;
  };
  Workspace make_workspace() const {
    const int64_t taps = weight_.channels_run() ? c_.taps() : c_.ic * c_.taps();
    Workspace ws{Scratch<T>(cut_.slab * lanes_), Scratch<T>(cut_.sums * lanes_), Scratch<int32_t>(taps),
                 Scratch<int32_t>(taps), Scratch<int64_t>(c_.oc)};
    // Lanes without an image are multiplied too.
    if (c_.n % lanes_ != 0) std::fill_n(ws.slab.get(), cut_.slab * lanes_, T(0));
    return ws;
  }

  int64_t tasks() const { return ceil_div(c_.n, lanes_) * c_.g * c_.axes[0].out * cut_.bands; }
  void run(int64_t task, Workspace& ws) const {
    const int64_t band = task % cut_.bands, depth = task / cut_.bands % c_.axes[0].out;
    const int64_t group = task / cut_.bands / c_.axes[0].out % c_.g;
    const int64_t image = task / cut_.bands / c_.axes[0].out / c_.g * lanes_;
    const int64_t images = std::min(lanes_, c_.n - image);
    const int64_t row = band * cut_.rows, rows = std::min(cut_.rows, c_.axes[1].out - row);

    const Span d = span_of(c_.axes[0], depth, depth + 1), h = span_of(c_.axes[1], row, row + rows);
    const auto& in = c_.input_stride;
    const Block slab = block_of({c_.ic, d.count(), h.count(), c_.axes[2].in}, channels_inside_);
    if (slab.elements() > 0) {
      const T* from = c_.input + image * in[kN] + group * c_.ic * in[kC] + d.begin * in[kD] + h.begin * in[kH];
      walk(slab, in, [&](const Run& run) {
        kernel_.move({.from = from + run.offset,
                      .from_row = in[kN],
                      .from_column = run.step,
                      .rows = static_cast<int>(images),
                      .columns = static_cast<int>(run.length),
                      .to = ws.slab.get() + run.element * lanes_,
                      .to_row = 1,
                      .to_column = run.elements * lanes_});
      });
    }

    const Block sums = block_of({c_.oc, 1, rows, c_.axes[2].out}, true);
    for (int64_t r = 0; r < c_.oc; ++r) ws.sum_row.get()[r] = r * sums.step[0] * lanes_;
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < c_.axes[2].out; ++x)
        multiply(group, {reach_[0][depth], reach_[1][row + y], reach_[2][x]}, {d.begin, h.begin, 0}, slab,
                 ws.sums.get() + (y * sums.step[2] + x * sums.step[3]) * lanes_, ws);

    const auto& out = c_.output_stride;
    T* to = c_.output + image * out[kN] + group * c_.oc * out[kC] + depth * out[kD] + row * out[kH];
    walk(sums, out, [&](const Run& run) {
      kernel_.move({.from = ws.sums.get() + run.element * lanes_,
                    .from_row = 1,
                    .from_column = run.elements * lanes_,
                    .rows = static_cast<int>(images),
                    .columns = static_cast<int>(run.length),
                    .to = to + run.offset,
                    .to_row = out[kN],
                    .to_column = run.step});
    });
    if (c_.epilogue.does_nothing()) return;
    for (int64_t n = 0; n < images; ++n)
      c_.epilogue.apply({.out = to + n * out[kN],
                         .position = {image + n, group * c_.oc, depth, row, 0},
                         .channel_step = 1,
                         .channels = c_.oc,
                         .rows = rows,
                         .cols = c_.axes[2].out},
                        out);
  }

 private:
  // All channels of one pixel. `origin` is the position at which the slab begins.
  void multiply(int64_t group, const std::array<Reach, 3>& reach, const std::array<int64_t, 3>& origin,
                const Block& slab, T* sums, Workspace& ws) const {
    const auto& [d, h, w] = reach;
    const CorrelationAxes& axes = c_.axes;
    const bool channels = weight_.channels_run();
    // With channels inside, the taps of a kernel row go on where channels end.
    const bool joined = channels && axes[2].dilation == 1;
    const int64_t outer = channels ? 1 : c_.ic, inner = channels && !joined ? w.taps : std::min<int64_t>(w.taps, 1);
    const int64_t weight_step = channels ? c_.ic : 1, channel_step = channels ? 1 : c_.taps();
    int64_t base = w.position * slab.step[3];
    for (size_t i = 0; i < 2; ++i) base += (reach[i].position - origin[i]) * slab.step[i + 1];
    int taps = 0;
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t kd = 0; kd < d.taps; ++kd)
        for (int64_t kh = 0; kh < h.taps; ++kh)
          for (int64_t kw = 0; kw < inner; ++kw, ++taps) {
            const int64_t tap = ((d.tap + kd) * axes[1].taps + h.tap + kh) * axes[2].taps + w.tap + kw;
            const int64_t at = base + i * slab.step[0] + kd * axes[0].dilation * slab.step[1] +
                               kh * axes[1].dilation * slab.step[2] + kw * axes[2].dilation * slab.step[3];
            ws.weight_tap.get()[taps] = static_cast<int32_t>(i * channel_step + tap * weight_step);
            ws.slab_tap.get()[taps] = static_cast<int32_t>(at * lanes_);
          }
    const int64_t step = (channels ? slab.step[0] : axes[2].dilation * slab.step[3]) * lanes_;
    kernel_.multiply({.a = weight_.get(group * c_.oc),
                      .row_offset = weight_.offsets(),
                      .rows = static_cast<int>(c_.oc),
                      .a_is_far = false,
                      .a_tap = ws.weight_tap.get(),
                      .b = ws.slab.get(),
                      .b_step = step,
                      .b_tap = ws.slab_tap.get(),
                      .b_block_stride = 0,
                      .b_last_step = step,
                      .lanes = static_cast<int>(lanes_),
                      .taps = taps,
                      .run = static_cast<int>(!channels ? w.taps : joined ? w.taps * c_.ic : c_.ic),
                      .c = sums,
                      .c_row = ws.sum_row.get(),
                      .c_block_stride = 0,
                      .bias = c_.bias ? c_.bias + group * c_.oc : nullptr,
                      .bias_of = c_.bias ? conv::BiasOf::row : conv::BiasOf::none,
                      .accumulate = false});
  }

  const Correlation<T>& c_;
  const conv::Product<T>& kernel_;
  int64_t lanes_;
  Cut cut_;
  WeightRows<T> weight_;
  bool channels_inside_;  // of the slab
  std::array<std::vector<Reach>, 3> reach_;
};

// The part of the lanes that work.
double lane_share(int64_t used, int64_t lanes) {
  return static_cast<double>(used) / static_cast<double>(ceil_div(used, lanes) * lanes);
}

}  // namespace

template <class T>
bool suits_images(const Correlation<T>& c, const conv::Product<T>& kernel) {
  const int64_t lanes = kVectors * kernel.lanes;
  if (c.n < lanes / 2 || c.oc * c.ic * c.taps() >= int64_t{1} << 22) return false;
  for (const CorrelationAxis& a : c.axes)
    if (std::max(a.in, a.out) > kLongest) return false;
  const double inside = taps_inside(c.axes), sums = c.macs() / static_cast<double>(c.n * c.g * c.ic * c.oc);
  // For one image, at their best: the drivers whose lanes are channels, and pixels.
  const auto products = static_cast<double>(c.g * c.oc * c.ic) / static_cast<double>(kernel.lanes);
  const auto length = static_cast<double>(c.ic * c.taps());
  const double narrow = c.oc <= kernel.lanes ? 1 + kNarrowSum / length : 1;
  const double channels = products * sums / kOtherShare / lane_share(c.oc, kernel.lanes) * narrow;
  double pixels = products * sums / kOtherShare / lane_share(c.axes[2].out, kernel.lanes) * (1 + kPixelSum / length);
  if (c.output_stride[kW] != 1) pixels += kMove * sums / static_cast<double>(c.taps()) * static_cast<double>(c.g * c.oc);
  const double others = std::min(channels, pixels);
  // Fewer than eight sums do not hide the latency of the multiply-add.
  const double busy = std::min(1.0, static_cast<double>(kVectors * c.oc) / 8);
  if (products * inside / lane_share(c.n, lanes) / busy > kClearly * others) return false;

  const Cut pieces = cut(c, lanes);
  if ((pieces.slab + pieces.sums) * lanes * static_cast<int64_t>(sizeof(T)) > kTaskBytes) return false;
  const auto moved = static_cast<double>((pieces.slab + pieces.sums) * pieces.bands * c.g * c.axes[0].out);
  return (products * inside / busy + kMove * moved) / lane_share(c.n, lanes) < kClearly * others;
}

template <class T>
void correlate_images(const Correlation<T>& c, const conv::Kernel<T>& packer, const conv::Product<T>& kernel) {
  const Images<T> images(c, kernel);
  if (!images.weights_finite()) return correlate_tiles(std::span(&c, 1), packer, kernel);
  const int workers = workers_for(images.tasks(), c.macs() / kMacsPerInstruction);
  std::vector<typename Images<T>::Workspace> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(images.make_workspace());
  parallel_for(images.tasks(), workers, FpMode::flush_denormals,
               [&](int64_t task, int worker) { images.run(task, workspaces[static_cast<size_t>(worker)]); });
}

template bool suits_images(const Correlation<float>&, const conv::Product<float>&);
template bool suits_images(const Correlation<double>&, const conv::Product<double>&);
template void correlate_images(const Correlation<float>&, const conv::Kernel<float>&, const conv::Product<float>&);
template void correlate_images(const Correlation<double>&, const conv::Kernel<double>&, const conv::Product<double>&);

}  // namespace striate
