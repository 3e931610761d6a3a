// Correlation by tiles, lanes are output channels. A task is (images, group, block of output pixels, chunk of output
// channels). For each block of input channels it packs the window its pixels see, adds to its sums, and puts the sums
// where they go.
//
// Where channels are neighbours in memory (channels-last), neither detour is taken: a window that does not touch the
// padding is read in place, and sums are made in place.
//
// The phases of a strided input gradient are correlations with the same input: one window serves them all, and their
// sums lie between each other as their pixels do, so that whole rows are stored.
//
// Small images leave few tiles and many chunks. Then slabs are packed once for all chunks; and if there is but one
// tile, each task packs the weights it meets just before it uses them, since nobody else will (unless they are kept
// packed for later calls, ops/packed_weights.h).
#include "ops/conv_tiles.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "base/scratch.h"
#include "ops/conv_tile_blocking.h"
#include "ops/conv_tile_weights.h"

namespace striate {

namespace {

constexpr int64_t kSharedSlabBytes = 64 << 20;

// Where the pixels and taps of a phase lie in what the tile reads: the image itself or the slab.
struct Places {
  std::array<int64_t, 3> pixel, tap;  // steps along d, h, w
  int64_t image;                      // step to the next image
  int64_t origin;                     // of the first pixel's first tap
};

// What one phase does in the tile at hand.
struct PhasePart {
  int64_t rows, cols;
  int64_t row_cols;  // with those of the phases it alternates with
  Places at;
  int64_t output;  // offset of its first pixel
};

// What one worker needs for its tasks, allocated before the parallel region.
template <class T>
struct Workspace {
  Workspace(const CorrelationAxes& axes, const TileBlocking& b, size_t phases, int64_t taps, int64_t slab_elements,
            int64_t sum_elements, int64_t weight_elements)
      : window(axes, b.grid, SlabOrder::channels_inside),
        slab(slab_elements),
        sums(sum_elements),
        weight(weight_elements),
        part(phases),
        pixel_offset(static_cast<int64_t>(phases) * b.tile_pixels()),
        tap_offset(taps),
        sum_offset(static_cast<int64_t>(phases) * b.tile_pixels()) {}
  Window window;
  Scratch<T> slab, sums, weight;
  std::vector<PhasePart> part;
  Scratch<int32_t> pixel_offset, tap_offset;  // of all phases, one after the other
  Scratch<int64_t> sum_offset;
};

template <class T>
class Tiles {
 public:
  Tiles(std::span<const Correlation<T>> phases, const conv::Kernel<T>& packer, const conv::Product<T>& kernel)
      : phases_(phases),
        c_(phases[0]),
        packer_(packer),
        kernel_(kernel),
        axes_(shared_axes(phases)),
        b_(block_tiles(phases, axes_, kernel)),
        sum_pitch_(std::min(b_.oc_chunk, ceil_div(c_.oc, kernel.lanes) * kernel.lanes) + 64 / sizeof(T)),
        image_slab_(padded_count<T>(slab_elements(axes_, b_.grid.rows, b_.grid.cols, b_.ic_block))),
        weight_(phases, kernel, b_),
        interleave_(interleave_phases(phases)) {
    const int64_t slabs = c_.g * b_.tiles() * b_.ic_blocks * image_slab_ * b_.images;
    const bool in_place = c_.input_stride[kC] == 1 && !sees_padding();
    if (!in_place && (b_.oc_chunks > 1 || b_.tiles() == 1) &&
        slabs <= kSharedSlabBytes / static_cast<int64_t>(sizeof(T)))
      shared_slab_ = Scratch<T>(slabs);
    weight_.pack_all(b_.tiles() == 1);
  }

  double macs() const {
    double macs = 0;
    for (const Correlation<T>& phase : phases_) macs += phase.macs();
    return macs;
  }

  Workspace<T> make_workspace() const {
    bool sums_needed = false;
    for (const Correlation<T>& phase : phases_) sums_needed = sums_needed || !stored_in_place(phase);
    const auto count = static_cast<int64_t>(phases_.size());
    return {axes_,
            b_,
            phases_.size(),
            weight_.taps(),
            shared_slab_.get() ? 0 : image_slab_ * b_.images,
            sums_needed ? count * b_.tile_pixels() * sum_pitch_ : 0,
            weight_.packed() ? 0 : weight_.slice_elements()};
  }

  // Slabs that several tasks share, one a task of this kind.
  int64_t slab_tasks() const { return shared_slab_.get() ? c_.g * b_.tiles() * b_.ic_blocks : 0; }
  void pack_shared(int64_t task, Workspace<T>& ws) const {
    const int64_t block = task % b_.ic_blocks, tile = task / b_.ic_blocks % b_.tiles();
    const Part part = part_of(task / b_.ic_blocks / b_.tiles(), tile, 0);
    ws.window.place(part.tile, b_.ic_block);
    if (!read_in_place(part, ws.window)) pack_slab(part, block * b_.ic_block, ws.window, shared_slab(part, block));
  }

  int64_t tasks() const { return b_.tiles() * c_.g * b_.oc_chunks; }
  void run(int64_t task, Workspace<T>& ws) const {
    // Channel chunks outside, pixels inside: neighbouring tasks share weights.
    const int64_t chunk = task / b_.tiles() % b_.oc_chunks;
    const Part part = part_of(task / b_.tiles() / b_.oc_chunks, task % b_.tiles(), chunk);
    ws.window.place(part.tile, b_.ic_block);
    const bool in_image = read_in_place(part, ws.window);
    for (size_t phase = 0; phase < phases_.size(); ++phase) lay_out(phase, part, in_image, ws);
    for (int64_t block = 0; block < b_.ic_blocks; ++block) {
      const int64_t ic = block * b_.ic_block;
      const T* from = in_image ? image(part, ic) : shared_slab_.get() ? shared_slab(part, block) : ws.slab.get();
      if (!in_image && !shared_slab_.get()) pack_slab(part, ic, ws.window, ws.slab.get());
      for (int64_t lane = 0; lane < part.channels; lane += b_.lane_block) multiply(part, lane, ic, from, in_image, ws);
    }
    for (size_t phase = 0; phase < phases_.size(); ++phase) finish(phase, part, ws);
  }

 private:
  struct Part {
    int64_t image, images, tile, number;  // tile: of its image; number: of all tiles and groups
    int64_t group, oc, channels;
  };

  Part part_of(int64_t group, int64_t tile, int64_t chunk) const {
    const int64_t image = tile / b_.grid.count() * b_.images;
    return {.image = image,
            .images = std::min(b_.images, c_.n - image),
            .tile = tile % b_.grid.count(),
            .number = group * b_.tiles() + tile,
            .group = group,
            .oc = chunk * b_.oc_chunk,
            .channels = std::min(b_.oc_chunk, c_.oc - chunk * b_.oc_chunk)};
  }

  bool sees_padding() const {
    for (const CorrelationAxis& a : axes_)
      if (a.pad > 0 || (a.out - 1) * a.stride + (a.taps - 1) * a.dilation - a.pad >= a.in) return true;
    return false;
  }
  bool read_in_place(const Part& part, const Window& window) const {
    return c_.input_stride[kC] == 1 && window.inside() && reach_fits(part.images, window);
  }
  static bool stored_in_place(const Correlation<T>& phase) { return phase.output_stride[kC] == 1; }

  // Offsets in the image have 32 bits.
  bool reach_fits(int64_t images, const Window& window) const {
    double reach = static_cast<double>(images) * static_cast<double>(std::abs(c_.input_stride[kN]));
    const int64_t extent[3] = {axes_[0].taps * axes_[0].dilation,
                               window.rows * axes_[1].stride + axes_[1].taps * axes_[1].dilation,
                               window.cols * axes_[2].stride + axes_[2].taps * axes_[2].dilation};
    for (size_t i = 0; i < 3; ++i)
      reach += static_cast<double>(extent[i]) * static_cast<double>(std::abs(c_.input_stride[i + 2]));
    return reach < 1e9;
  }

  const T* image(const Part& part, int64_t ic) const {
    return c_.input + part.image * c_.input_stride[kN] + (part.group * c_.ic + ic) * c_.input_stride[kC];
  }
  T* shared_slab(const Part& part, int64_t block) const {
    return shared_slab_.get() + (part.number * b_.ic_blocks + block) * image_slab_ * b_.images;
  }
  void pack_slab(const Part& part, int64_t ic, const Window& window, T* slab) const {
    const T* from = image(part, ic);
    for (int64_t i = 0; i < part.images; ++i)
      packer_.pack(window.pack_args(from + i * c_.input_stride[kN], c_.input_stride[kC], c_.input_stride,
                                    std::min(b_.ic_block, c_.ic - ic), slab + i * image_slab_));
  }

  Places places_in_image(const Correlation<T>& phase, const Window& window) const {
    Places places{{}, {}, c_.input_stride[kN], 0};
    const int64_t first[3] = {window.depth, window.row, window.col};
    for (size_t i = 0; i < 3; ++i) {
      const CorrelationAxis& a = phase.axes[i];
      places.pixel[i] = a.stride * c_.input_stride[i + 2];
      places.tap[i] = a.dilation * c_.input_stride[i + 2];
      places.origin += (first[i] * a.stride - a.pad) * c_.input_stride[i + 2];
    }
    return places;
  }

  Places places_in_slab(const Correlation<T>& phase, const Window& window) const {
    Places places{{}, {}, image_slab_, 0};
    const std::array<int64_t, 3> pitch = window.pitches();
    for (size_t i = 0; i < 3; ++i) {
      const CorrelationAxis& a = phase.axes[i];
      const SlabAxis slab = window.slab_axes()[i];
      const bool same = a.taps == axes_[i].taps && a.dilation == axes_[i].dilation;
      places.pixel[i] = slab.pixel_step * pitch[i];
      places.tap[i] = (same ? slab.tap_step : a.dilation) * pitch[i];
      places.origin += (axes_[i].pad - a.pad) * pitch[i];
    }
    return places;
  }

  // Sums of a phase: [image][row][column of all phases it alternates with][channel].
  T* sums(size_t phase, Workspace<T>& ws) const {
    return ws.sums.get() + static_cast<int64_t>(interleave_[phase].first) * b_.tile_pixels() * sum_pitch_;
  }
  // Tables of the pixels of one phase in this tile.
  void lay_out(size_t index, const Part& part, bool in_image, Workspace<T>& ws) const {
    const Correlation<T>& phase = phases_[index];
    const Window& window = ws.window;
    const auto& out = phase.output_stride;
    PhasePart& p = ws.part[index];
    const bool empty = window.depth >= phase.axes[0].out;
    p.rows = empty ? 0 : std::max<int64_t>(0, std::min(window.rows, phase.axes[1].out - window.row));
    p.cols = std::max<int64_t>(0, std::min(window.cols, phase.axes[2].out - window.col));
    p.at = in_image ? places_in_image(phase, window) : places_in_slab(phase, window);
    p.output = part.image * out[kN] + (part.group * c_.oc + part.oc) * out[kC] + window.depth * out[kD] +
               window.row * out[kH] + window.col * out[kW];

    const Interleave& with = interleave_[index];
    p.row_cols = 0;
    for (size_t i = with.first; i < with.first + static_cast<size_t>(with.count); ++i)
      p.row_cols += std::max<int64_t>(0, std::min(window.cols, phases_[i].axes[2].out - window.col));
    const bool direct = stored_in_place(phase);
    const int64_t sum_image = direct ? out[kN] : p.rows * p.row_cols * sum_pitch_;
    const int64_t sum_row = direct ? out[kH] : p.row_cols * sum_pitch_;
    const int64_t sum_col = direct ? out[kW] : with.count * sum_pitch_;
    const int64_t sum_first = direct ? 0 : with.index * sum_pitch_;
    int32_t* pixel_offset = ws.pixel_offset.get() + static_cast<int64_t>(index) * b_.tile_pixels();
    int64_t* sum_offset = ws.sum_offset.get() + static_cast<int64_t>(index) * b_.tile_pixels();
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t h = 0; h < p.rows; ++h)
        for (int64_t w = 0; w < p.cols; ++w) {
          *pixel_offset++ = static_cast<int32_t>(n * p.at.image + h * p.at.pixel[1] + w * p.at.pixel[2]);
          *sum_offset++ = sum_first + n * sum_image + h * sum_row + w * sum_col;
        }
  }

  // All phases' sums of one lane block of the chunk over one block of input channels.
  void multiply(const Part& part, int64_t lane, int64_t ic, const T* from, bool in_image, Workspace<T>& ws) const {
    const int64_t block = (part.oc + lane) / b_.lane_block;
    if (!weight_.packed()) weight_.pack(part.group, block, ic, ws.weight.get());
    const T* weight = weight_.packed() ? weight_.slice(part.group, block, ic) : ws.weight.get();
    const int64_t ic_count = std::min(b_.ic_block, c_.ic - ic), step = weight_.step(block);
    for (size_t index = 0; index < phases_.size(); ++index) {
      const Correlation<T>& phase = phases_[index];
      const PhasePart& p = ws.part[index];
      const int64_t channel = part.group * c_.oc + part.oc + lane;
      // Taps of a kernel row whose channels follow each other are one run.
      const int64_t run = p.at.tap[2] == ic_count ? phase.axes[2].taps : 1;
      int32_t* tap_offset = ws.tap_offset.get();
      int taps = 0;
      for (int64_t d = 0; d < phase.axes[0].taps; ++d)
        for (int64_t h = 0; h < phase.axes[1].taps; ++h)
          for (int64_t w = 0; w < phase.axes[2].taps; w += run)
            tap_offset[taps++] = static_cast<int32_t>(d * p.at.tap[0] + h * p.at.tap[1] + w * p.at.tap[2]);
      const int64_t table = static_cast<int64_t>(index) * b_.tile_pixels();
      kernel_.multiply({.a = from + p.at.origin,
                        .row_offset = ws.pixel_offset.get() + table,
                        .rows = static_cast<int>(part.images * p.rows * p.cols),
                        .a_is_far = in_image && (lane == 0 || taps > 1),  // a single tap's rows stay in L2
                        .a_tap = tap_offset,
                        .b = weight + weight_.first_tap(index) * ic_count * step,
                        .b_step = step,
                        .b_tap = nullptr,
                        .b_block_stride = 0,
                        .b_last_step = step,
                        .lanes = static_cast<int>(std::min(b_.lane_block, part.channels - lane)),
                        .taps = taps,
                        .run = static_cast<int>(run * ic_count),
                        .c = stored_in_place(phase) ? phase.output + p.output + lane : sums(index, ws) + lane,
                        .c_row = ws.sum_offset.get() + table,
                        .c_block_stride = 0,
                        .bias = phase.bias ? phase.bias + channel : nullptr,
                        .bias_of = phase.bias ? conv::BiasOf::lane : conv::BiasOf::none,
                        .accumulate = ic > 0});
    }
  }

  // The sums of a phase are complete.
  void finish(size_t index, const Part& part, Workspace<T>& ws) const {
    const Correlation<T>& phase = phases_[index];
    const PhasePart& p = ws.part[index];
    if (p.rows == 0 || p.cols == 0) return;
    if (!stored_in_place(phase) && interleave_[index].index == 0) store(index, part, ws);
    if (phase.epilogue.does_nothing()) return;
    for (int64_t n = 0; n < part.images; ++n)
      phase.epilogue.apply({.out = phase.output + p.output + n * phase.output_stride[kN],
                            .position = {part.image + n, part.group * c_.oc + part.oc, ws.window.depth,
                                         ws.window.row, ws.window.col},
                            .channel_step = 1,
                            .channels = part.channels,
                            .rows = p.rows,
                            .cols = p.cols},
                           phase.output_stride);
  }

  // Rows of all phases that alternate, of which `index` has the first column.
  void store(size_t index, const Part& part, Workspace<T>& ws) const {
    const Correlation<T>& phase = phases_[index];
    const PhasePart& p = ws.part[index];
    const auto& out = phase.output_stride;
    const int64_t columns = p.row_cols, step = out[kW] / interleave_[index].count;
    const bool joined = p.rows == 1 || out[kH] == columns * step;  // rows follow each other
    const int64_t lines = joined ? 1 : p.rows, length = joined ? p.rows * columns : columns;
    for (int64_t n = 0; n < part.images; ++n)
      for (int64_t line = 0; line < lines; ++line)
        kernel_.move({.from = sums(index, ws) + (n * lines + line) * length * sum_pitch_,
                      .from_row = sum_pitch_,
                      .from_column = 1,
                      .rows = static_cast<int>(length),
                      .columns = static_cast<int>(part.channels),
                      .to = phase.output + p.output + n * out[kN] + line * out[kH],
                      .to_row = step,
                      .to_column = out[kC]});
  }

  std::span<const Correlation<T>> phases_;
  const Correlation<T>& c_;  // what all phases share
  const conv::Kernel<T>& packer_;
  const conv::Product<T>& kernel_;
  CorrelationAxes axes_;
  TileBlocking b_;
  int64_t sum_pitch_, image_slab_;
  TileWeights<T> weight_;
  std::vector<Interleave> interleave_;  // of each phase
  Scratch<T> shared_slab_;              // [group][tile][channel block], or empty
};

}  // namespace

template <class T>
void correlate_tiles(std::span<const Correlation<T>> phases, const conv::Kernel<T>& packer,
                     const conv::Product<T>& kernel) {
  if (phases.size() == 1 && suits_pixels(phases[0], kernel)) return correlate_pixels(phases[0], packer, kernel);
  const Tiles<T> tiles(phases, packer, kernel);
  const int workers = workers_for(tiles.tasks(), tiles.macs() / kMacsPerInstruction);
  std::vector<Workspace<T>> workspaces;
  for (int i = 0; i < workers; ++i) workspaces.push_back(tiles.make_workspace());
  const auto workspace = [&](int worker) -> Workspace<T>& { return workspaces[static_cast<size_t>(worker)]; };
  if (tiles.slab_tasks() > 0)
    parallel_for(tiles.slab_tasks(), std::min<int>(workers, static_cast<int>(tiles.slab_tasks())), FpMode::exact,
                 [&](int64_t task, int worker) { tiles.pack_shared(task, workspace(worker)); });
  parallel_for(tiles.tasks(), workers, FpMode::flush_denormals,
               [&](int64_t task, int worker) { tiles.run(task, workspace(worker)); });
}

template void correlate_tiles(std::span<const Correlation<float>>, const conv::Kernel<float>&,
                              const conv::Product<float>&);
template void correlate_tiles(std::span<const Correlation<double>>, const conv::Kernel<double>&,
                              const conv::Product<double>&);

}  // namespace striate
