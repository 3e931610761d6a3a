// Winograd's weight gradient in blocks of tiles: dW = G^T [sum over tiles of V . P] G.
//
// V, P and the sums dU of large layers do not fit caches together. Three ways through the work, by which of them
// moves least:
//
//   parts      few channels, many tiles: a task is a chunk of channels and a part of the tiles. It transforms
//              a block of them into its own V and P, multiplies, goes on to the next block; dU stays in L2. The
//              parts are added at the end.
//   points     many channels: with many chunks, each would transform the same tiles again. So all V and P of
//              a batch of tiles are made first, together; then a task is a point, all its chunks: it reads V and P
//              just once, and dU of one point is small.
//   chunks     many channels, few tiles: now dU is larger than V and P. They too are made first; then a task
//              is a chunk, all its points, so that dU need not leave L2 before it is transformed.
#include "ops/conv_winograd_grad.h"

#include <algorithm>
#include <bit>

#include "base/parallel.h"
#include "ops/conv_winograd_grad_steps.h"

namespace striate {
namespace {

using Steps = WinogradGradSteps;

constexpr int64_t kChunksByParts = 2;       // of a group, at most: each transforms all tiles by itself
constexpr int64_t kBlockTiles = 48;         // of a part: its V and P stay in L2 beside dU
constexpr int64_t kPartTiles = 192;         // parts of fewer cost more to add than to make ...
constexpr int64_t kTilesOfTwoParts = 48;    // ... but a second thread is worth it
constexpr int64_t kMostParts = 16;
constexpr int64_t kTilesByPoints = 192;
constexpr int64_t kBatchBytes = 24 << 20;   // of V and P together

// Slices of `count` chunks from `first` on.
void finish(const Steps& steps, int64_t first, int64_t count, const Scratch<float>& du, int64_t parts,
            std::vector<Steps::Workspace>& workspaces) {
  const int64_t slices = steps.slices();
  parallel_for(count * slices, static_cast<int>(workspaces.size()), FpMode::flush_denormals,
               [&](int64_t task, int worker) {
    steps.finish(steps.locate(first + task / slices), task % slices,
                 du.get() + task / slices * parts * steps.du_size(), parts, workspaces[static_cast<size_t>(worker)]);
  });
}

// ---- parts --------------------------------------------------------------------------------------------

// A power of two: threads mostly are, and so have equal shares.
int64_t parts_of(const Steps& steps) {
  const int64_t tiles = steps.tiling().tiles();
  const int64_t least = steps.chunks() == 1 && tiles >= kTilesOfTwoParts ? 2 : 1;
  const int64_t most = std::min(kMostParts, steps.tiling().windows);
  const int64_t parts = std::min(std::max(least, tiles / kPartTiles), most);
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(parts)));
}

void run_part(const Steps& steps, const Steps::Chunk& chunk, Span windows, int64_t block, Steps::Workspace& ws,
              float* du) {
  const WinogradTiling& tiling = steps.tiling();
  const Steps::Operand v = steps.v_operand(ws.v, block, 0), p = steps.p_operand(ws.p, block, 0);
  for (int64_t first = windows.begin, next = first; first < windows.end; first = next) {
    const int64_t before = tiling.tiles_before(first);
    for (; next < windows.end && tiling.tiles_before(next + 1) - before <= block; ++next) {
      const int64_t at = tiling.tiles_before(next) - before;
      steps.transform_input(chunk, next, ws, v, at);
      steps.transform_grad(chunk, next, ws, p, at);
    }
    steps.multiply(chunk, v, p, tiling.tiles_before(next) - before, du, first > windows.begin);
  }
}

void run_parts(const Steps& steps) {
  const WinogradTiling& tiling = steps.tiling();
  const int64_t block = std::max(kBlockTiles, tiling.window_tiles());
  const int64_t parts = parts_of(steps);
  const int64_t tasks = steps.chunks() * parts;
  const int workers = workers_for(tasks, steps.work());
  std::vector<Steps::Workspace> workspaces = steps.make_workspaces(workers, block, false);
  const Scratch<float> du(tasks * steps.du_size());
  parallel_for(tasks, workers, FpMode::flush_denormals, [&](int64_t task, int worker) {
    const int64_t part = task % parts;
    run_part(steps, steps.locate(task / parts), {tiling.windows * part / parts, tiling.windows * (part + 1) / parts},
             block, workspaces[static_cast<size_t>(worker)], du.get() + task * steps.du_size());
  });
  finish(steps, 0, steps.chunks(), du, parts, workspaces);
}

// ---- points, chunks -----------------------------------------------------------------------------------

// V and P of one group and a batch of tiles, all chunks of each.
class Batch {
 public:
  Batch(const Steps& steps, int64_t tiles)
      : steps_(steps),
        tiles_(tiles),
        v_(steps.ic_chunks() * steps.v_size(tiles)),
        p_(steps.oc_chunks() * steps.p_size(tiles)) {}

  void fill(int64_t group, Span windows, std::vector<Steps::Workspace>& workspaces) {
    const int64_t before = steps_.tiling().tiles_before(windows.begin);
    const int64_t operands = steps_.ic_chunks() + steps_.oc_chunks();
    parallel_for((windows.end - windows.begin) * operands, static_cast<int>(workspaces.size()),
                 FpMode::flush_denormals, [&](int64_t task, int worker) {
      Steps::Workspace& ws = workspaces[static_cast<size_t>(worker)];
      const int64_t window = windows.begin + task / operands, ic = task % operands, oc = ic - steps_.ic_chunks();
      const int64_t at = steps_.tiling().tiles_before(window) - before;
      if (oc < 0)
        steps_.transform_input(chunk(group, ic * steps_.oc_chunks()), window, ws, v(ic), at);
      else
        steps_.transform_grad(chunk(group, oc), window, ws, p(oc), at);
    });
    count_ = steps_.tiling().tiles_before(windows.end) - before;
  }

  // Chunk number `pair` of the group.
  Steps::Chunk chunk(int64_t group, int64_t pair) const {
    return steps_.locate(group * steps_.ic_chunks() * steps_.oc_chunks() + pair);
  }
  Steps::Operand v_of(int64_t pair) const { return v(pair / steps_.oc_chunks()); }
  Steps::Operand p_of(int64_t pair) const { return p(pair % steps_.oc_chunks()); }
  int64_t count() const { return count_; }  // of tiles

 private:
  Steps::Operand v(int64_t ic) const { return steps_.v_operand(v_, tiles_, ic); }
  Steps::Operand p(int64_t oc) const { return steps_.p_operand(p_, tiles_, oc); }

  const Steps& steps_;
  int64_t tiles_, count_ = 0;
  Scratch<float> v_, p_;
};

void run_points(const Steps& steps) {
  const WinogradTiling& tiling = steps.tiling();
  const int64_t pairs = steps.ic_chunks() * steps.oc_chunks();
  const int64_t size = steps.ic_chunks() * steps.v_size(tiling.window_tiles()) +
                       steps.oc_chunks() * steps.p_size(tiling.window_tiles());
  const int64_t windows = even_piece(tiling.windows, std::max<int64_t>(1, kBatchBytes / (size * 4)));
  const int workers = workers_for(steps.points(), steps.work());
  std::vector<Steps::Workspace> workspaces = steps.make_workspaces(workers, 0, false);
  Batch batch(steps, std::min(windows * tiling.window_tiles(), tiling.tiles()));
  const Scratch<float> du(pairs * steps.du_size());
  for (int64_t group = 0; group < steps.groups(); ++group) {
    for (int64_t first = 0; first < tiling.windows; first += windows) {
      batch.fill(group, {first, std::min(first + windows, tiling.windows)}, workspaces);
      parallel_for(steps.points(), workers, FpMode::flush_denormals, [&](int64_t point, int) {
        for (int64_t pair = 0; pair < pairs; ++pair) {
          const int64_t next = std::min(pair + 1, pairs - 1);
          steps.multiply(batch.chunk(group, pair), point, batch.v_of(pair), batch.p_of(pair), batch.count(),
                         du.get() + pair * steps.du_size(), first > 0, batch.v_of(next).at(point),
                         batch.p_of(next).at(point));
        }
      });
    }
    finish(steps, group * pairs, pairs, du, 1, workspaces);
  }
}

void run_chunks(const Steps& steps) {
  const int64_t pairs = steps.ic_chunks() * steps.oc_chunks();
  const int workers = workers_for(pairs, steps.work());
  std::vector<Steps::Workspace> workspaces = steps.make_workspaces(workers, 0, true);
  Batch batch(steps, steps.tiling().tiles());
  for (int64_t group = 0; group < steps.groups(); ++group) {
    batch.fill(group, {0, steps.tiling().windows}, workspaces);
    parallel_for(pairs, workers, FpMode::flush_denormals, [&](int64_t pair, int worker) {
      Steps::Workspace& ws = workspaces[static_cast<size_t>(worker)];
      const Steps::Chunk chunk = batch.chunk(group, pair);
      steps.multiply(chunk, batch.v_of(pair), batch.p_of(pair), batch.count(), ws.du.get(), false);
      for (int64_t slice = 0; slice < steps.slices(); ++slice) steps.finish(chunk, slice, ws.du.get(), 1, ws);
    });
  }
}

}  // namespace

void weight_grad_winograd(const ConvProblem& problem, conv::WinogradForm form, const TensorView& input,
                          const TensorView& grad_output, const TensorView& grad_weight,
                          const conv::Kernel<float>& tiles, const conv::WinogradGradKernel& kernel) {
  const Steps steps(problem, form, input, grad_output, grad_weight, tiles, kernel);
  if (steps.ic_chunks() * steps.oc_chunks() <= kChunksByParts)
    run_parts(steps);
  else if (steps.tiling().tiles() >= kTilesByPoints)
    run_points(steps);
  else
    run_chunks(steps);
}

}  // namespace striate
