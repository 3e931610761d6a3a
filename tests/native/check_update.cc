// The steps of the optimisers: vector kernels and naive references from the same values, of which the new weights
// are compared, and a slot by the step after them.
#include "comparison.h"
#include "ops/update.h"

namespace striate {
namespace {

/// Copies element by element, whatever the strides.
template <class T>
void assign(const TensorView& to, const TensorView& from) {
  for (int64_t i = 0; i < to.size(); ++i) nth<T>(to, i) = nth<T>(from, i);
}

/// Not negative, as a mean of squares.
template <class T>
Array<T> random_squares(const Shape& shape, uint32_t seed) {
  Array<T> array = random_array<T>(shape, Layout::dense, seed);
  for (T& value : array.memory) value *= value;
  return array;
}

/// update(value, grad, a, b, c, force) with three slots, of which a and c begin as squares.
template <class T, class Update>
bool check(Isa isa, const char* name, Update update) {
  Report report(name, 2 * kSums<T>);
  for_each_case([&](const Shape& shape, Layout from, Layout to) {
    if (from == Layout::broadcast) return;
    const auto start = random_array<T>(shape, Layout::dense, 1), grad = random_array<T>(shape, from, 2);
    report.compare<T>(shape, from, to, [&](const TensorView& value, const char* force) {
      assign<T>(value, start.view);
      auto a = random_squares<T>(shape, 3), b = random_array<T>(shape, Layout::dense, 4);
      auto c = random_squares<T>(shape, 5);
      for (int step = 0; step < 2; ++step) update(value, grad.view, a.view, b.view, c.view, force);
    });
  });
  return report.print(isa, kType<T>);
}

template <class T>
bool check_all(Isa isa) {
  using View = const TensorView&;
  bool good = true;
  for (bool nesterov : {false, true})
    good &= check<T>(isa, "sgd_update", [=](View w, View g, View, View b, View, const char* force) {
      sgd_update({0.1, 0.9, 0, 0.01, nesterov, false}, w, g, &b, force);
    });
  for (bool amsgrad : {false, true})
    good &= check<T>(isa, "adam_update", [=](View w, View g, View a, View b, View c, const char* force) {
      adam_update({0.1, 0.9, 0.99, 1e-3, 0.01, amsgrad, 3}, w, g, b, a, amsgrad ? &c : nullptr, force);
    });
  good &= check<T>(isa, "adagrad_update", [](View w, View g, View a, View, View, const char* force) {
    adagrad_update({0.1, 1e-3, 0.01}, w, g, a, force);
  });
  for (bool momentum : {false, true})
    good &= check<T>(isa, "rmsprop_update", [=](View w, View g, View a, View b, View, const char* force) {
      rmsprop_update({0.1, 0.9, 1e-1, 0.01, momentum ? 0.8 : 0}, w, g, a, nullptr, momentum ? &b : nullptr, force);
    });
  return good;
}

}  // namespace

bool check_updates(Isa isa) {
  const bool good = check_all<float>(isa);
  return check_all<double>(isa) && good;
}

}  // namespace striate
