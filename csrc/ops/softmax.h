// Softmax and log-softmax along one axis of an array of any rank, and their gradients from the output.
// The maximum of a row is taken off first, so nothing overflows; an element of -infinity gets 0 (its
// logarithm: -infinity). A row without a finite maximum is NaN, as 0 / 0 is.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

enum class Softmax : uint8_t { plain, log };

/// `axis` counted from the front; ValueError that names `op` unless `view` has it.
int softmax_axis(const char* op, const TensorView& view, int64_t axis);

// All views of one dtype and shape. `force`: "vectors" or "reference" (see plan.h).
void softmax_forward(Softmax kind, const TensorView& input, int axis, const TensorView& output,
                     const char* force = nullptr);
void softmax_grad(Softmax kind, const TensorView& output, const TensorView& grad_output, int axis,
                  const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
