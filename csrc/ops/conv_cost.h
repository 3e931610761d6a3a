// Predicted seconds (conv_cost.cc) and scratch bytes (conv_workspace.cc) of the drivers, as rows of the convolution's
// plan want them.
#pragma once

#include "ops/conv_plan.h"

namespace striate {

double tiles_cost(const ConvRequest& request);
int64_t tiles_workspace(const ConvRequest& request);

double winograd4_cost(const ConvRequest& request);
int64_t winograd4_workspace(const ConvRequest& request);
double winograd3_cost(const ConvRequest& request);
int64_t winograd3_workspace(const ConvRequest& request);
double winograd2_cost(const ConvRequest& request);
int64_t winograd2_workspace(const ConvRequest& request);

double winograd_rows_cost(const ConvRequest& request);
int64_t winograd_rows_workspace(const ConvRequest& request);

/// What the polyphase form adds to the cost of its inner problem (ops/conv_polyphase.h).
double polyphase_moves_cost(const ConvRequest& request, const ConvProblem& inner);
int64_t polyphase_moves_workspace(const ConvRequest& request, const ConvProblem& inner);

double depthwise_cost(const ConvRequest& request);
int64_t depthwise_workspace(const ConvRequest& request);

double groups_cost(const ConvRequest& request);
int64_t groups_workspace(const ConvRequest& request);

}  // namespace striate
