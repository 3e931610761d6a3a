#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "base/strided_loop.h"
#include "kernels/norm/norm.h"
#include "kernels/norm/reference.h"

namespace striate {
namespace {

constexpr int64_t kParts = 16;         // of the sums, at most; never a matter of threads
constexpr int64_t kGrain = 16 * 1024;  // elements in a task
constexpr int64_t kShortRun = 1024;    // not worth cutting
constexpr int64_t kNarrowRow = 64;     // rows of fewer channels are joined (see add_rows)

template <class T>
const norm::Kernel<T>& norm_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), norm_table));
}

int64_t part_begin(int64_t total, int64_t part, int64_t parts) {
  return total / parts * part + std::min(part, total % parts);
}

// ---- sums ---------------------------------------------------------------------------------------------

/// sum[c] and product[c] of kernels/norm/norm.h over the whole array, with x = `input`, g = `grad` or null.
template <class T>
class ChannelSums {
 public:
  ChannelSums(const TensorView& input, const TensorView* grad, const T* center)
      : x_(input),
        g_(grad ? *grad : input),
        has_grad_(grad != nullptr),
        channels_(input.shape[kC]),
        pitch_(padded_count<double>(channels_)),
        loop_({&x_, &g_}, kC),
        rows_(x_.stride[kC] == 1 && g_.stride[kC] == 1 && channels_ > 1),
        parts_(std::clamp<int64_t>(loop_.size() * (rows_ ? channels_ : 1) / kShortRun, 1,
                                   std::min(kParts, std::max<int64_t>(loop_.size(), 1)))),
        sums_(2 * parts_ * pitch_) {
    std::fill(sums_.get(), sums_.get() + 2 * parts_ * pitch_, 0.0);
    if (rows_)
      add_rows(center);
    else
      add_runs(center);
    for (int64_t part = 1; part < parts_; ++part)
      for (int64_t c = 0; c < channels_; ++c) {
        sum_of(0)[c] += sum_of(part)[c];
        product_of(0)[c] += product_of(part)[c];
      }
  }

  double sum(int64_t c) const { return sum_of(0)[c]; }
  double product(int64_t c) const { return product_of(0)[c]; }

 private:
  double* sum_of(int64_t part) const { return sums_.get() + 2 * part * pitch_; }
  double* product_of(int64_t part) const { return sum_of(part) + pitch_; }

  norm::SumArgs<T> args(const std::array<int64_t, 2>& begin, int64_t count, int64_t part) const {
    return {.x = x_.as<T>() + begin[0],
            .g = has_grad_ ? g_.as<T>() + begin[1] : nullptr,
            .x_step = loop_.step()[0],
            .g_step = loop_.step()[1],
            .count = count,
            .channels = 1,
            .center = nullptr,
            .sum = sum_of(part),
            .product = product_of(part)};
  }

  // A part of the pixels, all channels at once.
  void add_rows(const T* center) const {
    // Rows of few channels would leave lanes idle. Where rows follow one another without a gap, `join` of
    // them are one row of join * channels columns, and the columns of a channel are added in the end.
    const bool gapless = loop_.run_length() > 1 && loop_.step()[0] == channels_ &&
                         loop_.step()[1] == channels_;
    const int64_t join = gapless && channels_ < kNarrowRow ? kNarrowRow / channels_ : 1;
    const int64_t columns = join * channels_;
    const int64_t pitch = padded_count<double>(columns);
    const Scratch<T> centers(columns);
    const Scratch<double> joined(2 * parts_ * pitch);
    for (int64_t i = 0; i < columns; ++i) centers.get()[i] = center[i % channels_];
    std::fill(joined.get(), joined.get() + 2 * parts_ * pitch, 0.0);
    // Blocks of rows small enough to stay in cache while the kernel passes over column after column.
    const int64_t block = std::max<int64_t>(1, kGrain / channels_ / join) * join;
    const auto& kernel = norm_kernel<T>();
    run_parts(1, [&](int64_t part, int64_t) {
      double* sum = joined.get() + 2 * part * pitch;
      loop_.for_each_run(
          begin_of(part), begin_of(part + 1),
          [&](std::array<int64_t, 2> begin, int64_t count) {
            for (int64_t done = 0; done < count; done += block) {
              const int64_t rows = std::min(block, count - done);
              auto a = args(begin, rows / join, part);
              a.x += done * loop_.step()[0];
              a.g = has_grad_ ? a.g + done * loop_.step()[1] : nullptr;
              a.channels = columns;
              a.center = centers.get();
              a.sum = sum;
              a.product = sum + pitch;
              a.x_step *= join;
              a.g_step *= join;
              kernel.sum_rows(a);
              if (rows % join == 0) continue;
              a.x += rows / join * a.x_step;
              a.g = has_grad_ ? a.g + rows / join * a.g_step : nullptr;
              a.x_step = loop_.step()[0];
              a.g_step = loop_.step()[1];
              a.count = rows % join;
              a.channels = channels_;
              kernel.sum_rows(a);
            }
          });
      for (int64_t i = 0; i < columns; ++i) {
        sum_of(part)[i % channels_] += sum[i];
        product_of(part)[i % channels_] += sum[pitch + i];
      }
    });
  }

  // Each channel by itself, a chunk of them in each part of its elements.
  void add_runs(const T* center) const {
    const auto& kernel = norm_kernel<T>();
    const int64_t chunks = std::min(channels_, (kParts + parts_ - 1) / parts_);
    run_parts(chunks, [&](int64_t part, int64_t chunk) {
      loop_.for_each_run(
          begin_of(part), begin_of(part + 1),
          [&](const std::array<int64_t, 2>& begin, int64_t count) {
            for (int64_t c = part_begin(channels_, chunk, chunks);
                 c < part_begin(channels_, chunk + 1, chunks); ++c) {
              auto a = args(begin, count, part);
              a.x += c * x_.stride[kC];
              a.g = has_grad_ ? a.g + c * g_.stride[kC] : nullptr;
              a.center = center + c;
              a.sum += c;
              a.product += c;
              kernel.sum_run(a);
            }
          });
    });
  }

  // In elements of a channel; between whole runs where there are enough.
  int64_t begin_of(int64_t part) const {
    if (loop_.runs() >= parts_) return part_begin(loop_.runs(), part, parts_) * loop_.run_length();
    return part_begin(loop_.size(), part, parts_);
  }

  template <class Body>
  void run_parts(int64_t chunks, Body body) const {
    const int64_t tasks = parts_ * chunks;
    const double work = static_cast<double>(loop_.size()) * static_cast<double>(channels_) / 4;
    parallel_for(tasks, workers_for(tasks, work), FpMode::flush_denormals,
                 [&](int64_t task, int) { body(task / chunks, task % chunks); });
  }

  TensorView x_, g_;
  bool has_grad_;
  int64_t channels_, pitch_;
  StridedLoop<2> loop_;
  bool rows_;  // channels lie side by side
  int64_t parts_;
  Scratch<double> sums_;
};

// ---- map ----------------------------------------------------------------------------------------------

// The four numbers a channel of the map, each repeated so that joined rows find theirs (see ChannelSums).
template <class T>
class Coefficients {
 public:
  explicit Coefficients(int64_t channels)
      : channels_(channels),
        columns_(channels < kNarrowRow ? std::max<int64_t>(1, kNarrowRow / channels) * channels : channels),
        data_(4 * columns_) {}
  T* center() const { return data_.get(); }
  T* scale() const { return data_.get() + columns_; }
  T* offset() const { return data_.get() + 2 * columns_; }
  T* grad_scale() const { return data_.get() + 3 * columns_; }
  void set(int64_t c, double center, double scale, double offset, double grad_scale) const {
    for (int64_t i = c; i < columns_; i += channels_) {
      data_.get()[i] = static_cast<T>(center);
      data_.get()[columns_ + i] = static_cast<T>(scale);
      data_.get()[2 * columns_ + i] = static_cast<T>(offset);
      data_.get()[3 * columns_ + i] = static_cast<T>(grad_scale);
    }
  }
  int64_t join() const { return columns_ / channels_; }

 private:
  int64_t channels_, columns_;
  Scratch<T> data_;
};

/// output = (x - center) * scale + offset, and + g * grad_scale where there is a `grad`.
template <class T>
void map_channels(const TensorView& input, const TensorView* grad, const TensorView& output,
                  const Coefficients<T>& coefficients) {
  const TensorView& g = grad ? *grad : input;
  const int64_t channels = input.shape[kC];
  const StridedLoop<3> loop({&output, &input, &g}, kC);
  const auto& kernel = norm_kernel<T>();
  const double work = static_cast<double>(loop.size()) * static_cast<double>(channels) / 4;
  norm::MapArgs<T> common{.x = input.as<T>(),
                          .g = grad ? grad->as<T>() : nullptr,
                          .out = output.as<T>(),
                          .x_step = loop.step()[1],
                          .g_step = loop.step()[2],
                          .out_step = loop.step()[0],
                          .count = 0,
                          .channels = 1,
                          .center = coefficients.center(),
                          .scale = coefficients.scale(),
                          .offset = coefficients.offset(),
                          .grad_scale = coefficients.grad_scale()};
  const auto at = [&](const std::array<int64_t, 3>& begin, int64_t count) {
    norm::MapArgs<T> a = common;
    a.out += begin[0];
    a.x += begin[1];
    if (a.g) a.g += begin[2];
    a.count = count;
    return a;
  };
  const int64_t grain = std::max<int64_t>(1, kGrain / channels);
  if (channels > 1 && output.stride[kC] == 1 && input.stride[kC] == 1 && g.stride[kC] == 1) {
    const auto& step = loop.step();
    const bool gapless = std::all_of(step.begin(), step.end(), [&](int64_t s) { return s == channels; });
    const int64_t join = gapless ? coefficients.join() : 1;
    parallel_runs(loop, grain, work, FpMode::flush_denormals,
                  [&](const std::array<int64_t, 3>& begin, int64_t count) {
                    norm::MapArgs<T> a = at(begin, count / join);
                    a.channels = channels * join;
                    a.x_step *= join;
                    a.g_step *= join;
                    a.out_step *= join;
                    kernel.map_rows(a);
                    if (count % join == 0) return;
                    const int64_t done = count / join * join * channels;
                    a = at({begin[0] + done, begin[1] + done, begin[2] + done}, count % join);
                    a.channels = channels;
                    kernel.map_rows(a);
                  });
    return;
  }
  const int64_t whole = std::max(grain, std::min(loop.run_length(), kShortRun));
  parallel_runs(loop, whole, work, FpMode::flush_denormals,
                [&](const std::array<int64_t, 3>& begin, int64_t count) {
                  for (int64_t c = 0; c < channels; ++c) {
                    norm::MapArgs<T> a = at(begin, count);
                    a.out += c * output.stride[kC];
                    a.x += c * input.stride[kC];
                    if (a.g) a.g += c * g.stride[kC];
                    a.center += c;
                    a.scale += c;
                    a.offset += c;
                    a.grad_scale += c;
                    kernel.map_run(a);
                  }
                });
}

// ---- the three ops ------------------------------------------------------------------------------------

template <class T>
double element_or(const T* values, int64_t c, double otherwise) {
  return values ? static_cast<double>(values[c]) : otherwise;
}

template <class T>
void train(const BatchNormProblem& p, const TensorView& input, const T* weight, const T* bias,
           const TensorView& output, T* mean, T* var) {
  // Any element of a channel is a good centre, if it is finite.
  const Scratch<T> center(p.channels);
  for (int64_t c = 0; c < p.channels; ++c) {
    const T first = input.as<T>()[c * input.stride[kC]];
    center.get()[c] = std::isfinite(first) ? first : T(0);
  }
  const ChannelSums<T> sums(input, nullptr, center.get());
  const Coefficients<T> coefficients(p.channels);
  const auto n = static_cast<double>(p.count);
  for (int64_t c = 0; c < p.channels; ++c) {
    const double shift = sums.sum(c) / n;  // of the mean from the centre
    const double exact_mean = center.get()[c] + shift;
    double variance = (sums.product(c) - sums.sum(c) * shift) / n;
    if (variance < 0) variance = 0;  // by rounding; a NaN stays
    mean[c] = static_cast<T>(exact_mean);
    var[c] = static_cast<T>(variance);
    const double scale = element_or(weight, c, 1) / std::sqrt(variance + p.eps);
    // What rounding takes from the mean, the offset gives back.
    const double lost = std::isfinite(exact_mean) ? exact_mean - static_cast<double>(mean[c]) : 0;
    coefficients.set(c, mean[c], scale, element_or(bias, c, 0) - lost * scale, 0);
  }
  map_channels(input, nullptr, output, coefficients);
}

template <class T>
void infer(const BatchNormProblem& p, const TensorView& input, const T* mean, const T* var,
           const T* weight, const T* bias, const TensorView& output) {
  const Coefficients<T> coefficients(p.channels);
  for (int64_t c = 0; c < p.channels; ++c)
    coefficients.set(c, mean[c], element_or(weight, c, 1) / std::sqrt(var[c] + p.eps),
                     element_or(bias, c, 0), 0);
  map_channels(input, nullptr, output, coefficients);
}

template <class T>
void gradients(const BatchNormProblem& p, const TensorView& input, const TensorView& grad_output,
               const T* mean, const T* var, const T* weight, bool training,
               const TensorView& grad_input, T* grad_weight, T* grad_bias) {
  const ChannelSums<T> sums(input, &grad_output, mean);
  const Coefficients<T> coefficients(p.channels);
  const auto n = static_cast<double>(p.count);
  for (int64_t c = 0; c < p.channels; ++c) {
    const double inverse_std = 1 / std::sqrt(var[c] + p.eps);
    const double scale = element_or(weight, c, 1) * inverse_std;
    grad_bias[c] = static_cast<T>(sums.sum(c));
    grad_weight[c] = static_cast<T>(sums.product(c) * inverse_std);
    if (training)
      coefficients.set(c, mean[c], -scale * inverse_std * inverse_std * sums.product(c) / n,
                       -scale * sums.sum(c) / n, scale);
    else
      coefficients.set(c, 0, scale, -0.0, 0);
  }
  // With fixed statistics the gradient is a map of grad_output alone.
  if (training)
    map_channels(input, &grad_output, grad_input, coefficients);
  else
    map_channels(grad_output, nullptr, grad_input, coefficients);
}

bool by_reference(const char* force) {
  return choose("batch_norm", kOneKernel, force) == OneKernel::reference;
}

// Calls call(T()) with the problem's T; there is nothing to do for no channels.
template <class Call>
void with_type(const BatchNormProblem& p, Call call) {
  if (p.channels == 0) return;
  if (p.dtype == DType::f32)
    call(float());
  else
    call(double());
}

}  // namespace

BatchNormProblem BatchNormProblem::make(const char* op, const TensorView& input, double eps,
                                        bool training) {
  if (input.rank < 2 || input.rank > 5)
    fail_value(op, ": input must have 2 to 5 axes (N, C, spatial...), got ", tuple_text(input.dims()));
  if (!(eps >= 0) || !std::isfinite(eps))
    fail_value(op, ": eps must be finite and not negative, got ", eps);
  checked_product(input.dims(), op, "input");
  BatchNormProblem p{input.dtype, input.shape[kC], 1, eps};
  for (int i = 0; i < input.rank; ++i)
    if (i != kC) p.count *= input.shape[static_cast<size_t>(i)];
  if (training && p.count < 2 && p.channels > 0)
    fail_value(op, ": training needs at least 2 values a channel, got ", p.count, " in input ",
               tuple_text(input.dims()));
  return p;
}

void batch_norm_train(const BatchNormProblem& p, const TensorView& input, const void* weight,
                      const void* bias, const TensorView& output, void* mean, void* var,
                      const char* force) {
  with_type(p, [&]<class T>(T) {
    const auto run = by_reference(force) ? norm::reference_train<T> : train<T>;
    run(p, input, static_cast<const T*>(weight), static_cast<const T*>(bias), output,
        static_cast<T*>(mean), static_cast<T*>(var));
  });
}

void batch_norm_infer(const BatchNormProblem& p, const TensorView& input, const void* mean,
                      const void* var, const void* weight, const void* bias, const TensorView& output,
                      const char* force) {
  with_type(p, [&]<class T>(T) {
    const auto run = by_reference(force) ? norm::reference_infer<T> : infer<T>;
    run(p, input, static_cast<const T*>(mean), static_cast<const T*>(var), static_cast<const T*>(weight),
        static_cast<const T*>(bias), output);
  });
}

void batch_norm_grad(const BatchNormProblem& p, const TensorView& input, const TensorView& grad_output,
                     const void* mean, const void* var, const void* weight, bool training,
                     const TensorView& grad_input, void* grad_weight, void* grad_bias,
                     const char* force) {
  with_type(p, [&]<class T>(T) {
    const auto run = by_reference(force) ? norm::reference_grad<T> : gradients<T>;
    run(p, input, grad_output, static_cast<const T*>(mean), static_cast<const T*>(var),
        static_cast<const T*>(weight), training, grad_input, static_cast<T*>(grad_weight),
        static_cast<T*>(grad_bias));
  });
}

}  // namespace striate
