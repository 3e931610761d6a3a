// The ops that move or add runs of elements give the bits of the reference: copies between strides, elements taken
// by tables and the adjoint, windows as columns and the adjoint, unpooling.
#include "comparison.h"
#include "ops/pool.h"
#include "ops/rearrange.h"
#include "ops/take.h"
#include "ops/unfold.h"

namespace striate {
namespace {

constexpr Layout kImageLayouts[] = {Layout::dense, Layout::channels_last, Layout::reversed, Layout::spaced,
                                    Layout::channels_last_window};

/// Calls body(shape, from, to) for arrays with spatial axes.
template <class Body>
void for_each_image_case(Body body) {
  const auto with_layouts = [&](const Shape& shape) {
    for (Layout from : kImageLayouts)
      for (Layout to : kImageLayouts) body(shape, from, to);
  };
  for (const Shape& shape : shapes())
    if (shape.size() > 2) with_layouts(shape);
  for (const Shape& shape : {Shape{2, 5, 6, 7}, Shape{2, 4, 1, 1}, Shape{1, 1, 3, 9}}) with_layouts(shape);
  for (Layout layout : {Layout::dense, Layout::channels_last, Layout::spaced}) body(kShared, layout, layout);
}

using Call = std::function<void(const TensorView& result, const char* force)>;

template <class T>
bool check_copy(Isa isa) {
  Report report("copy", kExact);
  for_each_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 1);
    report.compare<T>(shape, from, to,
                      [&](const TensorView& y, const char* force) { copy_elements(x.view, y, force); });
  });
  // Every exchange of two axes: runs along the first, the last, and neither.
  const Shape shape{3, 5, 2, 17};
  for (size_t a = 0; a < shape.size(); ++a)
    for (size_t b = 0; b < a; ++b) {
      Shape source = shape;
      std::swap(source[a], source[b]);
      auto x = random_array<T>(source, Layout::dense, 2);
      std::swap(x.view.shape[a], x.view.shape[b]);
      std::swap(x.view.stride[a], x.view.stride[b]);
      report.compare<T>(shape, Layout::dense, Layout::dense,
                        [&](const TensorView& y, const char* force) { copy_elements(x.view, y, force); });
    }
  return report.print(isa, kType<T>);
}

// Reflection, with holes here and there; positions may come any number of times.
std::vector<int64_t> table(int64_t n, size_t kind) {
  std::vector<int64_t> at;
  for (int64_t k = -2; k < n + 3; ++k) {
    const int64_t inside = std::clamp<int64_t>(k, 0, n - 1);
    const int64_t wrapped = (k + 2 * n) % n;
    const int64_t mirrored = std::clamp<int64_t>(std::min(std::abs(k), 2 * (n - 1) - k), 0, n - 1);
    at.push_back(kind == 0 ? inside : kind == 1 ? wrapped : k % 3 == 1 ? -1 : mirrored);
  }
  return at;
}

template <class T>
std::vector<TakeProblem> takings(const Shape& shape) {
  std::vector<TakeProblem> problems;
  for (size_t kind = 0; kind < 3; ++kind) {
    std::vector<std::vector<int64_t>> tables;
    for (size_t i = 2; i < shape.size(); ++i) tables.push_back(table(shape[i], (kind + i) % 3));
    problems.push_back(TakeProblem::make("take", kType<T>, shape, tables));
  }
  return problems;
}

template <class T>
bool check_take(Isa isa) {
  Report taken("take", kExact), spread("spread", kExact);
  for_each_image_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 1);
    for (const TakeProblem& p : takings<T>(shape)) {
      const Array<T> model(p.output_shape(), to), back(shape, to);
      taken.compare<T>(
          p.output_shape(), from, to,
          [&](const TensorView& y, const char* force) { take_elements(p, lift(x.view), lift(y), force); }, 0,
          plan_take(lift(x.view), lift(model.view)).candidates);
      auto g = random_array<T>(p.output_shape(), from, 3);
      for (T& value : g.memory) value = std::round(value);  // sums may run in another order than the reference's
      spread.compare<T>(
          shape, from, to,
          [&](const TensorView& y, const char* force) { spread_elements(p, lift(g.view), lift(y), force); }, 0,
          plan_take(lift(g.view), lift(back.view)).candidates);
    }
  });
  return taken.print(isa, kType<T>) & spread.print(isa, kType<T>);
}

template <class T>
bool check_unfold(Isa isa) {
  Report unfolded("unfold", kExact), folded("fold", kExact);
  for_each_image_case([&](const Shape& shape, Layout from, Layout to) {
    const size_t rank = shape.size() - 2;
    const auto x = random_array<T>(shape, from, 1);
    for (const int64_t stride : {1, 2, 3}) {
      const Shape kernel(rank, 3), dilation(rank, stride == 3 ? 2 : 1), steps(rank, stride);
      const std::vector<std::array<int64_t, 2>> padding(rank, {2, 3});
      const UnfoldProblem p = UnfoldProblem::make({.op = "unfold",
                                                   .dtype = kType<T>,
                                                   .image_shape = shape,
                                                   .kernel = kernel,
                                                   .dilation = dilation,
                                                   .stride = steps,
                                                   .padding = padding});
      unfolded.compare<T>(p.columns_shape(), from, to, [&](const TensorView& y, const char* force) {
        unfold_image(p, lift(x.view), y, force);
      });
      const auto columns = random_array<T>(p.columns_shape(), from, 2);
      folded.compare<T>(shape, from, to, [&](const TensorView& y, const char* force) {
        fold_columns(p, columns.view, lift(y), force);
      });
    }
  });
  return unfolded.print(isa, kType<T>) & folded.print(isa, kType<T>);
}

template <class T>
bool check_unpool(Isa isa) {
  constexpr const char* kOp = "max_unpool";
  Report report(kOp, kExact);
  for_each_image_case([&](const Shape& shape, Layout from, Layout to) {
    int64_t pixels = 1;
    for (size_t i = 2; i < shape.size(); ++i) pixels *= shape[i];
    Shape pooled = shape;
    for (size_t i = 2; i < shape.size(); ++i) pooled[i] = (shape[i] + 1) / 2;
    const auto x = random_array<T>(pooled, from, 3);
    Array<int64_t> indices(pooled, from);
    std::mt19937 engine(4);
    for (int64_t& at : indices.memory) at = static_cast<int64_t>(engine()) % pixels;
    const Array<T> model(shape, to);
    report.compare<T>(
        shape, from, to,
        [&](const TensorView& y, const char* force) {
          max_unpool(kOp, lift(indices.view), lift(x.view), lift(y), force);
        },
        0, plan_max_pool_input_grad(kOp, lift(model.view)).candidates);
  });
  return report.print(isa, kType<T>);
}

template <class T>
bool check_all(Isa isa) {
  bool good = check_copy<T>(isa);
  good &= check_take<T>(isa);
  good &= check_unfold<T>(isa);
  good &= check_unpool<T>(isa);
  return good;
}

}  // namespace

bool check_runs(Isa isa) {
  const bool good = check_all<float>(isa);
  return check_all<double>(isa) && good;
}

}  // namespace striate
