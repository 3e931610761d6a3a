// What check-reference compares with: arrays of many strides, and the worst difference of a kernel's result
// from the naive reference's.
//
// Differences are in units in the last place: of the element itself for ops that compute each alone; of the
// largest element of the result, or of its terms, where sums may cancel. A bound of 0 asks for the same bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/tensor_view.h"
#include "ops/plan.h"

namespace striate {

using Shape = std::vector<int64_t>;

// Bounds in units in the last place. Sums of float32 run in float64 or move there after a few additions; with
// float64 both sides round every addition.
inline constexpr double kExact = 0, kSmooth = 4;
template <class T>
inline constexpr double kSums = std::is_same_v<T, float> ? 6 : 64;

// ---- arrays -----------------------------------------------------------------------------------------

/// A window is a part of a larger array: its rows and pixels do not follow each other evenly.
enum class Layout { dense, channels_last, reversed, spaced, window, channels_last_window, broadcast };
inline constexpr Layout kLayouts[] = {Layout::dense, Layout::channels_last, Layout::reversed, Layout::spaced,
                                      Layout::broadcast};
inline constexpr const char* kLayoutNames[] = {
    "dense", "channels-last", "reversed", "spaced", "window", "channels-last window", "broadcast"};

template <class T>
inline constexpr DType kType = std::is_same_v<T, float>    ? DType::f32
                               : std::is_same_v<T, double> ? DType::f64
                                                           : DType::i64;

template <class T>
struct Array {
  Array(const Shape& shape, Layout layout) {
    view.dtype = kType<T>;
    view.rank = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), view.shape.begin());
    const bool window = layout == Layout::window || layout == Layout::channels_last_window;
    const bool last = layout == Layout::channels_last || layout == Layout::channels_last_window;
    TensorView whole = view;
    for (int i = 0; window && i < view.rank; ++i) whole.shape[static_cast<size_t>(i)] += 2;
    set_dense_strides(whole, last && view.rank > 2 ? MemoryFormat::channels_last : MemoryFormat::contiguous);
    view.stride = whole.stride;
    const int64_t factor = layout == Layout::spaced ? 3 : layout == Layout::reversed ? -1 : 1;
    for (int64_t& stride : view.stride) stride *= factor;
    if (layout == Layout::broadcast) view.stride[0] = 0;
    memory.assign(static_cast<size_t>(whole.size() * std::abs(factor) + 1), kUnwritten);
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

inline const Shape kShared = {3, 17, 30, 30};  // enough for two threads

// Every width of a vector with every tail, in both places that vectors run along.
inline std::vector<Shape> shapes() {
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
double difference(const TensorView& got, const TensorView& want, double bound, T largest_term) {
  const T largest = std::max(largest_term, largest_of<T>(want));
  double worst = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    const T a = nth<T>(got, i), b = nth<T>(want, i);
    const bool same_sign = bound > kExact || std::signbit(a) == std::signbit(b);
    if ((a == b && same_sign) || (std::isnan(a) && std::isnan(b))) continue;
    if (bound == kExact) return std::numeric_limits<double>::infinity();
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(static_cast<double>(a) - b) / unit_of(bound <= kSmooth ? b : largest));
  }
  return worst;
}

/// Collects the worst difference of one op over all its arrays.
class Report {
 public:
  Report(std::string op, double bound) : op_(std::move(op)), bound_(bound) {}

  using Call = std::function<void(const TensorView& result, const char* force)>;

  /// Compares all algorithms that apply with the reference; most ops have one.
  template <class T>
  void compare(const Shape& shape, Layout from, Layout to, const Call& call, T largest_term = 0,
               std::span<const Candidate> plan = kOneVectorKernel) {
    Array<T> want(shape, to);
    call(want.view, "reference");
    for (const Candidate& row : plan)
      if (row.declined.empty() && row.name != "reference")
        compare_one<T>(shape, from, to, call, largest_term, row.name, want);
    check_gaps(want, shape, from, to, "reference");
  }

  bool print(Isa isa, DType dtype) const {
    const bool good = worst_ <= bound_ && arrays_ > 0;
    std::printf("%s %-8s %s %-22s %.2f of at most %.0f ulp in %d arrays%s%s\n", good ? "ok    " : "FAILED",
                name_of(isa), name_of(dtype), op_.c_str(), worst_, bound_, arrays_, good ? "" : ", worst: ",
                good ? "" : where_.c_str());
    return good;
  }

 private:
  static inline const Candidate kOneVectorKernel[] = {{"vectors", ""}};

  template <class T>
  void compare_one(const Shape& shape, Layout from, Layout to, const Call& call, T largest_term,
                   const std::string& algorithm, const Array<T>& want) {
    Array<T> got(shape, to);
    call(got.view, algorithm.c_str());
    const double ulps = difference<T>(got.view, want.view, bound_, largest_term);
    add(ulps, where(shape, from, to, algorithm));
    check_gaps(got, shape, from, to, algorithm);
  }

  // Overwrites the array.
  template <class T>
  void check_gaps(Array<T>& array, const Shape& shape, Layout from, Layout to, const std::string& algorithm) {
    if (!array.gaps_are_untouched())
      worse(std::numeric_limits<double>::infinity(),
            where(shape, from, to, algorithm) + ", wrote between the elements");
  }

  static std::string where(const Shape& shape, Layout from, Layout to, const std::string& algorithm) {
    return concat(tuple_text(shape), ' ', kLayoutNames[static_cast<int>(from)], " -> ",
                  kLayoutNames[static_cast<int>(to)], ", ", algorithm);
  }

  void add(double ulps, std::string where) {
    ++arrays_;
    worse(ulps, std::move(where));
  }

  void worse(double ulps, std::string where) {
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

/// The ops whose kernels have the bits of the reference: check_exact.cc.
bool check_exact_ops(Isa isa);
/// The steps of the optimisers: check_update.cc.
bool check_updates(Isa isa);
/// All algorithms of the convolution: check_conv.cc.
bool check_convolutions(Isa isa);
/// All algorithms of pooling: check_pool.cc.
bool check_pooling(Isa isa);
/// Copies, tables, columns and unpooling: check_runs.cc.
bool check_runs(Isa isa);
/// Sampling at points and by maps: check_sample.cc.
bool check_sampling(Isa isa);

}  // namespace striate
