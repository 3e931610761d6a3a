// striate-bench: times or checks problems; request.h tells the command line, case.h what an op provides.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <tuple>

#include "base/buffer_pool.h"
#include "base/error.h"
#include "base/parallel.h"
#include "case.h"
#include "machine.h"

namespace striate::bench {
namespace {

void check_request(const Request& request) {
  switch (request.problem.op) {
    case Op::conv: return check_conv_request(request);
    case Op::pool: return check_pool_request(request);
    case Op::resampling: return check_resampling_request(request);
  }
}

std::unique_ptr<Case> make_case(const Request& request) {
  // Both are settings of the process; arrays and plans come after them.
  set_isa(name_of(request.isa));
  set_num_threads(request.threads);
  switch (request.problem.op) {
    case Op::conv: return make_conv_case(request);
    case Op::pool: return make_pool_case(request);
    case Op::resampling: return make_resampling_case(request);
  }
  return nullptr;
}

// ---- check ------------------------------------------------------------------------------------------

// Scratch memory full of absurd numbers, instead of what the call before left there: a kernel that reads
// what it did not write then fails, and fails again when its line is run alone.
void poison_scratch() {
  BufferPool::instance().set_limit(0);
#ifdef __GLIBC__
  mallopt(M_PERTURB, 1);  // new memory is filled with 0xfe: -1.7e38
#endif
}

int check(const std::vector<Request>& requests) {
  poison_scratch();
  int failed = 0;
  for (const Request& request : requests) {
    const std::string difference = make_case(request)->check();
    std::printf("%s %s\n", difference.empty() ? "ok    " : "FAILED", to_text(request).c_str());
    if (!difference.empty()) {
      ++failed;
      std::printf("       %s\n       reproduce: %s\n", difference.c_str(), reproduction(request).c_str());
    }
    std::fflush(stdout);
  }
  std::printf("%zu checked, %d failed\n", requests.size(), failed);
  return failed ? 1 : 0;
}

// ---- time -------------------------------------------------------------------------------------------

struct Timing {
  double best, median;
};

Timing time(Case& c, double min_time) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t kLeastRuns = 5, kMostRuns = 100'000;
  c.run();  // pages, caches, threads, clock frequency
  std::vector<double> seconds;
  double total = 0;
  while (seconds.size() < kLeastRuns || (total < min_time && seconds.size() < kMostRuns)) {
    const auto start = Clock::now();
    c.run();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2]};
}

void print_row(const Request& request, Case& c, const Timing& timing, const Limits& limits) {
  const Limits::Bound bound = limits.least_time(c.flops(), c.bytes());
  char flops[16] = "-";
  if (c.flops() > 0) std::snprintf(flops, sizeof flops, "%.1f", c.flops() / timing.best / 1e9);
  std::printf("%9.3f %9.3f %8s %7.1f %4.0f %-4s  %-10s %s\n", timing.best * 1e3, timing.median * 1e3, flops,
              c.bytes() / timing.best / 1e9, 100 * bound.seconds / timing.best, bound.name,
              c.algorithm().c_str(), to_text(request).c_str());
  std::fflush(stdout);
}

int measure(const CommandLine& line) {
  std::map<std::tuple<Isa, DType, int>, Limits> limits;
  std::printf("%s\n", cpu_model().c_str());
  for (const Request& r : line.requests) {
    const auto [at, fresh] = limits.try_emplace({r.isa, r.dtype, r.threads});
    if (!fresh) continue;
    set_isa(name_of(r.isa));
    at->second = measure_limits(r.dtype, r.threads);
    std::printf("%s\n", describe(at->second, r.isa, r.dtype, r.threads).c_str());
    std::fflush(stdout);
  }
  std::printf("%9s %9s %8s %7s %4s %-4s  %-10s %s\n", "min ms", "median", "GFLOP/s", "GB/s", "%", "of", "algorithm",
              "problem");
  for (const Request& request : line.requests) {
    const auto c = make_case(request);
    print_row(request, *c, time(*c, line.min_time), limits.at({request.isa, request.dtype, request.threads}));
  }
  for (const auto& [key, before] : limits) {
    const auto [isa, dtype, threads] = key;
    set_isa(name_of(isa));
    const double now = measure_limits(dtype, threads).flops_per_second;
    if (std::abs(now / before.flops_per_second - 1) > 0.1)
      std::printf("beware: the peak of %s, %d threads, went from %.1f to %.1f GFLOP/s while this ran: other programs "
                  "are at work, and percentages are off by as much\n",
                  name_of(isa), threads, before.flops_per_second / 1e9, now / 1e9);
  }
  return 0;
}

int run(std::span<const char* const> arguments) {
  const CommandLine line = parse_command_line(arguments);
  if (line.help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (line.requests.empty()) fail_value("no problem given (see --help)");
  for (const Request& request : line.requests) {
    try {
      check_request(request);
    } catch (const ValueError& error) {
      fail_value("'", to_text(request.problem), "': ", error.what());
    }
  }
  return line.check ? check(line.requests) : measure(line);
}

}  // namespace
}  // namespace striate::bench

int main(int argc, char** argv) {
  try {
    return striate::bench::run({argv + 1, static_cast<size_t>(argc - 1)});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "striate-bench: %s\n", error.what());
    return 2;
  }
}
