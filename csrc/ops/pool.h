// Pooling and its gradients: from a checked problem to the chosen algorithm.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"
#include "ops/pool_problem.h"

namespace striate {

/// The plans of calls that read `input` (or grad_output) and write `output` (or grad_input).
/// `force`, here and below, names the one algorithm to use; ValueError if it is unknown or does not apply.
Plan plan_pool(const PoolProblem& problem, const TensorView& input, const TensorView& output,
               const char* force = nullptr);
Plan plan_avg_pool_input_grad(const PoolProblem& problem, const TensorView& grad_output,
                              const TensorView& grad_input, const char* force = nullptr);
Plan plan_max_pool_input_grad(const char* op, const TensorView& grad_input, const char* force = nullptr);
Plan plan_max_pool_taps_grad(const PoolProblem& problem, const TensorView& taps, const TensorView& grad_output,
                             const TensorView& grad_input, const char* force = nullptr);

// The views are lifted (n, c, d, h, w), of the problem's dtype and shapes.

/// `places` tells where the maxima are: int64, flat positions over the input's spatial axes; or uint8, the
/// number of the tap in its kernel (of at most kMostTaps), which is what the gradient reads fastest. Null:
/// nobody asks.
void max_pool_forward(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                      const TensorView* places, const char* force = nullptr);
inline constexpr int64_t kMostTaps = 255;
void avg_pool_forward(const PoolProblem& problem, const TensorView& input, const TensorView& output,
                      const char* force = nullptr);
void avg_pool_input_grad(const PoolProblem& problem, const TensorView& grad_output,
                         const TensorView& grad_input, const char* force = nullptr);

/// Adds every element of grad_output to the pixel that its index names. ValueError, before anything is
/// written, if an index lies outside the image.
void max_pool_input_grad(const char* op, const TensorView& indices, const TensorView& grad_output,
                         const TensorView& grad_input, const char* force = nullptr);

/// Writes every element of `input` to the pixel of `output` that its index names, zero elsewhere. Of equal indices
/// the last in row-major order is kept.
void max_unpool(const char* op, const TensorView& indices, const TensorView& input, const TensorView& output,
                const char* force = nullptr);

/// Reads, for every index, the pixel of `input` that it names: the transpose of both.
void pick_elements(const char* op, const TensorView& indices, const TensorView& input, const TensorView& output);

/// Whether the gradient is made faster from taps than from positions: dense windows of at most kMostTaps taps.
bool taps_serve(const PoolProblem& problem);

/// The same from uint8 taps. A tap that lies outside the image adds to nothing.
void max_pool_taps_grad(const PoolProblem& problem, const TensorView& taps, const TensorView& grad_output,
                        const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
