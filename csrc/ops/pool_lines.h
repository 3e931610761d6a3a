// How the forward kernels are run, for pooling itself and for gradients that are sums over windows: the
// algorithms with what each needs, and the work cut into tasks of lines.
#pragma once

#include <cmath>
#include <string>

#include "base/parallel.h"
#include "base/tensor_view.h"
#include "kernels/pool/pool.h"
#include "ops/pool_problem.h"
#include "ops/pool_tables.h"

namespace striate {

enum class PoolAlgorithm : uint8_t { channels, rows, planes, reference };

/// Why an algorithm cannot read `input` and write `output`; empty if it can. `places` (of maxima): null, positions
/// or taps, as for max_pool_forward.
std::string channels_decline(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                             const TensorView* places);
std::string rows_decline(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                         const TensorView* places);
std::string planes_decline(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                           const TensorView* places);

enum class PoolValue : uint8_t { max, mean };

/// What the kernels are to do. The tables belong to the problem, which a gradient makes up.
template <class T>
struct PoolWork {
  const PoolProblem& problem;
  const TensorView& input;
  const TensorView& output;
  const PoolTables& windows;
  PoolValue value;
  const TensorView* places = nullptr;  // of maxima: int64 positions, or uint8 taps
  T divisor = 0;                       // of a mean; 0: the product of the windows' counts
  int64_t pixel = 1;                   // columns for which the table of the width has one window
};

template <class T>
void run_pool(PoolAlgorithm algorithm, const PoolWork<T>& work);

/// Taps, in all windows.
double work_of(const PoolProblem& problem);

/// Whether windows are 2 x 2, side by side and whole.
bool is_square(const PoolProblem& problem);

/// 1 / divisor where products with it are as exact as quotients; else 0.
template <class T>
T exact_inverse(T divisor) {
  int exponent = 0;
  return std::frexp(divisor, &exponent) == T(0.5) ? 1 / divisor : T(0);
}

/// The end of a dense array in C order, where vectors may run over the ends of rows; null for any other.
const void* dense_end(const TensorView& view);

/// Whether no two windows see the same element.
bool are_apart(const PoolProblem& problem);

/// How many tasks `lines` of such work are worth; some ten microseconds each.
int64_t line_blocks(int64_t lines, double work);

/// Calls body(begin, end) for blocks of `lines`, where `elements` in all are moved and hardly computed with.
void move_lines(int64_t lines, int64_t elements, FpMode mode, FunctionRef<void(int64_t, int64_t)> body);

/// Gradients of 2 x 2 windows in dense arrays, but for what is a mean's or a maximum's.
template <class T>
pool::SquaresArgs<T> squares_args(const PoolProblem& p, const TensorView& grad, const TensorView& result) {
  pool::SquaresArgs<T> a{};
  a.grad = grad.as<T>();
  a.out = result.as<T>();
  a.windows = grad.size();
  a.rows = p.axis[1].out;
  a.columns = p.axis[2].out;
  a.height = p.axis[1].in;
  a.width = p.axis[2].in;
  a.channels = p.c;
  return a;
}

}  // namespace striate
