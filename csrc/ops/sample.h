// Sampling images at the points of a grid, its gradients, and warping by affine maps without a grid in memory.
//
// The views are lifted: images (n, c, d, h, w), grids (n, d, h, w, rank) with x first. An image of two spatial axes
// has d = 1 on both sides.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

// From kernels/sample/sample.h, which stays here when this header is installed.
namespace sample {
enum class Mode : int32_t;
enum class Padding : int32_t;
}  // namespace sample

struct SampleProblem {
  DType dtype = DType::f32;
  int rank = 2;
  int64_t n = 0, c = 0;
  std::array<int64_t, 3> size{1, 1, 1}, out{1, 1, 1};  // d, h, w
  sample::Mode mode{};
  sample::Padding padding{};
  bool align_corners = false;

  std::vector<int64_t> input_shape() const;
  std::vector<int64_t> output_shape() const;
  std::vector<int64_t> grid_shape() const;
  std::vector<int64_t> map_shape() const { return {n, rank, rank + 1}; }

  /// `points` is the shape of the grid. ValueError that names the op, the values and the rule.
  static SampleProblem make(const char* op, DType dtype, std::span<const int64_t> input_shape,
                            std::span<const int64_t> points, std::string_view mode, std::string_view padding,
                            bool align_corners);
  /// Of a warp to an output of the given size.
  static SampleProblem warp(const char* op, DType dtype, std::span<const int64_t> input_shape,
                            std::span<const int64_t> map_shape, std::span<const int64_t> size,
                            std::string_view mode, std::string_view padding);
};

// `force` names the one algorithm to use: "vectors" or "reference".
void sample_forward(const SampleProblem& problem, const TensorView& input, const TensorView& grid,
                    const TensorView& output, const char* force = nullptr);
void sample_input_grad(const SampleProblem& problem, const TensorView& grad_output, const TensorView& grid,
                       const TensorView& grad_input, const char* force = nullptr);
void sample_grid_grad(const SampleProblem& problem, const TensorView& grad_output, const TensorView& input,
                      const TensorView& grid, const TensorView& grad_grid, const char* force = nullptr);
/// `map` is dense, (n, rank, rank + 1): from output to input pixels. `fill` holds c values, or is null.
void warp_affine(const SampleProblem& problem, const TensorView& input, const void* map, const void* fill,
                 const TensorView& output, const char* force = nullptr);
void warp_affine_input_grad(const SampleProblem& problem, const TensorView& grad_output, const void* map,
                            const TensorView& grad_input, const char* force = nullptr);

}  // namespace striate
