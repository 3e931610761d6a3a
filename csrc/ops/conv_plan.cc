#include "ops/conv_plan.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <numeric>

#include "base/set_cache.h"
#include "kernels/conv/winograd_rows.h"
#include "ops/conv_cost.h"
#include "ops/conv_depthwise.h"
#include "ops/conv_polyphase.h"
#include "ops/conv_window.h"
#include "ops/conv_winograd_rows_weights.h"

namespace striate {
namespace {

constexpr const char* kOp = "convolution";
constexpr int64_t kLeastWinogradChannels = 8;
constexpr int64_t kLeastRowChannels = 6;
constexpr int64_t kWidestRow = 1 << 16;  // offsets of transformed rows have 32 bits

// ---- reasons to decline -------------------------------------------------------------------------------

// Tables inside a tile hold 32-bit offsets, and a tile of one pixel still holds all taps.
std::string taps_decline(const ConvProblem& p, double most) {
  const double taps = static_cast<double>(p.axis[0].kernel) * static_cast<double>(p.axis[1].kernel) *
                      static_cast<double>(p.axis[2].kernel);
  if (taps > most) return concat("a kernel of ", taps, " taps does not fit a tile");
  return {};
}

std::string tiles_decline(const ConvRequest& r) { return taps_decline(r.problem, 1 << 22); }

// Images are walked over as they lie, and the phases of a strided input gradient fill them.
std::string depthwise_decline(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  if (p.ic_group() != 1 || p.oc_group() != 1)
    return concat("serves groups of one channel, not ", p.ic_group(), " x ", p.oc_group());
  if (r.formats.input != r.formats.output || r.formats.input == MemoryFormat::other)
    return "serves images that are both contiguous or both channels last";
  if (d.in != 1 || d.out != 1 || d.kernel != 1 || d.pad != 0) return "serves two axes";
  if (p.taps() > kMostDepthwiseTaps) return concat("a kernel of ", p.taps(), " taps is too large");
  if (r.direction != ConvDirection::input_grad) return {};
  for (const ConvAxis& a : {h, w})
    if (a.stride > 2 || a.kernel < a.stride || std::gcd(a.stride, a.dilation) != 1)
      return "the phases of the input gradient leave gaps";
  return {};
}

// Only what cannot be done, or never pays; the rest is a matter of cost.
std::string groups_decline(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  if (p.g < 4) return concat(p.g, " groups leave lanes idle");
  if (p.ic_group() * p.oc_group() > 64)
    return concat("groups of ", p.ic_group(), " x ", p.oc_group(), " channels do not fit a tile");
  return taps_decline(p, 1 << 14);  // times the lanes, and a slab a channel
}

// Winograd's forms apply to correlations of stride 1; the input gradient of such a convolution is one.
std::string winograd_decline(const ConvRequest& r, std::initializer_list<int64_t> kernels) {
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  if (p.dtype != DType::f32) return "serves float32";
  if (d.kernel != 1 || h.kernel != w.kernel || std::count(kernels.begin(), kernels.end(), h.kernel) == 0)
    return concat("does not serve kernels of ", tuple_text(std::array{d.kernel, h.kernel, w.kernel}));
  if (d.stride != 1 || h.stride != 1 || w.stride != 1) return "serves stride 1";
  if (h.dilation != 1 || w.dilation != 1) return "serves dilation 1";
  // Its error is not averaged over enough channels there, and its transforms are not paid for.
  if (std::min(p.ic_group(), p.oc_group()) < kLeastWinogradChannels)
    return concat("groups of ", p.ic_group(), " x ", p.oc_group(), " channels are too few");
  return {};
}
std::string winograd4_decline(const ConvRequest& r) { return winograd_decline(r, {3}); }
std::string winograd3_decline(const ConvRequest& r) { return winograd_decline(r, {4}); }

// The transforms of many taps magnify rounding, and where a gradient sums over few tiles, direct sums hardly round: to
// stay within four times their error is not possible there. With AVX-512 oneDNN sums channels-last pixels in short runs.
bool sums_short_runs(const ConvRequest& r) {
  return r.machine.registers > 16 && r.formats.input == MemoryFormat::channels_last;
}
constexpr int64_t kTilesOfShortRuns = 256;

std::string winograd2_decline(const ConvRequest& r) {
  if (std::string reason = winograd_decline(r, {3, 5}); !reason.empty()) return reason;
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  if (r.direction != ConvDirection::weight_grad || h.kernel != 5) return {};
  const int64_t tiles = p.n * d.out * ceil_div(h.out, 2) * ceil_div(w.out, 2);
  if (tiles >= (sums_short_runs(r) ? kTilesOfShortRuns : 32)) return {};
  return concat("rounds too much: a gradient of 5 x 5 taps from ", tiles, " tiles");
}

// One phase of the width at a time, whatever the stride.
std::string winograd_rows_decline(const ConvRequest& r) {
  const ConvProblem& p = r.problem;
  const auto& [d, h, w] = p.axis;
  if (p.dtype != DType::f32) return "serves float32";
  if (d.kernel != 1 || d.stride != 1 || d.pad != 0) return "serves kernels of one plane";
  if (h.dilation != 1 || w.dilation != 1) return "serves dilation 1";
  const int64_t taps = ceil_div(w.kernel, w.stride);
  if (taps < 2 || taps > conv::kMostRowTaps)
    return concat("serves 2 to ", conv::kMostRowTaps, " taps a phase of the width, not ", taps);
  if (h.kernel > kMostRowKernel) return concat("a kernel of ", h.kernel, " rows is too large");
  if (w.in > kWidestRow) return concat("rows of ", w.in, " columns are too wide");
  for (const ConvAxis& a : {h, w})
    if (a.stride > a.kernel) return concat("a stride of ", a.stride, " leaves out phases of a kernel of ", a.kernel);
  if (std::min(p.ic_group(), p.oc_group()) < kLeastRowChannels)
    return concat("groups of ", p.ic_group(), " x ", p.oc_group(), " channels are too few");
  const int64_t tiles = p.n * d.out * h.out * ceil_div(w.out, conv::kRowOutputs);
  if (r.direction == ConvDirection::weight_grad && taps > 3 && sums_short_runs(r) && tiles < kTilesOfShortRuns)
    return concat("rounds too much: a gradient of ", taps, " taps a row from ", tiles, " tiles");
  return {};
}

std::string phases_decline(const ConvRequest& r) { return polyphase_decline(r.problem); }
double phases_cost(const ConvRequest& r);
int64_t phases_workspace(const ConvRequest& r);

// ---- the rows -----------------------------------------------------------------------------------------

constexpr PlanRow<ConvAlgorithm, const ConvRequest&> kRows[] = {
    {ConvAlgorithm::depthwise, "depthwise", depthwise_decline, depthwise_cost, depthwise_workspace},
    {ConvAlgorithm::groups, "groups", groups_decline, groups_cost, groups_workspace},
    {ConvAlgorithm::winograd4, "winograd4", winograd4_decline, winograd4_cost, winograd4_workspace,
     Arithmetic::rounded},
    {ConvAlgorithm::winograd3, "winograd3", winograd3_decline, winograd3_cost, winograd3_workspace,
     Arithmetic::rounded},
    {ConvAlgorithm::winograd2, "winograd2", winograd2_decline, winograd2_cost, winograd2_workspace,
     Arithmetic::rounded},
    {ConvAlgorithm::winograd_rows, "winograd_rows", winograd_rows_decline, winograd_rows_cost,
     winograd_rows_workspace, Arithmetic::rounded},
    {ConvAlgorithm::polyphase, "polyphase", phases_decline, phases_cost, phases_workspace,
     Arithmetic::rounded},  // what runs inside may be Winograd's
    {ConvAlgorithm::tiles, "tiles", tiles_decline, tiles_cost, tiles_workspace},
    {ConvAlgorithm::reference, "reference", nullptr},
};

// The problem inside has no stride: polyphase itself declines it.
Candidate inside_polyphase(const ConvRequest& r) {
  const ConvProblem inner = polyphase_inner(r.problem);
  const ConvRequest request{inner, r.direction, {MemoryFormat::channels_last, r.formats.output}, r.machine};
  const Plan plan = explain(kOp, kRows, {}, request);
  return plan.candidates[plan.chosen];
}
double phases_cost(const ConvRequest& r) {
  return polyphase_moves_cost(r, polyphase_inner(r.problem)) + inside_polyphase(r).cost;
}
int64_t phases_workspace(const ConvRequest& r) {
  return polyphase_moves_workspace(r, polyphase_inner(r.problem)) + inside_polyphase(r).workspace;
}

std::atomic<int64_t> process_workspace_limit{kNoLimit};

Terms terms_of(const ConvProblem& p, const char* force) {
  return {force, p.exact, p.workspace == ConvProblem::kProcessWorkspace ? workspace_limit() : p.workspace};
}

// ---- choices remembered -------------------------------------------------------------------------------

// All that a choice depends on, as numbers.
struct Key {
  std::array<int64_t, 33> words{};
  bool operator==(const Key&) const = default;
};

Key key_of(const ConvRequest& r, const Terms& terms) {
  const ConvProblem& p = r.problem;
  Key key;
  size_t i = 0;
  for (const int64_t word :
       {static_cast<int64_t>(p.dtype), static_cast<int64_t>(r.direction), static_cast<int64_t>(r.machine.isa),
        static_cast<int64_t>(r.formats.input), static_cast<int64_t>(r.formats.output),
        static_cast<int64_t>(terms.exact), terms.workspace, static_cast<int64_t>(p.rank), p.n, p.g, p.ic, p.oc})
    key.words[i++] = word;
  for (const ConvAxis& a : p.axis)
    for (const int64_t word : {a.in, a.out, a.kernel, a.stride, a.dilation, a.pad, a.pad_end}) key.words[i++] = word;
  return key;
}

uint64_t hash_of(const Key& key) {
  uint64_t hash = 0;
  for (const int64_t word : key.words) {
    hash = (hash ^ static_cast<uint64_t>(word)) * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
    hash ^= hash >> 29;
  }
  return hash;
}

using PlanCache = SetCache<Key, ConvAlgorithm, 128, 4>;

PlanCache& plan_cache() {
  static PlanCache* cache = new PlanCache;  // never destroyed: threads may outlive statics
  return *cache;
}

}  // namespace

ConvAlgorithm choose_conv(const ConvProblem& problem, ConvDirection direction, const ConvFormats& formats,
                          const char* force) {
  const ConvRequest request{problem, direction, formats, machine_of(current_isa())};
  const Terms terms = terms_of(problem, force);
  if (force) return choose(kOp, kRows, terms, request);
  const Key key = key_of(request, terms);
  const uint64_t hash = hash_of(key);
  if (const auto known = plan_cache().find(key, hash)) return *known;
  const ConvAlgorithm chosen = choose(kOp, kRows, terms, request);
  plan_cache().insert(key, hash, chosen);
  return chosen;
}

Plan plan_conv(const ConvProblem& problem, ConvDirection direction, const char* force,
               const ConvFormats& formats) {
  return explain(kOp, kRows, terms_of(problem, force), {problem, direction, formats, machine_of(current_isa())});
}

PlanCacheStats plan_cache_stats() {
  const PlanCache::Stats stats = plan_cache().stats();
  return {stats.capacity, stats.held, stats.hits, stats.misses};
}

void clear_plan_cache() { plan_cache().clear(); }

int64_t workspace_limit() { return process_workspace_limit.load(std::memory_order_relaxed); }

void set_workspace_limit(int64_t bytes) {
  if (bytes < 0) fail_value("set_workspace_limit: bytes must not be negative, got ", bytes);
  process_workspace_limit.store(bytes, std::memory_order_relaxed);
}

}  // namespace striate
