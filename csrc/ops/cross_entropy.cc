#include "ops/cross_entropy.h"

#include <algorithm>
#include <vector>

#include "base/cpu.h"
#include "base/scratch.h"
#include "base/strided_loop.h"
#include "kernels/softmax/cross_entropy.h"
#include "kernels/softmax/reference.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 8 * 1024;  // elements in a task
constexpr int64_t kRowGrain = 64;     // rows in a task, where there are that many: full registers

// The shape of `input` with one class: what there is one of in a row, C-contiguous.
TensorView one_a_row(const TensorView& input, void* data) {
  TensorView view = input;
  view.data = data;
  view.shape[kC] = 1;
  set_dense_strides(view, MemoryFormat::contiguous);
  return view;
}

// The losses' gradient with an axis for the classes, as the input has one.
TensorView with_class_axis(const TensorView& grad, const TensorView& input) {
  TensorView view = grad;
  view.rank = input.rank;
  for (size_t axis = kC + 1; axis < static_cast<size_t>(view.rank); ++axis) {
    view.shape[axis] = grad.shape[axis - 1];
    view.stride[axis] = grad.stride[axis - 1];
  }
  view.shape[kC] = 1;
  view.stride[kC] = 0;
  return view;
}

/// Calls kernel(args) for pieces of the rows. `to` and `g` are null forward.
template <class T, class Kernel>
void for_rows(const TensorView& input, const CrossEntropyRows& rows, void* losses, const TensorView* to,
              const TensorView* g, Kernel kernel) {
  const TensorView one = one_a_row(input, losses);
  const TensorView& dx = to ? *to : input;
  const TensorView grad = g ? with_class_axis(*g, input) : one;
  const int64_t count = input.shape[kC];
  const StridedLoop<4> loop({&one, &input, &dx, &grad}, kC);
  if (loop.size() == 0) return;
  const int64_t grain = std::max(kGrain / count, std::min(kRowGrain, loop.size()));
  const int64_t pieces = std::max<int64_t>(1, loop.size() / grain);
  const int64_t piece = (loop.size() + pieces - 1) / pieces;
  const int workers = workers_for(pieces, 2 * static_cast<double>(loop.size()) * static_cast<double>(count));
  const int64_t pitch = padded_count<T>(2 * count);
  const Scratch<T> scratch(pitch * workers);
  parallel_for(pieces, workers, FpMode::exact, [&](int64_t task, int worker) {
    loop.for_each_run(std::min(loop.size(), task * piece), std::min(loop.size(), (task + 1) * piece),
                      [&](const std::array<int64_t, 4>& begin, int64_t length) {
                        kernel({.x = input.as<T>() + begin[1],
                                .dx = to ? to->as<T>() + begin[2] : nullptr,
                                .g = g ? g->as<T>() + begin[3] : nullptr,
                                .target = rows.target + begin[0],
                                .most = static_cast<T*>(rows.most) + begin[0],
                                .log_sum = static_cast<T*>(rows.log_sum) + begin[0],
                                .loss = losses ? static_cast<T*>(losses) + begin[0] : nullptr,
                                .x_along = input.stride[kC],
                                .dx_along = dx.stride[kC],
                                .x_row = loop.step()[1],
                                .dx_row = loop.step()[2],
                                .g_row = loop.step()[3],
                                .step = loop.step()[0],
                                .count = count,
                                .rows = length,
                                .scratch = scratch.get() + worker * pitch});
                      });
  });
}

template <class T>
const softmax::CrossEntropyKernel<T>& kernels() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), cross_entropy_table));
}

bool by_reference(const char* force) {
  return choose("cross_entropy", kOneKernel, force) == OneKernel::reference;
}

template <class T>
void forward(const TensorView& input, const CrossEntropyRows& rows, void* losses, bool reference) {
  for_rows<T>(input, rows, losses, nullptr, nullptr,
              reference ? softmax::reference_cross_entropy<T> : kernels<T>().forward);
}

template <class T>
void grad(const TensorView& input, const CrossEntropyRows& rows, const TensorView& grad_losses,
          const TensorView& grad_input, bool reference) {
  for_rows<T>(input, rows, nullptr, &grad_input, &grad_losses,
              reference ? softmax::reference_cross_entropy_grad<T> : kernels<T>().grad);
}

}  // namespace

void check_targets(const char* op, const TensorView& input, const TensorView& target) {
  const auto in = input.dims(), of = target.dims();
  if (input.rank < 2 || target.rank != input.rank - 1 || in[kN] != of[0] ||
      !std::equal(in.begin() + kC + 1, in.end(), of.begin() + 1))
    fail_value(op, ": input (N, C, ...) of shape ", tuple_text(in), " does not fit target of shape ",
               tuple_text(of), "; that must be (N, ...)");
  const auto* first = target.as<int64_t>();
  if (target.size() == 0) return;
  const auto [least, most] = std::minmax_element(first, first + target.size());
  if (*least < 0 || *most >= input.shape[kC])
    fail_value(op, ": target names class ", *least < 0 ? *least : *most, ", but input ", tuple_text(in), " has ",
               input.shape[kC], " classes");
}

void cross_entropy_forward(const TensorView& input, const CrossEntropyRows& rows, void* losses,
                           const char* force) {
  const auto run = input.dtype == DType::f32 ? forward<float> : forward<double>;
  run(input, rows, losses, by_reference(force));
}

void cross_entropy_grad(const TensorView& input, const CrossEntropyRows& rows, const TensorView& grad_losses,
                        const TensorView& grad_input, const char* force) {
  const auto run = input.dtype == DType::f32 ? grad<float> : grad<double>;
  run(input, rows, grad_losses, grad_input, by_reference(force));
}

}  // namespace striate
