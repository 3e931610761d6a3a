#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/error.h"

namespace striate {

std::vector<Isa> all_isas() {
#if defined(__x86_64__)
  return {Isa::baseline, Isa::avx2, Isa::avx512};
#else
  return {Isa::neon};
#endif
}

const char* name_of(Isa isa) {
#if defined(__x86_64__)
  constexpr const char* names[] = {"baseline", "avx2", "avx512"};
#else
  constexpr const char* names[] = {"neon"};
#endif
  return names[static_cast<size_t>(isa)];
}

#ifdef STRIATE_EMULATE_AVX512
constexpr bool kEmulateAvx512 = true;
#else
constexpr bool kEmulateAvx512 = false;
#endif

bool is_supported(Isa isa) {
#if defined(__x86_64__)
  // These builtins also ask the operating system whether it saves the wide registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  switch (isa) {
    case Isa::baseline:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      if constexpr (kEmulateAvx512) return avx2;
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  return false;
#else
  return isa == Isa::neon;
#endif
}

namespace {

constexpr int kUnset = -1;
std::atomic<int> chosen_isa{kUnset};

std::string supported_names() {
  std::string names;
  for (Isa isa : all_isas())
    if (is_supported(isa)) names += (names.empty() ? "" : ", ") + std::string(name_of(isa));
  return names;
}

Isa parse_isa(const std::string& name, const char* source) {
  for (Isa isa : all_isas()) {
    if (name != name_of(isa)) continue;
    if (!is_supported(isa))
      fail_value(source, ": this CPU does not support '", name, "'; it supports ", supported_names());
    return isa;
  }
  fail_value(source, ": unknown instruction set '", name, "'; this CPU supports ", supported_names());
}

}  // namespace

Isa current_isa() {
  const int known = chosen_isa.load(std::memory_order_relaxed);
  if (known != kUnset) return static_cast<Isa>(known);
  Isa isa = all_isas().front();
  if (const char* wish = std::getenv("STRIATE_ISA"); wish && *wish) {
    isa = parse_isa(wish, "STRIATE_ISA");
  } else {
    for (Isa candidate : all_isas())
      if (is_supported(candidate)) isa = candidate;
  }
  chosen_isa.store(static_cast<int>(isa), std::memory_order_relaxed);
  return isa;
}

void set_isa(const std::string& name) {
  chosen_isa.store(static_cast<int>(parse_isa(name, "set_isa")), std::memory_order_relaxed);
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

namespace {

int affinity_cores() {
  // A mask of 8192 CPUs covers every machine that Linux runs on today.
  constexpr size_t kCpus = 8192;
  cpu_set_t* set = CPU_ALLOC(kCpus);
  const size_t bytes = CPU_ALLOC_SIZE(kCpus);
  int count = 0;
  if (set && sched_getaffinity(0, bytes, set) == 0) count = CPU_COUNT_S(bytes, set);
  CPU_FREE(set);
  return count > 0 ? count : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Cores that `quota` microseconds in each `period` make, rounded up; 0 when there is no limit.
int quota_cores(double quota, double period) {
  if (quota <= 0 || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

int read_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 0;
  return quota_cores(std::strtod(quota.c_str(), nullptr), period);
}

int read_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return 0;
  return quota_cores(quota, period);
}

// A group's own limit and those of all groups above it hold together.
template <class Reader>
int tightest(const std::string& mount, std::string group, Reader read) {
  int cores = 0;
  while (true) {
    if (const int here = read(mount + group); here > 0) cores = cores ? std::min(cores, here) : here;
    if (group.empty() || group == "/") return cores;
    group.resize(group.find_last_of('/'));
  }
}

int cgroup_cores(const std::string& root) {
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  int cores = 0;
  while (std::getline(groups, line)) {  // hierarchy:controllers:path
    std::istringstream fields(line);
    std::string hierarchy, controllers, path;
    if (!std::getline(fields, hierarchy, ':') || !std::getline(fields, controllers, ':') ||
        !std::getline(fields, path) || path.empty() || path[0] != '/')
      continue;
    int here = 0;
    if (controllers.empty())
      here = tightest(root + "/sys/fs/cgroup", path, read_v2);
    else if (("," + controllers + ",").find(",cpu,") != std::string::npos)
      here = tightest(root + "/sys/fs/cgroup/cpu", path, read_v1);
    if (here > 0) cores = cores ? std::min(cores, here) : here;
  }
  return cores;
}

}  // namespace

int available_cores(const std::string& root) {
  const int affinity = affinity_cores();
  const int quota = cgroup_cores(root);
  return quota > 0 ? std::min(affinity, quota) : affinity;
}

}  // namespace striate
