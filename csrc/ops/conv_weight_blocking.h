// How a weight gradient is cut into tasks: a chunk of rows x a chunk of lanes, and one part of the pixels.
//
// Chunks cost packing (each chunk of rows packs the lanes again, and the other way round), parts cost memory (each
// has sums of its own, added in the end). Which is cheaper depends on the problem; a small model decides. Nothing
// here depends on the number of threads.
#pragma once

#include "ops/conv_problem.h"
#include "ops/conv_weight_panels.h"

namespace striate {

/// What is cheap to pack depends on which neighbours in memory are neighbours in the panel.
enum class Neighbours : uint8_t { pixels, channels, none };

struct WeightShape {
  int64_t groups;
  int64_t row_channels, lane_channels;  // of one group
  int64_t taps;
  CorrelationAxes axes;  // of the rows; with a single tap the lanes' pixels may lie `stride` apart as well
  int64_t n;
  Neighbours row_neighbours, lane_neighbours;
  bool lanes_adjoin;  // in the result
};

struct WeightBlocking {
  SlabLayout layout;
  PixelGrid grid;
  int64_t row_chunk, lane_chunk;    // channels
  int64_t row_chunks, lane_chunks;  // of a group
  int64_t parts;
  double cost;  // in the model's unit: what one row of one lane block takes for a pixel

  int64_t chunks(int64_t groups) const { return groups * row_chunks * lane_chunks; }
};

/// `lanes` in a lane block, numbers of `size` bytes.
WeightBlocking weight_blocking(const WeightShape& shape, int64_t lanes, int64_t size);

}  // namespace striate
