// Pooling and its gradients: from a checked problem to the chosen algorithm.
//
// A plan is an ordered list of algorithms; the first that applies is taken, and the naive reference is
// last. The choice depends on problem and memory format only, so results have the same bits for any
// number of threads.
#pragma once

#include <string>
#include <vector>

#include "base/tensor_view.h"
#include "ops/pool_problem.h"

namespace striate {

struct PoolCandidate {
  std::string name;
  std::string declined;  // why it does not apply; empty if it does
};

struct PoolPlan {
  std::vector<PoolCandidate> candidates;  // in order of preference
  size_t chosen;
};

/// The plan of a call that reads `input` (of a gradient: grad_output) and writes `output` (grad_input).
/// `force` names the one algorithm to use; ValueError if it is unknown or does not apply.
PoolPlan plan_pool(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                   const char* force = nullptr);

// The views are lifted (n, c, d, h, w), of the problem's dtype and shapes.

/// `indices` (int64, flat over the input's spatial axes) may be null, which is cheaper.
void max_pool_forward(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                      const TensorView* indices, const char* force = nullptr);
void avg_pool_forward(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                      const char* force = nullptr);
void avg_pool_input_grad(const PoolProblem& problem, const TensorView& grad_output,
                         const TensorView& grad_input, const char* force = nullptr);

/// Adds every element of grad_output to the pixel that its index names. ValueError, before anything is
/// written, if an index lies outside the image.
void max_pool_input_grad(const char* op, const TensorView& indices, const TensorView& grad_output,
                         const TensorView& grad_input);

}  // namespace striate
