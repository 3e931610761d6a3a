#include "base/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "base/fpenv.h"

namespace striate {
namespace {

constexpr int kMaxThreads = 1024;

// Below about this much work a second thread costs more than it brings (waking one takes some
// microseconds, a core does several elementary operations a nanosecond).
constexpr double kWorkPerWorker = 100e3;

std::atomic<int> thread_count{0};  // 0: not decided yet

int count_from_environment() {
  for (const char* name : {"STRIATE_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* text = std::getenv(name);
    if (!text || !*text) continue;
    char* end = nullptr;
    errno = 0;
    const long value = std::strtol(text, &end, 10);
    // OMP_NUM_THREADS may be a list, one entry a nesting level; the first is ours.
    const bool ends = *end == '\0' || (name[0] == 'O' && *end == ',');
    if (end == text || !ends || errno != 0 || value < 1 || value > kMaxThreads)
      fail_value(name, ": must be a whole number from 1 to ", kMaxThreads, ", got '", text, "'");
    return static_cast<int>(value);
  }
  return 0;
}

// ---- fork ----------------------------------------------------------------------------------------
// libgomp's worker threads do not exist in a forked child, which would wait for them forever. So the
// parent hands its pool back before it forks. A pool that another thread is using at that moment cannot
// be handed back; a child born then stays on one thread.

std::atomic<int> regions_running{0};
std::atomic<int> forks{0};  // since the start, seen from this process
std::atomic<bool> single_threaded_child{false};
bool fork_met_a_region = false;

void before_fork() {
  fork_met_a_region = regions_running.load() > 0;
  ++forks;
  omp_pause_resource_all(omp_pause_soft);
}

void in_forked_child() {
  if (fork_met_a_region) single_threaded_child = true;
  regions_running = 0;
}

void register_fork_handlers() {
  static const int registered = pthread_atfork(before_fork, nullptr, in_forked_child);
  (void)registered;
}

// ---- thread creation -------------------------------------------------------------------------------
// libgomp ends the process when the system refuses it a thread, so we first try with threads of our own,
// as many at once as the region needs. libgomp keeps the workers of this thread's last region; it drops them
// when the next one is smaller, and all of them before a fork.

struct Team {
  int size = 1;
  int forks = 0;
};
thread_local Team last_team;

int creatable_threads(int wanted) {
  if (last_team.forks != forks.load()) last_team = {1, forks.load()};
  if (wanted <= last_team.size) return wanted;
  std::vector<std::thread> probes;
  std::atomic<bool> release{false};
  try {
    probes.reserve(static_cast<size_t>(wanted));
    for (int i = 1; i < wanted; ++i)
      probes.emplace_back([&release] {
        while (!release.load()) std::this_thread::yield();
      });
  } catch (...) {
    // As many as there are must do.
  }
  release = true;
  for (auto& probe : probes) probe.join();
  return static_cast<int>(probes.size()) + 1;
}

// ---- interruption ----------------------------------------------------------------------------------

std::atomic<InterruptCheck> interrupt_check{nullptr};
constexpr auto kInterruptPeriod = std::chrono::milliseconds(50);

// Only the calling thread asks, between its tasks; all look at `cancelled`.
class Interruption {
 public:
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  void ask() {
    const InterruptCheck check = interrupt_check.load(std::memory_order_relaxed);
    if (!check) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - asked_ < kInterruptPeriod) return;
    asked_ = now;
    if (check()) cancelled_.store(true, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> cancelled_{false};
  std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
};

}  // namespace

int get_num_threads() {
  const int known = thread_count.load(std::memory_order_relaxed);
  if (known > 0) return known;
  int count = count_from_environment();
  if (count == 0) count = std::min(available_cores(), kMaxThreads);
  thread_count.store(count, std::memory_order_relaxed);
  return count;
}

void set_num_threads(int64_t count) {
  if (count < 1 || count > kMaxThreads)
    fail_value("set_num_threads: count must be from 1 to ", kMaxThreads, ", got ", count);
  thread_count.store(static_cast<int>(count), std::memory_order_relaxed);
}

int workers_for(int64_t tasks, double work) {
  const int64_t threads = get_num_threads();
  const double useful = 1 + work / kWorkPerWorker;
  const int64_t worth = useful < static_cast<double>(threads) ? static_cast<int64_t>(useful) : threads;
  return static_cast<int>(std::clamp<int64_t>(std::min(tasks, worth), 1, threads));
}

void parallel_for(int64_t tasks, int workers, FpMode mode, FunctionRef<void(int64_t, int)> body) {
  const auto run = [&](auto&& loop) {
    if (mode == FpMode::flush_denormals) {
      const FlushDenormals scope;
      loop();
    } else {
      loop();
    }
  };
  if (workers > 1 && !single_threaded_child.load(std::memory_order_relaxed))
    workers = creatable_threads(workers);
  else
    workers = 1;
  Interruption interruption;
  if (workers <= 1) {
    run([&] {
      for (int64_t task = 0; task < tasks && !interruption.cancelled(); ++task) {
        body(task, 0);
        interruption.ask();
      }
    });
  } else {
    register_fork_handlers();
    ++regions_running;
#pragma omp parallel num_threads(workers)
    {
      const int worker = omp_get_thread_num();
      run([&] {
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < tasks; ++task) {
          if (interruption.cancelled()) continue;
          body(task, worker);
          if (worker == 0) interruption.ask();
        }
      });
    }
    --regions_running;
    last_team.size = workers;
  }
  if (interruption.cancelled()) throw Interrupted();
}

void set_interrupt_check(InterruptCheck check) { interrupt_check = check; }

}  // namespace striate
