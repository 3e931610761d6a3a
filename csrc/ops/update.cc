#include "ops/update.h"

#include <cmath>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "kernels/update/reference.h"
#include "kernels/update/update.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements in a task

template <class T>
const update::Kernel<T>& kernels() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), update_table));
}

template <class T>
void sgd(const SgdStep& s, const TensorView& value, const TensorView& grad, const TensorView* buffer,
         bool by_reference) {
  const update::SgdArgs<T> common{.w = value.as<T>(),
                                  .g = grad.as<T>(),
                                  .buffer = buffer ? buffer->as<T>() : nullptr,
                                  .w_step = 0,
                                  .g_step = 0,
                                  .buffer_step = 0,
                                  .count = 0,
                                  .rate = static_cast<T>(s.lr),
                                  .momentum = static_cast<T>(s.momentum),
                                  .fresh = static_cast<T>(1 - s.dampening),
                                  .weight_decay = static_cast<T>(s.weight_decay),
                                  .nesterov = s.nesterov,
                                  .first = s.first};
  if (by_reference) return update::reference_sgd(common, value, grad, buffer);
  const StridedLoop<3> loop({&value, &grad, buffer ? buffer : &value});
  const auto work = static_cast<double>(loop.size()) * (buffer ? 1.5 : 1);
  const auto piece = [&](const std::array<int64_t, 3>& begin, int64_t count) {
    update::SgdArgs<T> a = common;
    a.w += begin[0];
    a.g += begin[1];
    if (a.buffer) a.buffer += begin[2];
    a.w_step = loop.step()[0];
    a.g_step = loop.step()[1];
    a.buffer_step = loop.step()[2];
    a.count = count;
    kernels<T>().sgd(a);
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

template <class T>
void adam(const AdamStep& s, const TensorView& value, const TensorView& grad, const TensorView& mean,
          const TensorView& square, bool by_reference) {
  const auto step = static_cast<double>(s.step);
  const update::AdamArgs<T> common{
      .w = value.as<T>(),
      .g = grad.as<T>(),
      .mean = mean.as<T>(),
      .square = square.as<T>(),
      .w_step = 0,
      .g_step = 0,
      .mean_step = 0,
      .square_step = 0,
      .count = 0,
      .rate = static_cast<T>(s.lr / (1 - std::pow(s.beta1, step))),
      .root = static_cast<T>(1 / std::sqrt(1 - std::pow(s.beta2, step))),
      .eps = static_cast<T>(s.eps),
      .weight_decay = static_cast<T>(s.decoupled ? 0 : s.weight_decay),
      .keep = static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1),
      .first = static_cast<T>(s.beta1),
      .second = static_cast<T>(s.beta2),
      .fresh_first = static_cast<T>(1 - s.beta1),
      .fresh_second = static_cast<T>(1 - s.beta2)};
  if (by_reference) return update::reference_adam(common, value, grad, mean, square);
  const StridedLoop<4> loop({&value, &grad, &mean, &square});
  const auto work = static_cast<double>(loop.size()) * 3;
  const auto piece = [&](const std::array<int64_t, 4>& begin, int64_t count) {
    update::AdamArgs<T> a = common;
    a.w += begin[0];
    a.g += begin[1];
    a.mean += begin[2];
    a.square += begin[3];
    a.w_step = loop.step()[0];
    a.g_step = loop.step()[1];
    a.mean_step = loop.step()[2];
    a.square_step = loop.step()[3];
    a.count = count;
    kernels<T>().adam(a);
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

bool by_reference(const char* force) {
  return choose("update", kOneKernel, force) == OneKernel::reference;
}

}  // namespace

void sgd_update(const SgdStep& step, const TensorView& value, const TensorView& grad, const TensorView* buffer,
                const char* force) {
  const auto run = value.dtype == DType::f32 ? sgd<float> : sgd<double>;
  run(step, value, grad, buffer, by_reference(force));
}

void adam_update(const AdamStep& step, const TensorView& value, const TensorView& grad, const TensorView& mean,
                 const TensorView& square, const char* force) {
  const auto run = value.dtype == DType::f32 ? adam<float> : adam<double>;
  run(step, value, grad, mean, square, by_reference(force));
}

}  // namespace striate
