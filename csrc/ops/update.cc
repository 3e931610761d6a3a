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
          const TensorView& square, const TensorView* most, bool by_reference) {
  const auto step = static_cast<double>(s.step);
  const update::AdamArgs<T> common{
      .w = value.as<T>(),
      .g = grad.as<T>(),
      .mean = mean.as<T>(),
      .square = square.as<T>(),
      .most = most ? most->as<T>() : nullptr,
      .w_step = 0,
      .g_step = 0,
      .mean_step = 0,
      .square_step = 0,
      .most_step = 0,
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
  if (by_reference) return update::reference_adam(common, value, grad, mean, square, most);
  const StridedLoop<5> loop({&value, &grad, &mean, &square, most ? most : &square});
  const auto work = static_cast<double>(loop.size()) * 3;
  const auto piece = [&](const std::array<int64_t, 5>& begin, int64_t count) {
    update::AdamArgs<T> a = common;
    a.w += begin[0];
    a.g += begin[1];
    a.mean += begin[2];
    a.square += begin[3];
    if (a.most) a.most += begin[4];
    a.w_step = loop.step()[0];
    a.g_step = loop.step()[1];
    a.mean_step = loop.step()[2];
    a.square_step = loop.step()[3];
    a.most_step = loop.step()[4];
    a.count = count;
    kernels<T>().adam(a);
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

/// adagrad and rmsprop; `mean` and `buffer` may be null.
template <class T, class Kernel>
void scaled(const update::ScaledArgs<T>& settings, const TensorView& value, const TensorView& grad,
            const TensorView& square, const TensorView* mean, const TensorView* buffer, Kernel kernel) {
  const StridedLoop<5> loop({&value, &grad, &square, mean ? mean : &square, buffer ? buffer : &square});
  const auto work = static_cast<double>(loop.size()) * 3;
  const auto piece = [&](const std::array<int64_t, 5>& begin, int64_t count) {
    update::ScaledArgs<T> a = settings;
    a.w = value.as<T>() + begin[0];
    a.g = grad.as<T>() + begin[1];
    a.square = square.as<T>() + begin[2];
    a.mean = mean ? mean->as<T>() + begin[3] : nullptr;
    a.buffer = buffer ? buffer->as<T>() + begin[4] : nullptr;
    a.w_step = loop.step()[0];
    a.g_step = loop.step()[1];
    a.square_step = loop.step()[2];
    a.mean_step = loop.step()[3];
    a.buffer_step = loop.step()[4];
    a.count = count;
    kernel(a);
  };
  parallel_runs_near(loop, kGrain, work, FpMode::exact, Walk::forwards, piece);
}

template <class T>
const update::ScaledKernel<T>& scaled_kernels() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), scaled_update_table));
}

template <class T>
void adagrad(const AdagradStep& s, const TensorView& value, const TensorView& grad, const TensorView& square,
             bool by_reference) {
  update::ScaledArgs<T> a{};
  a.rate = static_cast<T>(s.rate);
  a.eps = static_cast<T>(s.eps);
  a.weight_decay = static_cast<T>(s.weight_decay);
  if (by_reference) return update::reference_adagrad(a, value, grad, square);
  scaled(a, value, grad, square, nullptr, nullptr, scaled_kernels<T>().adagrad);
}

template <class T>
void rmsprop(const RmspropStep& s, const TensorView& value, const TensorView& grad, const TensorView& square,
             const TensorView* mean, const TensorView* buffer, bool by_reference) {
  update::ScaledArgs<T> a{};
  a.rate = static_cast<T>(s.lr);
  a.eps = static_cast<T>(s.eps);
  a.weight_decay = static_cast<T>(s.weight_decay);
  a.second = static_cast<T>(s.alpha);
  a.fresh = static_cast<T>(1 - s.alpha);
  a.momentum = static_cast<T>(s.momentum);
  if (by_reference) return update::reference_rmsprop(a, value, grad, square, mean, buffer);
  scaled(a, value, grad, square, mean, buffer, scaled_kernels<T>().rmsprop);
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
                 const TensorView& square, const TensorView* most, const char* force) {
  const auto run = value.dtype == DType::f32 ? adam<float> : adam<double>;
  run(step, value, grad, mean, square, most, by_reference(force));
}

void adagrad_update(const AdagradStep& step, const TensorView& value, const TensorView& grad,
                    const TensorView& square, const char* force) {
  const auto run = value.dtype == DType::f32 ? adagrad<float> : adagrad<double>;
  run(step, value, grad, square, by_reference(force));
}

void rmsprop_update(const RmspropStep& step, const TensorView& value, const TensorView& grad,
                    const TensorView& square, const TensorView* mean, const TensorView* buffer, const char* force) {
  const auto run = value.dtype == DType::f32 ? rmsprop<float> : rmsprop<double>;
  run(step, value, grad, square, mean, buffer, by_reference(force));
}

}  // namespace striate
