// Sampling and its gradients against the naive reference, over modes, paddings, layouts and widths. Images hold
// small integers and positions are eighths of pixels, so only the bicubic weights round.
#include "comparison.h"
#include "ops/sample.h"

namespace striate {
namespace {

constexpr const char *kModes[] = {"nearest", "bilinear", "bicubic"}, *kPaddings[] = {"zeros", "border", "reflection"};
constexpr double kRounded = 8;  // of cubic weights in float32, in units of the largest element

template <class T>
Array<T> integers(const Shape& shape, Layout layout, uint32_t seed, int low, int high, double scale) {
  Array<T> array(shape, layout);
  std::mt19937 engine(seed);
  for (T& value : array.memory)
    value = static_cast<T>(static_cast<double>(low + static_cast<int>(engine() % 1024) % (high - low)) * scale);
  return array;
}

struct Case {
  Shape image;
  Shape out;
  Layout from, to;
};

// Extents of images are powers of two: then the points of a grid in -1 .. 1 are exact.
std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (int64_t width = 1; width <= 67; width += 3) {
    const Layout from = kLayouts[width % 5], to = kLayouts[width / 3 % 4];
    all.push_back({{2, 1 + width % 7, 4, int64_t{1} << width % 4}, {3, width}, from, to});
    all.push_back({{1, 1 + width * 5 % 23, 2, 4, 8}, {2, 2, width}, from, to});
  }
  all.push_back({{3, 17, 32, 32}, {30, 30}, Layout::dense, Layout::dense});  // enough for two threads
  all.push_back({{3, 17, 32, 32}, {30, 30}, Layout::channels_last, Layout::channels_last});
  return all;
}

template <class T>
bool check_type(Isa isa) {
  Report forward("grid_sample", kRounded), warp("warp_affine", kRounded);
  Report input_grad("grid_sample_input_grad", kRounded), grid_grad("grid_sample_grid_grad", kRounded);
  uint32_t seed = 0;
  for (const Case& test : all_cases())
    for (const char* mode : kModes)
      for (const char* padding : kPaddings) {
        const auto rank = static_cast<int64_t>(test.out.size());
        if (rank == 3 && std::string(mode) == "bicubic") continue;
        Shape points{test.image[0]};
        points.insert(points.end(), test.out.begin(), test.out.end());
        points.push_back(rank);
        const auto p = SampleProblem::make("check", kType<T>, test.image, points, mode, padding, false);
        // Eighths of pixels but for the middle between two, where the nearest is a matter of rounding.
        auto grid = integers<T>(points, Layout::dense, ++seed, -12, 13, 1);
        for (size_t i = 0; i + 1 < grid.memory.size(); ++i) {
          const auto size = static_cast<double>(test.image[test.image.size() - 1 - i % static_cast<size_t>(rank)]);
          const double pixel = static_cast<double>(grid.memory[i]) * 0.25 + 0.125;
          grid.memory[i] = static_cast<T>((2 * pixel + 1) / size - 1);
        }
        TensorView lifted = grid.view;
        if (rank == 2) {
          lifted.rank = 5;
          lifted.shape = {grid.view.shape[0], 1, grid.view.shape[1], grid.view.shape[2], 2};
          lifted.stride = {grid.view.stride[0], 0, grid.view.stride[1], grid.view.stride[2], 1};
        }
        const auto x = integers<T>(test.image, test.from, ++seed, -3, 4, 1);
        const auto g = integers<T>(p.output_shape(), test.from, ++seed, -3, 4, 1);
        const auto map = integers<T>(p.map_shape(), Layout::dense, ++seed, -9, 10, 0.125);
        const std::vector<T> fill(static_cast<size_t>(p.c), T(2));
        const bool zeros = std::string(padding) == "zeros", nearest = std::string(mode) == "nearest";
        forward.compare<T>(p.output_shape(), test.from, test.to, [&](const TensorView& y, const char* force) {
          sample_forward(p, lift(x.view), lifted, lift(y), force);
        });
        if (!nearest)
          warp.compare<T>(p.output_shape(), test.from, test.to, [&](const TensorView& y, const char* force) {
            warp_affine(p, lift(x.view), map.memory.data(), zeros ? fill.data() : nullptr, lift(y), force);
          });
        input_grad.compare<T>(test.image, test.from, test.to, [&](const TensorView& dx, const char* force) {
          sample_input_grad(p, lift(g.view), lifted, lift(dx), force);
        });
        grid_grad.compare<T>(points, test.from, Layout::dense, [&](const TensorView& d, const char* force) {
          TensorView to = lifted;
          to.data = d.data;
          sample_grid_grad(p, lift(g.view), lift(x.view), lifted, to, force);
        });
      }
  bool good = forward.print(isa, kType<T>);
  good &= warp.print(isa, kType<T>);
  good &= input_grad.print(isa, kType<T>);
  return grid_grad.print(isa, kType<T>) && good;
}

}  // namespace

bool check_sampling(Isa isa) {
  const bool good = check_type<float>(isa);
  return check_type<double>(isa) && good;
}

}  // namespace striate
