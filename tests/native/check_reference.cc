// check-reference: the vector kernels and the naive references of all ops that the harness does not know, for
// every instruction set, all tails of a vector, and strides of many kinds. One line an op, type and
// instruction set; exit status 1 if one is out of bounds.
//
//      check-reference [GROUP...]      only these groups of ops, where time is short: under an emulator
#include "comparison.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "ops/batch_norm.h"
#include "ops/cross_entropy.h"
#include "ops/curve.h"
#include "ops/group_norm.h"
#include "ops/pointwise.h"
#include "ops/softmax.h"

namespace striate {
namespace {

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
bool check_curves(Isa isa) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  constexpr T special[] = {0, -T(0), infinity, -infinity, std::numeric_limits<T>::quiet_NaN(), 3, -3, 6, -12, 90,
                           -90, 800, T(1e-5), std::numeric_limits<T>::min()};
  struct Op {
    const char* name;
    double first, second, bound;
  };
  // Where x meets a slope of 0, in gradients, the terms decide about the error: a few more units.
  constexpr double kTerms = 64;
  bool good = true;
  for (const Op& op : {Op{"elu", 0.7, 1.3, kSmooth}, Op{"clip", 0, 6, kExact}, Op{"hardsigmoid", 0, 0, kSmooth},
                       Op{"hardswish", 0, 0, kSmooth}, Op{"softplus", 1.5, 20, 2 * kSmooth},
                       Op{"logsigmoid", 0, 0, kSmooth}, Op{"silu", 0, 0, 2 * kSmooth}, Op{"gelu", 0, 0, 4 * kSmooth},
                       Op{"gelu_tanh", 0, 0, kTerms}, Op{"mish", 0, 0, 2 * kSmooth},
                       Op{"absolute", 0, 0, kExact}, Op{"huber", 0.7, 1.3, kSmooth}}) {
    const auto p = CurveProblem::make(op.name, op.name, kType<T>, op.first, op.second);
    Report values(op.name, op.bound), grads(concat(op.name, "_grad"), op.bound == kExact ? kExact : kTerms);
    for_each_case([&](const Shape& shape, Layout from, Layout to) {
      const auto x = random_array<T>(shape, from, 1, special), g = random_array<T>(shape, to, 2);
      values.compare<T>(shape, from, to,
                        [&](const TensorView& out, const char* force) { curve(p, x.view, out, force); });
      grads.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        curve_grad(p, x.view, g.view, out, force);
      });
    });
    good &= values.print(isa, kType<T>);
    good &= grads.print(isa, kType<T>);
  }
  return good;
}

template <class T>
bool check_prelu_grad(Isa isa) {
  Report report("prelu_grad", kExact);
  for_each_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 1), g = random_array<T>(shape, to, 2);
    const auto slopes = random_array<T>({shape[1]}, Layout::dense, 3);
    for (bool one : {true, false}) {
      TensorView slope = x.view;
      slope.data = slopes.view.data;
      for (int i = 0; i < slope.rank; ++i) slope.stride[static_cast<size_t>(i)] = i == kC && !one ? 1 : 0;
      report.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        prelu_grad(x.view, slope, g.view, out, force);
      });
    }
  });
  return report.print(isa, kType<T>);
}

template <class T>
bool check_binary(Isa isa) {
  constexpr T special[] = {0, -T(0), std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                           std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::denorm_min()};
  struct Op {
    Binary binary;
    const char* name;
  };
  bool good = true;
  for (const Op& op : {Op{Binary::add, "add"}, Op{Binary::subtract, "subtract"},
                                 Op{Binary::multiply, "multiply"}, Op{Binary::divide, "divide"},
                                 Op{Binary::add_relu, "add_relu"}, Op{Binary::prelu, "prelu"},
                                 Op{Binary::prelu_weight_terms, "prelu_weight_terms"}}) {
    Report report(op.name, kExact);
    for_each_case([&](const Shape& shape, Layout from, Layout to) {
      const auto a = random_array<T>(shape, from, 11, special), b = random_array<T>(shape, to, 12, special);
      report.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        striate::binary(op.binary, a.view, b.view, out, force);
      });
    });
    good &= report.print(isa, kType<T>);
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

/// Losses, and gradients from what the reference kept.
template <class T>
bool check_cross_entropy(Isa isa) {
  constexpr T special[] = {-std::numeric_limits<T>::infinity(), 30, -30};
  Report losses("cross_entropy", kSums<T>), grads("cross_entropy_grad", kSums<T>);
  for_each_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 9, special);
    Shape rows = shape;
    rows.erase(rows.begin() + 1);
    const auto g = random_array<T>(rows, to, 10);
    std::vector<int64_t> target;
    for (int64_t i = 0; i < g.view.size(); ++i) target.push_back(i * i % shape[1]);
    Array<T> most(rows, Layout::dense), log_sum(rows, Layout::dense), loss(rows, Layout::dense);
    losses.compare<T>(rows, from, Layout::dense, [&](const TensorView& out, const char* force) {
      cross_entropy_forward(x.view, {target.data(), most.view.data, log_sum.view.data}, out.data, force);
    });
    const auto gradient = [&](const TensorView& out, const char* force) {
      cross_entropy_grad(x.view, {target.data(), most.view.data, log_sum.view.data}, g.view, out, force);
    };
    grads.compare<T>(shape, from, to, gradient, largest_of<T>(g.view));
  });
  const bool good = losses.print(isa, kType<T>);
  return grads.print(isa, kType<T>) && good;
}

template <class T>
bool check_batch_norm(Isa isa) {
  Report outputs("batch_norm", kSums<T>), grads("batch_norm_grad", kSums<T>);
  Report sums("batch_norm_grad, sums", kSums<T>);
  constexpr double kEps = 0.1;  // a broadcast channel has no variance: a small eps would amplify its rounding
  for (bool relu : {false, true})
    for_each_case([&](const Shape& shape, Layout from, Layout to) {
      const auto x = random_array<T>(shape, from, 5), g = random_array<T>(shape, to, 6);
      const Shape channels{shape[1]};
      const auto weight = random_array<T>(channels, Layout::dense, 7);
      const auto bias = random_array<T>(channels, Layout::dense, 8);
      const T *w = weight.view.template as<T>(), *b = bias.view.template as<T>();
      Array<T> mean(channels, Layout::dense), var(channels, Layout::dense), y(shape, to);
      std::vector<T> gates(static_cast<size_t>(2 * shape[1]));
      void* const gate = relu ? gates.data() : nullptr;
      const auto p = BatchNormProblem::make("batch_norm", x.view, kEps, true, relu);
      batch_norm_train(p, x.view, w, b, y.view, mean.view.data, var.view.data, gate, "reference");

      outputs.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        batch_norm_infer(p, x.view, mean.view.data, var.view.data, w, nullptr, out, nullptr, force);
      });
      Array<T> own_mean(channels, Layout::dense), own_var(channels, Layout::dense);
      outputs.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        batch_norm_train(p, x.view, w, b, out, own_mean.view.data, own_var.view.data, nullptr, force);
      });
      for (bool training : {false, true}) {
        Array<T> dx(shape, to), dw(channels, Layout::dense), db(channels, Layout::dense);
        const auto run = [&](const TensorView& to_dx, void* to_dw, void* to_db, const char* force) {
          batch_norm_grad(p, x.view, g.view, mean.view.data, var.view.data, w, gate, training, to_dx, to_dw, to_db,
                          force);
        };
        grads.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
          run(out, dw.view.data, db.view.data, force);
        });
        const auto weight_sums = [&](const TensorView& out, const char* force) {
          run(dx.view, out.data, db.view.data, force);
        };
        const auto bias_sums = [&](const TensorView& out, const char* force) {
          run(dx.view, dw.view.data, out.data, force);
        };
        sums.compare<T>(channels, from, Layout::dense, weight_sums, largest_of<T>(g.view));
        sums.compare<T>(channels, from, Layout::dense, bias_sums, largest_of<T>(g.view));
      }
    });
  bool good = true;
  for (const Report* report : {&outputs, &grads, &sums}) good &= report->print(isa, kType<T>);
  return good;
}

template <class T>
bool check_group_norm(Isa isa) {
  Report outputs("group_norm", kSums<T>), grads("group_norm_grad", kSums<T>);
  Report sums("group_norm_grad, sums", kSums<T>);
  constexpr double kEps = 0.1;  // as of batch norm
  for_each_case([&](const Shape& shape, Layout from, Layout to) {
    const auto x = random_array<T>(shape, from, 5), g = random_array<T>(shape, to, 6);
    const Shape channels{shape[1]};
    const auto weight = random_array<T>(channels, Layout::dense, 7);
    const auto bias = random_array<T>(channels, Layout::dense, 8);
    const T *w = weight.view.template as<T>(), *b = bias.view.template as<T>();
    for (int64_t groups : {int64_t{1}, shape[1]}) {
      const auto p = GroupNormProblem::make("group_norm", x.view, groups, kEps);
      const Shape statistics{p.n, groups};
      Array<T> mean(statistics, Layout::dense), var(statistics, Layout::dense), y(shape, to);
      Array<T> dw(channels, Layout::dense), db(channels, Layout::dense), dx(shape, to);
      group_norm(p, x.view, w, b, y.view, mean.view.data, var.view.data, "reference");
      Array<T> own_mean(statistics, Layout::dense), own_var(statistics, Layout::dense);
      outputs.compare<T>(shape, from, to, [&](const TensorView& out, const char* force) {
        group_norm(p, x.view, w, b, out, own_mean.view.data, own_var.view.data, force);
      });
      const auto run = [&](const TensorView& to_dx, void* to_dw, void* to_db, const char* force) {
        group_norm_grad(p, x.view, g.view, mean.view.data, var.view.data, w, to_dx, to_dw, to_db, force);
      };
      const auto inputs = [&](const TensorView& out, const char* force) {
        run(out, dw.view.data, db.view.data, force);
      };
      grads.compare<T>(shape, from, to, inputs, 4 * largest_of<T>(g.view));
      sums.compare<T>(channels, from, Layout::dense,
                      [&](const TensorView& out, const char* force) { run(dx.view, out.data, db.view.data, force); },
                      largest_of<T>(g.view));
      sums.compare<T>(channels, from, Layout::dense,
                      [&](const TensorView& out, const char* force) { run(dx.view, dw.view.data, out.data, force); },
                      largest_of<T>(g.view));
    }
  });
  bool good = true;
  for (const Report* report : {&outputs, &grads, &sums}) good &= report->print(isa, kType<T>);
  return good;
}

/// float32 and float64 of a check.
template <class F, class D>
auto both(F f32, D f64) {
  return [=](Isa isa) {
    const bool good = f32(isa);
    return f64(isa) && good;
  };
}

struct Group {
  std::string_view name;
  std::function<bool(Isa)> check;
};

const Group kGroups[] = {
    {"activations", both(check_activations<float>, check_activations<double>)},
    {"curves", both(check_curves<float>, check_curves<double>)},
    {"prelu", both(check_prelu_grad<float>, check_prelu_grad<double>)},
    {"softmax", both(check_softmax<float>, check_softmax<double>)},
    {"cross_entropy", both(check_cross_entropy<float>, check_cross_entropy<double>)},
    {"arithmetic", both(check_binary<float>, check_binary<double>)},
    {"batch_norm", both(check_batch_norm<float>, check_batch_norm<double>)},
    {"group_norm", both(check_group_norm<float>, check_group_norm<double>)},
    {"updates", check_updates},
    {"exact", check_exact_ops},
    {"runs", check_runs},
    {"pooling", check_pooling},
    {"sampling", check_sampling},
    {"convolution", check_convolutions},
};

/// The groups named, or all. Empty if there is a name of none.
std::vector<const Group*> groups_of(std::span<char*> names) {
  std::vector<const Group*> groups;
  for (const Group& group : kGroups)
    if (names.empty() || std::ranges::find(names, group.name) != names.end()) groups.push_back(&group);
  return names.size() <= groups.size() ? groups : std::vector<const Group*>{};
}

}  // namespace
}  // namespace striate

int main(int count, char** arguments) {
  using namespace striate;
  const std::vector<const Group*> groups = groups_of(std::span(arguments, static_cast<size_t>(count)).subspan(1));
  if (groups.empty()) {
    std::fputs("check-reference: the groups are", stderr);
    for (const Group& group : kGroups) std::fprintf(stderr, " %s", group.name.data());
    std::fputs("\n", stderr);
    return 2;
  }
  set_num_threads(2);
  bool good = true;
  for (Isa isa : all_isas()) {
    if (!is_supported(isa)) continue;
    set_isa(name_of(isa));
    for (const Group* group : groups) good &= group->check(isa);
  }
  return good ? 0 : 1;
}
