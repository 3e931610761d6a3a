#include "ops/adaptive_max_pool.h"

#include <limits>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "kernels/pool/adaptive.h"

namespace striate {
namespace {

constexpr int64_t kTaskElements = 32768;

template <class T>
void run(const TensorView& x, const TensorView& y, const TensorView& places) {
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), adaptive_max_table));
  const bool together = x.shape[kC] > 1 && x.stride[kC] == 1 && y.stride[kC] == 1;
  const int64_t channels = together ? 1 : x.shape[kC];
  const int64_t out_d = y.shape[kD], out_h = y.shape[kH];
  const int64_t lines = x.shape[kN] * channels * out_d * out_h;
  if (lines == 0 || x.shape[kC] == 0) return;
  const auto work = 2 * static_cast<double>(x.size());
  const int64_t tasks = std::clamp<int64_t>(x.size() / kTaskElements, 1, lines);
  const int workers = workers_for(tasks, work);
  const int64_t pitch = padded_count<int32_t>(x.shape[kW]);  // a cache line behind them, as the kernel wants
  const Scratch<T> value(workers * pitch);
  const Scratch<int32_t> line(workers * pitch);
  parallel_for(tasks, workers, FpMode::exact, [&](int64_t task, int worker) {
    for (int64_t i = lines * task / tasks; i < lines * (task + 1) / tasks; ++i) {
      const int64_t h = i % out_h, d = i / out_h % out_d, plane = i / out_h / out_d;
      const int64_t n = plane / channels, c = plane % channels;
      const int64_t to = n * y.stride[kN] + c * y.stride[kC] + d * y.stride[kD] + h * y.stride[kH];
      const auto end = [](int64_t o, int64_t in, int64_t out) { return ((o + 1) * in + out - 1) / out; };
      const pool::AdaptiveArgs<T> a{
          .x = x.as<T>() + n * x.stride[kN] + c * x.stride[kC],
          .out = y.as<T>() + to,
          .places = places.as<int64_t>() + to,
          .in_h = x.shape[kH],
          .in_w = x.shape[kW],
          .out_w = y.shape[kW],
          .d_begin = d * x.shape[kD] / out_d,
          .d_end = end(d, x.shape[kD], out_d),
          .h_begin = h * x.shape[kH] / out_h,
          .h_end = end(h, x.shape[kH], out_h),
          .x_d = x.stride[kD],
          .x_h = x.stride[kH],
          .x_w = x.stride[kW],
          .out_step = y.stride[kW],
          .channels = x.shape[kC],
          .value = value.get() + worker * pitch,
          .line = line.get() + worker * pitch,
      };
      (together ? kernel.channels : kernel.planes)(a);
    }
  });
}

}  // namespace

void check_adaptive_max_pool(const char* op, const TensorView& input) {
  if (checked_product(input.dims().subspan(2), op, "input") > std::numeric_limits<int32_t>::max())
    fail_value(op, ": images must have fewer than 2^31 elements, got ", tuple_text(input.dims().subspan(2)));
}

void adaptive_max_pool(const TensorView& input, const TensorView& output, const TensorView& places) {
  input.dtype == DType::f32 ? run<float>(input, output, places) : run<double>(input, output, places);
}

}  // namespace striate
