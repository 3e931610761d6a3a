#include "ops/unfold.h"

#include <algorithm>
#include <limits>

#include "base/cpu.h"
#include "base/parallel.h"
#include "kernels/runs/reference.h"
#include "kernels/runs/runs.h"

namespace striate {
namespace {

using runs::Run;

constexpr int64_t kTaskElements = 32768;
constexpr int64_t kLargestExtent = std::numeric_limits<int32_t>::max();

// Where tap `tap` of window `out` lies in the image; negative if outside.
int64_t position(const UnfoldAxis& axis, int64_t out, int64_t tap) {
  const int64_t at = out * axis.stride + tap * axis.dilation - axis.pad;
  return at < axis.in ? at : -1;
}

// The windows [begin, end) whose tap lies in the image.
struct Inside {
  int64_t begin, end;
};
Inside inside(const UnfoldAxis& axis, int64_t tap) {
  const int64_t first = tap * axis.dilation - axis.pad;  // where window 0 has it
  const int64_t begin = first < 0 ? std::min((-first + axis.stride - 1) / axis.stride, axis.out) : 0;
  const int64_t room = axis.in - first;
  const int64_t end = room <= 0 ? 0 : std::min((room - 1) / axis.stride + 1, axis.out);
  return {begin, std::max(begin, end)};
}

// For taps [first, last), and each row of windows: body(tap, its kw, the row's first window, and the depth and height
// in the image that the tap meets, negative if outside).
template <class Body>
void for_rows(const UnfoldProblem& p, int64_t first, int64_t last, Body body) {
  for (int64_t tap = first; tap < last; ++tap) {
    const int64_t kw = tap % p.axis[2].kernel, kh = tap / p.axis[2].kernel % p.axis[1].kernel;
    const int64_t kd = tap / p.axis[2].kernel / p.axis[1].kernel;
    for (int64_t od = 0; od < p.axis[0].out; ++od)
      for (int64_t oh = 0; oh < p.axis[1].out; ++oh)
        body(tap, kw, (od * p.axis[1].out + oh) * p.axis[2].out, position(p.axis[0], od, kd),
             position(p.axis[1], oh, kh));
  }
}

template <class T>
const runs::Kernel<T>& kernel_of() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), runs_table));
}

template <class T>
void unfold(const UnfoldProblem& p, const TensorView& image, const TensorView& columns, const char* force) {
  if (choose("unfold", kOneKernel, force) == OneKernel::reference)
    return runs::reference_unfold<T>(p, image, columns);
  const auto& kernel = kernel_of<T>();
  const UnfoldAxis& w = p.axis[2];
  const int64_t taps = p.taps(), units = p.n * p.c * taps;
  const auto work = static_cast<double>(columns.size());
  const int64_t tasks = std::clamp<int64_t>(columns.size() / kTaskElements, 1, units);
  const int64_t step = columns.stride[2];
  const auto fill = [&](T* to, int64_t count) {
    if (count > 4) return kernel.fill(to, count, step, T(0));
    for (int64_t i = 0; i < count; ++i) to[i * step] = 0;
  };
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t plane = unit / taps, n = plane / p.c, c = plane % p.c;
      const T* from = image.as<T>() + n * image.stride[kN] + c * image.stride[kC];
      T* to = columns.as<T>() + n * columns.stride[0] + (c * taps + unit % taps) * columns.stride[1];
      for_rows(p, unit % taps, unit % taps + 1, [&](int64_t, int64_t kw, int64_t window, int64_t d, int64_t h) {
        T* row = to + window * step;
        if (d < 0 || h < 0) return fill(row, w.out);
        const Inside in = inside(w, kw);
        fill(row, in.begin);
        const int64_t at = in.begin * w.stride + kw * w.dilation - w.pad;
        const Run run{d * image.stride[kD] + h * image.stride[kH] + at * image.stride[kW], in.begin * step,
                      w.stride * image.stride[kW], step, in.end - in.begin};
        if (run.count > 0) kernel.copy(from, row, &run, 1);
        fill(row + in.end * step, w.out - in.end);
      });
    }
  });
}

template <class T>
void fold(const UnfoldProblem& p, const TensorView& columns, const TensorView& image, const char* force) {
  if (choose("fold", kOneKernel, force) == OneKernel::reference)
    return runs::reference_fold<T>(p, columns, image);
  const auto& kernel = kernel_of<T>();
  const UnfoldAxis& w = p.axis[2];
  const int64_t taps = p.taps(), planes = p.n * p.c;
  const auto work = static_cast<double>(columns.size() + image.size());
  const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(work) / kTaskElements, 1, planes);
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for (int64_t plane = planes * task / tasks; plane < planes * (task + 1) / tasks; ++plane) {
      const int64_t n = plane / p.c, c = plane % p.c;
      T* to = image.as<T>() + n * image.stride[kN] + c * image.stride[kC];
      const T* from = columns.as<T>() + n * columns.stride[0] + c * taps * columns.stride[1];
      for (int64_t d = 0; d < p.axis[0].in; ++d)
        for (int64_t h = 0; h < p.axis[1].in; ++h)
          kernel.fill(to + d * image.stride[kD] + h * image.stride[kH], w.in, image.stride[kW], T(0));
      for_rows(p, 0, taps, [&](int64_t tap, int64_t kw, int64_t window, int64_t d, int64_t h) {
        const Inside in = inside(w, kw);
        if (d < 0 || h < 0 || in.begin == in.end) return;
        const int64_t at = in.begin * w.stride + kw * w.dilation - w.pad;
        const Run run{tap * columns.stride[1] + (window + in.begin) * columns.stride[2],
                      d * image.stride[kD] + h * image.stride[kH] + at * image.stride[kW], columns.stride[2],
                      w.stride * image.stride[kW], in.end - in.begin};
        kernel.add(from, to, &run, 1);
      });
    }
  });
}

UnfoldAxis make_axis(const UnfoldProblem::Arguments& a, size_t i) {
  UnfoldAxis axis{.in = a.image_shape[i + 2],
                  .out = 0,
                  .kernel = a.kernel[i],
                  .stride = a.stride[i],
                  .dilation = a.dilation[i],
                  .pad = a.padding[i][0]};
  const int64_t pad_end = a.padding[i][1];
  if (axis.kernel < 1) fail_value(a.op, ": kernel_size must be positive, got ", tuple_text(a.kernel));
  if (axis.stride < 1) fail_value(a.op, ": stride must be positive, got ", tuple_text(a.stride));
  if (axis.dilation < 1) fail_value(a.op, ": dilation must be positive, got ", tuple_text(a.dilation));
  if (axis.pad < 0 || pad_end < 0)
    fail_value(a.op, ": padding must not be negative, got (", axis.pad, ", ", pad_end, ")");
  if (axis.in < 0) fail_value(a.op, ": image sizes must not be negative, got ", tuple_text(a.image_shape));
  for (const int64_t value : {axis.in, axis.kernel, axis.stride, axis.dilation, axis.pad, pad_end})
    if (value > kLargestExtent)
      fail_value(a.op, ": sizes, kernel_size, stride, dilation and padding must be below 2^31, got ", value);
  const int64_t reach = (axis.kernel - 1) * axis.dilation + 1, room = axis.in + axis.pad + pad_end - reach;
  if (room < 0)
    fail_value(a.op, ": kernel_size ", tuple_text(a.kernel), " reaches over ", reach, " elements, but axis ", i + 2,
               " of an image ", tuple_text(a.image_shape), " with padding (", axis.pad, ", ", pad_end, ") has ",
               axis.in + axis.pad + pad_end);
  axis.out = room / axis.stride + 1;
  return axis;
}

}  // namespace

std::vector<int64_t> UnfoldProblem::image_shape() const {
  std::vector<int64_t> shape{n, c};
  for (size_t i = 3 - static_cast<size_t>(rank); i < 3; ++i) shape.push_back(axis[i].in);
  return shape;
}

UnfoldProblem UnfoldProblem::make(const Arguments& a) {
  const size_t rank = a.kernel.size();
  if (rank < 1 || rank > 3 || a.image_shape.size() != rank + 2 || a.dilation.size() != rank ||
      a.stride.size() != rank || a.padding.size() != rank)
    fail_value(a.op, ": kernel_size, dilation, padding and stride need one entry for each spatial axis of an image ",
               tuple_text(a.image_shape), ", got kernel_size ", tuple_text(a.kernel));
  UnfoldProblem p;
  p.dtype = a.dtype;
  p.rank = static_cast<int>(rank);
  p.n = a.image_shape[0];
  p.c = a.image_shape[1];
  if (p.n < 0 || p.c < 0)
    fail_value(a.op, ": image sizes must not be negative, got ", tuple_text(a.image_shape));
  for (size_t i = 0; i < rank; ++i) p.axis[3 - rank + i] = make_axis(a, i);
  checked_product(a.image_shape, a.op, "image");
  checked_product(a.kernel, a.op, "kernel_size");
  const std::vector<int64_t> outs{p.axis[0].out, p.axis[1].out, p.axis[2].out};
  checked_product(outs, a.op, "windows");
  const std::vector<int64_t> rows{p.c, p.taps()}, all{p.n, p.c, p.taps(), p.windows()};
  checked_product(rows, a.op, "rows of columns");  // also where there is no image
  checked_product(all, a.op, "columns");
  return p;
}

void unfold_image(const UnfoldProblem& problem, const TensorView& image, const TensorView& columns,
                  const char* force) {
  if (columns.size() == 0) return;
  if (problem.dtype == DType::f32)
    unfold<float>(problem, image, columns, force);
  else
    unfold<double>(problem, image, columns, force);
}

void fold_columns(const UnfoldProblem& problem, const TensorView& columns, const TensorView& image,
                  const char* force) {
  if (image.size() == 0) return;
  if (problem.dtype == DType::f32)
    fold<float>(problem, columns, image, force);
  else
    fold<double>(problem, columns, image, force);
}

}  // namespace striate
