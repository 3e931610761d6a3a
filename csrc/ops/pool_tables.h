// What the pooling drivers work out before the kernels run: for each axis, where every window lies.
#pragma once

#include <array>
#include <vector>

#include "kernels/pool/pool.h"
#include "ops/pool_problem.h"

namespace striate {

/// A table for depth, height and width, each with pool::kWindowMargin entries past its end.
using PoolTables = std::array<std::vector<pool::Window>, 3>;

/// The windows of the output's positions, cut to the input.
PoolTables window_tables(const PoolProblem& problem);

/// For every input position the windows that see it, as a window on the output. Dilation is 1.
PoolTables cover_tables(const PoolProblem& problem);

/// The divisor that all windows of a mean share; 0 if they differ.
int64_t common_divisor(const PoolProblem& problem, const PoolTables& windows);

/// Global pooling of a dense image is pooling of one long row: the problem and the view of the pool's input
/// (`image`) with such axes joined to the width.
PoolProblem fold_global(const PoolProblem& problem, TensorView& image);

}  // namespace striate
