// The gradient of a maximum from the taps that won, for training: a byte an output is read instead of eight, and
// since the windows are known, every pixel of the result is written once.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "base/scratch.h"
#include "kernels/pool/reference.h"
#include "ops/pool.h"
#include "ops/pool_lines.h"

namespace striate {
namespace {

enum class Algorithm : uint8_t { squares, channels, runs, threes, scatter, planes, reference };

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

bool all_dense(std::initializer_list<const TensorView*> views) {
  return std::all_of(views.begin(), views.end(), [](const TensorView* view) { return dense_end(*view); });
}

bool all_channels_last(std::initializer_list<const TensorView*> views) {
  return std::all_of(views.begin(), views.end(),
                     [](const TensorView* view) { return read_format(*view).format == MemoryFormat::channels_last; });
}

bool windows_cover_all(const PoolProblem& p) {
  return std::all_of(p.axis.begin(), p.axis.end(), [](const PoolAxis& a) { return a.out * a.stride == a.in; });
}

std::string squares_decline(const PoolProblem& p, const TensorView& taps, const TensorView& grad,
                            const TensorView& result) {
  if (!is_square(p) || p.axis[0].out < p.axis[0].in) return "windows are not squares side by side";
  if (all_dense({&taps, &grad, &result})) return {};
  if (!all_channels_last({&taps, &grad, &result})) return "arrays are not dense";
  return windows_cover_all(p) ? "" : "windows leave out a row or column";
}

// How far the windows lie that see a pixel, if rows and planes follow each other.
int64_t reach_of_windows(const PoolProblem& p) {
  int64_t reach = 0;
  for (const PoolAxis& axis : p.axis) reach = reach * axis.in + std::max(axis.pad, axis.kernel - 1 - axis.pad);
  return reach;
}

std::string runs_decline(const PoolProblem& p, const TensorView& taps, const TensorView& grad,
                         const TensorView& result) {
  for (const PoolAxis& axis : p.axis)
    if (axis.stride != 1 || axis.out != axis.in) return "windows are not as many as pixels";
  if (!all_dense({&taps, &grad, &result})) return "arrays are not dense in C order";
  if (reach_of_windows(p) > 2 * pool::kRunPixels) return "windows of a pixel lie far apart";
  return any_declines(p);
}

std::string scatter_declines(const PoolProblem& p, const TensorView&, const TensorView&, const TensorView&) {
  constexpr int64_t longest = 16, fewest = 8;
  if (p.axis[2].out > longest) return "rows fill vectors";
  if (p.n * p.c < fewest) return "few images and channels";
  return any_declines(p);
}

std::string channels_decline(const PoolProblem& p, const TensorView& taps, const TensorView& grad,
                             const TensorView& result) {
  if (p.c < 2 || taps.stride[kC] != 1 || grad.stride[kC] != 1 || result.stride[kC] != 1)
    return "channels are not neighbours in memory";
  return any_declines(p);
}

std::string threes_decline(const PoolProblem& p, const TensorView& taps, const TensorView& grad,
                           const TensorView& result) {
  constexpr int64_t largest = 16384;  // windows in a plane: scratch stays in the second cache
  const PoolAxis &d = p.axis[0], &h = p.axis[1], &w = p.axis[2];
  const auto three = [](const PoolAxis& axis) { return axis.kernel == 3 && axis.stride == 2 && axis.dilation == 1; };
  if (!three(h) || !three(w) || h.pad != w.pad || h.pad > 1 || d.kernel > 1 || d.stride > 1 || d.out != d.in)
    return "windows are not 3 x 3 at every second pixel";
  if (!all_dense({&taps, &grad, &result})) return "arrays are not dense in C order";
  if (h.out * w.out > largest) return "planes are large";
  return {};
}

constexpr PlanRow<Algorithm, const PoolProblem&, const TensorView&, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::squares, "squares", squares_decline},     // a pixel has one window; lanes are windows or channels
    {Algorithm::channels, "channels", channels_decline},  // lanes are channels
    {Algorithm::runs, "runs", runs_decline},              // lanes are pixels of all rows and planes
    {Algorithm::threes, "threes", threes_decline},        // the same of each plane, every second pixel
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
  const Scratch<T> rows((a.rows_size + row) * workers);
  const Scratch<T> winners(a.rows_size * workers);
  const Scratch<int32_t> table(starts * workers);
  parallel_near(blocks, workers, FpMode::exact, Walk::forwards, [&](int64_t block, int worker) {
    pool::WinnersArgs<T> mine = a;
    mine.rows = rows.get() + worker * (a.rows_size + row);
    mine.row = mine.rows + a.rows_size;
    mine.winners = winners.get() + worker * a.rows_size;
    mine.start = table.get() + worker * starts;
    kernel(mine, lines * block / blocks, lines * (block + 1) / blocks);
  });
}

template <class T>
void run_scatter(const PoolProblem& p, const pool::WinnersArgs<T>& a, double work) {
  const int64_t images = p.n * p.c, blocks = line_blocks(images, work);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_scatter_table));
  parallel_near(blocks, workers_for(blocks, work), FpMode::exact, Walk::forwards, [&](int64_t block, int) {
    kernel(a, images * block / blocks, images * (block + 1) / blocks);
  });
}

template <class T>
void run_channels(const PoolProblem& p, const pool::WinnersArgs<T>& a, double work) {
  constexpr int64_t fewest = 64;  // channels in a task: whole cache lines and full vectors
  const int64_t lines = p.n * p.axis[0].in * p.axis[1].in;
  const int64_t blocks = line_blocks(lines, work), wanted = line_blocks(lines * p.c, work);
  const int64_t parts = std::clamp<int64_t>(wanted / blocks, 1, (p.c + fewest - 1) / fewest);
  const int64_t width = ((p.c + parts - 1) / parts + fewest - 1) / fewest * fewest;
  const int64_t tasks = blocks * ((p.c + width - 1) / width);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_winners_table)).channels;
  parallel_near(tasks, workers_for(tasks, work), FpMode::exact, Walk::forwards, [&](int64_t task, int) {
    const int64_t block = task % blocks, c = task / blocks * width;
    kernel(a, lines * block / blocks, lines * (block + 1) / blocks, c, std::min(c + width, p.c));
  });
}

template <class T>
void run_squares(const PoolProblem& p, const TensorView& taps, const TensorView& grad, const TensorView& result) {
  pool::SquaresArgs<T> a = squares_args<T>(p, grad, result);
  a.tap = taps.as<uint8_t>();
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_squares_table));
  const bool planes = all_dense({&taps, &grad, &result});
  const int64_t row = planes ? a.columns : a.columns * a.channels;
  const auto squares = planes ? kernel.max : kernel.max_channels;
  move_lines(grad.size() / row, result.size(), FpMode::exact,
             [&](int64_t begin, int64_t end) { squares(a, begin, end); });
}

template <class T>
void run_threes(const PoolProblem& p, const TensorView& taps, const TensorView& grad, const TensorView& result,
                double work) {
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  const pool::ThreesArgs<T> a = {.grad = grad.as<T>(),
                                 .tap = taps.as<uint8_t>(),
                                 .out = result.as<T>(),
                                 .windows = grad.size(),
                                 .rows = h.out,
                                 .columns = w.out,
                                 .height = h.in,
                                 .width = w.in,
                                 .pad = h.pad,
                                 .grads = nullptr,
                                 .winners = nullptr};
  const int64_t planes = grad.size() / (h.out * w.out), blocks = line_blocks(planes, work);
  const int64_t size = padded_count<T>((h.out + 2) * (w.out + 2) + pool::kRunMargin);
  const int workers = workers_for(blocks, work);
  const Scratch<T> scratch(2 * size * workers);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_threes_table));
  parallel_near(blocks, workers, FpMode::exact, Walk::forwards, [&](int64_t block, int worker) {
    pool::ThreesArgs<T> mine = a;
    mine.grads = scratch.get() + 2 * size * worker;
    mine.winners = mine.grads + size;
    kernel(mine, planes * block / blocks, planes * (block + 1) / blocks);
  });
}

template <class T>
void run_runs(const PoolProblem& p, const TensorView& taps, const TensorView& grad, const TensorView& result,
              double work) {
  const PoolAxis &d = p.axis[0], &h = p.axis[1], &w = p.axis[2];
  std::array<int64_t, kMostTaps> offset{};
  std::array<int32_t, kMostTaps> number{};
  pool::WinnerRunArgs<T> a{};
  a.reach = reach_of_windows(p);
  for (int32_t tap = static_cast<int32_t>(p.taps()); tap-- > 0; ++a.asked) {  // windows from the first on
    const int64_t kd = tap / w.kernel / h.kernel, kh = tap / w.kernel % h.kernel, kw = tap % w.kernel;
    const auto i = static_cast<size_t>(a.asked);
    offset[i] = a.reach + ((d.pad - kd) * h.in + h.pad - kh) * w.in + w.pad - kw;
    number[i] = tap;
  }
  a.grad = grad.as<T>();
  a.tap = taps.as<uint8_t>();
  a.out = result.as<T>();
  a.size = result.size();
  a.offset = offset.data();
  a.number = number.data();
  const int64_t blocks = line_blocks(a.size, work), size = pool::kRunPixels + 2 * a.reach + pool::kRunMargin;
  const int workers = workers_for(blocks, work);
  const Scratch<T> scratch(2 * size * workers);
  const auto kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_winner_runs_table));
  parallel_near(blocks, workers, FpMode::exact, Walk::forwards, [&](int64_t block, int worker) {
    pool::WinnerRunArgs<T> mine = a;
    mine.rows = scratch.get() + 2 * size * worker;
    mine.winners = mine.rows + size;
    kernel(mine, a.size * block / blocks, a.size * (block + 1) / blocks);
  });
}

template <class T>
void run(const PoolProblem& p, const TensorView& taps, const TensorView& grad, const TensorView& result,
         const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, p, taps, grad, result);
  if (algorithm == Algorithm::reference) return pool::reference_max_taps_grad<T>(p, taps, grad, result);
  if (algorithm == Algorithm::squares) return run_squares<T>(p, taps, grad, result);
  const double work = std::max(work_of(p), static_cast<double>(result.size()));
  if (algorithm == Algorithm::runs) return run_runs<T>(p, taps, grad, result, work);
  if (algorithm == Algorithm::threes) return run_threes<T>(p, taps, grad, result, work);
  const PoolTables covers = cover_tables(p);
  const auto a = winners_args<T>(p, taps, grad, result, covers);
  if (algorithm == Algorithm::channels)
    run_channels(p, a, work);
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
