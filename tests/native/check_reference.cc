// check-reference: activations, softmax and batch norm by their vector kernels and by the naive references,
// for every instruction set, all tails of a vector, and strides of many kinds. One line an op, type and
// instruction set; exit status 1 if one is out of bounds.
//
// Differences are in units in the last place: of the element itself for activations, where each is computed
// alone; of the largest element of the result, or of its terms, where sums may cancel.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <random>

#include "base/cpu.h"
#include "base/parallel.h"
#include "ops/batch_norm.h"
#include "ops/pointwise.h"
#include "ops/softmax.h"

namespace striate {
namespace {

using Shape = std::vector<int64_t>;

// Bounds in units in the last place. Sums run in float64, so with float64 both sides round every addition.
constexpr double kExact = 0, kSmooth = 4;
template <class T>
constexpr double kSums = std::is_same_v<T, float> ? 6 : 64;

// ---- arrays -----------------------------------------------------------------------------------------

enum class Layout { dense, channels_last, reversed, spaced, broadcast };
constexpr Layout kLayouts[] = {Layout::dense, Layout::channels_last, Layout::reversed, Layout::spaced,
                               Layout::broadcast};
constexpr const char* kLayoutNames[] = {"dense", "channels-last", "reversed", "spaced", "broadcast"};

template <class T>
constexpr DType kType = std::is_same_v<T, float> ? DType::f32 : DType::f64;

template <class T>
struct Array {
  Array(const Shape& shape, Layout layout) {
    view.dtype = kType<T>;
    view.rank = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), view.shape.begin());
    const bool last = layout == Layout::channels_last && view.rank > 2;
    set_dense_strides(view, last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
    const int64_t factor = layout == Layout::spaced ? 3 : layout == Layout::reversed ? -1 : 1;
    for (int64_t& stride : view.stride) stride *= factor;
    if (layout == Layout::broadcast) view.stride[0] = 0;
    memory.assign(static_cast<size_t>(view.size() * std::abs(factor) + 1), kUnwritten);
    view.data = memory.data() + (factor < 0 ? view.size() : 0);
  }

  /// Whether all memory between the elements is as it was.
  bool gaps_are_untouched() {
    for (int64_t i = 0; i < view.size(); ++i) nth<T>(view, i) = kUnwritten;
    return std::all_of(memory.begin(), memory.end(), [](T value) { return value == kUnwritten; });
  }

  static constexpr T kUnwritten = T(-12345.5);
  std::vector<T> memory;
  TensorView view;
};

template <class T>
Array<T> random_array(const Shape& shape, Layout layout, uint32_t seed, std::span<const T> special = {}) {
  Array<T> array(shape, layout);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (T& value : array.memory) {
    value = static_cast<T>(3 * normal(engine));
    if (!special.empty() && engine() % 5 == 0) value = special[engine() % special.size()];
  }
  return array;
}

const Shape kShared = {3, 17, 30, 30};  // enough for two threads

// Every width of a vector with every tail, in both places that vectors run along.
std::vector<Shape> shapes() {
  std::vector<Shape> all = {{2, 3, 4, 5, 7}};
  for (int64_t size : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65, 130})
    for (const Shape& shape : {Shape{3, size, 5}, Shape{3, 5, size}, Shape{7, size}}) all.push_back(shape);
  return all;
}

// ---- comparison -------------------------------------------------------------------------------------

template <class T>
double unit_of(T value) {
  const T magnitude = std::abs(value);
  return static_cast<double>(std::nextafter(magnitude, std::numeric_limits<T>::infinity())) - magnitude;
}

template <class T>
T largest_of(const TensorView& view) {
  T largest = 0;
  for (int64_t i = 0; i < view.size(); ++i)
    if (const T value = std::abs(nth<T>(view, i)); std::isfinite(value)) largest = std::max(largest, value);
  return largest;
}

template <class T>
double difference(const TensorView& got, const TensorView& want, bool by_element, T largest_term) {
  const T largest = std::max(largest_term, largest_of<T>(want));
  double worst = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    const T a = nth<T>(got, i), b = nth<T>(want, i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(static_cast<double>(a) - b) / unit_of(by_element ? b : largest));
  }
  return worst;
}

/// Collects the worst difference of one op over all its arrays.
class Report {
 public:
  Report(std::string op, double bound) : op_(std::move(op)), bound_(bound) {}

  /// Runs call(result, force) both ways and compares.
  template <class T>
  void compare(const Shape& shape, Layout from, Layout to,
               const std::function<void(const TensorView&, const char*)>& call, T largest_term = 0) {
    Array<T> got(shape, to), want(shape, to);
    call(got.view, "vectors");
    call(want.view, "reference");
    const double ulps = difference<T>(got.view, want.view, bound_ <= kSmooth, largest_term);
    const bool untouched = got.gaps_are_untouched() && want.gaps_are_untouched();
    add(untouched ? ulps : std::numeric_limits<double>::infinity(),
        concat(tuple_text(shape), ' ', kLayoutNames[static_cast<int>(from)], " -> ",
               kLayoutNames[static_cast<int>(to)], untouched ? "" : ", wrote between the elements"));
  }

  bool print(Isa isa, DType dtype) const {
    const bool good = worst_ <= bound_ && arrays_ > 0;
    std::printf("%s %-8s %s %-22s %.2f of at most %.0f ulp in %d arrays%s%s\n", good ? "ok    " : "FAILED",
                name_of(isa), name_of(dtype), op_.c_str(), worst_, bound_, arrays_, good ? "" : ", worst: ",
                good ? "" : where_.c_str());
    return good;
  }

 private:
  void add(double ulps, std::string where) {
    ++arrays_;
    if (ulps <= worst_) return;
    worst_ = ulps;
    where_ = std::move(where);
  }

  std::string op_, where_;
  double bound_, worst_ = 0;
  int arrays_ = 0;
};

/// Calls body(shape, from, to) for all shapes and pairs of layouts; results are never broadcast.
template <class Body>
void for_each_case(Body body) {
  for (const Shape& shape : shapes())
    for (Layout from : kLayouts)
      for (Layout to : kLayouts)
        if (to != Layout::broadcast) body(shape, from, to);
  for (Layout layout : {Layout::dense, Layout::channels_last, Layout::spaced}) body(kShared, layout, layout);
}

// ---- the ops ----------------------------------------------------------------------------------------

template <class T>
bool check_activations(Isa isa) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  constexpr T special[] = {0, -T(0), infinity, -infinity, std::numeric_limits<T>::quiet_NaN(), 90, -90, 800, -800,
                           std::numeric_limits<T>::denorm_min(), -std::numeric_limits<T>::min(), T(1e-5)};
  struct Op {
    Activation activation;
    const char* name;
    double bound;
  };
  bool good = true;
  for (const Op& op : {Op{Activation::relu, "relu", kExact}, Op{Activation::leaky_relu, "leaky_relu", kExact},
                       Op{Activation::sigmoid, "sigmoid", kSmooth}, Op{Activation::tanh, "tanh", kSmooth}}) {
    const auto p = ActivationProblem::make(op.name, op.activation, kType<T>, 0.3);
    Report values(op.name, op.bound), grads(concat(op.name, "_grad"), op.bound);
    for_each_case([&](const Shape& shape, Layout from, Layout to) {
      const auto x = random_array<T>(shape, from, 1, special), g = random_array<T>(shape, to, 2);
      Array<T> y(shape, from);
      activate(p, x.view, y.view, "reference");
      values.compare<T>(shape, from, to,
                        [&](const TensorView& out, const char* force) { activate(p, x.view, out, force); });
      grads.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        activation_grad(p, y.view, g.view, out, force);
      });
    });
    good &= values.print(isa, kType<T>);
    good &= grads.print(isa, kType<T>);
  }
  return good;
}

template <class T>
bool check_softmax(Isa isa) {
  constexpr T special[] = {-std::numeric_limits<T>::infinity(), 30, -30};
  bool good = true;
  for (Softmax kind : {Softmax::plain, Softmax::log}) {
    const char* name = kind == Softmax::plain ? "softmax" : "log_softmax";
    Report values(name, kSums<T>), grads(concat(name, "_grad"), kSums<T>);
    for_each_case([&](const Shape& shape, Layout from, Layout to) {
      const auto x = random_array<T>(shape, from, 3, special), g = random_array<T>(shape, to, 4);
      for (int axis = 0; axis < x.view.rank; ++axis) {
        Array<T> y(shape, Layout::dense);
        softmax_forward(kind, x.view, axis, y.view, "reference");
        values.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
          softmax_forward(kind, x.view, axis, out, force);
        });
        const auto gradient = [&](const TensorView& out, const char* force) {
          softmax_grad(kind, y.view, g.view, axis, out, force);
        };
        grads.compare<T>(shape, from, to, gradient, largest_of<T>(g.view));
      }
    });
    good &= values.print(isa, kType<T>);
    good &= grads.print(isa, kType<T>);
  }
  return good;
}

template <class T>
bool check_batch_norm(Isa isa) {
  Report outputs("batch_norm", kSums<T>), grads("batch_norm_grad", kSums<T>);
  Report sums("batch_norm_grad, sums", kSums<T>);
  constexpr double kEps = 0.1;  // a broadcast channel has no variance: a small eps would amplify its rounding
  for_each_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 5), g = random_array<T>(shape, to, 6);
    const Shape channels{shape[1]};
    const auto weight = random_array<T>(channels, Layout::dense, 7);
    const auto bias = random_array<T>(channels, Layout::dense, 8);
    const T *w = weight.view.template as<T>(), *b = bias.view.template as<T>();
    Array<T> mean(channels, Layout::dense), var(channels, Layout::dense), y(shape, to);
    const auto p = BatchNormProblem::make("batch_norm", x.view, kEps, true);
    batch_norm_train(p, x.view, w, b, y.view, mean.view.data, var.view.data, "reference");

    outputs.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
      batch_norm_infer(p, x.view, mean.view.data, var.view.data, w, nullptr, out, force);
    });
    Array<T> own_mean(channels, Layout::dense), own_var(channels, Layout::dense);
    outputs.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
      batch_norm_train(p, x.view, w, b, out, own_mean.view.data, own_var.view.data, force);
    });
    for (bool training : {false, true}) {
      Array<T> dx(shape, to), dw(channels, Layout::dense), db(channels, Layout::dense);
      const auto run = [&](const TensorView& to_dx, void* to_dw, void* to_db, const char* force) {
        batch_norm_grad(p, x.view, g.view, mean.view.data, var.view.data, w, training, to_dx, to_dw, to_db, force);
      };
      grads.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        run(out, dw.view.data, db.view.data, force);
      });
      sums.compare<T>(channels, from, Layout::dense, [&](const TensorView& out, const char* force) {
        run(dx.view, out.data, db.view.data, force);
      });
      sums.compare<T>(channels, from, Layout::dense, [&](const TensorView& out, const char* force) {
        run(dx.view, dw.view.data, out.data, force);
      });
    }
  });
  bool good = true;
  for (const Report* report : {&outputs, &grads, &sums}) good &= report->print(isa, kType<T>);
  return good;
}

template <class T>
bool check_all(Isa isa) {
  bool good = check_activations<T>(isa);
  good &= check_softmax<T>(isa);
  good &= check_batch_norm<T>(isa);
  return good;
}

}  // namespace
}  // namespace striate

int main() {
  using namespace striate;
  set_num_threads(2);
  bool good = true;
  for (Isa isa : all_isas()) {
    if (!is_supported(isa)) continue;
    set_isa(name_of(isa));
    good &= check_all<float>(isa);
    good &= check_all<double>(isa);
  }
  return good ? 0 : 1;
}
