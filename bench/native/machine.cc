#include "machine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <sstream>

#include "base/parallel.h"
#include "peak.h"

namespace striate::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The best of several short runs: other programs can only make a run slower.
template <class Run>
double best_seconds(int runs, Run run) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto start = Clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

template <class T>
const PeakKernel<T>& peak_kernel() {
  const PeakTable& table = STRIATE_SELECT_TABLE(current_isa(), peak_table);
  if constexpr (std::is_same_v<T, float>)
    return table.f32;
  else
    return table.f64;
}

template <class T>
double measure_flops(int threads) {
  const PeakKernel<T>& kernel = peak_kernel<T>();
  constexpr int64_t kRounds = 20'000;  // some tens of microseconds: tasks even out over the threads
  const int64_t tasks = 100 * threads;
  std::vector<T> results(static_cast<size_t>(threads) * 64);  // used, or the loop would be dropped
  const double best = best_seconds(12, [&] {
    parallel_for(tasks, threads, FpMode::exact,
                 [&](int64_t, int worker) {
                   results[static_cast<size_t>(worker) * 64] = kernel.multiply_add(kRounds, T(0.999), T(0.001));
                 });
  });
  return 2.0 * static_cast<double>(kernel.per_round * kRounds * tasks) / best;
}

template <class T>
double measure_copy(double footprint, int threads) {
  const PeakKernel<T>& kernel = peak_kernel<T>();
  const auto count = static_cast<int64_t>(footprint / 2 / sizeof(T)) / threads * threads;
  const int64_t slice = count / threads;
  std::vector<T> from(static_cast<size_t>(count), T(1)), to(static_cast<size_t>(count));
  // Enough passes for a millisecond or more between two looks at the clock.
  const int64_t passes = std::max<int64_t>(1, static_cast<int64_t>(32e6 / footprint));
  const double best = best_seconds(footprint > 64e6 ? 5 : 12, [&] {
    parallel_for(threads, threads, FpMode::exact, [&](int64_t task, int) {
      for (int64_t pass = 0; pass < passes; ++pass)
        kernel.copy(from.data() + task * slice, to.data() + task * slice, slice);
    });
  });
  return 2.0 * static_cast<double>(count) * sizeof(T) * static_cast<double>(passes) / best;
}

double cache_bytes(int name, double otherwise) {
  const long bytes = sysconf(name);  // 0 or -1 where the system does not tell
  return bytes > 0 ? static_cast<double>(bytes) : otherwise;
}

template <class T>
Limits measure(int threads) {
  constexpr double kMiB = 1 << 20;
  const double l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 0.5 * kMiB) * threads;
  // A virtual machine may report the whole host's cache, of which it gets a part: believe 32 MiB.
  const double l3 = std::clamp(cache_bytes(_SC_LEVEL3_CACHE_SIZE, 8 * kMiB), 2 * l2, 32 * kMiB);
  const double memory = 256 * kMiB;
  Limits limits{measure_flops<T>(threads), {}};
  limits.copy.push_back({"L2", l2, measure_copy<T>(l2 / 2, threads)});
  if (l3 > l2) limits.copy.push_back({"L3", l3, measure_copy<T>((l2 + l3) / 2, threads)});
  limits.copy.push_back({"mem", memory, measure_copy<T>(memory, threads)});
  return limits;
}

}  // namespace

Limits::Bound Limits::least_time(double flops, double bytes) const {
  const CopySpeed* level = &copy.back();
  for (auto it = copy.rbegin(); it != copy.rend(); ++it)
    if (bytes <= it->footprint) level = &*it;
  const Bound arithmetic{flops / flops_per_second, "peak"};
  const Bound traffic{bytes / level->bytes_per_second, level->level};
  return arithmetic.seconds >= traffic.seconds ? arithmetic : traffic;
}

Limits measure_limits(DType dtype, int threads) {
  set_num_threads(threads);
  return dtype == DType::f32 ? measure<float>(threads) : measure<double>(threads);
}

std::string describe(const Limits& limits, Isa isa, DType dtype, int threads) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << "limits: " << name_of(isa) << ' '
       << (dtype == DType::f32 ? "f32" : "f64") << ' ' << threads << (threads == 1 ? " thread: " : " threads: ")
       << "peak " << limits.flops_per_second / 1e9 << " GFLOP/s; copy";
  for (const CopySpeed& c : limits.copy)
    text << ' ' << c.level << ' ' << c.bytes_per_second / 1e9 << (&c == &limits.copy.back() ? " GB/s" : ",");
  return text.str();
}

}  // namespace striate::bench
