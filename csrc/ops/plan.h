// A plan: the algorithms of an op, each with its reason for declining a problem, its predicted cost and the
// scratch memory it needs. Of those that apply the cheapest is taken, of equal ones the first. A row without
// a prediction costs infinity, so rows that predict nothing stand in order of preference; and so the naive
// reference, which always applies and stands last, is taken only where nothing else is left.
//
// Reasons, costs and workspace may depend on problem, memory format, instruction set and on the caller's
// terms only: never on the number of threads, alignment or timing, so results have the same bits for any
// number of threads.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace striate {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
inline constexpr double kNoPrediction = std::numeric_limits<double>::infinity();

/// What the caller insists on. A bare name is `force`.
struct Terms {
  const char* force = nullptr;   // the one algorithm to use
  bool exact = false;            // none that rounds where small integers would be exact
  int64_t workspace = kNoLimit;  // bytes of scratch memory that an algorithm may need

  Terms() = default;
  Terms(const char* name) : force(name) {}  // NOLINT: implicit on purpose
  Terms(const char* name, bool exact_only, int64_t bytes)
      : force(name), exact(exact_only), workspace(bytes) {}
};

enum class Arithmetic : uint8_t { exact, rounded };  // on small integers

/// What an op writes down once, as a constexpr array: one row an algorithm, chosen by `What`.
template <class Algorithm, class... What>
struct PlanRow {
  Algorithm algorithm;
  const char* name;
  std::string (*declines)(What...);           // why it does not apply; empty, or null: it does
  double (*cost)(What...) = nullptr;          // predicted seconds on one core; null: no prediction
  int64_t (*workspace)(What...) = nullptr;    // bytes; null: none worth mentioning
  Arithmetic arithmetic = Arithmetic::exact;
};

struct Candidate {
  std::string name;
  std::string declined;         // why it does not apply; empty if it does
  double cost = kNoPrediction;  // seconds on one core
  int64_t workspace = 0;        // bytes
  Arithmetic arithmetic = Arithmetic::exact;
};

/// A choice with its reasons, for those who ask.
struct Plan {
  std::vector<Candidate> candidates;  // in the order of the rows
  size_t chosen;

  const std::string& algorithm() const { return candidates[chosen].name; }
};

template <class Algorithm, class... What>
std::string reason_against(const PlanRow<Algorithm, What...>& row, const Terms& terms,
                           std::type_identity_t<What>... what) {
  if (terms.force && std::string_view(terms.force) != row.name)
    return concat("'", terms.force, "' is forced");
  if (row.declines)
    if (std::string reason = row.declines(what...); !reason.empty()) return reason;
  if (terms.exact && row.arithmetic == Arithmetic::rounded) return "exact=True asks for exact sums";
  if (terms.workspace != kNoLimit && row.workspace)
    if (const int64_t bytes = row.workspace(what...); bytes > terms.workspace)
      return concat("it needs a workspace of ", bytes, " bytes, more than the limit of ", terms.workspace);
  return {};
}

namespace plan_detail {

template <size_t N, class Algorithm, class... What>
[[noreturn]] void fail_none_applies(const char* op, const PlanRow<Algorithm, What...> (&rows)[N],
                                    const Terms& terms, std::type_identity_t<What>... what) {
  for (const auto& row : rows)
    if (terms.force && std::string_view(terms.force) == row.name)
      fail_value(op, ": no algorithm '", terms.force, "' applies: ", reason_against(row, terms, what...));
  fail_value(op, ": no algorithm '", terms.force ? terms.force : "", "' applies");
}

}  // namespace plan_detail

/// The cheapest algorithm that applies. ValueError if the one that `terms` force is unknown or does not.
template <size_t N, class Algorithm, class... What>
Algorithm choose(const char* op, const PlanRow<Algorithm, What...> (&rows)[N], const Terms& terms,
                 std::type_identity_t<What>... what) {
  const PlanRow<Algorithm, What...>* best = nullptr;
  double least = kNoPrediction;
  for (const auto& row : rows) {
    if (!reason_against(row, terms, what...).empty()) continue;
    const double cost = row.cost ? row.cost(what...) : kNoPrediction;
    if (best && !(cost < least)) continue;
    best = &row;
    least = cost;
  }
  if (!best) plan_detail::fail_none_applies(op, rows, terms, what...);
  return best->algorithm;
}

/// The same choice, explained.
template <size_t N, class Algorithm, class... What>
Plan explain(const char* op, const PlanRow<Algorithm, What...> (&rows)[N], const Terms& terms,
             std::type_identity_t<What>... what) {
  Plan plan{{}, N};
  for (size_t i = 0; i < N; ++i) {
    const auto& row = rows[i];
    Candidate candidate{row.name, reason_against(row, terms, what...)};
    // A row that declines for reasons of its own may not even be able to predict.
    if (!row.declines || row.declines(what...).empty()) {
      if (row.cost) candidate.cost = row.cost(what...);
      if (row.workspace) candidate.workspace = row.workspace(what...);
    }
    candidate.arithmetic = row.arithmetic;
    plan.candidates.push_back(candidate);
    if (!candidate.declined.empty()) continue;
    if (plan.chosen == N || candidate.cost < plan.candidates[plan.chosen].cost) plan.chosen = i;
  }
  if (plan.chosen == N) plan_detail::fail_none_applies(op, rows, terms, what...);
  return plan;
}

/// The plan of ops with one vector kernel, which takes any problem.
enum class OneKernel : uint8_t { vectors, reference };
inline constexpr PlanRow<OneKernel> kOneKernel[] = {
    {OneKernel::vectors, "vectors", nullptr},
    {OneKernel::reference, "reference", nullptr},
};

}  // namespace striate
