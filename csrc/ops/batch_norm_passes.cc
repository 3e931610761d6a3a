#include "ops/batch_norm_passes.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/cpu.h"
#include "base/parallel_near.h"

namespace striate {
namespace {

constexpr int64_t kParts = 16;           // of the sums, at most; never a matter of threads
constexpr int64_t kPart = 64 * 1024;     // elements worth a part
constexpr int64_t kGrain = 16 * 1024;    // elements of a task that maps, or of a block of channels
constexpr int64_t kEnoughTasks = 16;     // channels, or blocks of them, for a pass by channels
constexpr int64_t kFinishBlock = 128;    // channels of a task that finishes
constexpr int64_t kNarrowRow = 64;       // rows of fewer channels are joined
constexpr int64_t kShortRun = 1024;      // the processor sees its end too late to foresee a next one far away
constexpr FpMode kMode = FpMode::flush_denormals;

int64_t part_begin(int64_t total, int64_t part, int64_t parts) {
  return total / parts * part + std::min(part, total % parts);
}

template <class T>
class Layout {
 public:
  explicit Layout(const NormPasses<T>& pass)
      : pass_(pass),
        x_(pass.x),
        g_(pass.g ? *pass.g : pass.x),
        out_(*pass.out),
        channels_(x_.shape[kC]),
        loop_({&out_, &x_, &g_}, kC),
        rows_(channels_ > 1 && x_.stride[kC] == 1 && g_.stride[kC] == 1 && out_.stride[kC] == 1),
        sums_(of_type<T>(STRIATE_SELECT_TABLE(current_isa(), norm_sums_table))),
        map_(of_type<T>(STRIATE_SELECT_TABLE(current_isa(), norm_map_table))) {}

  void run() const {
    if (loop_.size() == 0) return pass_.prepare(0, channels_), pass_.finish(0, channels_);
    if (!rows_ && channels_ / pass_.together >= kEnoughTasks)
      by_channels();
    else
      by_parts();
  }

 private:
  using Begin = std::array<int64_t, 3>;  // out, x, g

  // ---- a few channels at a time through everything --------------------------------------------------------

  void by_channels() const {
    const int64_t runs = loop_.runs();
    const Scratch<int64_t> at(3 * runs);
    for (int64_t r = 0; r < runs; ++r) {
      const Begin begin = loop_.begin_of(r);
      for (size_t i = 0; i < 3; ++i) at.get()[static_cast<int64_t>(i) * runs + r] = begin[i];
    }
    const int64_t block = std::clamp<int64_t>(kGrain / loop_.size(), 1, channels_ / kEnoughTasks);
    for_blocks(block, work(), [&](int64_t first, int64_t last) {
      norm::Args<T> a = args({0, 0, 0}, first, last - first, loop_.run_length());
      a.runs = runs;
      a.ahead = loop_.run_length() <= kShortRun;
      a.out_at = at.get();
      a.x_at = at.get() + runs;
      a.g_at = at.get() + 2 * runs;
      pass_.prepare(first, last);
      if (pass_.summed) {
        clear_sums(first, last);
        sums_.runs(a);
      }
      pass_.finish(first, last);
      map_.runs(a);
    });
  }

  template <class Body>
  void for_blocks(int64_t block, double work, Body body) const {
    block = (block + pass_.together - 1) / pass_.together * pass_.together;
    const int64_t tasks = (channels_ + block - 1) / block;
    parallel_near(tasks, workers_for(tasks, work), kMode, Walk::forwards, [&](int64_t task, int) {
      body(task * block, std::min(channels_, (task + 1) * block));
    });
  }

  void clear_sums(int64_t first, int64_t last) const {
    std::fill(pass_.numbers.sum() + first, pass_.numbers.sum() + last, 0.0);
    std::fill(pass_.numbers.product() + first, pass_.numbers.product() + last, 0.0);
  }

  // ---- parts of the elements, all channels ----------------------------------------------------------------

  void by_parts() const {
    pass_.prepare(0, channels_);
    pass_.numbers.repeat();
    if (pass_.summed)
      sum_parts();
    else
      pass_.finish(0, channels_);
    pass_.numbers.repeat();
    map_parts();
  }

  // Rows of few channels would leave lanes idle. Where rows follow one another without a gap, a few of them
  // are taken as one; the columns of a channel are added in the end.
  int64_t join() const {
    const auto& step = loop_.step();
    const bool gapless =
        rows_ && loop_.run_length() > 1 &&
        std::all_of(step.begin(), step.end(), [&](int64_t s) { return s == channels_; });
    return gapless ? pass_.numbers.join() : 1;
  }

  // Calls kernel(args) for `count` elements or rows from `begin` on.
  template <class Kernel>
  void call(const Begin& begin, int64_t count, int64_t join, double* sum, double* product, Kernel kernel) const {
    static constexpr int64_t kAtZero = 0;
    norm::Args<T> a = args(begin, 0, channels_ * join, count / join);
    for (int64_t* step : {&a.x_step, &a.g_step, &a.out_step}) *step *= join;
    a.runs = 1;
    a.x_at = a.g_at = a.out_at = &kAtZero;
    a.sum = sum;
    a.product = product;
    if (a.count > 0) kernel(a);
    if (count % join == 0) return;
    const int64_t done = count / join * a.x_step;  // joined rows have one step
    call({begin[0] + done, begin[1] + done, begin[2] + done}, count % join, 1, sum, product, kernel);
  }

  void sum_parts() const {
    const int64_t size = loop_.size();
    // A power of two shares itself out evenly as a rule.
    const auto wanted = std::bit_ceil(static_cast<uint64_t>(size * channels_ / kPart));
    const int64_t parts = std::min({static_cast<int64_t>(wanted), kParts, size});
    const int64_t joined = join();
    const int64_t columns = channels_ * joined;
    const int64_t pitch = padded_count<double>(columns);
    const Scratch<double> partial(2 * parts * pitch);
    // In elements of a channel; between whole runs where there are enough.
    const auto begin_of = [&](int64_t part) {
      return loop_.runs() >= parts ? part_begin(loop_.runs(), part, parts) * loop_.run_length()
                                   : part_begin(size, part, parts);
    };
    parallel_near(parts, workers_for(parts, work()), kMode, Walk::forwards, [&](int64_t part, int) {
      double* sum = partial.get() + 2 * part * pitch;
      std::fill(sum, sum + 2 * pitch, 0.0);
      loop_.for_each_run(begin_of(part), begin_of(part + 1), [&](const Begin& begin, int64_t count) {
        call(begin, count, joined, sum, sum + pitch,
             [&](const norm::Args<T>& a) { (rows_ ? sums_.rows : sums_.runs)(a); });
      });
    });
    const auto adds = static_cast<double>(2 * parts * joined + 40) * static_cast<double>(channels_);
    for_blocks(kFinishBlock, adds, [&](int64_t first, int64_t last) {
      clear_sums(first, last);
      for (int64_t row = 0; row < parts * joined; ++row) {
        const double* sum = partial.get() + 2 * (row / joined) * pitch + row % joined * channels_;
        for (int64_t c = first; c < last; ++c) {
          pass_.numbers.sum()[c] += sum[c];
          pass_.numbers.product()[c] += sum[pitch + c];
        }
      }
      pass_.finish(first, last);
    });
  }

  void map_parts() const {
    const int64_t joined = join();
    const int64_t pixels = std::max<int64_t>(1, kGrain / channels_);
    const Walk walk = pass_.summed ? Walk::backwards : Walk::forwards;
    parallel_runs_near(loop_, pixels, work(), kMode, walk, [&](const Begin& begin, int64_t count) {
      call(begin, count, joined, nullptr, nullptr,
           [&](const norm::Args<T>& a) { (rows_ ? map_.rows : map_.runs)(a); });
    });
  }

  // ---- arguments of the kernels ---------------------------------------------------------------------------

  // A pass moves an element or two, a few instructions a register.
  double work() const {
    const double passes = (pass_.g ? 5 : 3) / 3.0;
    return static_cast<double>(loop_.size()) * static_cast<double>(channels_) * passes;
  }

  norm::Args<T> args(const Begin& begin, int64_t first, int64_t channels, int64_t count) const {
    const ChannelNumbers<T>& k = pass_.numbers;
    norm::Args<T> a{};
    a.out = out_.as<T>() + begin[0] + first * out_.stride[kC];
    a.x = x_.as<T>() + begin[1] + first * x_.stride[kC];
    a.g = pass_.g ? g_.as<T>() + begin[2] + first * g_.stride[kC] : nullptr;
    a.out_step = loop_.step()[0];
    a.x_step = loop_.step()[1];
    a.g_step = loop_.step()[2];
    a.out_channel = out_.stride[kC];
    a.x_channel = x_.stride[kC];
    a.g_channel = g_.stride[kC];
    a.count = count;
    a.channels = channels;
    a.relu = pass_.relu;
    a.of = {.center = k.center() + first,
            .gate_scale = pass_.gated ? k.gate_scale() + first : nullptr,
            .gate_offset = pass_.gated ? k.gate_offset() + first : nullptr,
            .scale = pass_.scaled ? nullptr : k.scale() + first,
            .offset = pass_.scaled ? nullptr : k.offset() + first,
            .grad_scale = k.grad_scale() + first};
    a.sum = k.sum() + first;
    a.product = k.product() + first;
    return a;
  }

  const NormPasses<T>& pass_;
  const TensorView &x_, &g_, &out_;
  int64_t channels_;
  StridedLoop<3> loop_;
  bool rows_;  // channels lie side by side
  const norm::Kernel<T>&sums_, &map_;
};

}  // namespace

template <class T>
Centres<T>::Centres(const TensorView& input) : input_(input) {
  int longest = 0;
  for (int axis = 2; axis < input.rank; ++axis)
    if (input.shape[static_cast<size_t>(axis)] > input.shape[static_cast<size_t>(longest)]) longest = axis;
  const auto axis = static_cast<size_t>(longest);
  step_ = input.shape[axis] / 4 * input.stride[axis];
}

template <class T>
T Centres<T>::operator()(int64_t c) const {
  const T* first = input_.as<T>() + c * input_.stride[kC];
  const T centre = ((first[0] + first[step_]) + (first[2 * step_] + first[3 * step_])) / 4;
  return std::isfinite(centre) ? centre : T(0);
}

template <class T>
ChannelNumbers<T>::ChannelNumbers(int64_t channels)
    : channels_(channels),
      columns_(channels < kNarrowRow ? std::max<int64_t>(1, kNarrowRow / channels) * channels : channels),
      data_(6 * columns_),
      sums_(2 * channels) {}

template <class T>
void ChannelNumbers<T>::repeat() const {
  for (T* numbers : {center(), scale(), offset(), grad_scale(), gate_scale(), gate_offset()})
    for (int64_t i = channels_; i < columns_; ++i) numbers[i] = numbers[i - channels_];
}

template <class T>
void NormPasses<T>::run() const {
  Layout<T>(*this).run();
}

template class Centres<float>;
template class Centres<double>;
template class ChannelNumbers<float>;
template class ChannelNumbers<double>;
template struct NormPasses<float>;
template struct NormPasses<double>;

}  // namespace striate
