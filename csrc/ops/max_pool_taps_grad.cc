// The gradient of a maximum from the taps that won, for training: a byte an output is read instead of eight, and
// since the windows are known, every pixel of the result is written once.
#include <algorithm>
#include <initializer_list>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "kernels/pool/reference.h"
#include "ops/pool.h"
#include "ops/pool_lines.h"

namespace striate {
namespace {

enum class Algorithm : uint8_t { channels, scatter, planes, reference };

std::string any_declines(const PoolProblem& p) {
  for (const PoolAxis& axis : p.axis)
    if (axis.dilation > 1) return "windows have holes";
  if (p.taps() > kMostTaps) return concat("kernels of more than ", kMostTaps, " taps");
  return {};
}

std::string far_declines(const PoolProblem& p) {
  constexpr int64_t farthest = 64;  // each remainder modulo the strides has its table
  if (p.axis[1].stride > farthest || p.axis[2].stride > farthest) return "windows are far apart";
  return any_declines(p);
}

std::string planes_decline(const PoolProblem& p, const TensorView&, const TensorView&, const TensorView&) {
  return far_declines(p);
}

std::string scatter_declines(const PoolProblem& p, const TensorView&, const TensorView&, const TensorView&) {
  constexpr int64_t longest = 16, fewest = 8;
  if (p.axis[2].out > longest) return "rows fill vectors";
  if (is_square(p)) return "windows are squares apart";
  if (p.n * p.c < fewest) return "few images and channels";
  return any_declines(p);
}

std::string channels_decline(const PoolProblem& p, const TensorView& taps, const TensorView& grad,
                             const TensorView& result) {
  if (p.c < 2 || taps.stride[kC] != 1 || grad.stride[kC] != 1 || result.stride[kC] != 1)
    return "channels are not neighbours in memory";
  return any_declines(p);
}

constexpr PlanRow<Algorithm, const PoolProblem&, const TensorView&, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::channels, "channels", channels_decline},  // lanes are channels
    {Algorithm::scatter, "scatter", scatter_declines},    // no lanes, for short rows
    {Algorithm::planes, "planes", planes_decline},        // lanes are pixels; any strides
    {Algorithm::reference, "reference", nullptr},
};

constexpr const char* kOp = "gradient of max pooling";

template <class T>
pool::WinnersArgs<T> winners_args(const PoolProblem& p, const TensorView& taps, const TensorView& grad,
                                  const TensorView& result, const PoolTables& covers) {
  pool::WinnersArgs<T> a{};
  a.grad = grad.as<T>();
  a.tap = taps.as<uint8_t>();
  a.out = result.as<T>();
  for (size_t i = 0; i < 5; ++i) {
    a.grad_stride[i] = grad.stride[i];
    a.tap_stride[i] = taps.stride[i];
    a.out_stride[i] = result.stride[i];
  }
  a.c = p.c;
  for (size_t i = 0; i < 3; ++i) {
    const PoolAxis& axis = p.axis[i];
    a.axis[i] = {axis.in, axis.out, axis.kernel, axis.stride, 1, covers[i].data()};
    a.pad[i] = axis.pad;
  }
  return a;
}

// How many windows see one position at most.
int64_t seen_by(const PoolAxis& axis) {
  return std::min((axis.kernel + axis.stride - 1) / axis.stride, axis.out);
}

template <class T>
void run_planes(const PoolProblem& p, pool::WinnersArgs<T> a, const TensorView& taps, const TensorView& grad,
                const TensorView& result, double work) {
  constexpr int64_t vector = 64 / sizeof(T), elements = 4096;  // of scratch that stay in the nearest cache
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  const auto end_of = [](const TensorView& view) {
    return view.stride[kW] == 1 ? dense_end(view) : nullptr;
  };
  a.grad_end = static_cast<const T*>(end_of(grad));
  a.tap_end = static_cast<const uint8_t*>(end_of(taps));
  a.out_is_dense = end_of(result) != nullptr;
  a.squares = is_square(p) && taps.stride[kW] == 1 && grad.stride[kW] == 1 && result.stride[kW] == 1;
  a.margin = padded_count<T>((w.kernel + w.stride - 1) / w.stride);
  a.pitch = a.margin + padded_count<T>(std::max(w.out, (w.in + w.pad) / w.stride) + 2 * vector);
  const int64_t depth = seen_by(p.axis[0]), before = (h.kernel - 1) / h.stride + 1;
  a.together = std::clamp<int64_t>((elements / (depth * a.pitch) - before) * h.stride, h.stride, h.in);
  a.most_rows = a.together / h.stride + 1 + before;
  a.rows_size = depth * a.most_rows * a.pitch;
  const int64_t row = padded_count<T>(w.in), starts = padded_count<int32_t>(h.stride * w.stride + 1);
  const int64_t lines = p.n * p.c * p.axis[0].in * h.in;
  const int64_t blocks = line_blocks(lines, work);
  const int workers = workers_for(blocks, work);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_winners_table)).planes;
  if (a.squares) {
    parallel_for(blocks, workers, FpMode::exact, [&](int64_t block, int) {
      kernel(a, lines * block / blocks, lines * (block + 1) / blocks);
    });
    return;
  }
  const Scratch<T> rows((a.rows_size + row) * workers);
  const Scratch<T> winners(a.rows_size * workers);
  const Scratch<int32_t> table(starts * workers);
  parallel_for(blocks, workers, FpMode::exact, [&](int64_t block, int worker) {
    pool::WinnersArgs<T> mine = a;
    mine.rows = rows.get() + worker * (a.rows_size + row);
    mine.row = mine.rows + a.rows_size;
    mine.winners = winners.get() + worker * a.rows_size;
    mine.start = table.get() + worker * starts;
    kernel(mine, lines * block / blocks, lines * (block + 1) / blocks);
  });
}

bool all_channels_last(std::initializer_list<const TensorView*> views) {
  return std::all_of(views.begin(), views.end(),
                     [](const TensorView* view) { return read_format(*view).format == MemoryFormat::channels_last; });
}

template <class T>
void run_scatter(const PoolProblem& p, const pool::WinnersArgs<T>& a, double work) {
  const int64_t images = p.n * p.c, blocks = line_blocks(images, work);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_scatter_table));
  parallel_for(blocks, workers_for(blocks, work), FpMode::exact, [&](int64_t block, int) {
    kernel(a, images * block / blocks, images * (block + 1) / blocks);
  });
}

template <class T>
void run_channels(const PoolProblem& p, pool::WinnersArgs<T> a, bool dense, double work) {
  constexpr int64_t fewest = 64;  // channels in a task: whole cache lines and full vectors
  a.seamless = dense && is_square(p);
  for (const PoolAxis& axis : p.axis) a.seamless &= axis.out * axis.stride == axis.in;
  const int64_t lines = p.n * p.axis[0].in * p.axis[1].in;
  const int64_t blocks = line_blocks(lines, work), wanted = line_blocks(lines * p.c, work);
  const int64_t parts = a.seamless ? 1 : std::clamp<int64_t>(wanted / blocks, 1, (p.c + fewest - 1) / fewest);
  const int64_t width = ((p.c + parts - 1) / parts + fewest - 1) / fewest * fewest;
  const int64_t tasks = blocks * ((p.c + width - 1) / width);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_winners_table)).channels;
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    const int64_t block = task % blocks, c = task / blocks * width;
    kernel(a, lines * block / blocks, lines * (block + 1) / blocks, c, std::min(c + width, p.c));
  });
}

template <class T>
void run(const PoolProblem& p, const TensorView& taps, const TensorView& grad, const TensorView& result,
         const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, p, taps, grad, result);
  if (algorithm == Algorithm::reference) return pool::reference_max_taps_grad<T>(p, taps, grad, result);
  const PoolTables covers = cover_tables(p);
  const auto a = winners_args<T>(p, taps, grad, result, covers);
  const double work = std::max(work_of(p), static_cast<double>(result.size()));
  if (algorithm == Algorithm::channels)
    run_channels(p, a, all_channels_last({&taps, &grad, &result}), work);
  else if (algorithm == Algorithm::scatter)
    run_scatter(p, a, work);
  else
    run_planes(p, a, taps, grad, result, work);
}

}  // namespace

Plan plan_max_pool_taps_grad(const PoolProblem& problem, const TensorView& taps, const TensorView& grad_output,
                             const TensorView& grad_input, const char* force) {
  return explain(kOp, kRows, force, problem, taps, grad_output, grad_input);
}

bool taps_serve(const PoolProblem& problem) { return far_declines(problem).empty(); }

void max_pool_taps_grad(const PoolProblem& p, const TensorView& taps, const TensorView& grad_output,
                        const TensorView& grad_input, const char* force) {
  if (grad_input.size() == 0) return;
  if (p.dtype == DType::f32)
    run<float>(p, taps, grad_output, grad_input, force);
  else
    run<double>(p, taps, grad_output, grad_input, force);
}

}  // namespace striate
