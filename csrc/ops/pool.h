// Pooling and its gradients: from a checked problem to the chosen algorithm.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"
#include "ops/pool_problem.h"

namespace striate {

/// The plan of a call that reads `input` (of a gradient: grad_output) and writes `output` (grad_input).
/// `force`, here and below, names the one algorithm to use; ValueError if it is unknown or does not apply.
Plan plan_pool(const PoolProblem& problem, const TensorView& input, const TensorView& output,
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
                         const TensorView& grad_input, const char* force = nullptr);
Plan plan_max_pool_input_grad(const char* op, const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
