// Every algorithm of the convolution and of its gradients against the naive reference, over the tails of
// channels, widths and tiles, and over layouts. (Exactness on integers is a test of the Python package.)
#include "comparison.h"
#include "ops/conv.h"

namespace striate {
namespace {

// Winograd's transforms cancel, so its sums lose some bits of the largest.
constexpr double kRounded = 100;

struct Sizes {
  int64_t n, g, ic, oc, height, width, kernel, stride, pad;
};

// Channels and widths of 1 ... 67, each several times, in combinations that change from line to line.
std::vector<Sizes> all_sizes() {
  std::vector<Sizes> all;
  for (int64_t i = 1; i <= 67; ++i) {
    const int64_t kernel = i % 5 == 0 ? 5 : i % 7 == 0 ? 1 : 3;
    all.push_back({1 + i % 2, 1, i, 1 + i * 29 % 67, kernel + i % 4, std::max(kernel, 1 + i * 41 % 67), kernel, 1, 0});
    all.push_back({1 + i % 3, 1, 1 + i * 37 % 67, i, 3 + i % 11, i, kernel, 1 + i % 11 / 9, kernel / 2});
  }
  for (int64_t i : {0, 1, 2, 3}) {  // strides: all phases in use, some taps or pixels beyond the last
    all.push_back({2, 1, 3, 20 + i, 23 + i, 29 - i, 7, 2, i});
    all.push_back({1, 1, 2 + i, 17, 27 + i, 30, 11, 4, 2 * i});
    all.push_back({1, 1, 16, 24 + i, 13, 15 + i, 3, 2, i % 2});
    all.push_back({2, 1, 8, 9, 14 + i, 17, 5, 3, i});
    all.push_back({1, 1, 9, 8, 8 + i, 9, 2, 2, i % 2});
  }
  for (int64_t g : {2, 5, 16}) all.push_back({2, g, g * 9, g * 10, 9, 10, 3, 1, 1});
  for (int64_t i = 1; i <= 67; i += 3) {  // depthwise
    all.push_back({2, i, i, i, 9, 1 + i * 29 % 67, 3, 1 + i % 2, 1});
    all.push_back({1, i, i, i, 1 + i * 31 % 67, 11, 5, 1 + i % 4 / 2, 2});
  }
  all.push_back({1, 1, 130, 40, 14, 14, 3, 1, 1});  // more channels than are summed in one go
  all.push_back({1, 1, 9, 8, 70, 90, 3, 1, 2});     // several strips and blocks
  all.push_back({5, 1, 8, 140, 7, 7, 3, 1, 1});     // small images, many output channels
  all.push_back({6, 1, 132, 9, 23, 21, 3, 1, 1});   // many tiles of many channels: point by point
  return all;
}

ConvProblem problem_of(const Sizes& s, DType dtype) {
  const Shape input = {s.n, s.ic, s.height, s.width}, weight = {s.oc, s.ic / s.g, s.kernel, s.kernel};
  const Shape stride(2, s.stride), dilation(2, 1);
  const std::array<int64_t, 2> both{s.pad, s.pad};
  const std::array<std::array<int64_t, 2>, 2> padding{both, both};
  return ConvProblem::make({.op = "check",
                            .dtype = dtype,
                            .input_shape = input,
                            .weight_shape = weight,
                            .stride = stride,
                            .dilation = dilation,
                            .padding = padding,
                            .groups = s.g,
                            .exact = false});
}

template <class T>
bool check_direction(Isa isa, ConvDirection direction, const char* name) {
  Report report(name, std::is_same_v<T, float> ? kRounded : kSums<T>);
  size_t turn = 0;
  for (const Sizes& sizes : all_sizes()) {
    const ConvProblem p = problem_of(sizes, kType<T>);
    constexpr Layout kInputs[] = {Layout::dense, Layout::channels_last, Layout::window, Layout::reversed,
                                  Layout::channels_last_window};
    const Layout from = kInputs[turn++ % 5], to = kInputs[turn / 2 % 5];
    const Array<T> x = random_array<T>(p.input_shape(), from, 1);
    const Array<T> w = random_array<T>(p.weight_shape(), turn % 3 ? Layout::dense : to, 2);
    const Array<T> dy = random_array<T>(p.output_shape(), to == Layout::dense ? from : to, 3);
    const Array<T> bias = random_array<T>({p.oc}, Layout::dense, 4);
    const Array<T> input_bias = random_array<T>({p.ic}, Layout::dense, 5);
    const bool to_input = direction == ConvDirection::input_grad;
    const Array<T> result(to_input ? p.input_shape() : p.output_shape(), to);
    const auto format = [](const Array<T>& a) { return read_format(a.view).format; };
    const Plan plan = plan_conv(p, direction, nullptr,
                                {format(to_input ? result : x),
                                 format(direction == ConvDirection::forward ? result : dy)});
    switch (direction) {
      case ConvDirection::forward:
        report.compare<T>(p.output_shape(), from, to, [&](const TensorView& y, const char* force) {
          conv_forward(p, lift(x.view), lift(w.view), bias.view.data, lift(y), force);
        }, 0, plan.candidates);
        break;
      case ConvDirection::input_grad:
        report.compare<T>(p.input_shape(), from, to, [&](const TensorView& dx, const char* force) {
          conv_input_grad(p, lift(w.view), lift(dy.view), input_bias.view.data, lift(dx), force);
        }, 0, plan.candidates);
        break;
      case ConvDirection::weight_grad:
        report.compare<T>(p.weight_shape(), from, Layout::dense, [&](const TensorView& dw, const char* force) {
          conv_weight_grad(p, lift(x.view), lift(dy.view), lift(dw), force);
        }, 0, plan.candidates);
        break;
    }
  }
  return report.print(isa, kType<T>);
}

template <class T>
bool check_type(Isa isa) {
  bool good = check_direction<T>(isa, ConvDirection::forward, "convolution");
  good &= check_direction<T>(isa, ConvDirection::input_grad, "conv input gradient");
  good &= check_direction<T>(isa, ConvDirection::weight_grad, "conv weight gradient");
  return good;
}

}  // namespace

bool check_convolutions(Isa isa) {
  const bool good = check_type<float>(isa);
  return check_type<double>(isa) && good;
}

}  // namespace striate
