// How a run of rows is cut into register tiles. Included by *.kernel.cc only.
#pragma once

#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

// Cuts `count` into the fewest pieces of at most `limit`, as even as can be: 49 by 6 gives 6 6 6 6 5 5 5 5 5,
// never 6 ... 6 1, whose last piece would leave the multipliers idle.
template <class Piece>
STRIATE_INLINE void even_pieces(int count, int limit, Piece piece) {
  const int pieces = (count + limit - 1) / limit;
  for (int p = 0, begin = 0; p < pieces; ++p) {
    const int size = (count - begin) / (pieces - p) + ((count - begin) % (pieces - p) != 0);
    piece(begin, size);
    begin += size;
  }
}

}  // namespace
}  // namespace striate::STRIATE_ISA
