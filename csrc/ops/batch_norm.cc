#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm/reference.h"
#include "ops/batch_norm_passes.h"

namespace striate {
namespace {

template <class T>
double element_or(const T* values, int64_t c, double otherwise) {
  return values ? static_cast<double>(values[c]) : otherwise;
}

template <class T>
void train(const BatchNormProblem& p, const TensorView& input, const T* weight, const T* bias,
           const TensorView& output, T* mean, T* var, T* gate) {
  const ChannelNumbers<T> k(p.channels);
  const Centres<T> centre(input);
  const double share = 1 / static_cast<double>(p.count);  // of one element
  const auto prepare = [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) k.center()[c] = centre(c);
  };
  const auto finish = [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      const double shift = k.sum()[c] * share;  // of the mean from the centre
      const double exact_mean = static_cast<double>(k.center()[c]) + shift;
      double variance = (k.product()[c] - k.sum()[c] * shift) * share;
      if (variance < 0) variance = 0;  // by rounding; a NaN stays
      mean[c] = static_cast<T>(exact_mean);
      var[c] = static_cast<T>(variance);
      const double scale = element_or(weight, c, 1) / std::sqrt(variance + p.eps);
      // What rounding takes from the mean, the offset gives back. (A mean that is not finite has a variance
      // of NaN, so nothing is lost there.)
      const double offset = element_or(bias, c, 0) - (exact_mean - static_cast<double>(mean[c])) * scale;
      k.center()[c] = mean[c];
      k.scale()[c] = static_cast<T>(scale);
      k.offset()[c] = static_cast<T>(offset);
    }
  };
  NormPasses<T>{.x = input, .g = nullptr, .out = &output, .numbers = k, .relu = p.relu, .gated = false,
                .scaled = false, .summed = true, .prepare = prepare, .finish = finish}
      .run();
  if (!gate) return;
  std::copy(k.scale(), k.scale() + p.channels, gate);
  std::copy(k.offset(), k.offset() + p.channels, gate + p.channels);
}

template <class T>
void infer(const BatchNormProblem& p, const TensorView& input, const T* mean, const T* var,
           const T* weight, const T* bias, const TensorView& output, T* gate) {
  const ChannelNumbers<T> k(p.channels);
  const auto prepare = [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      k.center()[c] = mean[c];
      k.scale()[c] = static_cast<T>(element_or(weight, c, 1) / std::sqrt(static_cast<double>(var[c]) + p.eps));
      k.offset()[c] = static_cast<T>(element_or(bias, c, 0));
    }
  };
  NormPasses<T>{.x = input, .g = nullptr, .out = &output, .numbers = k, .relu = p.relu, .gated = false,
                .scaled = false, .summed = false, .prepare = prepare, .finish = [](int64_t, int64_t) {}}
      .run();
  if (!gate) return;
  std::copy(k.scale(), k.scale() + p.channels, gate);
  std::copy(k.offset(), k.offset() + p.channels, gate + p.channels);
}

template <class T>
void gradients(const BatchNormProblem& p, const TensorView& input, const TensorView& grad_output,
               const T* mean, const T* var, const T* weight, const T* gate, bool training,
               const TensorView& grad_input, T* grad_weight, T* grad_bias) {
  const ChannelNumbers<T> k(p.channels);
  const double share = 1 / static_cast<double>(p.count);  // of one element
  const auto prepare = [&](int64_t first, int64_t last) {
    std::copy(mean + first, mean + last, k.center() + first);
    if (!gate) return;
    std::copy(gate + first, gate + last, k.gate_scale() + first);
    std::copy(gate + p.channels + first, gate + p.channels + last, k.gate_offset() + first);
  };
  const auto finish = [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      const double inverse_std = 1 / std::sqrt(static_cast<double>(var[c]) + p.eps);
      const double scale = element_or(weight, c, 1) * inverse_std;
      grad_bias[c] = static_cast<T>(k.sum()[c]);
      grad_weight[c] = static_cast<T>(k.product()[c] * inverse_std);
      k.grad_scale()[c] = static_cast<T>(scale);
      // What flows through mean and variance; nothing where they were given.
      k.scale()[c] = static_cast<T>(-scale * inverse_std * inverse_std * k.product()[c] * share);
      k.offset()[c] = static_cast<T>(-scale * k.sum()[c] * share);
    }
  };
  NormPasses<T>{.x = input, .g = &grad_output, .out = &grad_input, .numbers = k, .relu = false,
                .gated = gate != nullptr, .scaled = !training, .summed = true, .prepare = prepare,
                .finish = finish}
      .run();
}

bool by_reference(const char* force) {
  return choose("batch_norm", kOneKernel, force) == OneKernel::reference;
}

// Calls call(T()) with the problem's T; there is nothing to do for no channels.
template <class Call>
void with_type(const BatchNormProblem& p, Call call) {
  if (p.channels == 0) return;
  if (p.dtype == DType::f32)
    call(float());
  else
    call(double());
}

}  // namespace

BatchNormProblem BatchNormProblem::make(const char* op, const TensorView& input, double eps,
                                        bool training, bool relu) {
  if (input.rank < 2 || input.rank > 5)
    fail_value(op, ": input must have 2 to 5 axes (N, C, spatial...), got ", tuple_text(input.dims()));
  if (!(eps >= 0) || !std::isfinite(eps))
    fail_value(op, ": eps must be finite and not negative, got ", eps);
  checked_product(input.dims(), op, "input");
  BatchNormProblem p{input.dtype, input.shape[kC], 1, eps, relu};
  for (int i = 0; i < input.rank; ++i)
    if (i != kC) p.count *= input.shape[static_cast<size_t>(i)];
  if (training && p.count < 2 && p.channels > 0)
    fail_value(op, ": training needs at least 2 values a channel, got ", p.count, " in input ",
               tuple_text(input.dims()));
  return p;
}

void batch_norm_train(const BatchNormProblem& p, const TensorView& input, const void* weight,
                      const void* bias, const TensorView& output, void* mean, void* var, void* gate,
                      const char* force) {
  with_type(p, [&]<class T>(T) {
    const auto run = by_reference(force) ? norm::reference_train<T> : train<T>;
    run(p, input, static_cast<const T*>(weight), static_cast<const T*>(bias), output,
        static_cast<T*>(mean), static_cast<T*>(var), static_cast<T*>(gate));
  });
}

void batch_norm_infer(const BatchNormProblem& p, const TensorView& input, const void* mean,
                      const void* var, const void* weight, const void* bias, const TensorView& output,
                      void* gate, const char* force) {
  with_type(p, [&]<class T>(T) {
    const auto run = by_reference(force) ? norm::reference_infer<T> : infer<T>;
    run(p, input, static_cast<const T*>(mean), static_cast<const T*>(var), static_cast<const T*>(weight),
        static_cast<const T*>(bias), output, static_cast<T*>(gate));
  });
}

void batch_norm_grad(const BatchNormProblem& p, const TensorView& input, const TensorView& grad_output,
                     const void* mean, const void* var, const void* weight, const void* gate,
                     bool training, const TensorView& grad_input, void* grad_weight, void* grad_bias,
                     const char* force) {
  with_type(p, [&]<class T>(T) {
    const auto run = by_reference(force) ? norm::reference_grad<T> : gradients<T>;
    run(p, input, grad_output, static_cast<const T*>(mean), static_cast<const T*>(var),
        static_cast<const T*>(weight), static_cast<const T*>(gate), training, grad_input, static_cast<T*>(grad_weight),
        static_cast<T*>(grad_bias));
  });
}

}  // namespace striate
