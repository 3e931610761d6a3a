// The body of the direct weight gradient: pack, multiply, put. See weight_tiles.h for layouts.
//
// The register tile is rows x vectors accumulators; rows have addresses of their own:
//     16 registers: 6 x 2 + 2 + 1      32 registers: 9 x 2 + 2 + 1
// (With 32 registers more would fit, but ten row addresses and the counters are all the address registers
// that x86-64 has; an eleventh is spilled into the loop.)
#include "kernels/conv/even_pieces.h"
#include "kernels/conv/weight_pack.h"
#include "kernels/conv/weight_tiles.h"
#include "simd/vec.h"

namespace striate::STRIATE_ISA {
namespace {

using conv::WeightTileArgs;

// Rows of the register tile for blocks of 1 and of 2 vectors. At least eight independent sums hide the
// latency of the multiply-add.
constexpr int weight_rows_of(int vectors) {
  return STRIATE_REGISTERS < 32 && vectors == 2 ? 6 : 9;
}

// What a lane is: a channel, to which a slab element is broadcast, or a group, with a slab element of its own.
enum class Lane { channel, group };

template <Lane lane, class T>
STRIATE_INLINE native<T> slab_value(const T* at, int vector) {
  if constexpr (lane == Lane::channel)
    return broadcast<native<T>>(*at);
  else
    return load<native<T>>(at + vector * kLanes<T>);
}

// ---- multiply ---------------------------------------------------------------------------------------

template <Lane lane, class T, int Rows, int Vectors>
void weight_rows(const WeightTileArgs<T>& a, const int32_t* row_offset, const T* grad, T* acc,
                 const T* const* ahead, int aheads) {
  using V = native<T>;
  // A group block is full even where its last lanes idle, a channel block is as wide as its vectors.
  constexpr int grad_step = lane == Lane::group ? kBlock<T> : Vectors * kLanes<T>;
  V sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = a.accumulate ? load<V>(acc + r * kBlock<T> + v * kLanes<T>) : V{};

  constexpr int line = 64 / static_cast<int>(sizeof(T));
  int64_t pixel = 0;
  const int64_t step = a.step;
  for (int t = 0; t < a.runs; ++t) {
    // As much of each stretch ahead as this run has pixels: much more at once would fill the line buffers and hold
    // up the loads of the product; a loop of their own inside the run costs more than they bring.
    const int count = t == a.runs - 1 ? a.last_run : a.run;
    for (int i = 0; i < aheads; ++i)
      for (int part = 0; part < count; part += line) __builtin_prefetch(ahead[i] + pixel + part, 0, 2);
    pixel += count;
    const T* window = a.slab + a.run_offset[t];
    const T* row[Rows];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) row[r] = window + row_offset[r];
    int64_t at = 0;
    for (int i = 0; i < count; ++i) {
      V g[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) g[v] = load<V>(grad + v * kLanes<T>);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) sum[r][v] += slab_value<lane>(row[r] + at, v) * g[v];
      }
      grad += grad_step;
      at += step;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store(acc + r * kBlock<T> + v * kLanes<T>, sum[r][v]);
}

// Calls the instance for `rows`, known only at run time, out of 1 ... Rows.
template <Lane lane, class T, int Rows, int Vectors>
STRIATE_INLINE void weight_dispatch(int rows, const WeightTileArgs<T>& a, const int32_t* row_offset,
                                    const T* grad, T* acc, const T* const* ahead, int aheads) {
  if constexpr (Rows > 0) {
    if (rows == Rows)
      return weight_rows<lane, T, Rows, Vectors>(a, row_offset, grad, acc, ahead, aheads);
    weight_dispatch<lane, T, Rows - 1, Vectors>(rows, a, row_offset, grad, acc, ahead, aheads);
  }
}

template <Lane lane, class T, int Vectors>
void weight_block(const WeightTileArgs<T>& a, const T* grad, T* acc) {
  constexpr int most = weight_rows_of(Vectors);
  const int pieces = (a.rows + most - 1) / most;
  int piece = 0, asked = 0;
  even_pieces(a.rows, most, [&](int begin, int size) {
    const int upto = static_cast<int>(static_cast<int64_t>(a.aheads) * ++piece / pieces);
    weight_dispatch<lane, T, most, Vectors>(size, a, a.row_offset + begin, grad,
                                            acc + static_cast<int64_t>(begin) * kBlock<T>, a.ahead + asked,
                                            upto - asked);
    asked = upto;
  });
}

template <Lane lane, class T>
void weight_tile(const WeightTileArgs<T>& a) noexcept {
  for (int b = 0; b < a.lane_blocks; ++b) {
    const T* grad = a.grad + b * a.grad_block_stride;
    T* acc = a.acc + b * a.acc_block_stride;
    if (b == a.lane_blocks - 1 && a.last_block_channels <= kLanes<T>)
      weight_block<lane, T, 1>(a, grad, acc);
    else
      weight_block<lane, T, kVectors>(a, grad, acc);
  }
}

// ---- sums of what is packed -------------------------------------------------------------------------

template <class T>
void add(const T* from, int64_t count, T* to) noexcept {
  using V = native<T>;
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load<V>(to + i) + load<V>(from + i));
  for (; i < count; ++i) to[i] += from[i];
}

template <class T, int Vectors>
void add_lane_block(const T* grad, int pixels, T* sums) {
  using V = native<T>;
  constexpr int chains = 4;  // hide the latency of the addition
  V sum[chains][Vectors] = {};
  int i = 0;
  for (; i + chains <= pixels; i += chains)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v)
        sum[c][v] += load<V>(grad + ((i + c) * Vectors + v) * kLanes<T>);
  for (; i < pixels; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[0][v] += load<V>(grad + (i * Vectors + v) * kLanes<T>);
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    T* to = sums + v * kLanes<T>;
    store(to, load<V>(to) + ((sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v])));
  }
}

template <class T>
void add_lanes(const T* grad, int pixels, int channels, T* sums) noexcept {
  if (channels <= kLanes<T>)
    add_lane_block<T, 1>(grad, pixels, sums);
  else
    add_lane_block<T, kVectors>(grad, pixels, sums);
}

template <class T>
void add_lines(const T* lines, int64_t line_stride, int lines_count, int pixels, T* sums) noexcept {
  using V = native<T>;
  for (int line = 0; line < lines_count; ++line) {
    const T* from = lines + line * line_stride;
    V sum[2] = {};
    int i = 0;
    for (; i + 2 * kLanes<T> <= pixels; i += 2 * kLanes<T>) {
      sum[0] += load<V>(from + i);
      sum[1] += load<V>(from + i + kLanes<T>);
    }
    sum[0] += sum[1];
    T total = 0;
    for (; i < pixels; ++i) total += from[i];
#pragma GCC unroll 16
    for (int lane = 0; lane < kLanes<T>; ++lane) total += sum[0][lane];
    sums[line] += total;
  }
}

template <class T>
constexpr conv::WeightKernel<T> kernel() {
  return {kBlock<T>, pack_line<T>, pack_lanes<T>, weight_tile<Lane::channel, T>, weight_tile<Lane::group, T>,
          put<T>, add<T>, add_lanes<T>, add_lines<T>};
}

}  // namespace

constinit const conv::WeightTable conv_weight_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
