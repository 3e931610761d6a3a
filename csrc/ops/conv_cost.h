// Predicted seconds and scratch bytes of the drivers, as rows of the convolution's plan want them.
#pragma once

#include "ops/conv_plan.h"

namespace striate {

double tiles_cost(const ConvRequest& request);
int64_t tiles_workspace(const ConvRequest& request);

double winograd4_cost(const ConvRequest& request);
int64_t winograd4_workspace(const ConvRequest& request);
double winograd2_cost(const ConvRequest& request);
int64_t winograd2_workspace(const ConvRequest& request);

double groups_cost(const ConvRequest& request);
int64_t groups_workspace(const ConvRequest& request);

}  // namespace striate
