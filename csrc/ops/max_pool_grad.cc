// The gradient of a maximum goes to the pixel that won, and so does a value that is unpooled. Elements of one
// image and channel are put there in order, and no two tasks share a channel, so there are no atomics and the bits
// are the same every time.
//
// One read of an index and one addition an element: nothing here gains from wider vectors.
#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/pool/reference.h"
#include "ops/pool.h"

namespace striate {
namespace {

constexpr int64_t kTaskElements = 32768;

// ---- the plan -----------------------------------------------------------------------------------------

enum class Algorithm : uint8_t { channels, planes, reference };

std::string channels_decline(const TensorView& grad_input) {
  if (grad_input.shape[kC] < 2 || grad_input.stride[kC] != 1)
    return "channels are not neighbours in memory";
  if (grad_input.shape[kD] * grad_input.shape[kH] * grad_input.shape[kW] == 1)
    return "images of one pixel have no memory format";
  return {};
}

constexpr PlanRow<Algorithm, const TensorView&> kRows[] = {
    {Algorithm::channels, "channels", channels_decline},  // neighbouring channels go together
    {Algorithm::planes, "planes", nullptr},               // every channel alone; any strides
    {Algorithm::reference, "reference", nullptr},
};

// ---- checks -------------------------------------------------------------------------------------------

// Calls body(n, c, d, h) for the rows [begin, end) of a view, counted over (n, c, d, h).
template <class Body>
void for_rows(const TensorView& view, int64_t begin, int64_t end, Body body) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t h = row % view.shape[kH], rest = row / view.shape[kH];
    const int64_t d = rest % view.shape[kD], plane = rest / view.shape[kD];
    body(plane / view.shape[kC], plane % view.shape[kC], d, h);
  }
}

// An index is bad if it is negative or limit - 1 - index is.
bool run_is_bad(const int64_t* index, int64_t count, int64_t stride, uint64_t limit) {
  uint64_t signs = 0;
  if (stride == 1)
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<uint64_t>(index[i]);
      signs |= at | (limit - 1 - at);
    }
  else
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<uint64_t>(index[i * stride]);
      signs |= at | (limit - 1 - at);
    }
  return signs >> 63;
}

[[noreturn]] void fail_index(const char* op, const TensorView& indices, const TensorView& grad_input,
                             int64_t pixels) {
  const int64_t rows = indices.shape[kN] * indices.shape[kC] * indices.shape[kD] * indices.shape[kH];
  for_rows(indices, 0, rows, [&](int64_t n, int64_t c, int64_t d, int64_t h) {
    for (int64_t w = 0; w < indices.shape[kW]; ++w) {
      const int64_t at = indices.as<int64_t>()[n * indices.stride[kN] + c * indices.stride[kC] +
                                               d * indices.stride[kD] + h * indices.stride[kH] +
                                               w * indices.stride[kW]];
      if (at < 0 || at >= pixels)
        fail_value(op, ": indices must be from 0 to ", pixels - 1, " for images of ",
                   tuple_text(grad_input.dims().subspan(2)), ", got ", at);
    }
  });
  fail_value(op, ": indices changed while they were read");
}

void check_indices(const char* op, const TensorView& indices, const TensorView& grad_input) {
  const auto pixels =
      static_cast<uint64_t>(grad_input.shape[kD] * grad_input.shape[kH] * grad_input.shape[kW]);
  // All that matters is that every element is met once: a dense array is one run, whatever its format.
  const bool dense = read_format(indices).format != MemoryFormat::other;
  const int64_t rows =
      dense ? 1 : indices.shape[kN] * indices.shape[kC] * indices.shape[kD] * indices.shape[kH];
  const int64_t tasks = std::max<int64_t>(indices.size() / kTaskElements, 1);
  const int workers = workers_for(tasks, static_cast<double>(indices.size()));
  std::vector<char> bad(static_cast<size_t>(tasks));
  parallel_for(tasks, workers, FpMode::exact, [&](int64_t task, int) {
    bool found = false;
    if (dense) {
      const int64_t begin = indices.size() * task / tasks, end = indices.size() * (task + 1) / tasks;
      found = run_is_bad(indices.as<int64_t>() + begin, end - begin, 1, pixels);
    } else {
      for_rows(indices, rows * task / tasks, rows * (task + 1) / tasks,
               [&](int64_t n, int64_t c, int64_t d, int64_t h) {
                 found |= run_is_bad(indices.as<int64_t>() + n * indices.stride[kN] +
                                         c * indices.stride[kC] + d * indices.stride[kD] +
                                         h * indices.stride[kH],
                                     indices.shape[kW], indices.stride[kW], pixels);
               });
    }
    bad[static_cast<size_t>(task)] = found;
  });
  if (std::find(bad.begin(), bad.end(), 1) != bad.end())
    fail_index(op, indices, grad_input, static_cast<int64_t>(pixels));
}

// ---- drivers ------------------------------------------------------------------------------------------

// Where a flat index lies: a product if pixels are evenly spaced, as in both memory formats.
template <bool Even>
struct Pixel {
  int64_t rows, columns, image_stride, row_stride, stride;
  int64_t operator()(int64_t at) const {
    if constexpr (Even) return at * stride;
    return at / columns / rows * image_stride + at / columns % rows * row_stride + at % columns * stride;
  }
};

bool pixels_are_even(const TensorView& view) {
  const bool rows = view.shape[kH] == 1 || view.stride[kH] == view.shape[kW] * view.stride[kW];
  return rows && (view.shape[kD] == 1 || view.stride[kD] == view.shape[kH] * view.shape[kW] * view.stride[kW]);
}

template <class T>
void fill_zero(T* to, int64_t pixels, int64_t pixel_stride, int64_t channels, int64_t channel_stride) {
  if (channels == 1 ? pixel_stride == 1 : channel_stride == 1 && pixel_stride == channels) {
    std::memset(to, 0, static_cast<size_t>(pixels * channels) * sizeof(T));
    return;
  }
  for (int64_t pixel = 0; pixel < pixels; ++pixel)
    for (int64_t c = 0; c < channels; ++c) to[pixel * pixel_stride + c * channel_stride] = 0;
}

// What happens where indices meet: a gradient adds up, an unpooling keeps the last.
enum class Meeting : uint8_t { adds, keeps_last };

template <Meeting meeting, class T>
void put(T& to, T value) {
  if constexpr (meeting == Meeting::adds)
    to += value;
  else
    to = value;
}

// Channels [c_begin, c_end) of image n. With many channels the image may not fit a cache, so pixels become
// zero row by row, just before the first index reaches them.
template <class T, bool Even, Meeting meeting>
void scatter(const TensorView& indices, const TensorView& grad, const TensorView& out, int64_t n,
             int64_t c_begin, int64_t c_end) {
  const Pixel<Even> pixel{out.shape[kH], out.shape[kW], out.stride[kD], out.stride[kH], out.stride[kW]};
  T* to = out.as<T>() + n * out.stride[kN] + c_begin * out.stride[kC];
  const T* from = grad.as<T>() + n * grad.stride[kN] + c_begin * grad.stride[kC];
  const int64_t* index = indices.as<int64_t>() + n * indices.stride[kN] + c_begin * indices.stride[kC];
  const int64_t channels = c_end - c_begin, pixels = out.shape[kD] * out.shape[kH] * out.shape[kW];
  const int64_t to_c = out.stride[kC], from_c = grad.stride[kC], index_c = indices.stride[kC];
  const int64_t from_w = grad.stride[kW], index_w = indices.stride[kW];
  int64_t zeroed = 0;
  const auto zero_until = [&](int64_t end) {
    if (end <= zeroed) return;
    if constexpr (Even)
      fill_zero(to + pixel(zeroed), end - zeroed, out.stride[kW], channels, to_c);
    else
      for (; zeroed < end; ++zeroed) fill_zero(to + pixel(zeroed), 1, 1, channels, to_c);
    zeroed = end;
  };
  if (channels == 1) zero_until(pixels);
  for (int64_t d = 0; d < grad.shape[kD]; ++d)
    for (int64_t h = 0; h < grad.shape[kH]; ++h) {
      const int64_t* index_row = index + d * indices.stride[kD] + h * indices.stride[kH];
      const T* from_row = from + d * grad.stride[kD] + h * grad.stride[kH];
      if (channels == 1) {
        for (int64_t w = 0; w < grad.shape[kW]; ++w)
          put<meeting>(to[pixel(index_row[w * index_w])], from_row[w * from_w]);
        continue;
      }
      int64_t last = -1;
      for (int64_t w = 0; w < grad.shape[kW]; ++w)
        for (int64_t c = 0; c < channels; ++c) last = std::max(last, index_row[w * index_w + c * index_c]);
      zero_until(last + 1);
      for (int64_t w = 0; w < grad.shape[kW]; ++w) {
        const int64_t* at = index_row + w * index_w;
        const T* value = from_row + w * from_w;
        if (to_c == 1 && index_c == 1 && from_c == 1)
          for (int64_t c = 0; c < channels; ++c) put<meeting>(to[pixel(at[c]) + c], value[c]);
        else
          for (int64_t c = 0; c < channels; ++c)
            put<meeting>(to[pixel(at[c * index_c]) + c * to_c], value[c * from_c]);
      }
    }
  zero_until(pixels);
}

template <class T, Meeting meeting>
void run(const char* op, const TensorView& indices, const TensorView& grad, const TensorView& out,
         const char* force) {
  const Algorithm algorithm = choose(op, kRows, force, out);
  if (algorithm == Algorithm::reference) {
    if constexpr (meeting == Meeting::adds) return pool::reference_max_grad<T>(indices, grad, out);
    return pool::reference_max_unpool<T>(indices, grad, out);
  }
  const bool even = pixels_are_even(out);
  // Channels that go together fill at least four cache lines.
  constexpr int64_t kFewest = 64, kTasks = 16;
  const int64_t channels = out.shape[kC];
  int64_t block = 1;
  if (algorithm == Algorithm::channels) {
    const int64_t parts = std::clamp<int64_t>(kTasks / out.shape[kN], 1, (channels + kFewest - 1) / kFewest);
    block = (channels + parts - 1) / parts;
  }
  const int64_t blocks = (channels + block - 1) / block;
  // Small planes go together: a task is worth its start.
  const int64_t units = out.shape[kN] * blocks;
  const double work = static_cast<double>(out.size()) + 4 * static_cast<double>(grad.size());
  const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(work / kTaskElements), 1, units);
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t n = unit / blocks, c = unit % blocks * block;
      const int64_t c_end = std::min(c + block, channels);
      if (even)
        scatter<T, true, meeting>(indices, grad, out, n, c, c_end);
      else
        scatter<T, false, meeting>(indices, grad, out, n, c, c_end);
    }
  });
}

// The transpose of both: every index reads its pixel.
template <class T, bool Even>
void pick(const TensorView& indices, const TensorView& input, const TensorView& output) {
  const Pixel<Even> pixel{input.shape[kH], input.shape[kW], input.stride[kD], input.stride[kH], input.stride[kW]};
  const bool joined = output.shape[kC] > 1 && output.stride[kC] == 1;  // channels lie inside pixels
  const int64_t inner = joined ? output.shape[kC] : 1;
  const int64_t rows = output.size() / std::max<int64_t>(output.shape[kW] * inner, 1);
  const auto work = static_cast<double>(4 * output.size());
  const int64_t tasks = std::clamp<int64_t>(output.size() / kTaskElements, 1, std::max<int64_t>(rows, 1));
  TensorView walked = output;
  if (joined) walked.shape[kC] = 1;
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for_rows(walked, rows * task / tasks, rows * (task + 1) / tasks,
             [&](int64_t n, int64_t c, int64_t d, int64_t h) {
      const auto begin = [&](const TensorView& view) {
        return n * view.stride[kN] + c * view.stride[kC] + d * view.stride[kD] + h * view.stride[kH];
      };
      const T* from = input.as<T>() + n * input.stride[kN] + c * input.stride[kC];
      const int64_t* index = indices.as<int64_t>() + begin(indices);
      T* to = output.as<T>() + begin(output);
      if (Even && inner == 1 && output.stride[kW] == 1 && indices.stride[kW] == 1) {
        for (int64_t w = 0; w < output.shape[kW]; ++w) to[w] = from[pixel(index[w])];
        return;
      }
      if (Even && joined && indices.stride[kC] == 1 && input.stride[kC] == 1) {
        for (int64_t w = 0; w < output.shape[kW]; ++w)
          for (int64_t k = 0; k < inner; ++k)
            to[w * output.stride[kW] + k] = from[pixel(index[w * indices.stride[kW] + k]) + k];
        return;
      }
      for (int64_t w = 0; w < output.shape[kW]; ++w)
        for (int64_t k = 0; k < inner; ++k)
          to[w * output.stride[kW] + k * output.stride[kC]] =
              from[pixel(index[w * indices.stride[kW] + k * indices.stride[kC]]) + k * input.stride[kC]];
    });
  });
}

}  // namespace

Plan plan_max_pool_input_grad(const char* op, const TensorView& grad_input, const char* force) {
  return explain(op, kRows, force, grad_input);
}

void max_pool_input_grad(const char* op, const TensorView& indices, const TensorView& grad_output,
                         const TensorView& grad_input, const char* force) {
  check_indices(op, indices, grad_input);
  if (grad_input.size() == 0) return;
  if (grad_output.dtype == DType::f32)
    run<float, Meeting::adds>(op, indices, grad_output, grad_input, force);
  else
    run<double, Meeting::adds>(op, indices, grad_output, grad_input, force);
}

void max_unpool(const char* op, const TensorView& indices, const TensorView& input, const TensorView& output,
                const char* force) {
  check_indices(op, indices, output);
  if (output.size() == 0) return;
  if (output.dtype == DType::f32)
    run<float, Meeting::keeps_last>(op, indices, input, output, force);
  else
    run<double, Meeting::keeps_last>(op, indices, input, output, force);
}

void pick_elements(const char* op, const TensorView& indices, const TensorView& input, const TensorView& output) {
  check_indices(op, indices, input);
  const auto call = [&]<class T>(T) {
    pixels_are_even(input) ? pick<T, true>(indices, input, output) : pick<T, false>(indices, input, output);
  };
  if (output.dtype == DType::f32)
    call(float());
  else
    call(double());
}

}  // namespace striate
