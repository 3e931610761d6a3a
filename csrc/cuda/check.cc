// striate-cuda-check [COUNT [SEED]]: random convolutions on small integers, the device against the CPU's
// reference, bit for bit. Exit status 0: all equal; 1: one differs; 2: an error; 77: there is no device.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "cuda/conv.h"
#include "ops/conv.h"

namespace {

using namespace striate;

constexpr int kNoDevice = 77;  // what test drivers take as "skipped"

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint32_t>(high - low + 1));
  }
  std::vector<float> integers(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(between(-4, 4));
    return values;
  }

 private:
  std::mt19937 engine_;
};

struct Arguments {
  std::vector<int64_t> input, weight, stride, dilation;
  std::vector<std::array<int64_t, 2>> padding;
  int64_t groups;

  ConvProblem problem() const {
    return ConvProblem::make({"conv", DType::f32, input, weight, stride, dilation, padding, groups, false});
  }
  std::string text() const {
    std::string pads;
    for (const auto& pad : padding) pads += tuple_text(pad);
    return concat("input ", tuple_text(input), ", weight ", tuple_text(weight), ", stride ", tuple_text(stride),
                  ", padding ", pads, ", dilation ", tuple_text(dilation), ", groups ", groups);
  }
};

Arguments random_arguments(Random& random) {
  Arguments a;
  const int64_t rank = random.between(1, 3);
  const int64_t widest = random.between(0, 3) == 0 ? 40 : 5;  // now and then more than one tile of channels
  a.groups = random.between(0, 1) ? 1 : random.between(2, 5);
  const int64_t ic = random.between(1, widest), oc = random.between(1, 2 * widest);
  a.input = {random.between(1, 3), ic * a.groups};
  a.weight = {oc * a.groups, ic};
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t kernel = random.between(1, 4), dilation = random.between(1, 3);
    const int64_t before = random.between(0, 4), after = random.between(0, 4);
    const int64_t reach = (kernel - 1) * dilation + 1;
    a.weight.push_back(kernel);
    a.stride.push_back(random.between(1, 3));
    a.dilation.push_back(dilation);
    a.padding.push_back({before, after});
    a.input.push_back(std::max<int64_t>(1, reach - before - after) + random.between(0, rank == 3 ? 6 : 14));
  }
  return a;
}

TensorView view_of(std::vector<float>& values, const std::vector<int64_t>& shape) {
  TensorView view{.data = values.data(), .rank = static_cast<int>(shape.size())};
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  set_dense_strides(view, MemoryFormat::contiguous);
  return lift(view);
}

bool check(const Arguments& arguments, Random& random) {
  const ConvProblem p = arguments.problem();
  const auto count = [](const std::vector<int64_t>& shape) {
    int64_t product = 1;
    for (int64_t extent : shape) product *= extent;
    return product;
  };
  std::vector<float> x = random.integers(count(arguments.input)), w = random.integers(count(arguments.weight));
  std::vector<float> b = random.integers(p.oc);
  std::vector<float> expected(static_cast<size_t>(count(p.output_shape()))), got = expected;
  const bool with_bias = random.between(0, 1);
  conv_forward(p, view_of(x, arguments.input), view_of(w, arguments.weight), with_bias ? b.data() : nullptr,
               view_of(expected, p.output_shape()), "reference");

  const auto upload = [](cuda::DeviceArray& to, const std::vector<float>& from) { to.copy_from_host(from.data()); };
  cuda::DeviceArray dx(std::ssize(x)), dw(std::ssize(w)), db(std::ssize(b)), dy(std::ssize(got));
  upload(dx, x);
  upload(dw, w);
  upload(db, b);
  upload(dy, std::vector<float>(got.size(), -12345.5f));  // an element left unwritten shows
  cuda::conv_forward(p, dx.get(), dw.get(), with_bias ? db.get() : nullptr, dy.get());
  cuda::synchronize();
  dy.copy_to_host(got.data());

  for (size_t i = 0; i < got.size(); ++i)
    if (got[i] != expected[i]) {
      std::printf("FAILED %s%s\n       element %zu: %g, reference %g\n", arguments.text().c_str(),
                  with_bias ? ", bias" : "", i, static_cast<double>(got[i]), static_cast<double>(expected[i]));
      return false;
    }
  return true;
}

int run(int count, uint32_t seed) {
  const cuda::Devices devices = cuda::find_devices();
  if (devices.count == 0) {
    std::printf("No CUDA device (%s): nothing was checked.\n", devices.why_none.c_str());
    return kNoDevice;
  }
  std::printf("%s\n", devices.first.c_str());
  Random random(seed);
  int failed = 0;
  for (int i = 0; i < count; ++i) failed += !check(random_arguments(random), random);
  std::printf("%d checked with seed %u, %d failed\n", count, seed, failed);
  return failed ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? std::atoi(argv[1]) : 300, argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "striate-cuda-check: %s\n", error.what());
    return 2;
  }
}
