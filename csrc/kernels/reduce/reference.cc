#include "kernels/reduce/reference.h"

#include "base/parallel.h"

namespace striate::reduce {

template <class T>
void reference_channel_sum(const TensorView& input, const TensorView& sums) {
  const int64_t channels = input.shape[kC];
  const int workers = workers_for(channels, static_cast<double>(input.size()));
  parallel_for(channels, workers, FpMode::flush_denormals, [&](int64_t c, int) {
    TensorView channel = input;
    channel.data = input.as<T>() + c * input.stride[kC];
    channel.shape[kC] = 1;
    double sum = 0;
    for (int64_t i = 0; i < channel.size(); ++i) sum += nth<T>(channel, i);
    nth<T>(sums, c) = static_cast<T>(sum);
  });
}

template void reference_channel_sum<float>(const TensorView&, const TensorView&);
template void reference_channel_sum<double>(const TensorView&, const TensorView&);

}  // namespace striate::reduce
