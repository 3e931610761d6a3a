// The plan of a convolution: what could run it, what each algorithm would cost, and the choice.
//
// To add an algorithm: a name in ConvAlgorithm, a row in conv_plan.cc (reason to decline, cost, workspace, all
// functions of a ConvRequest), and a case where conv.cc runs what was chosen.
#pragma once

#include "ops/conv_problem.h"
#include "ops/machine.h"
#include "ops/plan.h"

namespace striate {

enum class ConvDirection : uint8_t { forward, input_grad, weight_grad };

enum class ConvAlgorithm : uint8_t {
  depthwise,
  groups,
  winograd4,
  winograd3,
  winograd2,
  winograd_rows,
  polyphase,
  tiles,
  reference
};

/// How the images lie in memory: the convolution's input (or its gradient) and its output (or its gradient).
struct ConvFormats {
  MemoryFormat input = MemoryFormat::contiguous;
  MemoryFormat output = MemoryFormat::contiguous;
};

/// All that a choice may depend on.
struct ConvRequest {
  const ConvProblem& problem;
  ConvDirection direction;
  ConvFormats formats;
  const Machine& machine;
};

/// The cheapest algorithm under the terms of the problem (`exact`, `workspace`). `force` names the only one to
/// use; ValueError if it is unknown or does not apply. Choices are remembered, unless forced.
ConvAlgorithm choose_conv(const ConvProblem& problem, ConvDirection direction, const ConvFormats& formats,
                          const char* force = nullptr);

/// The same, explained.
Plan plan_conv(const ConvProblem& problem, ConvDirection direction, const char* force = nullptr,
               const ConvFormats& formats = {});

/// The choices that are remembered, the least recently used forgotten first.
struct PlanCacheStats {
  int64_t capacity, held, hits, misses;
};
PlanCacheStats plan_cache_stats();
void clear_plan_cache();

/// Bytes of scratch memory that the algorithm of a call may need, where the call does not say it itself;
/// kNoLimit at first. What each further thread adds for its tile (some 100 KB) is not counted, since a choice
/// must not depend on the number of threads. ValueError if negative.
int64_t workspace_limit();
void set_workspace_limit(int64_t bytes);

}  // namespace striate
