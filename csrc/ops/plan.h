// A plan: the algorithms of an op in order of preference, each with its reason for declining a problem. The
// first that applies is taken; the naive reference, which always applies, is last.
//
// Reasons may depend on problem, memory format and instruction set only: never on the number of threads,
// alignment or timing, so results have the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace striate {

/// What an op writes down once, as a constexpr array: one row an algorithm, chosen by `What`.
template <class Algorithm, class... What>
struct PlanRow {
  Algorithm algorithm;
  const char* name;
  std::string (*declines)(What...);  // why it does not apply; empty, or null: it does
};

struct Candidate {
  std::string name;
  std::string declined;  // why it does not apply; empty if it does
};

/// A choice with its reasons, for those who ask.
struct Plan {
  std::vector<Candidate> candidates;  // in order of preference
  size_t chosen;

  const std::string& algorithm() const { return candidates[chosen].name; }
};

template <class Algorithm, class... What>
std::string reason_against(const PlanRow<Algorithm, What...>& row, const char* force,
                           std::type_identity_t<What>... what) {
  if (force && std::string_view(force) != row.name) return concat("'", force, "' is forced");
  return row.declines ? row.declines(what...) : std::string();
}

/// The first algorithm that applies. `force` names the only one to use; ValueError if it is unknown or
/// does not apply.
template <size_t N, class Algorithm, class... What>
Algorithm choose(const char* op, const PlanRow<Algorithm, What...> (&rows)[N], const char* force,
                 std::type_identity_t<What>... what) {
  for (const auto& row : rows)
    if (reason_against(row, force, what...).empty()) return row.algorithm;
  fail_value(op, ": no algorithm '", force, "' applies");
}

/// The same choice, explained.
template <size_t N, class Algorithm, class... What>
Plan explain(const char* op, const PlanRow<Algorithm, What...> (&rows)[N], const char* force,
             std::type_identity_t<What>... what) {
  Plan plan{{}, N};
  for (size_t i = 0; i < N; ++i) {
    plan.candidates.push_back({rows[i].name, reason_against(rows[i], force, what...)});
    if (plan.chosen == N && plan.candidates[i].declined.empty()) plan.chosen = i;
  }
  if (plan.chosen == N) fail_value(op, ": no algorithm '", force, "' applies");
  return plan;
}

/// The plan of ops with one vector kernel, which takes any problem.
enum class OneKernel : uint8_t { vectors, reference };
inline constexpr PlanRow<OneKernel> kOneKernel[] = {
    {OneKernel::vectors, "vectors", nullptr},
    {OneKernel::reference, "reference", nullptr},
};

}  // namespace striate
