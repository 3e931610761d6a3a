// The bias gradient: for each channel the sum over images and pixels.
#include <algorithm>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/reference.h"
#include "ops/conv.h"

namespace striate {
namespace {

enum class Algorithm : uint8_t { channels, planes, reference };

std::string channels_decline(const TensorView& g) {
  if (g.shape[kC] < 2 || g.stride[kC] != 1) return "channels are not neighbours in memory";
  return {};
}

constexpr PlanRow<Algorithm, const TensorView&> kRows[] = {
    {Algorithm::channels, "channels", channels_decline},  // lanes are channels
    {Algorithm::planes, "planes", nullptr},               // lanes are pixels; any strides
    {Algorithm::reference, "reference", nullptr},
};
constexpr const char* kOp = "channel_sum";

constexpr int64_t kParts = 16;  // of the rows of a channels-last array; fixed, so the bits are too

// Channels are neighbours: each part of the rows adds up all channels, and the parts are added in order.
template <class T>
void sum_channels(const TensorView& g, const reduce::Kernel<T>& kernel, const TensorView& sums) {
  const int64_t channels = g.shape[kC];
  const int64_t lines = g.shape[kN] * g.shape[kD] * g.shape[kH];  // a line is a row of pixels
  const int64_t parts = std::min(kParts, lines);
  const int64_t pitch = padded_count<T>(channels);
  const Scratch<T> partial(parts * pitch);
  const auto work = static_cast<double>(g.size());
  parallel_for(parts, workers_for(parts, work), FpMode::flush_denormals, [&](int64_t part, int) {
    T* mine = partial.get() + part * pitch;
    std::fill(mine, mine + channels, T(0));
    for (int64_t line = lines * part / parts; line < lines * (part + 1) / parts; ++line) {
      const int64_t h = line % g.shape[kH];
      const int64_t d = line / g.shape[kH] % g.shape[kD];
      const int64_t n = line / g.shape[kH] / g.shape[kD];
      kernel.add_rows(g.as<T>() + n * g.stride[kN] + d * g.stride[kD] + h * g.stride[kH], g.shape[kW],
                      g.stride[kW], channels, mine);
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    T total = 0;
    for (int64_t part = 0; part < parts; ++part) total += partial.get()[part * pitch + c];
    sums.as<T>()[c * sums.stride[0]] = total;
  }
}

template <class T>
void sum_planes(const TensorView& g, const reduce::Kernel<T>& kernel, const TensorView& sums) {
  const int64_t channels = g.shape[kC];
  const auto work = static_cast<double>(g.size());
  // A plane that lies in one piece is one run.
  const bool whole_rows = g.stride[kH] == g.shape[kW] * g.stride[kW];
  const bool whole_planes = whole_rows && g.stride[kD] == g.shape[kH] * g.stride[kH];
  const int64_t depths = whole_planes ? 1 : g.shape[kD];
  const int64_t rows = whole_rows ? 1 : g.shape[kH];
  const int64_t run = g.shape[kD] * g.shape[kH] * g.shape[kW] / std::max<int64_t>(depths * rows, 1);
  parallel_for(channels, workers_for(channels, work), FpMode::flush_denormals, [&](int64_t c, int) {
    T total = 0;
    for (int64_t n = 0; n < g.shape[kN]; ++n)
      for (int64_t d = 0; d < depths; ++d)
        for (int64_t h = 0; h < rows; ++h)
          total += kernel.sum(g.as<T>() + n * g.stride[kN] + c * g.stride[kC] + d * g.stride[kD] +
                                  h * g.stride[kH],
                              run, g.stride[kW]);
    sums.as<T>()[c * sums.stride[0]] = total;
  });
}

template <class T>
void run(const TensorView& g, const TensorView& sums, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, g);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), reduce_table));
  if (g.size() == 0) {
    for (int64_t c = 0; c < g.shape[kC]; ++c) sums.as<T>()[c * sums.stride[0]] = 0;
  } else if (algorithm == Algorithm::reference) {
    reduce::reference_channel_sum<T>(g, sums);
  } else if (algorithm == Algorithm::channels) {
    sum_channels(g, kernel, sums);
  } else {
    sum_planes(g, kernel, sums);
  }
}

}  // namespace

Plan plan_channel_sum(const TensorView& grad_output, const char* force) {
  return explain(kOp, kRows, force, grad_output);
}

void channel_sum(const TensorView& grad_output, const TensorView& sums, const char* force) {
  if (grad_output.dtype == DType::f32)
    run<float>(grad_output, sums, force);
  else
    run<double>(grad_output, sums, force);
}

}  // namespace striate
