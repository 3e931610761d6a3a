// The gradient of a mean: every pixel sums the shares of the windows that see it. With stride 1, or channels in
// the lanes, that is itself a sum over windows, of grad_output; else shares are spread row by row.
#include <algorithm>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "base/scratch.h"
#include "kernels/pool/reference.h"
#include "ops/pool.h"
#include "ops/pool_lines.h"

namespace striate {
namespace {

enum class Algorithm : uint8_t { apart, channels, squares, fill, rows, planes, spread, reference };

// The pool of stride 1 over grad_output that the gradient is (its windows are cover_tables).
PoolProblem sums_of(const PoolProblem& p) {
  PoolProblem sums = p;
  for (size_t i = 0; i < 3; ++i) {
    std::swap(sums.axis[i].in, sums.axis[i].out);
    sums.axis[i].stride = 1;
    sums.axis[i].pad = p.axis[i].kernel - 1 - p.axis[i].pad;
  }
  if (p.axis[2].stride > 1) sums.axis[2].stride = 0;  // windows move as the tables tell, and no other way
  return sums;
}

std::string few_columns(const PoolProblem& p) {
  if (p.axis[2].stride > 1) return "windows move by more than a column";
  if (p.axis[2].out < 8) return "few windows in a row";
  return {};
}

std::string apart_declines(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  if (p.c < 2 || grad.stride[kC] != 1 || result.stride[kC] != 1) return "channels are not neighbours in memory";
  if (!are_apart(p)) return "windows overlap";
  return {};
}

std::string squares_decline(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  if (!is_square(p) || p.axis[0].out < p.axis[0].in) return "windows are not squares side by side";
  if (!dense_end(grad) || !dense_end(result)) return "arrays are not dense in C order";
  return {};
}

std::string fill_declines(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  for (const PoolAxis& axis : p.axis)
    if (axis.out != 1 || axis.pad != 0 || axis.kernel < axis.in) return "planes are not single windows";
  if (!dense_end(grad) || !dense_end(result)) return "arrays are not dense in C order";
  return {};
}

std::string grad_channels_decline(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  return channels_decline(p, grad, result, nullptr);
}

std::string grad_rows_decline(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  const std::string reason = few_columns(p);
  return reason.empty() ? rows_decline(sums_of(p), grad, result, nullptr) : reason;
}

std::string grad_planes_decline(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  const std::string reason = few_columns(p);
  return reason.empty() ? planes_decline(p, grad, result, nullptr) : reason;
}

constexpr PlanRow<Algorithm, const PoolProblem&, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::apart, "apart", apart_declines},               // lanes are channels; a pixel has one window
    {Algorithm::channels, "channels", grad_channels_decline},  // as pooling grad_output
    {Algorithm::squares, "squares", squares_decline},          // lanes are windows
    {Algorithm::fill, "fill", fill_declines},                  // one number a plane
    {Algorithm::rows, "rows", grad_rows_decline},
    {Algorithm::planes, "planes", grad_planes_decline},
    {Algorithm::spread, "spread", nullptr},  // lanes are pixels; any strides
    {Algorithm::reference, "reference", nullptr},
};

constexpr const char* kOp = "gradient of average pooling";

template <class T>
const pool::SpreadKernel<T>& spread_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_spread_table));
}

// grad divided by each window's count, in dense memory of the same format.
template <class T>
TensorView divide(const TensorView& grad, const PoolTables& tables, T* memory) {
  TensorView shares = grad;
  shares.data = memory;
  const bool channels_inside = grad.stride[kC] == 1 && grad.shape[kC] > 1;
  set_dense_strides(shares, channels_inside ? MemoryFormat::channels_last : MemoryFormat::contiguous);
  const int64_t channels = grad.shape[kC], columns = grad.shape[kW];
  const int64_t height = grad.shape[kH], depth = grad.shape[kD];
  const Scratch<T> counts(columns);
  for (int64_t w = 0; w < columns; ++w)
    counts.get()[w] = static_cast<T>(tables[2][static_cast<size_t>(w)].count);
  const auto kernel = spread_kernel<T>().divide;
  const double work = static_cast<double>(grad.size());
  const int64_t planes = grad.shape[kN] * (channels_inside ? 1 : channels), lines = planes * depth * height;
  const int64_t blocks = line_blocks(lines, work);
  parallel_near(blocks, workers_for(blocks, work), FpMode::flush_denormals, Walk::forwards, [&](int64_t block, int) {
    for (int64_t line = lines * block / blocks; line < lines * (block + 1) / blocks; ++line) {
      const int64_t h = line % height, d = line / height % depth, plane = line / height / depth;
      const int64_t n = channels_inside ? plane : plane / channels, c = channels_inside ? 0 : plane % channels;
      const auto at = [&](const TensorView& view, int64_t w) {
        return view.as<T>() + n * view.stride[kN] + c * view.stride[kC] + d * view.stride[kD] + h * view.stride[kH] +
               w * view.stride[kW];
      };
      const auto lines_counted = static_cast<T>(int64_t{tables[0][static_cast<size_t>(d)].count} *
                                                tables[1][static_cast<size_t>(h)].count);
      if (channels_inside)
        for (int64_t w = 0; w < columns; ++w)
          kernel(at(grad, w), grad.stride[kC], counts.get() + w, 0, lines_counted, channels, at(shares, w),
                 shares.stride[kC]);
      else
        kernel(at(grad, 0), grad.stride[kW], counts.get(), 1, lines_counted, columns, at(shares, 0),
               shares.stride[kW]);
    }
  });
  return shares;
}

template <class T>
pool::SpreadArgs<T> spread_args(const PoolProblem& p, const TensorView& grad, const TensorView& grad_input, T divisor,
                                const PoolTables& windows, const PoolTables& covers) {
  pool::SpreadArgs<T> a{};
  a.grad = grad.as<T>();
  a.out = grad_input.as<T>();
  a.grad_end = static_cast<const T*>(dense_end(grad));
  if (grad.stride[kW] != 1) a.grad_end = nullptr;
  a.out_is_dense = dense_end(grad_input) != nullptr && grad_input.stride[kW] == 1;
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
  a.factor = exact_inverse(divisor);
  return a;
}

template <class T>
void run_spread(const PoolProblem& p, const TensorView& grad, const TensorView& grad_input, T divisor,
                const PoolTables& windows, const PoolTables& covers) {
  const pool::SpreadArgs<T> a = spread_args<T>(p, grad, grad_input, divisor, windows, covers);
  const int64_t lines = p.n * p.c * p.axis[0].in * p.axis[1].in;
  const auto work = static_cast<double>(grad_input.size());
  const int64_t blocks = line_blocks(lines, work);
  const int workers = workers_for(blocks, work);
  const int64_t sums = padded_count<T>(a.axis[2].out + 2 * (pool::kSpreadMargin + a.axis[2].kernel));
  const int64_t size = sums + padded_count<T>(a.axis[2].in);
  const Scratch<T> scratch(size * workers);
  parallel_near(blocks, workers, FpMode::flush_denormals, Walk::forwards, [&](int64_t block, int worker) {
    pool::SpreadArgs<T> mine = a;
    mine.sums = scratch.get() + worker * size;
    mine.row = mine.sums + sums;
    spread_kernel<T>().spread(mine, lines * block / blocks, lines * (block + 1) / blocks);
  });
}

template <class T>
void run_apart(const PoolProblem& p, const TensorView& grad, const TensorView& grad_input, T divisor,
               const PoolTables& windows, const PoolTables& covers) {
  const pool::SpreadArgs<T> a = spread_args<T>(p, grad, grad_input, divisor, windows, covers);
  move_lines(p.n * p.axis[0].in * p.axis[1].in, grad_input.size(), FpMode::flush_denormals,
             [&](int64_t begin, int64_t end) { spread_kernel<T>().apart(a, begin, end); });
}

template <class T>
void run_squares(const PoolProblem& p, const TensorView& grad, const TensorView& grad_input, T divisor) {
  pool::SquaresArgs<T> a = squares_args<T>(p, grad, grad_input);
  a.divisor = divisor;
  a.factor = exact_inverse(divisor);
  const auto squares = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_squares_table)).mean;
  move_lines(grad.size() / p.axis[2].out, grad_input.size(), FpMode::flush_denormals,
             [&](int64_t begin, int64_t end) { squares(a, begin, end); });
}

template <class T>
void run_fill(const TensorView& grad, const TensorView& grad_input, T divisor) {
  const int64_t size = grad_input.size() / grad.size();
  move_lines(grad.size(), grad_input.size(), FpMode::flush_denormals, [&](int64_t begin, int64_t end) {
    spread_kernel<T>().fill(grad.as<T>() + begin, divisor, end - begin, size, grad_input.as<T>() + begin * size);
  });
}

template <class T>
void run(const PoolProblem& problem, const TensorView& grad_output, TensorView grad_input, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, problem, grad_output, grad_input);
  if (algorithm == Algorithm::reference)
    return pool::reference_mean_grad<T>(problem, grad_output, grad_input);
  if (algorithm == Algorithm::squares) {
    const int64_t count = problem.divisor != 0 ? problem.divisor : problem.taps();
    return run_squares(problem, grad_output, grad_input, static_cast<T>(count));
  }
  if (algorithm == Algorithm::fill) {
    const int64_t count = common_divisor(problem, window_tables(problem));  // of the only window
    return run_fill(grad_output, grad_input, static_cast<T>(count));
  }
  const PoolProblem p = fold_global(problem, grad_input);
  const PoolTables windows = window_tables(p);
  const PoolTables covers = cover_tables(p);
  const int64_t common = common_divisor(p, windows);
  const Scratch<T> scaled(common == 0 ? grad_output.size() : 0);
  const TensorView grad = common == 0 ? divide(grad_output, windows, scaled.get()) : grad_output;
  const T divisor = common == 0 ? T(1) : static_cast<T>(common);
  if (algorithm == Algorithm::apart) return run_apart(p, grad, grad_input, divisor, windows, covers);
  if (algorithm == Algorithm::spread) return run_spread(p, grad, grad_input, divisor, windows, covers);
  const PoolAlgorithm pooling = algorithm == Algorithm::channels ? PoolAlgorithm::channels
                                : algorithm == Algorithm::rows   ? PoolAlgorithm::rows
                                                                 : PoolAlgorithm::planes;
  const PoolProblem sums = sums_of(p);
  run_pool<T>(pooling, {sums, grad, grad_input, covers, PoolValue::mean, nullptr, divisor});
}

}  // namespace

Plan plan_avg_pool_input_grad(const PoolProblem& problem, const TensorView& grad_output,
                              const TensorView& grad_input, const char* force) {
  return explain(kOp, kRows, force, problem, grad_output, grad_input);
}

void avg_pool_input_grad(const PoolProblem& p, const TensorView& grad_output, const TensorView& grad_input,
                         const char* force) {
  if (grad_input.size() == 0) return;
  if (p.dtype == DType::f32)
    run<float>(p, grad_output, grad_input, force);
  else
    run<double>(p, grad_output, grad_input, force);
}

}  // namespace striate
