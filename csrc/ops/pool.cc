#include "ops/pool.h"

#include "kernels/pool/reference.h"
#include "ops/pool_lines.h"

namespace striate {
namespace {

constexpr PlanRow<PoolAlgorithm, const PoolProblem&, const TensorView&, const TensorView&,
                  const TensorView*> kRows[] = {
    {PoolAlgorithm::channels, "channels", channels_decline},  // lanes are channels
    {PoolAlgorithm::rows, "rows", rows_decline},              // lanes are pixels; values, or taps too
    {PoolAlgorithm::planes, "planes", planes_decline},        // lanes are pixels; any strides
    {PoolAlgorithm::reference, "reference", nullptr},
};

constexpr const char* kOp = "pooling";

template <class T>
void run_max(const PoolProblem& problem, TensorView input, const TensorView& output,
             const TensorView* places, const char* force) {
  const PoolAlgorithm algorithm = choose(kOp, kRows, force, problem, input, output, places);
  if (algorithm == PoolAlgorithm::reference)
    return pool::reference_max<T>(problem, input, output, places);
  // A tap has its number in the kernel as it was given.
  const bool taps = places && places->dtype == DType::u8;
  const PoolProblem p = taps ? problem : fold_global(problem, input);
  const PoolTables windows = window_tables(p);
  run_pool<T>(algorithm, {p, input, output, windows, PoolValue::max, places});
}

template <class T>
void run_mean(const PoolProblem& problem, TensorView input, const TensorView& output, const char* force) {
  const PoolAlgorithm algorithm = choose(kOp, kRows, force, problem, input, output, nullptr);
  if (algorithm == PoolAlgorithm::reference) return pool::reference_mean<T>(problem, input, output);
  const PoolProblem p = fold_global(problem, input);
  const PoolTables windows = window_tables(p);
  const auto divisor = static_cast<T>(common_divisor(p, windows));
  run_pool<T>(algorithm, {p, input, output, windows, PoolValue::mean, nullptr, divisor});
}

}  // namespace

Plan plan_pool(const PoolProblem& problem, const TensorView& input, const TensorView& output,
               const char* force) {
  return explain(kOp, kRows, force, problem, input, output, nullptr);
}

void max_pool_forward(const PoolProblem& p, const TensorView& input, const TensorView& output,
                      const TensorView* places, const char* force) {
  if (output.size() == 0) return;
  if (p.dtype == DType::f32)
    run_max<float>(p, input, output, places, force);
  else
    run_max<double>(p, input, output, places, force);
}

void avg_pool_forward(const PoolProblem& p, const TensorView& input, const TensorView& output,
                      const char* force) {
  if (output.size() == 0) return;
  if (p.dtype == DType::f32)
    run_mean<float>(p, input, output, force);
  else
    run_mean<double>(p, input, output, force);
}

}  // namespace striate
