// Averages every 3 x 3 window of a 4 x 4 picture: a convolution from C++, without Python.
//
//     cmake --preset release && cmake --build build/release
//     cmake --install build/release --component core --prefix PREFIX
//     cmake -S examples/cpp -B BUILD -DCMAKE_PREFIX_PATH=PREFIX && cmake --build BUILD && BUILD/blur
#include <array>
#include <cstdint>
#include <cstdio>
#include <ops/conv.h>

using namespace striate;

TensorView image(float* data, int64_t h, int64_t w) {
  TensorView view{.data = data, .rank = 4, .shape = {1, 1, h, w}};  // (N, C, H, W)
  set_dense_strides(view, MemoryFormat::contiguous);
  return view;
}

int main() {
  float picture[16] = {0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 0, 0, 0}, box[9], result[16];
  for (float& tap : box) tap = 1.0f / 9;
  const TensorView x = image(picture, 4, 4), w = image(box, 3, 3), y = image(result, 4, 4);

  const int64_t ones[2] = {1, 1};
  const std::array<int64_t, 2> around[2] = {{1, 1}, {1, 1}};
  const ConvProblem problem = ConvProblem::make({.op = "conv2d",
                                                 .dtype = DType::f32,
                                                 .input_shape = x.dims(),
                                                 .weight_shape = w.dims(),
                                                 .stride = ones,
                                                 .dilation = ones,
                                                 .padding = around,
                                                 .groups = 1,
                                                 .exact = false});
  conv_forward(problem, lift(x), lift(w), nullptr, lift(y));

  for (int i = 0; i < 16; ++i) std::printf("%g%c", result[i], i % 4 == 3 ? '\n' : ' ');
}
