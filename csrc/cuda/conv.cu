// Implicit GEMM: output channels x pixels, summed over k = (input channel, tap). No unrolled image exists;
// each block gathers the slice of it that it needs into shared memory, kDepth values of k at a time.
//
//                       kPixels of (n, od, oh, ow)
//              k  +------------------------------------+
//        kDepth   |  window values, gathered           |  shared
//                 +------------------------------------+
//      +------+   +------------------------------------+
//    o |weight|   |  a thread sums kThreadChannels     |  registers
//      |      |   |  x kThreadPixels of these          |
//      +------+   +------------------------------------+
//
// A thread's pixels lie kLanes apart, so that neighbours in a warp read neighbouring shared words and
// write neighbouring outputs. Sums run in the order of k, whatever the grid: the same bits in every run.
#include "cuda/check_call.h"
#include "cuda/conv.h"

namespace striate::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPixels = 128;     // of one block
constexpr int kDepth = 16;       // values of k in one step
constexpr int kLanes = 16;       // threads along the pixels
constexpr int kThreadPixels = kPixels / kLanes;
constexpr int kMaxGridY = 65535;

struct Geometry {
  int in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];  // d, h, w
  int64_t input_pixels, output_pixels, pixels;  // of one image, of one image, of all images
  int64_t depth;  // values of k: input channels of a group x taps
  int64_t ic, oc;
  int64_t ic_group, oc_group, groups;
};

// One value of k: where its tap lies relative to the window's first element.
struct Tap {
  int64_t offset;  // in the input, its channel included
  int at[3];
  bool inside;  // k is below the depth
};

__device__ Tap tap_at(const Geometry& g, int64_t k) {
  Tap tap{};
  tap.inside = k < g.depth;
  int64_t rest = k;
  for (int i = 2; i >= 0; --i) {
    tap.at[i] = static_cast<int>(rest % g.kernel[i]) * g.dilation[i];
    rest /= g.kernel[i];
  }
  tap.offset = rest * g.input_pixels + (static_cast<int64_t>(tap.at[0]) * g.in[1] + tap.at[1]) * g.in[2] + tap.at[2];
  return tap;
}

template <int Channels>  // of one block
__global__ void __launch_bounds__(kThreads)
    implicit_gemm(const Geometry g, const float* __restrict__ input, const float* __restrict__ weight,
                  const float* __restrict__ bias, float* __restrict__ output) {
  constexpr int kThreadChannels = Channels / (kThreads / kLanes);
  __shared__ float values[kDepth][kPixels];
  __shared__ float weights[kDepth][Channels + 1];  // odd stride: the transposing store meets all banks
  __shared__ Tap taps[kDepth];

  // The pixel whose window this thread gathers, for every kThreads / kPixels-th value of k.
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t first_pixel = static_cast<int64_t>(blockIdx.x) * kPixels;
  const int64_t gathered = first_pixel + thread % kPixels;
  const bool gathers = gathered < g.pixels;
  int origin[3];
  int64_t image;
  {
    int64_t rest = gathers ? gathered : 0;
    for (int i = 2; i >= 0; --i) {
      origin[i] = static_cast<int>(rest % g.out[i]) * g.stride[i] - g.pad[i];
      rest /= g.out[i];
    }
    image = rest;
  }
  const int64_t origin_offset = (static_cast<int64_t>(origin[0]) * g.in[1] + origin[1]) * g.in[2] + origin[2];
  const int lane = thread % kLanes, row = thread / kLanes;

  const int64_t channel_blocks = (g.oc_group + Channels - 1) / Channels;
  for (int64_t block = blockIdx.y; block < channel_blocks * g.groups; block += gridDim.y) {
    const int64_t group = block / channel_blocks;
    const int64_t first_channel = block % channel_blocks * Channels;  // in the group
    const float* window = input + (image * g.ic + group * g.ic_group) * g.input_pixels + origin_offset;
    const float* filter = weight + (group * g.oc_group + first_channel) * g.depth;
    float sum[kThreadChannels][kThreadPixels] = {};

    for (int64_t k = 0; k < g.depth; k += kDepth) {
      if (thread < kDepth) taps[thread] = tap_at(g, k + thread);
      __syncthreads();  // taps are there, and nobody still reads the last step's values

      for (int i = thread / kPixels; i < kDepth; i += kThreads / kPixels) {
        const Tap& tap = taps[i];
        bool inside = gathers && tap.inside;
        for (int axis = 0; axis < 3; ++axis) {
          const int at = origin[axis] + tap.at[axis];
          inside = inside && at >= 0 && at < g.in[axis];
        }
        values[i][thread % kPixels] = inside ? window[tap.offset] : 0.0f;
      }
      for (int i = thread; i < kDepth * Channels; i += kThreads) {
        const int depth = i % kDepth, channel = i / kDepth;
        const bool inside = k + depth < g.depth && first_channel + channel < g.oc_group;
        weights[depth][channel] = inside ? filter[channel * g.depth + k + depth] : 0.0f;
      }
      __syncthreads();

#pragma unroll
      for (int i = 0; i < kDepth; ++i) {
        float x[kThreadPixels];
#pragma unroll
        for (int p = 0; p < kThreadPixels; ++p) x[p] = values[i][lane + p * kLanes];
#pragma unroll
        for (int c = 0; c < kThreadChannels; ++c) {
          const float w = weights[i][row * kThreadChannels + c];
#pragma unroll
          for (int p = 0; p < kThreadPixels; ++p) sum[c][p] += x[p] * w;
        }
      }
    }
    __syncthreads();  // before the next channel block overwrites what others still read

#pragma unroll
    for (int p = 0; p < kThreadPixels; ++p) {
      const int64_t pixel = first_pixel + lane + p * kLanes;
      if (pixel >= g.pixels) break;
      const int64_t to = pixel / g.output_pixels * g.oc * g.output_pixels + pixel % g.output_pixels;
#pragma unroll
      for (int c = 0; c < kThreadChannels; ++c) {
        const int64_t channel = first_channel + row * kThreadChannels + c;
        if (channel >= g.oc_group) break;
        const int64_t o = group * g.oc_group + channel;
        output[to + o * g.output_pixels] = sum[c][p] + (bias ? bias[o] : 0.0f);
      }
    }
  }
}

Geometry geometry_of(const ConvProblem& p) {
  Geometry g{};
  g.input_pixels = 1;
  for (int i = 0; i < 3; ++i) {
    const ConvAxis& a = p.axis[static_cast<size_t>(i)];
    g.in[i] = static_cast<int>(a.in);  // ConvProblem keeps these below 2^31
    g.out[i] = static_cast<int>(a.out);
    g.kernel[i] = static_cast<int>(a.kernel);
    g.stride[i] = static_cast<int>(a.stride);
    g.dilation[i] = static_cast<int>(a.dilation);
    g.pad[i] = static_cast<int>(a.pad);
    g.input_pixels *= a.in;
  }
  g.output_pixels = p.output_pixels();
  g.pixels = p.n * g.output_pixels;
  g.depth = p.ic_group() * p.taps();
  g.ic = p.ic;
  g.oc = p.oc;
  g.ic_group = p.ic_group();
  g.oc_group = p.oc_group();
  g.groups = p.g;
  return g;
}

}  // namespace

void conv_forward(const ConvProblem& problem, const float* input, const float* weight, const float* bias,
                  float* output, Stream stream) {
  if (problem.dtype != DType::f32) fail_value("cuda conv: float32 only, got ", name_of(problem.dtype));
  const Geometry g = geometry_of(problem);
  if (g.pixels == 0 || g.oc == 0) return;

  // Few channels a group (depthwise above all): a narrow tile idles less.
  const bool wide = g.oc_group > 16;
  const int channels = wide ? 64 : 16;
  const int64_t columns = (g.pixels + kPixels - 1) / kPixels;
  const int64_t rows = (g.oc_group + channels - 1) / channels * g.groups;
  if (columns > INT32_MAX) fail_value("cuda conv: ", g.pixels, " output pixels exceed the largest grid");
  const dim3 grid(static_cast<unsigned>(columns), static_cast<unsigned>(rows < kMaxGridY ? rows : kMaxGridY));
  if (wide)
    implicit_gemm<64><<<grid, kThreads, 0, stream>>>(g, input, weight, bias, output);
  else
    implicit_gemm<16><<<grid, kThreads, 0, stream>>>(g, input, weight, bias, output);
  check_call(cudaGetLastError(), "launch of the convolution");
}

}  // namespace striate::cuda
