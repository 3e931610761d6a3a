// How the tile driver cuts its correlations: into tiles of output pixels, chunks of output channels, and blocks of
// input channels.
//
//      input channels   | block | block | block |      one slab and one slice of weights at a time
//      output channels  |   chunk   |   chunk   |      of one task; a lane block of it at a time
//      pixels           |    tile   |   tile    |      of one task; several small images may share one
#pragma once

#include <span>
#include <vector>

#include "ops/conv_tiles.h"

namespace striate {

/// The axes of one window that serves all phases: it spans what any of them sees.
template <class T>
CorrelationAxes shared_axes(std::span<const Correlation<T>> phases);

/// Phases whose columns alternate in the output: phase `index` of `count`, of which `first` is the first in the list
/// of phases, has columns index, index + count, ...
struct Interleave {
  size_t first;
  int64_t index, count;
};
/// Of each phase; those that alternate with no other have count 1.
template <class T>
std::vector<Interleave> interleave_phases(std::span<const Correlation<T>> phases);

/// Output channels of one register tile: whole vectors, as even as can be: 4 vectors by 3 make 2 and 2.
inline int64_t lane_block(int64_t channels, int64_t lanes, int64_t largest) {
  return even_piece(ceil_div(channels, lanes), largest / lanes) * lanes;
}

struct TileBlocking {
  int64_t lane_block, ic_block, oc_chunk;
  int64_t ic_blocks, oc_chunks;
  int64_t images;  // of one tile
  int64_t image_tiles;
  TileGrid grid;
  int64_t tile_pixels() const { return images * grid.rows * grid.cols; }  // of the largest, and of one phase
  int64_t tiles() const { return image_tiles * grid.count(); }
};

/// `axes` are the shared ones.
template <class T>
TileBlocking block_tiles(std::span<const Correlation<T>> phases, const CorrelationAxes& axes,
                         const conv::Product<T>& kernel);

}  // namespace striate
