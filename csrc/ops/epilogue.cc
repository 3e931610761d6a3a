#include "ops/epilogue.h"

#include "base/cpu.h"
#include "base/strided_loop.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/reduce/reduce.h"

namespace striate {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements in a task

template <class T>
pointwise::Run<T> kernel_for(Activation activation) {
  const pointwise::Kernel<T>& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pointwise_table));
  switch (activation) {
    case Activation::relu:
      return kernel.relu;
    case Activation::leaky_relu:
      return kernel.leaky_relu;
    case Activation::sigmoid:
      return kernel.sigmoid;
    case Activation::tanh:
      return kernel.tanh;
  }
  __builtin_unreachable();
}

}  // namespace

template <class T>
TileEpilogue<T>::TileEpilogue(const Epilogue& epilogue) : negative_slope_(static_cast<T>(epilogue.negative_slope)) {
  if (epilogue.addend) {
    addend_ = epilogue.addend->as<T>();
    for (size_t i = 0; i < 5; ++i) addend_stride_[i] = epilogue.addend->stride[i];
    add_ = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), reduce_table)).add_rows;
  }
  if (epilogue.activation) activate_ = kernel_for<T>(*epilogue.activation);
}

template <class T>
void TileEpilogue<T>::run(T* out, const T* addend, int64_t count, int64_t step, int64_t addend_step) const {
  if (addend_) {
    if (step == 1 && addend_step == 1)
      add_(addend, 1, 0, count, out);
    else
      for (int64_t i = 0; i < count; ++i) out[i * step] += addend[i * addend_step];
  }
  if (activate_)
    activate_({.a = out,
               .g = nullptr,
               .out = out,
               .a_step = step,
               .g_step = 0,
               .out_step = step,
               .count = count,
               .negative_slope = negative_slope_});
}

template <class T>
void TileEpilogue<T>::apply(const StoredTile<T>& tile, const std::array<int64_t, 5>& stride) const {
  if (does_nothing()) return;
  const auto view = [&](const std::array<int64_t, 5>& s) {
    TensorView v;
    v.rank = 3;
    v.shape = {tile.channels, tile.rows, tile.cols};
    v.stride = {tile.channel_step * s[kC], s[kH], s[kW]};
    return v;
  };
  const T* addend = addend_;
  for (size_t i = 0; i < 5; ++i) addend += addend_ ? tile.position[i] * addend_stride_[i] : 0;
  const TensorView out = view(stride), added = view(addend_ ? addend_stride_ : stride);
  const StridedLoop<2> loop({&out, &added});
  for (int64_t i = 0; i < loop.runs(); ++i) {
    const auto [to, from] = loop.begin_of(i);
    run(tile.out + to, addend_ ? addend + from : nullptr, loop.run_length(), loop.step()[0], loop.step()[1]);
  }
}

template <class T>
void TileEpilogue<T>::apply_to_all(const TensorView& result) const {
  if (does_nothing()) return;
  TensorView added = result;
  if (addend_) std::copy(addend_stride_.begin(), addend_stride_.end(), added.stride.begin());
  const StridedLoop<2> loop({&result, &added});
  parallel_runs(loop, kGrain, static_cast<double>(loop.size()), FpMode::flush_denormals,
                [&](const std::array<int64_t, 2>& begin, int64_t count) {
                  run(result.as<T>() + begin[0], addend_ ? addend_ + begin[1] : nullptr, count, loop.step()[0],
                      loop.step()[1]);
                });
}

template class TileEpilogue<float>;
template class TileEpilogue<double>;

}  // namespace striate
