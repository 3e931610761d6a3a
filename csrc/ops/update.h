// One step of an optimiser over one parameter, in place, in one pass: SGD with momentum (Nesterov 1983,
// Sutskever et al. 2013), Adam (Kingma and Ba 2015), AMSGrad (Reddi et al. 2018), AdamW (Loshchilov and Hutter
// 2019), Adagrad (Duchi et al. 2011) and RMSprop (Tieleman and Hinton 2012). The formulas are in
// kernels/update/update.h; the constants are rounded to the parameter's type once.
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

struct AdagradStep {
  double rate;  // of this step
  double eps, weight_decay;
};

struct RmspropStep {
  double lr, alpha, eps, weight_decay, momentum;
};

// Views of one floating type and one shape, which do not overlap; any strides. `force`: "vectors" or
// "reference" (see plan.h). Without momentum there is no buffer; `most` is AMSGrad's, `mean` the
// centred RMSprop's.
void sgd_update(const SgdStep& step, const TensorView& value, const TensorView& grad, const TensorView* buffer,
                const char* force = nullptr);
void adam_update(const AdamStep& step, const TensorView& value, const TensorView& grad, const TensorView& mean,
                 const TensorView& square, const TensorView* most, const char* force = nullptr);
void adagrad_update(const AdagradStep& step, const TensorView& value, const TensorView& grad,
                    const TensorView& square, const char* force = nullptr);
void rmsprop_update(const RmspropStep& step, const TensorView& value, const TensorView& grad,
                    const TensorView& square, const TensorView* mean, const TensorView* buffer,
                    const char* force = nullptr);

}  // namespace striate
