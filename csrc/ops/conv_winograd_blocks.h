// How Winograd's convolution is cut: neighbouring tiles of one row of the image make a strip, strips make a block.
//
// Two ways through the work:
//
//   blocks     weights are transformed once; a task is a block of tiles and does all the rest by itself:
//              its inputs, the products of all points, its outputs. No thread waits for another. Products
//              of few input channels are transformed at once, a group of tiles and a lane block at a time.
//   channels   few tiles and many channels (small images): the transformed weights are larger than all
//              that is multiplied with them, so a task is a chunk of output channels, which transforms
//              just its weights, where they stay in cache; the inputs were transformed together before.
#pragma once

#include <algorithm>

#include "kernels/conv/winograd.h"
#include "ops/conv_tiles.h"

namespace striate {

struct WinogradStrip {
  int64_t image, depth, row, col;  // first output
  int64_t tiles;
};

struct WinogradBlocks {
  // Tiles of a plane. They are whole: outputs beyond the end see padding and are dropped.
  int64_t depths, tile_rows, tile_cols;
  int64_t outputs, points;  // of a tile, along one axis
  int64_t images;

  bool by_channels;
  int64_t strip;         // tiles, at most
  int64_t block_strips;  // strips in a block
  int64_t group;         // tiles of a strip whose products a worker holds at a time; 0: those of the whole block
  int64_t oc_chunk;      // output channels of these products
  int64_t slab_strips;   // strips, one below the other, that share a slab
  int64_t ic_block;      // channels of a slab

  int64_t parts() const { return ceil_div(tile_cols, strip); }  // of a row of tiles
  int64_t strips() const { return images * depths * tile_rows * parts(); }
  int64_t blocks() const { return ceil_div(strips(), block_strips); }
  int64_t tiles_in_block() const { return block_strips * strip; }
  int64_t input_span(int64_t tiles) const { return (tiles - 1) * outputs + points; }

  WinogradStrip locate(int64_t index) const {
    const int64_t tile = index % parts() * strip, row = index / parts(), plane = row / tile_rows;
    return {plane / depths, plane % depths, row % tile_rows * outputs, tile * outputs,
            std::min(strip, tile_cols - tile)};
  }

  /// Calls body(strip, its first tile in the block, count): of up to `step` strips the first. More than one lie
  /// below each other in one plane.
  template <class Body>
  void for_each_strip(int64_t block, int64_t step, Body body) const {
    const int64_t end = std::min(strips(), (block + 1) * block_strips);
    int64_t at = 0;
    for (int64_t index = block * block_strips; index < end;) {
      const WinogradStrip first = locate(index);
      const int64_t count = std::min({step, end - index, tile_rows - first.row / outputs});
      body(first, at, count);
      index += count;
      at += count * first.tiles;
    }
  }
};

WinogradBlocks winograd_blocks(const Correlation<float>& correlation, conv::WinogradForm form,
                               const conv::WinogradKernel& kernel);

}  // namespace striate
