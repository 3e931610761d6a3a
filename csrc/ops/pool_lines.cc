#include "ops/pool_lines.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/parallel_near.h"
#include "base/scratch.h"

namespace striate {
namespace {

// Kernels keep the place of a tap, relative to the window's first, in 32 bits.
std::string reach_declines(const PoolProblem& p) {
  double reach = 0;
  for (const PoolAxis& axis : p.axis)
    reach = reach * static_cast<double>(axis.in) + static_cast<double>((axis.kernel - 1) * axis.dilation);
  if (reach >= 0x7fffffff) return concat("a window that reaches over ", reach, " elements");
  return {};
}

int64_t reach_of(const PoolAxis& axis) { return (axis.kernel - 1) * axis.dilation + 1; }

// Lanes go along the window rather than from pixel to pixel.
bool windows_are_runs(const PoolProblem& p, const TensorView& input) {
  const PoolAxis& w = p.axis[2];
  return input.stride[kW] == 1 && w.dilation == 1 && w.kernel >= 16 && (w.out < 8 || w.stride > 2);
}

constexpr double kTaskWork = 32e3;
constexpr double kMoved = 0.5;  // work of an element that is hardly computed with: vectors of them take one each

// Sums are arithmetic; maxima only compare, and denormals are different numbers.
FpMode mode_of(PoolValue value) { return value == PoolValue::mean ? FpMode::flush_denormals : FpMode::exact; }

// Calls body(begin, end, worker) for even blocks of lines.
template <class Body>
void for_line_blocks(int64_t lines, int64_t blocks, int workers, FpMode mode, Body body) {
  parallel_near(blocks, workers, mode, Walk::forwards, [&](int64_t block, int worker) {
    body(lines * block / blocks, lines * (block + 1) / blocks, worker);
  });
}

// Columns in the middle whose windows have all their taps.
void set_inner(std::span<const pool::Window> windows, int64_t kernel, int64_t& begin, int64_t& end) {
  const auto whole = [&](const pool::Window& w) { return w.taps == kernel; };
  const auto first = std::find_if(windows.begin(), windows.end(), whole);
  begin = first - windows.begin();
  end = std::find_if_not(first, windows.end(), whole) - windows.begin();
}

template <class T>
pool::ForwardArgs<T> forward_args(const PoolWork<T>& work) {
  const PoolProblem& p = work.problem;
  pool::ForwardArgs<T> a{};
  a.in = work.input.template as<T>();
  a.out = work.output.template as<T>();
  if (work.places && work.places->dtype == DType::i64) a.at = work.places->template as<int64_t>();
  if (work.places && work.places->dtype == DType::u8) a.tap = work.places->template as<uint8_t>();
  for (size_t i = 0; i < 5; ++i) {
    a.in_stride[i] = work.input.stride[i];
    a.out_stride[i] = work.output.stride[i];
    if (work.places) a.at_stride[i] = work.places->stride[i];
  }
  a.n = p.n;
  a.c = p.c;
  for (size_t i = 0; i < 3; ++i) {
    const PoolAxis& axis = p.axis[i];
    a.axis[i] = {axis.in, axis.out, axis.kernel, axis.stride, axis.dilation, work.windows[i].data()};
  }
  a.runs = windows_are_runs(p, work.input);
  a.pad = p.axis[2].pad;
  a.divisor = work.divisor;
  a.factor = exact_inverse(work.divisor);
  return a;
}

// Scratch for the ring of padded rows, where it is worth its copies: rows so short that their ends matter,
// a ring that stays in the cache.
template <class T>
class PaddedRows {
 public:
  PaddedRows(const pool::ForwardArgs<T>& a, int workers) {
    constexpr int64_t kLongestRow = 1024, kLargestRing = 32768;
    const pool::Axis& w = a.axis[2];
    const auto reach = [](const pool::Axis& axis) { return (axis.kernel - 1) * axis.dilation + 1; };
    const bool many_ends = (a.inner_end - a.inner_begin) * 8 < w.out * 7;
    if (!many_ends || a.runs || w.stride > 4 || w.out > kLongestRow || w.in > 4 * kLongestRow ||
        reach(w) > kLongestRow)
      return;
    ring_[0] = std::min(reach(a.axis[0]), a.axis[0].in);
    ring_[1] = std::min(reach(a.axis[1]), a.axis[1].in);
    pitch_ = padded_count<T>(w.out + 2 * static_cast<int64_t>(64 / sizeof(T)) + (reach(w) - 1) / w.stride);
    if (ring_[0] * ring_[1] * w.stride * pitch_ > kLargestRing) return;
    size_ = ring_[0] * ring_[1] * w.stride * pitch_;
    places_ = padded_count<int64_t>(2 * ring_[0] * ring_[1]);
    rows_ = Scratch<T>(size_ * workers);
    table_ = Scratch<int64_t>(places_ * workers);
  }
  pool::ForwardArgs<T> for_worker(const pool::ForwardArgs<T>& args, int worker) const {
    pool::ForwardArgs<T> a = args;
    if (size_ == 0) return a;
    a.rows = rows_.get() + worker * size_;
    a.rows_size = size_;
    a.row_key = table_.get() + worker * places_;
    a.row_place = a.row_key + ring_[0] * ring_[1];
    a.ring[0] = ring_[0];
    a.ring[1] = ring_[1];
    a.pitch = pitch_;
    return a;
  }

 private:
  int64_t ring_[2] = {1, 1}, pitch_ = 0, size_ = 0, places_ = 0;
  Scratch<T> rows_;
  Scratch<int64_t> table_;
};

template <class T>
void run_planes(const PoolWork<T>& work) {
  pool::ForwardArgs<T> a = forward_args(work);
  const PoolAxis& w = work.problem.axis[2];
  set_inner({work.windows[2].data(), static_cast<size_t>(w.out)}, w.kernel, a.inner_begin, a.inner_end);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_planes_table));
  const auto planes = work.value == PoolValue::max ? kernel.max : kernel.mean;
  const double taps = work_of(work.problem);
  const int64_t lines = a.n * a.c * a.axis[0].out * a.axis[1].out;
  const int64_t blocks = line_blocks(lines, taps);
  const int workers = workers_for(blocks, a.runs ? taps * kMoved : taps);
  const PaddedRows<T> rows(a, workers);
  for_line_blocks(lines, blocks, workers, mode_of(work.value), [&](int64_t begin, int64_t end, int worker) {
    planes(rows.for_worker(a, worker), begin, end);
  });
}

// Windows of 3 x 3, one around each pixel of a plane.
bool is_around_each(const PoolProblem& p) {
  const auto around = [](const PoolAxis& axis) {
    return axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.pad == 1 && axis.out == axis.in &&
           axis.in > 1;
  };
  return around(p.axis[1]) && around(p.axis[2]) && p.axis[0].kernel == 1 && p.axis[0].out == p.axis[0].in;
}

template <class T>
void run_rows(const PoolWork<T>& work) {
  constexpr int64_t vector = 64 / sizeof(T), elements = 4096;  // of scratch that stay in the nearest cache
  constexpr int64_t kMostSquareLines = 64;  // to be done again where a NaN is met
  const PoolProblem& p = work.problem;
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  const bool taps = work.places != nullptr;
  const pool::ForwardArgs<T> original = forward_args(work);
  pool::RowsArgs<T> a{original, nullptr, nullptr, false, false, false, 1, nullptr, &original, nullptr};
  a.in_end = static_cast<const T*>(dense_end(work.input));
  a.out_is_dense = dense_end(work.output) && (!taps || dense_end(*work.places));
  a.squares = is_square(p);
  const int64_t columns = std::min(w.out, pool::kRowsColumns);
  a.pitch = padded_count<T>((columns + vector) * w.stride + reach_of(w) + 3 * vector);
  // Rows of scratch that lines need: one each, or with taps those of the input.
  const auto rows_of = [&](int64_t lines) { return taps ? (lines - 1) * h.stride + h.kernel : lines; };
  const int64_t lines = p.n * p.c * p.axis[0].out * h.out;
  if (a.squares && a.in_end && a.out_is_dense && 2 * h.out == h.in) {  // all planes are one, of even height
    a.c = a.axis[0].out = 1;
    a.axis[1].out = lines;
    a.together = work.value == PoolValue::mean ? lines : std::min(lines, kMostSquareLines);
  } else if (a.squares)
    a.together = h.out;
  else if (columns == w.out)
    while (a.together < h.out && rows_of(a.together + 1) * a.pitch <= elements) ++a.together;
  // Of a mean whose windows differ, the count of each column.
  const bool differ = work.value == PoolValue::mean && a.divisor == 0;
  const int64_t counted = differ ? w.out + vector : 0;
  const Scratch<T> counts(counted);
  for (int64_t i = 0, pixel = 0; i < counted; i += work.pixel, ++pixel)
    std::fill_n(counts.get() + i, std::min(work.pixel, counted - i),
                static_cast<T>(work.windows[2][static_cast<size_t>(pixel)].count));
  if (differ) a.counts = counts.get();

  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_rows_table));
  auto rows = work.value == PoolValue::max ? kernel.max : kernel.mean;
  if (taps) rows = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_row_taps_table));
  if (taps) a.careful = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_planes_table)).max;
  const double taps_met = work_of(p);
  const int64_t blocks = line_blocks(lines, taps_met);
  const int workers = workers_for(blocks, a.squares ? taps_met * kMoved : taps_met);
  const int64_t plane = h.in * w.in + 4 * vector;
  a.neighbours = !taps && !differ && is_around_each(p) && a.in_end && a.out_is_dense && plane <= 2 * elements;
  int64_t size = a.squares ? 0 : a.pitch * rows_of(a.together);
  if (a.neighbours) size = std::max(size, plane);
  const int64_t all = taps ? 2 * size : size;
  const Scratch<T> scratch(all * workers);
  std::fill_n(scratch.get(), all * workers, T(0));  // lanes past the end compute with it
  for_line_blocks(lines, blocks, workers, mode_of(work.value), [&](int64_t begin, int64_t end, int worker) {
    pool::RowsArgs<T> mine = a;
    mine.rows = scratch.get() + worker * all;
    mine.row_taps = mine.rows + size;
    rows(mine, begin, end);
  });
}

// Channels last, windows that move by one: a row of pixels is a row of columns whose windows are as many columns
// apart as there are channels. So all channels of a row are joined downwards once and not for every window.
template <class T>
bool run_as_columns(const PoolWork<T>& work) {
  PoolProblem p = work.problem;
  TensorView input = work.input, output = work.output;
  PoolAxis& w = p.axis[2];
  const int64_t channels = p.c;
  if (work.places || w.kernel == 1 || w.stride != 1 || output.stride[kC] != 1 || input.stride[kW] != channels ||
      output.stride[kW] != channels)
    return false;
  p.c = input.shape[kC] = output.shape[kC] = 1;
  for (int64_t* size : {&w.in, &w.out, &w.dilation, &w.pad, &w.pad_end, &input.shape[kW], &output.shape[kW]})
    *size *= channels;
  input.stride[kW] = output.stride[kW] = 1;
  if (!rows_decline(p, input, output, nullptr).empty()) return false;
  run_rows<T>({p, input, output, work.windows, work.value, nullptr, work.divisor, channels});
  return true;
}

template <class T>
void run_channels(const PoolWork<T>& work) {
  if (run_as_columns(work)) return;
  constexpr int64_t fewest = 64;  // channels in a task: whole cache lines and full vectors
  const pool::ForwardArgs<T> a = forward_args(work);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), pool_channels_table));
  const auto channels = work.value == PoolValue::max ? kernel.max : kernel.mean;
  const double taps = std::max(work_of(work.problem), static_cast<double>(work.output.size()));
  const int64_t lines = a.n * a.axis[0].out * a.axis[1].out;
  const int64_t wanted = std::max<int64_t>(static_cast<int64_t>(taps / kTaskWork), 1);
  const int64_t blocks = std::min(lines, wanted);
  const int64_t channel_blocks = std::clamp<int64_t>(wanted / blocks, 1, (a.c + fewest - 1) / fewest);
  const int64_t width = (a.c / channel_blocks + fewest - 1) / fewest * fewest;
  const int64_t parts = (a.c + width - 1) / width;
  const int64_t tasks = blocks * parts;
  parallel_near(tasks, workers_for(tasks, taps), mode_of(work.value), Walk::forwards, [&](int64_t task, int) {
    const int64_t block = task / parts, c = task % parts * width;
    channels(a, lines * block / blocks, lines * (block + 1) / blocks, c, std::min(c + width, a.c));
  });
}

}  // namespace

std::string channels_decline(const PoolProblem& p, const TensorView& input, const TensorView& output,
                             const TensorView*) {
  if (p.c < 2 || input.stride[kC] != 1) return "channels are not neighbours in memory";
  // Without columns, any array of one pixel an image seems to have neighbouring channels.
  if (input.shape[kW] == 1 && output.stride[kC] != 1)
    return "channels of the result are not neighbours in memory";
  return reach_declines(p);
}

std::string rows_decline(const PoolProblem& p, const TensorView& input, const TensorView& output,
                         const TensorView* places) {
  constexpr int64_t farthest = 8, widest = 4096;  // of stride and window: scratch stays small
  if (places && places->dtype == DType::i64) return "keeps no positions of maxima";
  if (places && p.axis[0].kernel > 1) return "windows have depth";
  if (places && places->stride[kW] != 1 && places->shape[kW] > 1) return "taps are not neighbours in memory";
  if ((input.stride[kW] != 1 && input.shape[kW] > 1) || (output.stride[kW] != 1 && output.shape[kW] > 1))
    return "pixels are not neighbours in memory";
  TensorView image = input;
  const PoolProblem folded = fold_global(p, image);
  if (windows_are_runs(folded, image)) return "windows are long runs";
  if (p.axis[2].stride > farthest || reach_of(p.axis[2]) > widest) return "windows are far apart or wide";
  return {};
}

std::string planes_decline(const PoolProblem& p, const TensorView&, const TensorView&, const TensorView*) {
  return reach_declines(p);
}

double work_of(const PoolProblem& p) {
  double work = static_cast<double>(p.n) * static_cast<double>(p.c);
  for (const PoolAxis& axis : p.axis)
    work *= static_cast<double>(axis.out) * static_cast<double>(std::min(axis.kernel, axis.in));
  return work;
}

bool is_square(const PoolProblem& p) {
  const auto square = [](const PoolAxis& axis) {
    return axis.kernel == 2 && axis.stride == 2 && axis.dilation == 1 && axis.pad == 0 && 2 * axis.out <= axis.in;
  };
  const PoolAxis& depth = p.axis[0];
  return square(p.axis[1]) && square(p.axis[2]) && depth.kernel == 1 && depth.stride == 1 && depth.pad == 0 &&
         depth.out <= depth.in;
}

bool are_apart(const PoolProblem& p) {
  return std::all_of(p.axis.begin(), p.axis.end(),
                     [](const PoolAxis& axis) { return axis.kernel <= axis.stride || axis.out == 1; });
}

const void* dense_end(const TensorView& view) {
  TensorView dense = view;
  set_dense_strides(dense, MemoryFormat::contiguous);
  for (size_t i = 0; i < 5; ++i)
    if (view.shape[i] > 1 && view.stride[i] != dense.stride[i]) return nullptr;
  return static_cast<const char*>(view.data) + view.size() * size_of(view.dtype);
}

int64_t line_blocks(int64_t lines, double work) {
  return std::clamp<int64_t>(static_cast<int64_t>(work / kTaskWork), 1, std::max<int64_t>(lines, 1));
}

void move_lines(int64_t lines, int64_t elements, FpMode mode, FunctionRef<void(int64_t, int64_t)> body) {
  const auto work = static_cast<double>(elements);
  const int64_t blocks = line_blocks(lines, work);
  parallel_near(blocks, workers_for(blocks, work * kMoved), mode, Walk::forwards, [&](int64_t block, int) {
    body(lines * block / blocks, lines * (block + 1) / blocks);
  });
}

template <class T>
void run_pool(PoolAlgorithm algorithm, const PoolWork<T>& work) {
  if (algorithm == PoolAlgorithm::channels)
    run_channels(work);
  else if (algorithm == PoolAlgorithm::rows)
    run_rows(work);
  else
    run_planes(work);
}

template void run_pool<float>(PoolAlgorithm, const PoolWork<float>&);
template void run_pool<double>(PoolAlgorithm, const PoolWork<double>&);

}  // namespace striate
