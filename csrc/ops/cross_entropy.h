// Softmax cross-entropy: input (n, c) or (n, c, spatial...) of class scores, target (n, spatial...) of class
// numbers, a loss a target. The formulas are in kernels/softmax/cross_entropy.h. Nothing overflows; a row
// without a finite maximum gives NaN.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

/// One number of each kind a target, C-contiguous, of the target's shape.
struct CrossEntropyRows {
  const int64_t* target;
  void* most;
  void* log_sum;
};

/// ValueError that names `op`, the values and the rule, unless `target` (int64, C-contiguous) fits the input
/// and names classes that exist.
void check_targets(const char* op, const TensorView& input, const TensorView& target);

// `losses` is C-contiguous of the target's shape; `grad_losses` has that shape and any strides, `grad_input`
// the input's. `force`: "vectors" or "reference" (see plan.h).
void cross_entropy_forward(const TensorView& input, const CrossEntropyRows& rows, void* losses,
                           const char* force = nullptr);
void cross_entropy_grad(const TensorView& input, const CrossEntropyRows& rows, const TensorView& grad_losses,
                        const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
