#include "kernels/sample/taps.h"

namespace striate::STRIATE_ISA {
namespace {

constexpr int kBlock = 64;  // pixels whose taps are kept at once

// Tables are filled to a whole number of vectors, with taps that may be read, so that loops over them need no tail.
constexpr int64_t kStep = 16;
STRIATE_INLINE int64_t whole_vectors(int64_t count) { return (count + kStep - 1) / kStep * kStep; }

// Taps of a block: tap k of pixel i. The derivatives serve grid_grad alone.
template <class T, int Taps, int Rank>
struct Block {
  static constexpr int kCount = Rank == 3 ? Taps * Taps * Taps : Taps * Taps;
  int32_t offset[kCount][kBlock];
  T weight[kCount][kBlock];
  T slope[Rank][kCount][kBlock];
  T outside[kBlock];

  // The directions share one copy in float64, whose code is twice as long; in float32 a call costs 2 - 4 %.
  template <bool Slopes>
  STRIATE_INLINE void fill(const Args<T>& a, int64_t n, int64_t d, int64_t h, int64_t w, int64_t count) {
    sizeof(T) == 4 ? fill_here<Slopes>(a, n, d, h, w, count) : fill_shared<Slopes>(a, n, d, h, w, count);
  }
  template <bool Slopes>
  __attribute__((noinline)) void fill_shared(const Args<T>& a, int64_t n, int64_t d, int64_t h, int64_t w,
                                             int64_t count) {
    fill_here<Slopes>(a, n, d, h, w, count);
  }

  template <bool Slopes>
  STRIATE_INLINE void fill_here(const Args<T>& a, int64_t n, int64_t d, int64_t h, int64_t w, int64_t count) {
    for (int64_t i = 0; i < whole_vectors(count); i += kLanes<T>) fill_lanes<Slopes>(a, n, d, h, w, i, count);
  }

  template <bool Slopes>
  STRIATE_INLINE void fill_lanes(const Args<T>& a, int64_t n, int64_t d, int64_t h, int64_t w, int64_t i,
                                 int64_t count) {
    Position<T> p[Rank];
    positions<T, Rank>(a, n, d, h, w + i, count - i, p);
    AxisTaps<T, Taps> axis[Rank];
    for (int r = 0; r < Rank; ++r) axis_taps<T, Taps>(a, a.size[2 - r], p[r], axis[r]);
    if (a.fill) {
      native<T> covered = axis[0].covered * axis[1].covered;
      if constexpr (Rank == 3) covered *= axis[2].covered;
      store(outside + i, 1 - covered);
    }
    constexpr int depths = Rank == 3 ? Taps : 1;
#pragma GCC unroll 4
    for (int z = 0; z < depths; ++z)
#pragma GCC unroll 4
      for (int y = 0; y < Taps; ++y)
#pragma GCC unroll 4
        for (int x = 0; x < Taps; ++x) {
          const int k = (z * Taps + y) * Taps + x;
          whole<T> at = __builtin_convertvector(axis[1].index[y], whole<T>) * int32_t(a.image_stride[3]) +
                        __builtin_convertvector(axis[0].index[x], whole<T>) * int32_t(a.image_stride[4]);
          native<T> by = axis[1].weight[y] * axis[0].weight[x];
          if constexpr (Rank == 3) {
            at += __builtin_convertvector(axis[2].index[z], whole<T>) * int32_t(a.image_stride[2]);
            by *= axis[2].weight[z];
          }
          store(&offset[k][i], __builtin_convertvector(at, vec<int32_t, kLanes<T>>));
          store(&weight[k][i], by);
          if constexpr (Slopes) {
            for (int r = 0; r < Rank; ++r) {
              native<T> product = r == 0 ? axis[0].slope[x] : axis[0].weight[x];
              product *= r == 1 ? axis[1].slope[y] : axis[1].weight[y];
              if constexpr (Rank == 3) product *= r == 2 ? axis[2].slope[z] : axis[2].weight[z];
              store(&slope[r][k][i], product);
            }
          }
        }
  }
};

template <class T>
struct Line {
  int64_t n, d, h;
  STRIATE_INLINE Line(const Args<T>& a, int64_t line)
      : n(line / a.out[1] / a.out[0]), d(line / a.out[1] % a.out[0]), h(line % a.out[1]) {}
};

// ---- a block of one plane -------------------------------------------------------------------------------

// These loops become gathers: the build asks the compiler for them, in this file alone.
template <class T, int Count>
STRIATE_INLINE void read_taps(const int32_t (&offset)[Count][kBlock], const T (&weight)[Count][kBlock],
                              const T* __restrict plane, int64_t count, T* __restrict to) {
  for (int64_t i = 0; i < whole_vectors(count); ++i) {
    T sum = 0;
#pragma GCC unroll 16
    for (int k = 0; k < Count; ++k) {
      const T pixel = plane[offset[k][i]];
      sum += weight[k][i] * (weight[k][i] == 0 ? T(0) : pixel);
    }
    to[i] = sum;
  }
}

template <class T>
STRIATE_INLINE void add_outside(const T (&outside)[kBlock], T fill, int64_t count, T* __restrict to) {
  for (int64_t i = 0; i < whole_vectors(count); ++i) {
    const T part = outside[i] * fill;
    to[i] += outside[i] == 0 ? T(0) : part;
  }
}

// sums[k] += gradient * pixel k. What belongs to no tap is left out when the sums are used.
template <class T, int Count>
STRIATE_INLINE void add_pixels(const int32_t (&offset)[Count][kBlock], const T* __restrict plane,
                               const T* __restrict g, int64_t count, T (&sums)[Count][kBlock]) {
  for (int k = 0; k < Count; ++k)
    for (int64_t i = 0; i < whole_vectors(count); ++i) sums[k][i] += g[i] * plane[offset[k][i]];
}

template <class T>
STRIATE_INLINE const T* dense_row(const T* from, int64_t step, int64_t count, T* copy) {
  for (int64_t i = 0; i < count; ++i) copy[i] = from[i * step];
  for (int64_t i = count; i < whole_vectors(count); ++i) copy[i] = 0;
  return copy;
}

// ---- the three directions -------------------------------------------------------------------------------

// One pixel in a layout whose channels are neighbours: one sweep over them for all taps that matter.
template <class T, int Taps, int Rank>
STRIATE_INLINE void read_channels(const Args<T>& a, const Block<T, Taps, Rank>& block, const T* image, int64_t at,
                                  T* to) {
  using V = native<T>;
  const T* tap[Block<T, Taps, Rank>::kCount];
  T weight[Block<T, Taps, Rank>::kCount];
  int taps = 0;
  for (int k = 0; k < Block<T, Taps, Rank>::kCount; ++k) {
    if (block.weight[k][at] == 0) continue;
    tap[taps] = image + block.offset[k][at];
    weight[taps++] = block.weight[k][at];
  }
  const T outside = a.fill ? block.outside[at] : T(0);
  int64_t c = 0;
  for (; c + kLanes<T> <= a.c; c += kLanes<T>) {
    V sum{};
    if (outside != 0) sum = outside * load<V>(a.fill + c);
    for (int k = 0; k < taps; ++k) sum += weight[k] * load<V>(tap[k] + c);
    store(to + c, sum);
  }
  for (; c < a.c; ++c) {
    T sum = 0;
    if (outside != 0) sum = outside * a.fill[c];
    for (int k = 0; k < taps; ++k) sum += weight[k] * tap[k][c];
    to[c] = sum;
  }
}

template <class T, int Taps, int Rank>
void forward_taps(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  using Taken = Block<T, Taps, Rank>;
  Taken block;
  T sums[kBlock];
  const bool channels = a.c >= kLanes<T> && a.image_stride[1] == 1 && a.out_stride[1] == 1;
  for (int64_t i = begin; i < end; ++i) {
    const Line<T> line(a, i);
    for (int64_t w = 0; w < a.out[2]; w += kBlock) {
      const int64_t count = smaller<int64_t>(kBlock, a.out[2] - w);
      block.template fill<false>(a, line.n, line.d, line.h, w, count);
      const T* image = a.image + line.n * a.image_stride[0];
      T* row = a.result + line.n * a.out_stride[0] + line.d * a.out_stride[2] + line.h * a.out_stride[3] +
               w * a.out_stride[4];
      if (channels) {
        for (int64_t at = 0; at < count; ++at) read_channels(a, block, image, at, row + at * a.out_stride[4]);
        continue;
      }
      for (int64_t c = 0; c < a.c; ++c) {
        T* to = row + c * a.out_stride[1];
        const bool direct = a.out_stride[4] == 1 && count % kStep == 0;
        T* into = direct ? to : sums;
        read_taps(block.offset, block.weight, image + c * a.image_stride[1], count, into);
        if (a.fill) add_outside(block.outside, a.fill[c], count, into);
        if (direct) continue;
        for (int64_t at = 0; at < count; ++at) to[at * a.out_stride[4]] = sums[at];
      }
    }
  }
}

template <class T>
__attribute__((noinline)) void clear_planes(const Args<T>& a, int64_t n, int64_t begin, int64_t end) {
  for (int64_t d = 0; d < a.size[0]; ++d)
    for (int64_t h = 0; h < a.size[1]; ++h) {
      T* row = a.result + n * a.image_stride[0] + d * a.image_stride[2] + h * a.image_stride[3];
      if (a.image_stride[1] == 1) {
        for (int64_t w = 0; w < a.size[2]; ++w)
          for (int64_t c = begin; c < end; ++c) row[w * a.image_stride[4] + c] = 0;
      } else {
        for (int64_t c = begin; c < end; ++c)
          for (int64_t w = 0; w < a.size[2]; ++w) row[c * a.image_stride[1] + w * a.image_stride[4]] = 0;
      }
    }
}

template <class T, int Taps, int Rank>
void input_grad_taps(const Args<T>& a, int64_t n, int64_t begin, int64_t end) noexcept {
  using Taken = Block<T, Taps, Rank>;
  Taken block;
  T shares[Taken::kCount][kBlock], copy[kBlock];
  clear_planes(a, n, begin, end);
  T* image = a.result + n * a.image_stride[0];
  for (int64_t d = 0; d < a.out[0]; ++d)
    for (int64_t h = 0; h < a.out[1]; ++h)
      for (int64_t w = 0; w < a.out[2]; w += kBlock) {
        const int64_t count = smaller<int64_t>(kBlock, a.out[2] - w);
        block.template fill<false>(a, n, d, h, w, count);
        const T* row = a.grad + n * a.out_stride[0] + d * a.out_stride[2] + h * a.out_stride[3] +
                       w * a.out_stride[4];
        if (a.image_stride[1] == 1 && a.out_stride[1] == 1) {
          for (int64_t at = 0; at < count; ++at)
            for (int k = 0; k < Taken::kCount; ++k) {
              const T by = block.weight[k][at];
              T* __restrict to = image + block.offset[k][at];
              const T* __restrict from = row + at * a.out_stride[4];
              if (by != 0)
                for (int64_t c = begin; c < end; ++c) to[c] += by * from[c];
            }
          continue;
        }
        for (int64_t c = begin; c < end; ++c) {
          T* plane = image + c * a.image_stride[1];
          const T* g = dense_row(row + c * a.out_stride[1], a.out_stride[4], count, copy);
          for (int k = 0; k < Taken::kCount; ++k)
            for (int64_t at = 0; at < whole_vectors(count); ++at) {
              const T by = block.weight[k][at], share = by * g[at];
              shares[k][at] = by == 0 ? T(0) : share;
            }
          for (int64_t at = 0; at < count; ++at)  // pixels meet: in order
#pragma GCC unroll 16
            for (int k = 0; k < Taken::kCount; ++k) plane[block.offset[k][at]] += shares[k][at];
        }
      }
}

template <class T, int Taps, int Rank>
void grid_grad_taps(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  using Taken = Block<T, Taps, Rank>;
  Taken block;
  T sums[Taken::kCount][kBlock], copy[kBlock];  // over the channels, of gradient times pixel
  for (int64_t i = begin; i < end; ++i) {
    const Line<T> line(a, i);
    for (int64_t w = 0; w < a.out[2]; w += kBlock) {
      const int64_t count = smaller<int64_t>(kBlock, a.out[2] - w);
      block.template fill<true>(a, line.n, line.d, line.h, w, count);
      for (int k = 0; k < Taken::kCount; ++k)
        for (int64_t at = 0; at < kBlock; ++at) sums[k][at] = 0;
      const T* row = a.grad + line.n * a.out_stride[0] + line.d * a.out_stride[2] + line.h * a.out_stride[3] +
                     w * a.out_stride[4];
      const T* image = a.image + line.n * a.image_stride[0];
      for (int64_t c = 0; c < a.c; ++c) {
        const T* g = dense_row(row + c * a.out_stride[1], a.out_stride[4], count, copy);
        add_pixels(block.offset, image + c * a.image_stride[1], g, count, sums);
      }
      T* to = a.result + line.n * a.grid_grad_stride[0] + line.d * a.grid_grad_stride[1] +
              line.h * a.grid_grad_stride[2] + w * a.grid_grad_stride[3];
      for (int r = 0; r < Rank; ++r) {
        for (int64_t at = 0; at < whole_vectors(count); ++at) {
          T sum = 0;
          for (int k = 0; k < Taken::kCount; ++k) {
            const T by = block.slope[r][k][at], product = by * sums[k][at];
            sum += by == 0 ? T(0) : product;
          }
          copy[at] = sum;
        }
        for (int64_t at = 0; at < count; ++at) to[at * a.grid_grad_stride[3] + r * a.grid_grad_stride[4]] = copy[at];
      }
    }
  }
}

// ---- the choice -----------------------------------------------------------------------------------------

template <class T>
void forward(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  if (a.rank == 3 && a.mode == Mode::nearest) return forward_taps<T, 1, 3>(a, begin, end);
  if (a.rank == 3) return forward_taps<T, 2, 3>(a, begin, end);
  if (a.mode == Mode::nearest) return forward_taps<T, 1, 2>(a, begin, end);
  if (a.mode == Mode::linear) return forward_taps<T, 2, 2>(a, begin, end);
  forward_taps<T, 4, 2>(a, begin, end);
}

template <class T>
void input_grad(const Args<T>& a, int64_t n, int64_t begin, int64_t end) noexcept {
  if (a.rank == 3 && a.mode == Mode::nearest) return input_grad_taps<T, 1, 3>(a, n, begin, end);
  if (a.rank == 3) return input_grad_taps<T, 2, 3>(a, n, begin, end);
  if (a.mode == Mode::nearest) return input_grad_taps<T, 1, 2>(a, n, begin, end);
  if (a.mode == Mode::linear) return input_grad_taps<T, 2, 2>(a, n, begin, end);
  input_grad_taps<T, 4, 2>(a, n, begin, end);
}

template <class T>
void grid_grad(const Args<T>& a, int64_t begin, int64_t end) noexcept {
  if (a.rank == 3 && a.mode == Mode::nearest) return grid_grad_taps<T, 1, 3>(a, begin, end);
  if (a.rank == 3) return grid_grad_taps<T, 2, 3>(a, begin, end);
  if (a.mode == Mode::nearest) return grid_grad_taps<T, 1, 2>(a, begin, end);
  if (a.mode == Mode::linear) return grid_grad_taps<T, 2, 2>(a, begin, end);
  grid_grad_taps<T, 4, 2>(a, begin, end);
}

}  // namespace

constinit const sample::Table sample_table = {{forward<float>, input_grad<float>, grid_grad<float>},
                                              {forward<double>, input_grad<double>, grid_grad<double>}};

}  // namespace striate::STRIATE_ISA
