// How long an algorithm really takes: for those who ask `explain`, never for a choice.
#pragma once

#include "ops/conv_plan.h"

namespace striate {

/// Of one call on made-up data, all images in `format`: the least of some.
struct ConvMeasurement {
  double seconds = kNoPrediction;
  // What a weight kept packed takes (ops/packed_weights.h); where it takes anything, the seconds with it.
  int64_t packed_bytes = 0;
  double packed_seconds = kNoPrediction;
};
ConvMeasurement measure_conv(const ConvProblem& problem, ConvDirection direction, MemoryFormat format,
                             const char* algorithm);

}  // namespace striate
