#include "ops/sample.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/parallel.h"
#include "kernels/sample/reference.h"

namespace striate {
namespace {

constexpr double kTaskWork = 16384;
constexpr const char* kOp = "sampling";

std::string vectors_decline(const SampleProblem& p, const TensorView& image) {
  int64_t reach = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (p.size[i] >= sample::kLargestSize) return "an axis has 2^20 elements or more";
    reach += (p.size[i] - 1) * std::abs(image.stride[i + 2]);
  }
  if (reach >= (int64_t{1} << 31)) return "a plane reaches over 2^31 elements or more";
  return {};
}

constexpr PlanRow<OneKernel, const SampleProblem&, const TensorView&> kRows[] = {
    {OneKernel::vectors, "vectors", vectors_decline},
    {OneKernel::reference, "reference", nullptr},
};

template <class T>
const sample::Kernel<T>& sample_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), sample_table));
}

void copy_strides(const TensorView& view, int64_t (&stride)[5]) { std::copy_n(view.stride.begin(), 5, stride); }

template <class T>
sample::Args<T> arguments(const SampleProblem& p, const TensorView& image, const TensorView& output) {
  sample::Args<T> a{};
  copy_strides(image, a.image_stride);
  copy_strides(output, a.out_stride);
  a.n = p.n;
  a.c = p.c;
  std::copy(p.size.begin(), p.size.end(), a.size);
  std::copy(p.out.begin(), p.out.end(), a.out);
  a.rank = p.rank;
  a.mode = p.mode;
  a.padding = p.padding;
  a.align_corners = p.align_corners;
  return a;
}

// Multiply-adds, those for the taps themselves aside.
double work_of(const SampleProblem& p) {
  const double along = p.mode == sample::Mode::nearest ? 1 : p.mode == sample::Mode::linear ? 2 : 4;
  double work = static_cast<double>(p.n * (p.c + 2)) * along * along * (p.rank == 3 ? along : 1);
  for (const int64_t extent : p.out) work *= static_cast<double>(extent);
  return work;
}

template <class T, class Call>
void by_lines(const SampleProblem& p, const sample::Args<T>& a, Call call) {
  const int64_t lines = p.n * p.out[0] * p.out[1];
  const double work = work_of(p);
  const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(work / kTaskWork), 1, std::max<int64_t>(lines, 1));
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact,
               [&](int64_t task, int) { call(a, lines * task / tasks, lines * (task + 1) / tasks); });
}

int reference_workers(const SampleProblem& p) { return workers_for(p.n, work_of(p)); }

template <class T>
void forward(const SampleProblem& p, const TensorView& image, sample::Args<T>& a, const char* force) {
  a.image = image.as<T>();
  if (choose(kOp, kRows, force, p, image) == OneKernel::reference)
    return sample::reference_forward(a, reference_workers(p));
  by_lines(p, a, sample_kernel<T>().forward);
}

template <class T>
void input_grad(const SampleProblem& p, const TensorView& g, sample::Args<T>& a, const TensorView& dx,
                const char* force) {
  a.result = dx.as<T>();
  a.grad = g.as<T>();
  if (choose(kOp, kRows, force, p, dx) == OneKernel::reference)
    return sample::reference_input_grad(a, reference_workers(p));
  // Planes are independent; a task makes its taps once for all of its planes.
  constexpr int64_t kTasks = 16;
  const int64_t chunks = std::clamp<int64_t>(kTasks / std::max<int64_t>(p.n, 1), 1, std::max<int64_t>(p.c, 1));
  const auto kernel = sample_kernel<T>().input_grad;
  parallel_for(p.n * chunks, workers_for(p.n * chunks, work_of(p)), FpMode::exact, [&](int64_t task, int) {
    const int64_t chunk = task % chunks;
    kernel(a, task / chunks, p.c * chunk / chunks, p.c * (chunk + 1) / chunks);
  });
}

template <class T>
void grid_grad(const SampleProblem& p, const TensorView& g, const TensorView& x, const TensorView& grid,
               const TensorView& dgrid, const char* force) {
  auto a = arguments<T>(p, x, g);
  a.image = x.as<T>();
  a.result = dgrid.as<T>();
  a.grad = g.as<T>();
  a.grid = grid.as<T>();
  copy_strides(grid, a.grid_stride);
  copy_strides(dgrid, a.grid_grad_stride);
  if (choose(kOp, kRows, force, p, x) == OneKernel::reference)
    return sample::reference_grid_grad(a, reference_workers(p));
  by_lines(p, a, sample_kernel<T>().grid_grad);
}

template <class Call>
void for_type(DType dtype, Call call) {
  if (dtype == DType::f32)
    call(float{});
  else
    call(double{});
}

}  // namespace

void sample_forward(const SampleProblem& p, const TensorView& x, const TensorView& grid, const TensorView& y,
                    const char* force) {
  if (y.size() == 0) return;
  for_type(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto a = arguments<T>(p, x, y);
    a.result = y.as<T>();
    a.grid = grid.as<T>();
    copy_strides(grid, a.grid_stride);
    forward<T>(p, x, a, force);
  });
}

void warp_affine(const SampleProblem& p, const TensorView& x, const void* map, const void* fill, const TensorView& y,
                 const char* force) {
  if (y.size() == 0) return;
  for_type(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto a = arguments<T>(p, x, y);
    a.result = y.as<T>();
    a.map = static_cast<const T*>(map);
    a.fill = static_cast<const T*>(fill);
    forward<T>(p, x, a, force);
  });
}

void sample_input_grad(const SampleProblem& p, const TensorView& g, const TensorView& grid, const TensorView& dx,
                       const char* force) {
  if (dx.size() == 0) return;
  for_type(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto a = arguments<T>(p, dx, g);
    a.grid = grid.as<T>();
    copy_strides(grid, a.grid_stride);
    input_grad<T>(p, g, a, dx, force);
  });
}

void warp_affine_input_grad(const SampleProblem& p, const TensorView& g, const void* map, const TensorView& dx,
                            const char* force) {
  if (dx.size() == 0) return;
  for_type(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto a = arguments<T>(p, dx, g);
    a.map = static_cast<const T*>(map);
    input_grad<T>(p, g, a, dx, force);
  });
}

void sample_grid_grad(const SampleProblem& p, const TensorView& g, const TensorView& x, const TensorView& grid,
                      const TensorView& dgrid, const char* force) {
  if (dgrid.size() == 0) return;
  for_type(p.dtype, [&](auto zero) { grid_grad<decltype(zero)>(p, g, x, grid, dgrid, force); });
}

}  // namespace striate
