// Every algorithm of pooling and of its gradients against the naive reference, over the tails of channels and
// widths, and over layouts. Maxima and sums of small integers have the reference's bits; shares of a mean round.
#include "comparison.h"
#include "ops/pool.h"

namespace striate {
namespace {

struct Window {
  int64_t kernel, stride, pad, dilation;
  bool ceil_mode;
};
constexpr int64_t kGlobal = 0;  // a kernel as large as the image
constexpr Window kWindows[] = {{2, 2, 0, 1, false}, {3, 2, 1, 1, false}, {3, 2, 0, 1, true},  {3, 1, 1, 1, false},
                               {2, 1, 0, 1, false}, {3, 3, 1, 1, true},  {5, 4, 2, 1, false}, {3, 2, 1, 2, false},
                               {2, 2, 1, 1, true},  {4, 3, 1, 1, false}, {kGlobal, 1, 0, 1, false}};

struct Case {
  Shape shape;
  Window window;
  Layout from, to;
};

// Channels and widths of 1 ... 67 and a few long rows, in combinations that change from line to line.
std::vector<Case> all_cases() {
  constexpr Layout kTaken[] = {Layout::dense, Layout::dense,    Layout::channels_last,       Layout::dense,
                               Layout::window, Layout::reversed, Layout::channels_last_window, Layout::channels_last};
  std::vector<Case> all;
  size_t turn = 0;
  const auto add = [&](const Shape& shape, const Window& window) {
    const Layout from = kTaken[turn % 8], to = turn / 8 % 3 ? from : kTaken[turn / 3 % 8];
    ++turn;
    all.push_back({shape, window, from, to});
  };
  for (int64_t i = 1; i <= 67; ++i)
    for (size_t w = static_cast<size_t>(i) % 3; w < std::size(kWindows); w += 3) {
      const Window& window = kWindows[w];
      const int64_t least = std::max<int64_t>((window.kernel - 1) * window.dilation + 1, 1);
      const int64_t height = least + i * 7 % 13;
      add({1 + i % 2, 1 + i * 29 % 67, height, std::max(i, least)}, window);
    }
  for (const Window& window : kWindows) {
    add({1, 2, 6, 1100}, window);
    add({2, 19, 40, 40}, window);  // enough for two threads
    add({1, 3, 5, 6, 35}, window);
  }
  return all;
}

PoolProblem problem_of(const Case& test, DType dtype, bool dense) {
  const size_t rank = test.shape.size() - 2;
  const Window& w = test.window;
  const Shape kernel = w.kernel == kGlobal ? Shape(test.shape.begin() + 2, test.shape.end()) : Shape(rank, w.kernel);
  const Shape stride(rank, w.stride), dilation(rank, dense ? 1 : w.dilation);
  const std::vector<std::array<int64_t, 2>> padding(rank, {w.pad, w.pad});
  return PoolProblem::make({.op = "check",
                            .dtype = dtype,
                            .input_shape = test.shape,
                            .kernel = kernel,
                            .stride = stride,
                            .dilation = dilation,
                            .padding = padding,
                            .ceil_mode = w.ceil_mode,
                            .count_include_pad = w.kernel % 2 == 0});
}

// Small integers, so that many are equal; of the zeros any sign may win.
template <class T>
Array<T> small_integers(const Shape& shape, Layout layout, uint32_t seed, bool special) {
  Array<T> array(shape, layout);
  std::mt19937 engine(seed);
  const bool nan = special && engine() % 2 == 0;
  for (T& value : array.memory) {
    value = static_cast<T>(static_cast<int64_t>(engine() % 7) - 3);
    if (special && engine() % 16 == 0) value = std::numeric_limits<T>::infinity() * (engine() % 2 ? 1 : -1);
    if (nan && engine() % 64 == 0) value = std::numeric_limits<T>::quiet_NaN();
  }
  return array;
}

template <class T>
bool check_type(Isa isa) {
  Report max("max_pool", kExact), max_grad("max_pool_taps_grad", kExact);
  Report mean("avg_pool", kExact), mean_grad("avg_pool_input_grad", kSums<T>);
  uint32_t seed = 0;
  for (const Case& test : all_cases()) {
    const Layout from = test.from, to = test.to;
    const auto model = [&](const Shape& shape) { return Array<T>(shape, to); };
    {
      const PoolProblem p = problem_of(test, kType<T>, false);
      const Shape pooled = p.output_shape();
      const auto x = small_integers<T>(test.shape, from, ++seed, true);
      const auto dy = small_integers<T>(pooled, from, ++seed, false);
      max.compare<T>(
          pooled, from, to,
          [&](const TensorView& y, const char* force) { max_pool_forward(p, lift(x.view), lift(y), nullptr, force); },
          0, plan_pool(p, lift(x.view), lift(model(pooled).view)).candidates);
      if (p.taps() > kMostTaps) continue;
      const auto y = model(pooled);
      TensorView taps = y.view;
      taps.dtype = DType::u8;
      set_dense_strides(taps, from == Layout::channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
      std::vector<uint8_t> memory(static_cast<size_t>(taps.size()));
      taps.data = memory.data();
      const TensorView lifted = lift(taps);
      max_pool_forward(p, lift(x.view), lift(y.view), &lifted, "reference");
      max_grad.compare<T>(
          test.shape, from, to,
          [&](const TensorView& dx, const char* force) {
            max_pool_taps_grad(p, lifted, lift(dy.view), lift(dx), force);
          },
          0, plan_max_pool_taps_grad(p, lifted, lift(dy.view), lift(model(test.shape).view)).candidates);
    }
    const PoolProblem p = problem_of(test, kType<T>, true);
    const Shape pooled = p.output_shape();
    const auto x = small_integers<T>(test.shape, from, ++seed, false);
    const auto dy = small_integers<T>(pooled, from, ++seed, false);
    mean.compare<T>(
        pooled, from, to,
        [&](const TensorView& y, const char* force) { avg_pool_forward(p, lift(x.view), lift(y), force); }, 0,
        plan_pool(p, lift(x.view), lift(model(pooled).view)).candidates);
    mean_grad.compare<T>(
        test.shape, from, to,
        [&](const TensorView& dx, const char* force) { avg_pool_input_grad(p, lift(dy.view), lift(dx), force); }, 0,
        plan_avg_pool_input_grad(p, lift(dy.view), lift(model(test.shape).view)).candidates);
  }
  bool good = max.print(isa, kType<T>);
  good &= max_grad.print(isa, kType<T>);
  good &= mean.print(isa, kType<T>);
  return mean_grad.print(isa, kType<T>) && good;
}

}  // namespace

bool check_pooling(Isa isa) {
  const bool good = check_type<float>(isa);
  return check_type<double>(isa) && good;
}

}  // namespace striate
