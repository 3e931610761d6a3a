#include "ops/pointwise.h"

#include <cmath>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/pointwise/reference.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements in a task
constexpr double kMove = 0.7;          // of an element from one array to another, in elementary operations

template <class T>
pointwise::Run<T> kernel_for(Activation activation, bool grad) {
  const pointwise::Kernel<T>& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pointwise_table));
  switch (activation) {
    case Activation::relu:
      return grad ? kernel.relu_grad : kernel.relu;
    case Activation::leaky_relu:
      return grad ? kernel.leaky_relu_grad : kernel.leaky_relu;
    case Activation::sigmoid:
      return grad ? kernel.sigmoid_grad : kernel.sigmoid;
    case Activation::tanh:
      return grad ? kernel.tanh_grad : kernel.tanh;
  }
  __builtin_unreachable();
}

/// `grad_output` is null forward.
template <class T>
void run(const ActivationProblem& p, const TensorView& from, const TensorView* grad_output,
         const TensorView& to, const char* force) {
  if (choose("activation", kOneKernel, force) == OneKernel::reference)
    return pointwise::reference<T>(p, from, grad_output, to);
  const TensorView& g = grad_output ? *grad_output : from;
  const StridedLoop<3> loop({&to, &from, &g});
  const pointwise::Run<T> kernel = kernel_for<T>(p.activation, grad_output != nullptr);
  // Sigmoid and tanh cost a few operations an element, the others move it.
  const bool costly = p.activation == Activation::sigmoid || p.activation == Activation::tanh;
  const double work = static_cast<double>(loop.size()) * (costly ? 2 : grad_output ? 1 : kMove);
  const auto piece = [&](const std::array<int64_t, 3>& begin, int64_t count) {
    kernel({.a = from.as<T>() + begin[1],
            .g = grad_output ? g.as<T>() + begin[2] : nullptr,
            .out = to.as<T>() + begin[0],
            .a_step = loop.step()[1],
            .g_step = loop.step()[2],
            .out_step = loop.step()[0],
            .count = count,
            .negative_slope = static_cast<T>(p.negative_slope)});
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

template <class T>
pointwise::BinaryRun<T> kernel_for(Binary op) {
  const pointwise::BinaryKernel<T>& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), binary_table));
  switch (op) {
    case Binary::add:
      return kernel.add;
    case Binary::subtract:
      return kernel.subtract;
    case Binary::multiply:
      return kernel.multiply;
    case Binary::divide:
      return kernel.divide;
    case Binary::add_relu:
      return kernel.add_relu;
    case Binary::prelu:
      return kernel.prelu;
    case Binary::prelu_weight_terms:
      return kernel.prelu_weight_terms;
  }
  __builtin_unreachable();
}

template <class T>
void run(Binary op, const TensorView& a, const TensorView& b, const TensorView& output, const char* force) {
  if (choose("arithmetic", kOneKernel, force) == OneKernel::reference)
    return pointwise::reference<T>(op, a, b, output);
  const StridedLoop<3> loop({&output, &a, &b});
  const pointwise::BinaryRun<T> kernel = kernel_for<T>(op);
  const auto work = static_cast<double>(loop.size());
  const auto piece = [&](const std::array<int64_t, 3>& begin, int64_t count) {
    kernel({.a = a.as<T>() + begin[1],
            .b = b.as<T>() + begin[2],
            .out = output.as<T>() + begin[0],
            .a_step = loop.step()[1],
            .b_step = loop.step()[2],
            .out_step = loop.step()[0],
            .count = count});
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

template <class T>
void run_prelu_grad(const TensorView& x, const TensorView& slope, const TensorView& g, const TensorView& dx,
                    const char* force) {
  if (choose("prelu_grad", kOneKernel, force) == OneKernel::reference)
    return pointwise::reference_prelu_grad<T>(x, slope, g, dx);
  const StridedLoop<4> loop({&dx, &x, &g, &slope});
  const pointwise::PreluGradRun<T> kernel =
      of_type<T>(STRIATE_SELECT_TABLE(current_isa(), prelu_grad_table));
  const auto piece = [&](const std::array<int64_t, 4>& begin, int64_t count) {
    kernel({.x = x.as<T>() + begin[1],
            .slope = slope.as<T>() + begin[3],
            .g = g.as<T>() + begin[2],
            .out = dx.as<T>() + begin[0],
            .x_step = loop.step()[1],
            .slope_step = loop.step()[3],
            .g_step = loop.step()[2],
            .out_step = loop.step()[0],
            .count = count});
  };
  parallel_runs_near(loop, kGrain, static_cast<double>(loop.size()), FpMode::exact, Walk::forwards, piece);
}

}  // namespace

ActivationProblem ActivationProblem::make(const char* op, Activation activation, DType dtype,
                                          double negative_slope) {
  const double rounded = dtype == DType::f32 ? static_cast<float>(negative_slope) : negative_slope;
  // From 0 on downwards the output would no longer tell the sign of the input.
  if (!(rounded > 0) || !std::isfinite(rounded))
    fail_value(op, ": negative_slope must be positive and finite in ", name_of(dtype), ", got ",
               negative_slope);
  return {activation, dtype, negative_slope};
}

void activate(const ActivationProblem& p, const TensorView& input, const TensorView& output,
              const char* force) {
  if (p.dtype == DType::f32)
    run<float>(p, input, nullptr, output, force);
  else
    run<double>(p, input, nullptr, output, force);
}

void activation_grad(const ActivationProblem& p, const TensorView& output, const TensorView& grad_output,
                     const TensorView& grad_input, const char* force) {
  if (p.dtype == DType::f32)
    run<float>(p, output, &grad_output, grad_input, force);
  else
    run<double>(p, output, &grad_output, grad_input, force);
}

void binary(Binary op, const TensorView& a, const TensorView& b, const TensorView& output,
            const char* force) {
  if (output.dtype == DType::f32)
    run<float>(op, a, b, output, force);
  else
    run<double>(op, a, b, output, force);
}

void prelu_grad(const TensorView& input, const TensorView& slope, const TensorView& grad_output,
                const TensorView& grad_input, const char* force) {
  const auto run = input.dtype == DType::f32 ? run_prelu_grad<float> : run_prelu_grad<double>;
  run(input, slope, grad_output, grad_input, force);
}

}  // namespace striate
