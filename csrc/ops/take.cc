#include "ops/take.h"

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
constexpr const char* kOp = "take";

// ---- the plan -----------------------------------------------------------------------------------------

enum class Algorithm : uint8_t { channels, planes, reference };

std::string channels_decline(const TensorView& input, const TensorView& output) {
  if (input.shape[kC] < 2 || input.stride[kC] != 1 || output.stride[kC] != 1)
    return "channels are not neighbours in memory";
  return {};
}

constexpr PlanRow<Algorithm, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::channels, "channels", channels_decline},  // a pixel is a run
    {Algorithm::planes, "planes", nullptr},               // neighbours of a row are; any strides
    {Algorithm::reference, "reference", nullptr},
};

// ---- tables as runs -----------------------------------------------------------------------------------

// Stretches of a table that rise, fall or stay: `from` is a position in the input, `to` one in the result.
std::vector<Run> stretches(const std::vector<int64_t>& table) {
  std::vector<Run> found;
  const auto size = static_cast<int64_t>(table.size());
  const auto at = [&](int64_t i) { return table[static_cast<size_t>(i)]; };
  for (int64_t i = 0; i < size;) {
    if (at(i) < 0) {
      ++i;
      continue;
    }
    int64_t end = i + 1;
    const int64_t step = end < size && at(end) >= 0 ? at(end) - at(i) : 1;
    if (step >= -1 && step <= 1)
      while (end < size && at(end) >= 0 && at(end) - at(end - 1) == step) ++end;
    found.push_back({at(i), i, end - i > 1 ? step : 1, 1, end - i});
    i = end;
  }
  return found;
}

// The same as a kernel reads them: of elements in a row, or of pixels with `channels` neighbours each.
std::vector<Run> row_runs(const std::vector<Run>& stretches, int64_t in_step, int64_t out_step, int64_t channels) {
  std::vector<Run> result;
  for (const Run& s : stretches) {
    if (channels == 1) {
      result.push_back({s.from * in_step, s.to * out_step, s.from_step * in_step, out_step, s.count});
    } else if (s.from_step == 1 && in_step == channels && out_step == channels) {
      result.push_back({s.from * in_step, s.to * out_step, 1, 1, s.count * channels});
    } else {
      for (int64_t i = 0; i < s.count; ++i)
        result.push_back({(s.from + i * s.from_step) * in_step, (s.to + i) * out_step, 1, 1, channels});
    }
  }
  return result;
}

bool has_holes(const std::vector<int64_t>& table) {
  return std::find(table.begin(), table.end(), -1) != table.end();
}

// For each position of the input the elements of the result that read it.
std::vector<std::vector<int64_t>> readers(const std::vector<int64_t>& table, int64_t in) {
  std::vector<std::vector<int64_t>> lists(static_cast<size_t>(in));
  for (size_t o = 0; o < table.size(); ++o)
    if (table[o] >= 0) lists[static_cast<size_t>(table[o])].push_back(static_cast<int64_t>(o));
  return lists;
}

// ---- drivers ------------------------------------------------------------------------------------------

template <class T>
void fill_row(const runs::Kernel<T>& kernel, T* to, int64_t columns, int64_t step, int64_t channels) {
  if (channels == 1 || step == channels)
    kernel.fill(to, columns * channels, channels == 1 ? step : 1, T(0));
  else
    for (int64_t w = 0; w < columns; ++w) kernel.fill(to + w * step, channels, 1, T(0));
}

// Calls body(n, c, d, h) for every row of `view`, of all channels at once if they are `joined`.
template <class Body>
void for_rows(const TensorView& view, bool joined, Body body) {
  const int64_t channels = joined ? 1 : view.shape[kC], depth = view.shape[kD], height = view.shape[kH];
  const int64_t rows = view.shape[kN] * channels * depth * height;
  const auto work = static_cast<double>(view.size());
  const int64_t tasks = std::clamp<int64_t>(view.size() / kTaskElements, 1, rows);
  parallel_for(tasks, workers_for(tasks, work), FpMode::exact, [&](int64_t task, int) {
    for (int64_t row = rows * task / tasks; row < rows * (task + 1) / tasks; ++row) {
      const int64_t h = row % height, d = row / height % depth, plane = row / height / depth;
      body(plane / channels, plane % channels, d, h);
    }
  });
}

int64_t offset(const TensorView& view, int64_t n, int64_t c, int64_t d, int64_t h) {
  return n * view.stride[kN] + c * view.stride[kC] + d * view.stride[kD] + h * view.stride[kH];
}

template <class T>
void take(const TakeProblem& p, const TensorView& input, const TensorView& output, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, input, output);
  if (algorithm == Algorithm::reference) return runs::reference_take<T>(p, input, output);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), runs_table));
  const bool joined = algorithm == Algorithm::channels, holes = has_holes(p.table[2]);
  const int64_t channels = joined ? p.c : 1, columns = output.shape[kW];
  const std::vector<Run> row =
      row_runs(stretches(p.table[2]), input.stride[kW], output.stride[kW], channels);
  for_rows(output, joined, [&](int64_t n, int64_t c, int64_t d, int64_t h) {
    T* to = output.as<T>() + offset(output, n, c, d, h);
    const int64_t from_d = p.table[0][static_cast<size_t>(d)], from_h = p.table[1][static_cast<size_t>(h)];
    const bool empty = from_d < 0 || from_h < 0;
    if (empty || holes) fill_row(kernel, to, columns, output.stride[kW], channels);
    if (!empty)
      kernel.copy(input.as<T>() + offset(input, n, c, from_d, from_h), to, row.data(),
                  static_cast<int64_t>(row.size()));
  });
}

template <class T>
void spread(const TakeProblem& p, const TensorView& input, const TensorView& output, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, input, output);
  if (algorithm == Algorithm::reference) return runs::reference_spread<T>(p, input, output);
  const auto& kernel = of_type<T>(STRIATE_SELECT_TABLE(current_isa(), runs_table));
  const bool joined = algorithm == Algorithm::channels;
  const int64_t channels = joined ? p.c : 1, columns = output.shape[kW];
  std::vector<Run> row = row_runs(stretches(p.table[2]), output.stride[kW], input.stride[kW], channels);
  for (Run& run : row) {
    std::swap(run.from, run.to);
    std::swap(run.from_step, run.to_step);
  }
  const auto of_d = readers(p.table[0], p.in[0]), of_h = readers(p.table[1], p.in[1]);
  for_rows(output, joined, [&](int64_t n, int64_t c, int64_t d, int64_t h) {
    T* to = output.as<T>() + offset(output, n, c, d, h);
    fill_row(kernel, to, columns, output.stride[kW], channels);
    for (const int64_t from_d : of_d[static_cast<size_t>(d)])
      for (const int64_t from_h : of_h[static_cast<size_t>(h)])
        kernel.add(input.as<T>() + offset(input, n, c, from_d, from_h), to, row.data(),
                   static_cast<int64_t>(row.size()));
  });
}

std::vector<int64_t> shape_of(const TakeProblem& p, bool output) {
  std::vector<int64_t> shape{p.n, p.c};
  for (size_t i = 3 - static_cast<size_t>(p.rank); i < 3; ++i)
    shape.push_back(output ? static_cast<int64_t>(p.table[i].size()) : p.in[i]);
  return shape;
}

}  // namespace

std::vector<int64_t> TakeProblem::input_shape() const { return shape_of(*this, false); }
std::vector<int64_t> TakeProblem::output_shape() const { return shape_of(*this, true); }

TakeProblem TakeProblem::make(const char* op, DType dtype, std::span<const int64_t> input_shape,
                              std::vector<std::vector<int64_t>> tables) {
  const size_t rank = tables.size();
  if (rank < 1 || rank > 3 || input_shape.size() != rank + 2)
    fail_value(op, ": needs one table for each spatial axis of input ", tuple_text(input_shape), ", got ", rank);
  TakeProblem p;
  p.dtype = dtype;
  p.rank = static_cast<int>(rank);
  p.n = input_shape[0];
  p.c = input_shape[1];
  p.table.fill({0});
  for (size_t i = 0; i < rank; ++i) {
    const int64_t in = input_shape[i + 2];
    if (p.n < 0 || p.c < 0 || in < 0 || in > kLargestExtent)
      fail_value(op, ": input sizes must be from 0 to 2^31 - 1, got ", tuple_text(input_shape));
    for (const int64_t at : tables[i])
      if (at < -1 || at >= in)
        fail_value(op, ": positions along axis ", i + 2, " of input ", tuple_text(input_shape),
                   " must be from -1 to ", in - 1, ", got ", at);
    p.in[3 - rank + i] = in;
    p.table[3 - rank + i] = std::move(tables[i]);
  }
  checked_product(p.input_shape(), op, "input");
  checked_product(p.output_shape(), op, "result");
  return p;
}

Plan plan_take(const TensorView& input, const TensorView& output, const char* force) {
  return explain(kOp, kRows, force, input, output);
}

void take_elements(const TakeProblem& problem, const TensorView& input, const TensorView& output,
                   const char* force) {
  if (output.size() == 0) return;
  if (problem.dtype == DType::f32)
    take<float>(problem, input, output, force);
  else
    take<double>(problem, input, output, force);
}

void spread_elements(const TakeProblem& problem, const TensorView& input, const TensorView& output,
                     const char* force) {
  if (output.size() == 0) return;
  if (problem.dtype == DType::f32)
    spread<float>(problem, input, output, force);
  else
    spread<double>(problem, input, output, force);
}

}  // namespace striate
