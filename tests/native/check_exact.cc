// Ops whose kernels give the bits of the reference: pad, downsample and upsample_zeros move elements, the
// gradient of a maximum adds each channel's in one order, and sums of small integers have no rounding.
#include "comparison.h"
#include "ops/conv.h"
#include "ops/place.h"
#include "ops/pool.h"

namespace striate {
namespace {

constexpr Layout kImageLayouts[] = {
    Layout::dense,  Layout::channels_last,        Layout::reversed, Layout::spaced,
    Layout::window, Layout::channels_last_window, Layout::broadcast};

/// Calls body(shape, from, to) for arrays with spatial axes.
template <class Body>
void for_each_image_case(Body body) {
  const auto with_layouts = [&](const Shape& shape) {
    for (Layout from : kImageLayouts)
      for (Layout to : kImageLayouts)
        if (to != Layout::broadcast) body(shape, from, to);
  };
  for (const Shape& shape : shapes())
    if (shape.size() > 2) with_layouts(shape);
  for (const Shape& shape : {Shape{2, 5, 6, 7}, Shape{2, 4, 1, 1}, Shape{1, 1, 3, 9}}) with_layouts(shape);
  for (Layout layout : {Layout::dense, Layout::channels_last, Layout::spaced}) body(kShared, layout, layout);
}

template <class T>
Array<T> random_integers(const Shape& shape, Layout layout, uint32_t seed, int64_t low, int64_t high) {
  Array<T> array(shape, layout);
  std::mt19937 engine(seed);
  std::uniform_int_distribution<int64_t> distribution(low, high);
  for (T& value : array.memory) value = static_cast<T>(distribution(engine));
  return array;
}

template <class T>
constexpr T kSpecial[] = {0, -T(0), std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                          std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::denorm_min()};

template <class T>
std::vector<PlaceProblem> pads(const Shape& shape) {
  const size_t rank = shape.size() - 2;
  std::vector<PlaceProblem> problems;
  for (const std::array<int64_t, 2> pair :
       {std::array<int64_t, 2>{1, 2}, {-1, 1}, {0, 0}, {-3, 4}, {5, -4}})
    problems.push_back(PlaceProblem::pad(kType<T>, shape, std::vector(rank, pair), -0.3));
  return problems;
}

template <class T>
std::vector<PlaceProblem> downsamplings(const Shape& shape) {
  std::vector<PlaceProblem> problems;
  for (int64_t factor : {1, 2, 3})
    problems.push_back(PlaceProblem::downsample(kType<T>, shape, Shape(shape.size() - 2, factor)));
  return problems;
}

template <class T>
std::vector<PlaceProblem> upsamplings(const Shape& shape) {
  std::vector<PlaceProblem> problems;
  for (int64_t factor : {2, 3})
    for (int64_t missing : {0, 1}) {  // elements after the last that is written
      Shape size(shape.begin() + 2, shape.end());
      for (int64_t& extent : size) extent = extent * factor - missing;
      problems.push_back(PlaceProblem::upsample_zeros(kType<T>, shape, Shape(size.size(), factor), size));
    }
  return problems;
}

template <class T>
bool check_place(Isa isa, const char* op, std::vector<PlaceProblem> (*problems)(const Shape&)) {
  Report report(op, kExact);
  for_each_image_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 1, kSpecial<T>);
    for (const PlaceProblem& p : problems(shape)) {
      const Array<T> model(p.output_shape(), to);
      if (model.view.size() == 0) continue;
      const Plan plan = plan_place(p, lift(x.view), lift(model.view));
      report.compare<T>(
          p.output_shape(), from, to,
          [&](const TensorView& y, const char* force) { place_elements(p, lift(x.view), lift(y), force); }, 0,
          plan.candidates);
    }
  });
  return report.print(isa, kType<T>);
}

template <class T>
bool check_channel_sum(Isa isa) {
  Report report("channel_sum", kExact);
  for_each_image_case([&](const Shape& shape, Layout from, Layout to) {
    const auto g = random_integers<T>(shape, from, 2, -50, 50);
    const auto sum = [&](const TensorView& sums, const char* force) { channel_sum(lift(g.view), sums, force); };
    report.compare<T>({shape[1]}, from, to, sum, 0, plan_channel_sum(lift(g.view)).candidates);
  });
  return report.print(isa, kType<T>);
}

template <class T>
bool check_max_pool_grad(Isa isa) {
  constexpr const char* kOp = "max_pool_input_grad";
  Report report(kOp, kExact);
  for_each_image_case([&](const Shape& shape, Layout from, Layout to) {
    Shape pooled = shape;
    int64_t pixels = 1;
    for (size_t i = 2; i < shape.size(); ++i) {
      pixels *= shape[i];
      pooled[i] = (shape[i] + 1) / 2;
    }
    const auto g = random_array<T>(pooled, from, 3, kSpecial<T>);
    const Array<T> model(shape, to);
    const Plan plan = plan_max_pool_input_grad(kOp, lift(model.view));
    for (Layout layout : {from, to}) {
      const auto indices = random_integers<int64_t>(pooled, layout, 4, 0, pixels - 1);
      report.compare<T>(
          shape, from, to,
          [&](const TensorView& dx, const char* force) {
            max_pool_input_grad(kOp, lift(indices.view), lift(g.view), lift(dx), force);
          },
          0, plan.candidates);
    }
  });
  return report.print(isa, kType<T>);
}

template <class T>
bool check_all(Isa isa) {
  bool good = check_place<T>(isa, "pad", pads<T>);
  good &= check_place<T>(isa, "downsample", downsamplings<T>);
  good &= check_place<T>(isa, "upsample_zeros", upsamplings<T>);
  good &= check_channel_sum<T>(isa);
  good &= check_max_pool_grad<T>(isa);
  return good;
}

}  // namespace

bool check_exact_ops(Isa isa) {
  const bool good = check_all<float>(isa);
  return check_all<double>(isa) && good;
}

}  // namespace striate
