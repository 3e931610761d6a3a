// How long an algorithm really takes: for those who ask `explain`, never for a choice.
#pragma once

#include "ops/conv_plan.h"

namespace striate {

/// Seconds of one call on made-up data, all images in `format`: the least of some.
double measure_conv(const ConvProblem& problem, ConvDirection direction, MemoryFormat format,
                    const char* algorithm);

}  // namespace striate
