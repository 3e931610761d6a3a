// The body of direct convolution around the register tile of product.h: pack, store; and the tile of many small groups,
// one in each lane. See conv.h for layouts.
//
// That tile is `rows x vectors` accumulators. Rows take plain addresses of their own, so a tile may cross the end of an
// image row and taps may be anywhere. The sizes keep accumulators, weights and a slab vector in registers:
//     16 registers: 6 x 2 + 2 + 1      32 registers: 9 x 2 + 2 + 1
// (With 32 registers more would fit, but ten row addresses and the counters are all the address registers
// that x86-64 has; an eleventh is spilled into the loop.)
#include "kernels/conv/conv.h"
#include "kernels/conv/even_pieces.h"
#include "kernels/conv/moves.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::PackArgs;
using conv::PackWeightArgs;
using conv::StoreArgs;
using conv::TileArgs;

constexpr int kVectors = 2;
template <class T>
constexpr int kBlock = kVectors * kLanes<T>;  // groups in a lane block

// Rows of the register tile for blocks of 1 and of 2 vectors. At least eight independent sums hide the
// latency of the multiply-add.
constexpr int rows_of(int vectors) {
  return STRIATE_REGISTERS < 32 && vectors == 2 ? 6 : 9;
}

// ---- multiply ---------------------------------------------------------------------------------------

template <class T, int Rows, int Vectors>
void forward_rows(const TileArgs<T>& a, const int32_t* pixel_offset, const T* weight, T* acc) {
  using V = native<T>;
  V sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = a.accumulate ? load<V>(acc + r * kBlock<T> + v * kLanes<T>) : V{};

  for (int t = 0; t < a.taps; ++t) {
    const T* window = a.slab + a.tap_offset[t];
    const T* row[Rows];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) row[r] = window + pixel_offset[r];
    for (int i = 0; i < a.run; ++i) {
      V w[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) w[v] = load<V>(weight + v * kLanes<T>);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v)
          sum[r][v] += load<V>(row[r] + i * kBlock<T> + v * kLanes<T>) * w[v];
      }
      weight += kBlock<T>;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store(acc + r * kBlock<T> + v * kLanes<T>, sum[r][v]);
}

// Calls the instance for `rows`, known only at run time, out of 1 ... Rows.
template <class T, int Rows, int Vectors>
STRIATE_INLINE void forward_dispatch(int rows, const TileArgs<T>& a, const int32_t* pixel_offset,
                                     const T* weight, T* acc) {
  if constexpr (Rows > 0) {
    if (rows == Rows) return forward_rows<T, Rows, Vectors>(a, pixel_offset, weight, acc);
    forward_dispatch<T, Rows - 1, Vectors>(rows, a, pixel_offset, weight, acc);
  }
}

template <class T, int Vectors>
void forward_block(const TileArgs<T>& a, const T* weight, T* acc) {
  even_pieces(a.pixels, rows_of(Vectors), [&](int begin, int size) {
    forward_dispatch<T, rows_of(Vectors), Vectors>(size, a, a.pixel_offset + begin, weight,
                                                   acc + static_cast<int64_t>(begin) * kBlock<T>);
  });
}

template <class T>
void tile(const TileArgs<T>& a) noexcept {
  for (int b = 0; b < a.lane_blocks; ++b) {
    const T* weight = a.weight + b * a.weight_block_stride;
    T* acc = a.acc + b * a.acc_block_stride;
    if (b == a.lane_blocks - 1 && a.last_block_channels <= kLanes<T>)
      forward_block<T, 1>(a, weight, acc);
    else
      forward_block<T, kVectors>(a, weight, acc);
  }
}

// ---- pack -------------------------------------------------------------------------------------------

// Slab elements [begin, end) of one row, one by one.
template <class T>
void pack_elements(const PackArgs<T>& a, const T* src, T* slab, int begin, int end) {
  for (int w = begin; w < end; ++w) {
    T* to = slab + w * a.slab_w;
    if (a.map_w[w] < 0) {
      for (int c = 0; c < a.channels; ++c) to[c * a.slab_c] = 0;
      continue;
    }
    const T* from = src + a.map_w[w] * a.src_w;
    if (a.src_c == 1 && a.slab_c == 1)
      copy_run(from, to, a.channels);
    else
      for (int c = 0; c < a.channels; ++c) to[c * a.slab_c] = from[c * a.src_c];
  }
}

template <class T>
void pack_row(const PackArgs<T>& a, const T* src, T* slab) {
  const int count = a.run_end - a.run_begin;
  const bool dense_run = count > 0 && a.run_step == 1;
  const T* run = count > 0 ? src + a.map_w[a.run_begin] * a.src_w : src;
  T* to = slab + a.run_begin * a.slab_w;
  if (dense_run && a.src_c == 1 && a.slab_c == 1 && a.src_w == a.channels && a.slab_w == a.channels) {
    copy_run(run, to, count * a.channels);
  } else if (dense_run && a.src_w == 1 && a.slab_w == 1) {
    for (int c = 0; c < a.channels; ++c) copy_run(run + c * a.src_c, to + c * a.slab_c, count);
  } else if (dense_run && a.src_w == 1 && a.slab_c == 1) {
    transpose_run(run, a.src_c, a.channels, count, to, a.slab_w);
  } else if (dense_run && a.src_c == 1 && a.slab_w == 1) {
    transpose_run(run, a.src_w, count, a.channels, to, a.slab_c);
  } else {
    return pack_elements(a, src, slab, 0, a.w);
  }
  pack_elements(a, src, slab, 0, a.run_begin);
  pack_elements(a, src, slab, a.run_end, a.w);
}

template <class T>
void pack(const PackArgs<T>& a) noexcept {
  for (int d = 0; d < a.d; ++d) {
    for (int h = 0; h < a.h; ++h) {
      T* slab = a.slab + d * a.slab_d + h * a.slab_h;
      if (a.map_d[d] >= 0 && a.map_h[h] >= 0) {
        pack_row(a, a.src + a.map_d[d] * a.src_d + a.map_h[h] * a.src_h, slab);
      } else if (a.slab_c == 1 && a.slab_w == a.channels) {
        __builtin_memset(slab, 0, static_cast<size_t>(a.w) * a.channels * sizeof(T));
      } else {
        for (int w = 0; w < a.w; ++w)
          for (int c = 0; c < a.channels; ++c) slab[w * a.slab_w + c * a.slab_c] = 0;
      }
    }
  }
}

// The matrix of a single tap, whose channels or lanes are neighbours in memory. A linear layer packs as many
// weights as it multiplies by a row, so element by element this would take longer than the product.
template <class T>
void pack_matrix(const PackWeightArgs<T>& a) {
  if (a.i == 1)
    transpose_run(a.weight, a.o, a.lanes_used, a.channels, a.packed, kBlock<T>);
  else
    for (int c = 0; c < a.channels; ++c)
      copy_run(a.weight + c * a.i, a.packed + c * kBlock<T>, a.lanes_used);
  if (a.lanes_used == kBlock<T>) return;
  for (int c = 0; c < a.channels; ++c)
    for (int lane = a.lanes_used; lane < kBlock<T>; ++lane) a.packed[c * kBlock<T> + lane] = 0;
}

template <class T>
void pack_weight(const PackWeightArgs<T>& a) noexcept {
  if (a.kd * a.kh * a.kw == 1 && (a.i == 1 || a.o == 1)) return pack_matrix(a);
  // Channels outside, taps inside: with the usual (o, i, taps...) layout every lane reads straight on.
  for (int c = 0; c < a.channels; ++c) {
    int64_t tap = 0;
    for (int d = 0; d < a.kd; ++d)
      for (int h = 0; h < a.kh; ++h)
        for (int w = 0; w < a.kw; ++w, ++tap) {
          const T* from = a.weight + c * a.i + d * a.d + h * a.h + w * a.w;
          T* to = a.packed + (tap * a.channels + c) * kBlock<T>;
          for (int lane = 0; lane < a.lanes_used; ++lane) to[lane] = from[lane * a.o];
          for (int lane = a.lanes_used; lane < kBlock<T>; ++lane) to[lane] = 0;
        }
  }
}

// ---- store ------------------------------------------------------------------------------------------

// Sums of one image row in one lane block: acc [w][lane], bias already in lane order.
template <class T>
void store_row(const StoreArgs<T>& a, const T* acc, const T* bias, T* out, int lanes) {
  using V = native<T>;
  constexpr int n = kLanes<T>;
  if (a.out_c == 1) {
    for (int w = 0; w < a.w; ++w) {
      const T* from = acc + w * kBlock<T>;
      T* to = out + w * a.out_w;
      int lane = 0;
      for (; lane + n <= lanes; lane += n)
        store(to + lane, load<V>(from + lane) + load<V>(bias + lane));
      for (; lane < lanes; ++lane) to[lane] = from[lane] + bias[lane];
    }
    return;
  }
  if (a.out_w == 1 && a.w >= n) {
    for (int begin = 0; begin < a.w; begin += n) {
      const int w = smaller(begin, a.w - n);  // the last square overlaps the one before
      for (int lane = 0; lane < lanes; lane += n) {
        V block[n];
        const V b = load<V>(bias + lane);
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) block[i] = load<V>(acc + (w + i) * kBlock<T> + lane) + b;
        transpose<T, n>(block);
        const int used = smaller(n, lanes - lane);
        if (used == n) {
#pragma GCC unroll 16
          for (int i = 0; i < n; ++i) store(out + (lane + i) * a.out_c + w, block[i]);
        } else {
          for (int i = 0; i < used; ++i) store(out + (lane + i) * a.out_c + w, block[i]);
        }
      }
    }
    return;
  }
  for (int lane = 0; lane < lanes; ++lane)
    for (int i = 0; i < a.w; ++i)
      out[lane * a.out_c + i * a.out_w] = acc[i * kBlock<T> + lane] + bias[lane];
}

template <class T>
void store(const StoreArgs<T>& args) noexcept {
  StoreArgs<T> a = args;
  if (a.out_w == 1 && a.out_h == a.w) {  // rows that follow each other are one
    a.w *= a.h;
    a.h = 1;
  }
  for (int first = 0, b = 0; first < a.channels; first += kBlock<T>, ++b) {
    const int lanes = smaller(kBlock<T>, a.channels - first);
    // -0, not 0: adding it changes nothing, not even the sign of a zero.
    T bias[kBlock<T>];
    for (int lane = 0; lane < kBlock<T>; ++lane)
      bias[lane] = a.bias && lane < lanes ? a.bias[(first + lane) * a.bias_step] : T(-0.0);
    for (int d = 0; d < a.d; ++d)
      for (int h = 0; h < a.h; ++h)
        store_row(a, a.acc + b * a.acc_block_stride + static_cast<int64_t>(d * a.h + h) * a.w * kBlock<T>,
                  bias, a.out + first * a.out_c + d * a.out_d + h * a.out_h, lanes);
  }
}

template <class T>
constexpr conv::Kernel<T> kernel() {
  return {kBlock<T>,
          pack<T>,
          pack_weight<T>,
          store<T>,
          tile<T>};
}

}  // namespace

constinit const conv::Table conv_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
