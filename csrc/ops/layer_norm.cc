#include "ops/layer_norm.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "base/scratch.h"
#include "kernels/norm/layer.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements of a task forward
constexpr int64_t kParts = 16;         // of the sums over the rows, at most; never a matter of threads
constexpr int64_t kPart = 16 * 1024;   // elements worth a part
constexpr int64_t kColumns = 256;      // of a task that adds the parts
constexpr FpMode kMode = FpMode::flush_denormals;

template <class T>
const norm::LayerKernel<T>& kernels() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), norm_layer_table));
}

/// `numbers`, or where there are none as many copies of `otherwise`, which `holder` keeps.
template <class T>
const T* numbers_or(const T* numbers, int64_t count, T otherwise, Scratch<T>& holder) {
  if (numbers) return numbers;
  holder = Scratch<T>(count);
  std::fill_n(holder.get(), count, otherwise);
  return holder.get();
}

double work_of(const GroupNormProblem& p, double passes) {
  return static_cast<double>(p.n) * static_cast<double>(p.channels) * passes;
}

}  // namespace

bool is_layer_norm(const GroupNormProblem& p, std::initializer_list<const TensorView*> views) {
  return p.groups == 1 && p.pixels == 1 &&
         std::all_of(views.begin(), views.end(),
                     [&](const TensorView* view) { return p.channels == 1 || view->stride[kC] == 1; });
}

template <class T>
void layer_norm(const GroupNormProblem& p, const TensorView& input, const T* weight, const T* bias,
                const TensorView& output, T* mean, T* var) {
  Scratch<T> ones, zeros;
  weight = numbers_or(weight, p.channels, T(1), ones);
  bias = numbers_or(bias, p.channels, T(0), zeros);
  const int64_t rows = std::max<int64_t>(1, kGrain / p.channels);
  const int64_t tasks = (p.n + rows - 1) / rows;
  const auto& kernel = kernels<T>();
  parallel_near(tasks, workers_for(tasks, work_of(p, 2)), kMode, Walk::forwards, [&](int64_t task, int) {
    const int64_t first = task * rows;
    norm::LayerArgs<T> a{};
    a.x = input.as<T>() + first * input.stride[kN];
    a.out = output.as<T>() + first * output.stride[kN];
    a.x_step = input.stride[kN];
    a.out_step = output.stride[kN];
    a.rows = std::min(rows, p.n - first);
    a.count = p.channels;
    a.eps = p.eps;
    a.weight = weight;
    a.bias = bias;
    a.mean = mean + first;
    a.var = var + first;
    kernel.forward(a);
  });
}

template <class T>
void layer_norm_grad(const GroupNormProblem& p, const TensorView& input, const TensorView& grad_output,
                     const T* mean, const T* var, const T* weight, const TensorView& grad_input, T* grad_weight,
                     T* grad_bias) {
  Scratch<T> ones;
  weight = numbers_or(weight, p.channels, T(1), ones);
  const int64_t parts = std::clamp<int64_t>(p.n * p.channels / kPart, 1, std::min(kParts, p.n));
  const int64_t pitch = padded_count<double>(2 * p.channels), few = padded_count<T>(2 * p.channels);
  const Scratch<double> sums(parts * pitch);
  const Scratch<T> room(parts * few);
  const auto& kernel = kernels<T>();
  parallel_near(parts, workers_for(parts, work_of(p, 4)), kMode, Walk::forwards, [&](int64_t part, int) {
    const int64_t first = p.n * part / parts;
    double* const sum = sums.get() + part * pitch;
    std::fill_n(sum, 2 * p.channels, 0.0);
    norm::LayerArgs<T> a{};
    a.x = input.as<T>() + first * input.stride[kN];
    a.g = grad_output.as<T>() + first * grad_output.stride[kN];
    a.out = grad_input.as<T>() + first * grad_input.stride[kN];
    a.x_step = input.stride[kN];
    a.g_step = grad_output.stride[kN];
    a.out_step = grad_input.stride[kN];
    a.rows = p.n * (part + 1) / parts - first;
    a.count = p.channels;
    a.eps = p.eps;
    a.weight = weight;
    a.mean = const_cast<T*>(mean) + first;  // read only, by this kernel
    a.var = const_cast<T*>(var) + first;
    a.grad_weight = sum;
    a.grad_bias = sum + p.channels;
    a.few = room.get() + part * few;
    kernel.grad(a);
  });
  const int64_t tasks = (p.channels + kColumns - 1) / kColumns;
  const double adds = static_cast<double>(2 * parts) * static_cast<double>(p.channels);
  parallel_near(tasks, workers_for(tasks, adds), kMode, Walk::forwards, [&](int64_t task, int) {
    for (int64_t c = task * kColumns; c < std::min(p.channels, (task + 1) * kColumns); ++c) {
      double of_weight = 0, of_bias = 0;
      for (int64_t part = 0; part < parts; ++part) {
        of_weight += sums.get()[part * pitch + c];
        of_bias += sums.get()[part * pitch + p.channels + c];
      }
      grad_weight[c] = static_cast<T>(of_weight);
      grad_bias[c] = static_cast<T>(of_bias);
    }
  });
}

#define STRIATE_INSTANTIATE(T)                                                                                 \
  template void layer_norm<T>(const GroupNormProblem&, const TensorView&, const T*, const T*,                  \
                              const TensorView&, T*, T*);                                                      \
  template void layer_norm_grad<T>(const GroupNormProblem&, const TensorView&, const TensorView&, const T*,    \
                                   const T*, const T*, const TensorView&, T*, T*);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate
