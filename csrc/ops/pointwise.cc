#include "ops/pointwise.h"

#include "base/cpu.h"
#include "base/strided_loop.h"
#include "kernels/pointwise/pointwise.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements in a task

template <class T>
pointwise::Run<T> kernel_for(Activation activation, bool grad) {
  const pointwise::Table& table = STRIATE_SELECT_TABLE(current_isa(), pointwise_table);
  const auto& kernel = [&]() -> const pointwise::Kernel<T>& {
    if constexpr (std::is_same_v<T, float>)
      return table.f32;
    else
      return table.f64;
  }();
  switch (activation) {
    case Activation::relu:
      return grad ? kernel.relu_grad : kernel.relu;
    case Activation::sigmoid:
      return grad ? kernel.sigmoid_grad : kernel.sigmoid;
    case Activation::tanh:
      return grad ? kernel.tanh_grad : kernel.tanh;
  }
  __builtin_unreachable();
}

/// `grad_output` is null forward.
template <class T>
void run(Activation activation, const TensorView& from, const TensorView* grad_output,
         const TensorView& to) {
  const TensorView& g = grad_output ? *grad_output : from;
  const StridedLoop<3> loop({&to, &from, &g});
  const pointwise::Run<T> kernel = kernel_for<T>(activation, grad_output != nullptr);
  // An element of relu is moved, one of the others costs a few operations.
  const double work = static_cast<double>(loop.size()) * (activation == Activation::relu ? 0.25 : 1);
  parallel_runs(loop, kGrain, work, FpMode::exact, [&](const std::array<int64_t, 3>& begin, int64_t count) {
    kernel({.a = from.as<T>() + begin[1],
            .g = grad_output ? g.as<T>() + begin[2] : nullptr,
            .out = to.as<T>() + begin[0],
            .a_step = loop.step()[1],
            .g_step = loop.step()[2],
            .out_step = loop.step()[0],
            .count = count});
  });
}

}  // namespace

void activate(Activation activation, const TensorView& input, const TensorView& output) {
  if (input.dtype == DType::f32)
    run<float>(activation, input, nullptr, output);
  else
    run<double>(activation, input, nullptr, output);
}

void activation_grad(Activation activation, const TensorView& output, const TensorView& grad_output,
                     const TensorView& grad_input) {
  if (output.dtype == DType::f32)
    run<float>(activation, output, &grad_output, grad_input);
  else
    run<double>(activation, output, &grad_output, grad_input);
}

}  // namespace striate
