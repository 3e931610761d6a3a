#include "ops/curve.h"

#include <cmath>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "kernels/pointwise/curve.h"
#include "kernels/pointwise/curve_reference.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements in a task

struct Name {
  std::string_view name;
  Curve curve;
};
constexpr Name kNames[] = {
    {"elu", Curve::elu},           {"clip", Curve::clip},           {"hardsigmoid", Curve::hardsigmoid},
    {"hardswish", Curve::hardswish}, {"softplus", Curve::softplus}, {"logsigmoid", Curve::logsigmoid},
    {"silu", Curve::silu},         {"gelu", Curve::gelu},           {"gelu_tanh", Curve::gelu_tanh},
    {"mish", Curve::mish},         {"absolute", Curve::absolute},   {"huber", Curve::huber},
};

template <class T>
const pointwise::Curve<T>& kernel_for(Curve curve) {
  const pointwise::CurveKernel<T>& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), curve_table));
  switch (curve) {
    case Curve::elu:
      return kernel.elu;
    case Curve::clip:
      return kernel.clip;
    case Curve::hardsigmoid:
      return kernel.hardsigmoid;
    case Curve::hardswish:
      return kernel.hardswish;
    case Curve::softplus:
      return kernel.softplus;
    case Curve::logsigmoid:
      return kernel.logsigmoid;
    case Curve::silu:
      return kernel.silu;
    case Curve::gelu:
      return kernel.gelu;
    case Curve::gelu_tanh:
      return kernel.gelu_tanh;
    case Curve::mish:
      return kernel.mish;
    case Curve::absolute:
      return kernel.absolute;
    case Curve::huber:
      return kernel.huber;
  }
  __builtin_unreachable();
}

// Without an exponential.
bool is_light(Curve curve) {
  return curve == Curve::clip || curve == Curve::hardsigmoid || curve == Curve::hardswish ||
         curve == Curve::absolute || curve == Curve::huber;
}

/// `grad_output` is null forward.
template <class T>
void run(const CurveProblem& p, const TensorView& from, const TensorView* grad_output, const TensorView& to,
         const char* force) {
  if (choose("activation", kOneKernel, force) == OneKernel::reference)
    return pointwise::curve_reference<T>(p, from, grad_output, to);
  const TensorView& g = grad_output ? *grad_output : from;
  const StridedLoop<3> loop({&to, &from, &g});
  const pointwise::Curve<T>& kernels = kernel_for<T>(p.curve);
  const pointwise::CurveRun<T> kernel = grad_output ? kernels.grad : kernels.value;
  const double work = static_cast<double>(loop.size()) * (is_light(p.curve) ? 1 : 3);
  const auto piece = [&](const std::array<int64_t, 3>& begin, int64_t count) {
    kernel({.a = from.as<T>() + begin[1],
            .g = grad_output ? g.as<T>() + begin[2] : nullptr,
            .out = to.as<T>() + begin[0],
            .a_step = loop.step()[1],
            .g_step = loop.step()[2],
            .out_step = loop.step()[0],
            .count = count,
            .first = static_cast<T>(p.first),
            .second = static_cast<T>(p.second)});
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

}  // namespace

CurveProblem CurveProblem::make(const char* op, std::string_view name, DType dtype, double first, double second) {
  for (const Name& known : kNames) {
    if (known.name != name) continue;
    if (known.curve == Curve::elu && !std::isfinite(first)) fail_value(op, ": alpha must be finite, got ", first);
    if (known.curve == Curve::softplus) {
      const double beta = dtype == DType::f32 ? static_cast<float>(first) : first;
      if (!(beta > 0) || !std::isfinite(beta))
        fail_value(op, ": beta must be positive and finite in ", name_of(dtype), ", got ", first);
      if (std::isnan(second)) fail_value(op, ": threshold must be a number, got nan");
    }
    return {known.curve, dtype, first, second};
  }
  fail_value(op, ": there is no activation '", name, "'");
}

void curve(const CurveProblem& p, const TensorView& input, const TensorView& output, const char* force) {
  const auto call = p.dtype == DType::f32 ? run<float> : run<double>;
  call(p, input, nullptr, output, force);
}

void curve_grad(const CurveProblem& p, const TensorView& input, const TensorView& grad_output,
                const TensorView& grad_input, const char* force) {
  const auto call = p.dtype == DType::f32 ? run<float> : run<double>;
  call(p, input, &grad_output, grad_input, force);
}

}  // namespace striate
