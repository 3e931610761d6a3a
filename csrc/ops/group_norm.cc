#include "ops/group_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm/group_reference.h"
#include "ops/batch_norm_passes.h"
#include "ops/layer_norm.h"

namespace striate {
namespace {

template <class T>
double element_or(const T* values, int64_t c, double otherwise) {
  return values ? static_cast<double>(values[c]) : otherwise;
}

/// (1, n * c, spatial...) where the channels of all samples lie evenly; else `sample` as (1, c, spatial...).
class Samples {
 public:
  Samples(const GroupNormProblem& p, std::initializer_list<const TensorView*> views) : channels_(p.channels) {
    joined_ = std::all_of(views.begin(), views.end(), [&](const TensorView* view) {
      return p.n == 1 || view->stride[kN] == p.channels * view->stride[kC];
    });
    passes_ = joined_ ? 1 : p.n;
    width_ = joined_ ? p.n * p.channels : p.channels;
  }
  int64_t passes() const { return passes_; }
  int64_t width() const { return width_; }  // channels of a pass

  template <class T>
  TensorView of(const TensorView& view, int64_t pass) const {
    TensorView one = view;
    one.data = view.as<T>() + pass * view.stride[kN];
    one.shape[kN] = 1;
    one.shape[kC] = width_;
    return one;
  }

 private:
  int64_t channels_, passes_, width_;
  bool joined_;
};

template <class T>
void forward(const GroupNormProblem& p, const TensorView& input, const T* weight, const T* bias,
             const TensorView& output, T* mean, T* var) {
  if (is_layer_norm(p, {&input, &output})) return layer_norm(p, input, weight, bias, output, mean, var);
  const Samples samples(p, {&input, &output});
  const ChannelNumbers<T> k(samples.width());
  const auto pixels = static_cast<double>(p.pixels), count = static_cast<double>(p.count());
  for (int64_t pass = 0; pass < samples.passes(); ++pass) {
    const TensorView x = samples.of<T>(input, pass), y = samples.of<T>(output, pass);
    const Centres<T> centre(x);
    T* const means = mean + pass * p.groups;
    T* const vars = var + pass * p.groups;
    const auto prepare = [&](int64_t first, int64_t last) {
      for (int64_t c = first; c < last; ++c) k.center()[c] = centre(c);
    };
    const auto finish = [&](int64_t first, int64_t last) {
      for (int64_t begin = first; begin < last; begin += p.group()) {
        const int64_t end = begin + p.group();
        // Of the group from its channels: their sums, then their squares about the common mean.
        double sum = 0, squares = 0;
        for (int64_t c = begin; c < end; ++c)
          sum += static_cast<double>(k.center()[c]) + k.sum()[c] / pixels;
        const double exact_mean = sum / static_cast<double>(p.group());
        for (int64_t c = begin; c < end; ++c) {
          const double shift = k.sum()[c] / pixels;
          const double apart = static_cast<double>(k.center()[c]) + shift - exact_mean;
          squares += std::max(k.product()[c] - k.sum()[c] * shift, 0.0) + pixels * (apart * apart);
          if (std::isnan(k.product()[c])) squares = k.product()[c];
        }
        const int64_t group = begin / p.group();
        means[group] = static_cast<T>(exact_mean);
        vars[group] = static_cast<T>(squares / count);
        const double inverse_std = 1 / std::sqrt(squares / count + p.eps);
        for (int64_t c = begin; c < end; ++c) {
          const double scale = element_or(weight, c % p.channels, 1) * inverse_std;
          k.center()[c] = means[group];
          k.scale()[c] = static_cast<T>(scale);
          // What rounding takes from the mean, the offset gives back.
          k.offset()[c] = static_cast<T>(element_or(bias, c % p.channels, 0) -
                                         (exact_mean - static_cast<double>(means[group])) * scale);
        }
      }
    };
    NormPasses<T>{.x = x, .g = nullptr, .out = &y, .numbers = k, .relu = false, .gated = false, .scaled = false,
                  .summed = true, .prepare = prepare, .finish = finish, .together = p.group()}
        .run();
  }
}

template <class T>
void gradients(const GroupNormProblem& p, const TensorView& input, const TensorView& grad_output, const T* mean,
               const T* var, const T* weight, const TensorView& grad_input, T* grad_weight, T* grad_bias) {
  if (is_layer_norm(p, {&input, &grad_output, &grad_input}))
    return layer_norm_grad(p, input, grad_output, mean, var, weight, grad_input, grad_weight, grad_bias);
  const Samples samples(p, {&input, &grad_output, &grad_input});
  const ChannelNumbers<T> k(samples.width());
  const auto count = static_cast<double>(p.count());
  const Scratch<double> sums(2 * p.channels);  // of the weight, of the bias, over the samples in order
  double* const weights = sums.get();
  double* const biases = sums.get() + p.channels;
  std::fill(weights, weights + 2 * p.channels, 0.0);
  for (int64_t pass = 0; pass < samples.passes(); ++pass) {
    const TensorView x = samples.of<T>(input, pass), g = samples.of<T>(grad_output, pass);
    const TensorView dx = samples.of<T>(grad_input, pass);
    const T* const means = mean + pass * p.groups;
    const T* const vars = var + pass * p.groups;
    const auto inverse_std = [&](int64_t group) {
      return 1 / std::sqrt(static_cast<double>(vars[group]) + p.eps);
    };
    const auto prepare = [&](int64_t first, int64_t last) {
      for (int64_t c = first; c < last; ++c) k.center()[c] = means[c / p.group()];
    };
    const auto finish = [&](int64_t first, int64_t last) {
      for (int64_t begin = first; begin < last; begin += p.group()) {
        const int64_t end = begin + p.group();
        const double inverse = inverse_std(begin / p.group());
        double sum = 0, product = 0;  // of the gradients behind the weight
        for (int64_t c = begin; c < end; ++c) {
          const double w = element_or(weight, c % p.channels, 1);
          sum += w * k.sum()[c];
          product += w * k.product()[c];
        }
        for (int64_t c = begin; c < end; ++c) {
          k.grad_scale()[c] = static_cast<T>(element_or(weight, c % p.channels, 1) * inverse);
          // What flows through mean and variance.
          k.scale()[c] = static_cast<T>(-inverse * inverse * inverse * product / count);
          k.offset()[c] = static_cast<T>(-inverse * sum / count);
        }
      }
    };
    NormPasses<T>{.x = x, .g = &g, .out = &dx, .numbers = k, .relu = false, .gated = false, .scaled = false,
                  .summed = true, .prepare = prepare, .finish = finish, .together = p.group()}
        .run();
    for (int64_t c = 0; c < samples.width(); ++c) {
      weights[c % p.channels] += k.product()[c] * inverse_std(c / p.group());
      biases[c % p.channels] += k.sum()[c];
    }
  }
  for (int64_t c = 0; c < p.channels; ++c) {
    grad_weight[c] = static_cast<T>(weights[c]);
    grad_bias[c] = static_cast<T>(biases[c]);
  }
}

bool by_reference(const char* force) {
  return choose("group_norm", kOneKernel, force) == OneKernel::reference;
}

// Calls call(T()) with the problem's T.
template <class Call>
void with_type(const GroupNormProblem& p, Call call) {
  if (p.dtype == DType::f32)
    call(float());
  else
    call(double());
}

}  // namespace

GroupNormProblem GroupNormProblem::make(const char* op, const TensorView& input, int64_t groups, double eps) {
  if (input.rank < 2) fail_value(op, ": input must be (N, C, ...), got ", tuple_text(input.dims()));
  if (groups < 1 || input.shape[kC] % groups != 0)
    fail_value(op, ": input ", tuple_text(input.dims()), " has ", input.shape[kC],
               " channels, which num_groups=", groups, " does not divide");
  if (!(eps >= 0) || !std::isfinite(eps)) fail_value(op, ": eps must be finite and not negative, got ", eps);
  checked_product(input.dims(), op, "input");
  GroupNormProblem p{input.dtype, input.shape[kN], input.shape[kC], groups, 1, eps};
  for (int i = 2; i < input.rank; ++i) p.pixels *= input.shape[static_cast<size_t>(i)];
  return p;
}

void group_norm(const GroupNormProblem& p, const TensorView& input, const void* weight, const void* bias,
                const TensorView& output, void* mean, void* var, const char* force) {
  with_type(p, [&]<class T>(T) {
    if (input.size() == 0) {  // the mean of nothing
      std::fill_n(static_cast<T*>(mean), p.n * p.groups, T(0));
      return std::fill_n(static_cast<T*>(var), p.n * p.groups, T(0)), void();
    }
    const auto run = by_reference(force) ? norm::group_reference<T> : forward<T>;
    run(p, input, static_cast<const T*>(weight), static_cast<const T*>(bias), output, static_cast<T*>(mean),
        static_cast<T*>(var));
  });
}

void group_norm_grad(const GroupNormProblem& p, const TensorView& input, const TensorView& grad_output,
                     const void* mean, const void* var, const void* weight, const TensorView& grad_input,
                     void* grad_weight, void* grad_bias, const char* force) {
  with_type(p, [&]<class T>(T) {
    if (input.size() == 0) {
      std::fill_n(static_cast<T*>(grad_weight), p.channels, T(0));
      return std::fill_n(static_cast<T*>(grad_bias), p.channels, T(0)), void();
    }
    const auto run = by_reference(force) ? norm::group_reference_grad<T> : gradients<T>;
    run(p, input, grad_output, static_cast<const T*>(mean), static_cast<const T*>(var),
        static_cast<const T*>(weight), grad_input, static_cast<T*>(grad_weight), static_cast<T*>(grad_bias));
  });
}

}  // namespace striate
