#include "ops/softmax.h"

#include <vector>

#include "base/cpu.h"
#include "base/scratch.h"
#include "base/strided_loop.h"
#include "kernels/softmax/reference.h"
#include "kernels/softmax/softmax.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 8 * 1024;  // elements in a task
constexpr int64_t kRowGrain = 64;     // rows in a task, at least where there are that many: full registers

template <class T>
softmax::Rows<T> kernel_for(Softmax kind, bool grad) {
  const softmax::Kernel<T>& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), softmax_table));
  if (kind == Softmax::plain) return grad ? kernel.softmax_grad : kernel.softmax;
  return grad ? kernel.log_softmax_grad : kernel.log_softmax;
}

/// `grad_output` is null forward.
template <class T>
void run(Softmax kind, const TensorView& from, const TensorView* grad_output, int axis,
         const TensorView& to, const char* force) {
  if (choose("softmax", kOneKernel, force) == OneKernel::reference)
    return softmax::reference<T>(kind, from, grad_output, axis, to);
  const TensorView& g = grad_output ? *grad_output : from;
  const auto along = static_cast<size_t>(axis);
  const int64_t count = from.shape[along];
  const StridedLoop<3> rows({&to, &from, &g}, axis);
  if (count == 0 || rows.size() == 0) return;
  const softmax::Rows<T> kernel = kernel_for<T>(kind, grad_output != nullptr);
  const bool unit_along = to.stride[along] == 1 && from.stride[along] == 1 && g.stride[along] == 1;
  const int64_t grain = std::max(kGrain / count, unit_along ? int64_t{1} : kRowGrain);
  const int64_t pieces = std::max<int64_t>(1, rows.size() / grain);
  const int64_t piece = (rows.size() + pieces - 1) / pieces;
  const int workers = workers_for(pieces, static_cast<double>(rows.size()) * static_cast<double>(count) * 2);
  std::vector<Scratch<T>> scratch;  // one a worker
  for (int i = 0; i < workers; ++i) scratch.emplace_back(3 * count);
  parallel_for(pieces, workers, FpMode::exact, [&](int64_t task, int worker) {
    rows.for_each_run(
        std::min(rows.size(), task * piece), std::min(rows.size(), (task + 1) * piece),
        [&](const std::array<int64_t, 3>& begin, int64_t length) {
          kernel({.a = from.as<T>() + begin[1],
                  .g = grad_output ? g.as<T>() + begin[2] : nullptr,
                  .out = to.as<T>() + begin[0],
                  .a_along = from.stride[along],
                  .g_along = g.stride[along],
                  .out_along = to.stride[along],
                  .a_row = rows.step()[1],
                  .g_row = rows.step()[2],
                  .out_row = rows.step()[0],
                  .count = count,
                  .rows = length,
                  .scratch = scratch[static_cast<size_t>(worker)].get()});
        });
  });
}

}  // namespace

int softmax_axis(const char* op, const TensorView& view, int64_t axis) {
  if (view.rank == 0) fail_value(op, ": input must have at least 1 axis, got a single number");
  if (axis < -view.rank || axis >= view.rank)
    fail_value(op, ": axis ", axis, " is out of range for shape ", tuple_text(view.dims()));
  return static_cast<int>(axis < 0 ? axis + view.rank : axis);
}

void softmax_forward(Softmax kind, const TensorView& input, int axis, const TensorView& output,
                     const char* force) {
  if (input.dtype == DType::f32)
    run<float>(kind, input, nullptr, axis, output, force);
  else
    run<double>(kind, input, nullptr, axis, output, force);
}

void softmax_grad(Softmax kind, const TensorView& output, const TensorView& grad_output, int axis,
                  const TensorView& grad_input, const char* force) {
  if (output.dtype == DType::f32)
    run<float>(kind, output, &grad_output, axis, grad_input, force);
  else
    run<double>(kind, output, &grad_output, axis, grad_input, force);
}

}  // namespace striate
