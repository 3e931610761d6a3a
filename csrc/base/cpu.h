// What this CPU can run, and what we chose. Detection happens at first use, never at load time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace striate {

#if defined(__x86_64__)
// Order is preference: later is better. `baseline` is what every x86-64 CPU has (SSE2, no AVX).
enum class Isa : uint8_t { baseline, avx2, avx512 };
#elif defined(__aarch64__)
enum class Isa : uint8_t { neon };
#endif

const char* name_of(Isa isa);
bool is_supported(Isa isa);
std::vector<Isa> all_isas();

/// The instruction set in force. The first call reads STRIATE_ISA (ValueError if it is unknown or not
/// supported here), else takes the best that this CPU has.
Isa current_isa();

/// Forces one for the whole process; ValueError as above.
void set_isa(const std::string& name);

std::string cpu_model();

/// Smallest of affinity mask and cgroup v1/v2 quota, at least 1. `root` lets tests point at a made-up
/// /proc and /sys tree.
int available_cores(const std::string& root = "");

}  // namespace striate
