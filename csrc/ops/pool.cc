#include "ops/pool.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "kernels/pool/pool.h"
#include "kernels/pool/reference.h"
#include "ops/pool_tables.h"

namespace striate {
namespace {

// ---- the plan ---------------------------------------------------------------------------------------

enum class Algorithm : uint8_t { channels, planes, reference };

// Kernels keep the place of a tap, relative to the window's first, in 32 bits.
std::string reach_declines(const PoolProblem& p) {
  double reach = 0;
  for (const PoolAxis& axis : p.axis)
    reach = reach * static_cast<double>(axis.in) + static_cast<double>((axis.kernel - 1) * axis.dilation);
  if (reach >= 0x7fffffff) return concat("a window that reaches over ", reach, " elements");
  return {};
}

std::string channels_decline(const PoolProblem& p, const TensorView& input, const TensorView& output) {
  if (p.c < 2 || input.stride[kC] != 1) return "channels are not neighbours in memory";
  // Without columns, any array of one pixel an image seems to have neighbouring channels.
  if (input.shape[kW] == 1 && output.stride[kC] != 1)
    return "channels of the result are not neighbours in memory";
  return reach_declines(p);
}

std::string planes_decline(const PoolProblem& p, const TensorView&, const TensorView&) {
  return reach_declines(p);
}

constexpr PlanRow<Algorithm, const PoolProblem&, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::channels, "channels", channels_decline},  // lanes are channels
    {Algorithm::planes, "planes", planes_decline},        // lanes are pixels; any strides
    {Algorithm::reference, "reference", nullptr},
};

constexpr const char* kOp = "pooling";

// Columns in the middle whose windows have all their taps.
void set_inner(std::span<const pool::Window> windows, int64_t kernel, int64_t& begin, int64_t& end) {
  const auto whole = [&](const pool::Window& w) { return w.taps == kernel; };
  const auto first = std::find_if(windows.begin(), windows.end(), whole);
  begin = first - windows.begin();
  end = std::find_if_not(first, windows.end(), whole) - windows.begin();
}

// ---- drivers ----------------------------------------------------------------------------------------

constexpr double kTaskWork = 32e3;  // taps; some ten microseconds

template <class T>
const pool::PlanesKernel<T>& planes_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_planes_table));
}

template <class T>
const pool::ChannelsKernel<T>& channels_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_channels_table));
}

template <class T>
const pool::SpreadKernel<T>& spread_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_spread_table));
}

int64_t blocks_of(int64_t lines, double work) {
  return std::clamp<int64_t>(static_cast<int64_t>(work / kTaskWork), 1, lines);
}

// Calls body(begin, end, worker) for even blocks of lines.
template <class Body>
void for_line_blocks(int64_t lines, int64_t blocks, int workers, Body body) {
  parallel_for(blocks, workers, FpMode::exact, [&](int64_t block, int worker) {
    body(lines * block / blocks, lines * (block + 1) / blocks, worker);
  });
}

// Scratch for the ring of padded rows, where it is worth its copies: rows so short that their ends matter,
// a ring that stays in the cache.
template <class T>
class PaddedRows {
 public:
  PaddedRows(const pool::ForwardArgs<T>& a, int workers) {
    constexpr int64_t kLongestRow = 1024, kLargestRing = 32768;
    const pool::Axis& w = a.axis[2];
    const auto reach = [](const pool::Axis& axis) { return (axis.kernel - 1) * axis.dilation + 1; };
    const bool many_ends = (a.inner_end - a.inner_begin) * 8 < w.out * 7;
    if (!many_ends || a.runs || w.stride > 4 || w.out > kLongestRow || w.in > 4 * kLongestRow ||
        reach(w) > kLongestRow)
      return;
    ring_[0] = std::min(reach(a.axis[0]), a.axis[0].in);
    ring_[1] = std::min(reach(a.axis[1]), a.axis[1].in);
    pitch_ = padded_count<T>(w.out + 2 * static_cast<int64_t>(64 / sizeof(T)) + (reach(w) - 1) / w.stride);
    if (ring_[0] * ring_[1] * w.stride * pitch_ > kLargestRing) return;
    size_ = ring_[0] * ring_[1] * w.stride * pitch_;
    places_ = padded_count<int64_t>(2 * ring_[0] * ring_[1]);
    rows_ = Scratch<T>(size_ * workers);
    table_ = Scratch<int64_t>(places_ * workers);
  }
  pool::ForwardArgs<T> for_worker(const pool::ForwardArgs<T>& args, int worker) const {
    pool::ForwardArgs<T> a = args;
    if (size_ == 0) return a;
    a.rows = rows_.get() + worker * size_;
    a.rows_size = size_;
    a.row_key = table_.get() + worker * places_;
    a.row_place = a.row_key + ring_[0] * ring_[1];
    a.ring[0] = ring_[0];
    a.ring[1] = ring_[1];
    a.pitch = pitch_;
    return a;
  }

 private:
  int64_t ring_[2] = {1, 1}, pitch_ = 0, size_ = 0, places_ = 0;
  Scratch<T> rows_;
  Scratch<int64_t> table_;
};

template <class T, class Planes>
void run_planes(const pool::ForwardArgs<T>& a, double work, Planes planes) {
  const int64_t lines = a.n * a.c * a.axis[0].out * a.axis[1].out;
  const int64_t blocks = blocks_of(lines, work);
  const int workers = workers_for(blocks, work);
  const PaddedRows<T> rows(a, workers);
  for_line_blocks(lines, blocks, workers, [&](int64_t begin, int64_t end, int worker) {
    planes(rows.for_worker(a, worker), begin, end);
  });
}

template <class T, class Channels>
void run_channels(const pool::ForwardArgs<T>& a, double work, Channels channels) {
  constexpr int64_t fewest = 64;  // channels in a task: whole cache lines and full vectors
  const int64_t lines = a.n * a.axis[0].out * a.axis[1].out;
  const int64_t wanted = std::max<int64_t>(static_cast<int64_t>(work / kTaskWork), 1);
  const int64_t line_blocks = std::min(lines, wanted);
  const int64_t channel_blocks = std::clamp<int64_t>(wanted / line_blocks, 1, (a.c + fewest - 1) / fewest);
  const int64_t width = (a.c / channel_blocks + fewest - 1) / fewest * fewest;
  const int64_t parts = (a.c + width - 1) / width;
  const int64_t tasks = line_blocks * parts;
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    const int64_t block = task / parts, c = task % parts * width;
    channels(a, lines * block / line_blocks, lines * (block + 1) / line_blocks, c,
             std::min(c + width, a.c));
  });
}

template <class T>
pool::ForwardArgs<T> forward_args(const PoolProblem& p, const TensorView& input, const TensorView& output,
                                  const TensorView* indices, const PoolTables& tables) {
  pool::ForwardArgs<T> a{};
  a.in = input.as<T>();
  a.out = output.as<T>();
  a.at = indices ? indices->as<int64_t>() : nullptr;
  for (size_t i = 0; i < 5; ++i) {
    a.in_stride[i] = input.stride[i];
    a.out_stride[i] = output.stride[i];
    if (indices) a.at_stride[i] = indices->stride[i];
  }
  a.n = p.n;
  a.c = p.c;
  for (size_t i = 0; i < 3; ++i) {
    const PoolAxis& axis = p.axis[i];
    a.axis[i] = {axis.in, axis.out, axis.kernel, axis.stride, axis.dilation, tables[i].data()};
  }
  set_inner({tables[2].data(), static_cast<size_t>(p.axis[2].out)}, p.axis[2].kernel, a.inner_begin,
            a.inner_end);
  const PoolAxis& w = p.axis[2];
  a.runs = input.stride[kW] == 1 && w.dilation == 1 && w.kernel >= 16 && (w.out < 8 || w.stride > 2);
  a.divisor = static_cast<T>(p.divisor);
  a.pad = w.pad;
  return a;
}

double work_of(const PoolProblem& p) {
  double work = static_cast<double>(p.n) * static_cast<double>(p.c);
  for (const PoolAxis& axis : p.axis)
    work *= static_cast<double>(axis.out) * static_cast<double>(std::min(axis.kernel, axis.in));
  return work;
}

template <class T>
void run_max(const PoolProblem& problem, TensorView input, const TensorView& output,
             const TensorView* indices, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, problem, input, output);
  if (algorithm == Algorithm::reference)
    return pool::reference_max<T>(problem, input, output, indices);
  const PoolProblem p = fold_global(problem, input);
  const PoolTables tables = window_tables(p);
  const auto a = forward_args<T>(p, input, output, indices, tables);
  if (algorithm == Algorithm::channels)
    run_channels(a, work_of(p), channels_kernel<T>().max);
  else
    run_planes(a, work_of(p), planes_kernel<T>().max);
}

template <class T>
void run_mean(const PoolProblem& problem, TensorView input, const TensorView& output, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, problem, input, output);
  if (algorithm == Algorithm::reference) return pool::reference_mean<T>(problem, input, output);
  const PoolProblem p = fold_global(problem, input);
  const PoolTables tables = window_tables(p);
  auto a = forward_args<T>(p, input, output, nullptr, tables);
  a.divisor = static_cast<T>(common_divisor(p, tables));
  if (algorithm == Algorithm::channels)
    run_channels(a, work_of(p), channels_kernel<T>().mean);
  else
    run_planes(a, work_of(p), planes_kernel<T>().mean);
}

// ---- gradient of a mean ---------------------------------------------------------------------------------

// grad divided by each window's count, in dense memory of the same format.
template <class T>
TensorView divide(const TensorView& grad, const PoolTables& tables, T* memory) {
  TensorView shares = grad;
  shares.data = memory;
  set_dense_strides(shares, grad.stride[kC] == 1 ? MemoryFormat::channels_last : MemoryFormat::contiguous);
  const int64_t channels = grad.shape[kC];
  const int64_t rows = grad.shape[kN] * grad.shape[kD] * grad.shape[kH];
  parallel_for(rows, workers_for(rows, static_cast<double>(grad.size())), FpMode::exact,
               [&](int64_t row, int) {
                 const int64_t h = row % grad.shape[kH], d = row / grad.shape[kH] % grad.shape[kD];
                 const int64_t n = row / grad.shape[kH] / grad.shape[kD];
                 const auto start = [&](const TensorView& view) {
                   return view.as<T>() + n * view.stride[kN] + d * view.stride[kD] + h * view.stride[kH];
                 };
                 const T* from = start(grad);
                 T* to = start(shares);
                 const int64_t lines = int64_t{tables[0][static_cast<size_t>(d)].count} *
                                       tables[1][static_cast<size_t>(h)].count;
                 const auto share = [&](int64_t c, int64_t w) {
                   const auto count = static_cast<T>(lines * tables[2][static_cast<size_t>(w)].count);
                   to[c * shares.stride[kC] + w * shares.stride[kW]] =
                       from[c * grad.stride[kC] + w * grad.stride[kW]] / count;
                 };
                 if (grad.stride[kC] == 1) {
                   for (int64_t w = 0; w < grad.shape[kW]; ++w)
                     for (int64_t c = 0; c < channels; ++c) share(c, w);
                 } else {
                   for (int64_t c = 0; c < channels; ++c)
                     for (int64_t w = 0; w < grad.shape[kW]; ++w) share(c, w);
                 }
               });
  return shares;
}

template <class T>
void spread(const PoolProblem& p, const TensorView& grad, const TensorView& grad_input, T divisor,
            const PoolTables& windows, const PoolTables& covers) {
  pool::SpreadArgs<T> a{};
  a.grad = grad.as<T>();
  a.out = grad_input.as<T>();
  for (size_t i = 0; i < 5; ++i) {
    a.grad_stride[i] = grad.stride[i];
    a.out_stride[i] = grad_input.stride[i];
  }
  a.c = p.c;
  for (size_t i = 0; i < 3; ++i)
    a.axis[i] = {p.axis[i].in, p.axis[i].out, p.axis[i].kernel, p.axis[i].stride, 1,
                 i < 2 ? covers[i].data() : windows[i].data()};
  a.pad = p.axis[2].pad;
  a.divisor = divisor;
  const int64_t lines = p.n * p.c * p.axis[0].in * p.axis[1].in;
  const double work = static_cast<double>(lines) * static_cast<double>(p.axis[2].in);
  const int64_t blocks = blocks_of(lines, work);
  const int workers = workers_for(blocks, work);
  const int64_t sums = padded_count<T>(a.axis[2].out + 2 * (pool::kSpreadMargin + a.axis[2].kernel));
  const int64_t size = sums + padded_count<T>(a.axis[2].in);
  const Scratch<T> scratch(size * workers);
  for_line_blocks(lines, blocks, workers, [&](int64_t begin, int64_t end, int worker) {
    pool::SpreadArgs<T> mine = a;
    mine.sums = scratch.get() + worker * size;
    mine.row = mine.sums + sums;
    spread_kernel<T>().spread(mine, begin, end);
  });
}

template <class T>
void run_mean_grad(const PoolProblem& problem, const TensorView& grad_output, TensorView grad_input,
                   const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, problem, grad_output, grad_input);
  if (algorithm == Algorithm::reference)
    return pool::reference_mean_grad<T>(problem, grad_output, grad_input);
  const PoolProblem p = fold_global(problem, grad_input);
  const PoolTables windows = window_tables(p);
  const PoolTables covers = cover_tables(p);
  const int64_t common = common_divisor(p, windows);
  const Scratch<T> scaled(common == 0 ? grad_output.size() : 0);
  const TensorView grad = common == 0 ? divide(grad_output, windows, scaled.get()) : grad_output;
  const T divisor = common == 0 ? T(1) : static_cast<T>(common);
  if (algorithm == Algorithm::planes && (p.axis[2].stride > 1 || p.axis[2].out < 8))
    return spread(p, grad, grad_input, divisor, windows, covers);
  // Every input pixel sums over the window of outputs that see it.
  PoolProblem sums = p;
  for (size_t i = 0; i < 3; ++i) {
    std::swap(sums.axis[i].in, sums.axis[i].out);
    sums.axis[i].stride = 1;
    sums.axis[i].pad = p.axis[i].kernel - 1 - p.axis[i].pad;  // meant for stride 1
  }
  auto a = forward_args<T>(sums, grad, grad_input, nullptr, covers);
  a.runs = false;
  a.divisor = divisor;
  double work = work_of(p);
  work = std::max(work, static_cast<double>(grad_input.size()));
  if (algorithm == Algorithm::channels)
    run_channels(a, work, channels_kernel<T>().mean);
  else
    run_planes(a, work, planes_kernel<T>().mean);
}

}  // namespace

Plan plan_pool(const PoolProblem& problem, const TensorView& input, const TensorView& output,
               const char* force) {
  return explain(kOp, kRows, force, problem, input, output);
}

void max_pool_forward(const PoolProblem& p, const TensorView& input, const TensorView& output,
                      const TensorView* indices, const char* force) {
  if (output.size() == 0) return;
  if (p.dtype == DType::f32)
    run_max<float>(p, input, output, indices, force);
  else
    run_max<double>(p, input, output, indices, force);
}

void avg_pool_forward(const PoolProblem& p, const TensorView& input, const TensorView& output,
                      const char* force) {
  if (output.size() == 0) return;
  if (p.dtype == DType::f32)
    run_mean<float>(p, input, output, force);
  else
    run_mean<double>(p, input, output, force);
}

void avg_pool_input_grad(const PoolProblem& p, const TensorView& grad_output, const TensorView& grad_input,
                         const char* force) {
  if (grad_input.size() == 0) return;
  if (p.dtype == DType::f32)
    run_mean_grad<float>(p, grad_output, grad_input, force);
  else
    run_mean_grad<double>(p, grad_output, grad_input, force);
}

}  // namespace striate
