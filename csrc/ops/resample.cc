#include "ops/resample.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "kernels/resample/reference.h"
#include "kernels/resample/resample.h"
#include "ops/resample_matrix.h"

namespace striate {
namespace {

constexpr double kTaskWork = 32768;

// ---- the plan -----------------------------------------------------------------------------------------

enum class Algorithm : uint8_t { channels, planes, reference };

std::string channels_decline(const TensorView& input, const TensorView& output) {
  if (input.shape[kC] < 2 || input.stride[kC] != 1 || output.stride[kC] != 1)
    return "channels are not neighbours in memory";
  return {};
}

constexpr PlanRow<Algorithm, const TensorView&, const TensorView&> kRows[] = {
    {Algorithm::channels, "channels", channels_decline},  // lanes are channels
    {Algorithm::planes, "planes", nullptr},               // lanes are pixels; any strides
    {Algorithm::reference, "reference", nullptr},
};
constexpr const char* kOp = "resampling";

// ---- repeating rows ------------------------------------------------------------------------------------

// Whether row `later` is row `row` moved by `shift` columns.
template <class T>
bool repeats(const SparseMatrix<T>& m, int64_t row, int64_t later, int64_t shift) {
  const int32_t a = m.begin[static_cast<size_t>(row)], b = m.begin[static_cast<size_t>(later)];
  const int32_t taps = m.begin[static_cast<size_t>(row) + 1] - a;
  if (taps == 0 || m.begin[static_cast<size_t>(later) + 1] - b != taps) return false;
  for (int32_t e = 0; e < taps; ++e) {
    const auto from = static_cast<size_t>(a + e), to = static_cast<size_t>(b + e);
    if (m.index[to] - m.index[from] != shift || m.weight[to] != m.weight[from]) return false;
  }
  return true;
}

// The longest stretch around the middle whose rows repeat.
template <class T>
void find_inner(const SparseMatrix<T>& m, resample::Args<T>& a) {
  constexpr int64_t kWorthwhile = 8;
  a.period = 0;
  for (int period = 1; period <= 2; ++period) {
    const int64_t middle = m.out / 2;
    if (middle + period >= m.out) return;
    const auto at = [&](int64_t row) { return m.begin[static_cast<size_t>(row)]; };
    if (at(middle) == at(middle + 1) || at(middle + period) == at(m.out)) continue;
    const int64_t shift = m.index[static_cast<size_t>(at(middle + period))] -
                          m.index[static_cast<size_t>(at(middle))];
    if (shift < 1 || (period == 2 && shift != 1)) continue;
    int64_t first = middle, last = middle;
    while (last + period < m.out && repeats(m, last, last + period, shift)) ++last;
    while (first > 0 && repeats(m, first - 1, first - 1 + period, shift)) --first;
    if (last == middle || last + period - first < kWorthwhile) continue;
    a.period = period;
    a.shift = shift;
    a.inner_begin = first;
    a.inner_end = last + period;
    return;
  }
}

// At most two taps a row, and those neighbours.
template <class T>
bool has_close_taps(const SparseMatrix<T>& m) {
  for (size_t o = 0; o < static_cast<size_t>(m.out); ++o) {
    const auto first = static_cast<size_t>(m.begin[o]), last = static_cast<size_t>(m.begin[o + 1]);
    if (last - first > 2 || (last - first == 2 && m.index[first + 1] != m.index[first] + 1)) return false;
  }
  return true;
}

// ---- driver -------------------------------------------------------------------------------------------

template <class T>
const resample::Kernel<T>& resample_kernel() {
  return of_type<T>(STRIATE_SELECT_TABLE(current_isa(), resample_table));
}

template <class T>
using Matrices = std::array<SparseMatrix<T>, 3>;

template <class T>
void apply(const Matrices<T>& m, const TensorView& input, const TensorView& output, const char* force) {
  const Algorithm algorithm = choose(kOp, kRows, force, input, output);
  resample::Args<T> a{};
  a.in = input.as<T>();
  a.out = output.as<T>();
  for (size_t i = 0; i < 5; ++i) {
    a.in_stride[i] = input.stride[i];
    a.out_stride[i] = output.stride[i];
  }
  a.c = input.shape[kC];
  for (size_t i = 0; i < 3; ++i)
    a.axis[i] = {m[i].in, m[i].out, m[i].begin.data(), m[i].index.data(), m[i].weight.data()};
  find_inner(m[2], a);
  a.width_first = m[2].out > m[2].in && input.stride[kW] == 1 && has_close_taps(m[0]) && has_close_taps(m[1]);

  const bool channels = algorithm == Algorithm::channels;
  const int64_t images = output.shape[kN] * (channels ? 1 : a.c);
  const int64_t lines = images * m[0].out * m[1].out;
  const double work = static_cast<double>(output.size()) *
                      static_cast<double>(m[0].most_taps() * m[1].most_taps() * m[2].most_taps());
  const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(work / kTaskWork), 1, lines);
  const int workers = workers_for(tasks, work);
  if (algorithm == Algorithm::reference) return resample::reference(a, output.shape[kN], workers);
  a.pitch = padded_count<T>(std::max(m[2].in, m[2].out));
  const Scratch<T> scratch(channels ? 0 : 5 * a.pitch * workers);
  const auto kernel = channels ? resample_kernel<T>().channels : resample_kernel<T>().planes;
  parallel_for(tasks, workers, FpMode::exact, [&](int64_t task, int worker) {
    resample::Args<T> mine = a;
    mine.scratch = scratch.get() + worker * 5 * a.pitch;
    kernel(mine, lines * task / tasks, lines * (task + 1) / tasks);
  });
}

template <class T>
void run(const ResampleProblem& p, const TensorView& from, const TensorView& to, bool gradient,
         const char* force) {
  Matrices<T> m;
  for (size_t i = 0; i < 3; ++i) {
    m[i] = resample_matrix<T>(p, p.axis[i]);
    if (gradient) m[i] = transpose(m[i]);
  }
  apply(m, from, to, force);
}

}  // namespace

Plan plan_resample(const TensorView& input, const TensorView& output, const char* force) {
  return explain(kOp, kRows, force, input, output);
}

void interpolate_forward(const ResampleProblem& p, const TensorView& input, const TensorView& output,
                         const char* force) {
  if (output.size() == 0) return;
  if (p.dtype == DType::f32)
    run<float>(p, input, output, false, force);
  else
    run<double>(p, input, output, false, force);
}

void interpolate_input_grad(const ResampleProblem& p, const TensorView& grad_output,
                            const TensorView& grad_input, const char* force) {
  if (grad_input.size() == 0) return;
  if (p.dtype == DType::f32)
    run<float>(p, grad_output, grad_input, true, force);
  else
    run<double>(p, grad_output, grad_input, true, force);
}

}  // namespace striate
