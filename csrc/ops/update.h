// One step of an optimiser over one parameter, in place, in one pass: SGD with momentum (Nesterov 1983,
// Sutskever et al. 2013) and Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019). The formulas
// are in kernels/update/update.h; the constants are rounded to the parameter's type once.
#pragma once

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

struct SgdStep {
  double lr, momentum, dampening, weight_decay;
  bool nesterov;
  bool first;  // the buffer has no content yet
};

struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;  // AdamW's weight decay
  int64_t step;    // this one, from 1 on
};

// Views of one floating type and one shape, which do not overlap; any strides. `force`: "vectors" or
// "reference" (see plan.h). Without momentum there is no buffer.
void sgd_update(const SgdStep& step, const TensorView& value, const TensorView& grad, const TensorView* buffer,
                const char* force = nullptr);
void adam_update(const AdamStep& step, const TensorView& value, const TensorView& grad, const TensorView& mean,
                 const TensorView& square, const char* force = nullptr);

}  // namespace striate
