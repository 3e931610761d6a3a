#include <numeric>

#include "array.h"
#include "case.h"
#include "ops/pool.h"

namespace striate::bench {
namespace {

bool is_max(const Request& r) { return r.alg == "max"; }

PoolProblem problem_of(const Request& r) {
  const Problem& p = r.problem;
  std::vector<int64_t> input{p.mb, p.ic}, kernel, stride, dilation;
  std::vector<std::array<int64_t, 2>> padding;
  for (size_t i = 3 - static_cast<size_t>(p.rank); i < 3; ++i) {
    const Axis& a = p.axis[i];
    input.push_back(a.in);
    kernel.push_back(a.kernel);
    stride.push_back(a.stride);
    dilation.push_back(a.dilation);
    padding.push_back({a.pad, std::max<int64_t>(a.pad_end, 0)});
    if (a.dilation != 1 && !is_max(r)) fail_value(r.alg, ": a mean has no dilation");
  }
  const std::string op = concat(is_max(r) ? "max" : "avg", "_pool", p.rank, "d");
  return PoolProblem::make({.op = op.c_str(),
                            .dtype = r.dtype,
                            .input_shape = input,
                            .kernel = kernel,
                            .stride = stride,
                            .dilation = dilation,
                            .padding = padding,
                            .count_include_pad = r.alg != "avg_np"});
}

// Values that are multiples of this keep a mean exact, whichever elements its windows count.
int64_t exact_multiple(const PoolProblem& p) {
  int64_t multiple = 1;
  for (const PoolAxis& a : p.axis) {
    int64_t counts = a.kernel;
    for (int64_t out = 0; out < a.out && !p.count_include_pad; ++out) {
      const int64_t start = out * a.stride - a.pad;
      counts = std::lcm(counts, std::min(start + a.kernel, a.in) - std::max<int64_t>(start, 0));
    }
    multiple *= counts;
  }
  return multiple;
}

class PoolCase final : public Case {
 public:
  explicit PoolCase(const Request& r)
      : request_(r),
        problem_(problem_of(r)),
        input_(r.dtype, problem_.input_shape(), r.layout),
        output_(r.dtype, problem_.output_shape(), r.layout),
        taps_(DType::u8, is_max(r) ? problem_.output_shape() : std::vector<int64_t>{0, 0, 0}, r.layout) {
    const int64_t multiple = is_max(r) ? 1 : exact_multiple(problem_);
    const double terms = static_cast<double>(problem_.taps()) * static_cast<double>(multiple);
    magnitude_ = exact_magnitude(r.dtype, terms);
    input_.fill_integers(1, std::max(magnitude_, 1), multiple);
    // The gradient of a maximum goes where a forward call found it.
    if (is_max(r)) max_pool_forward(problem_, input_.view(), output_.view(), &taps_.view());
    output_.fill_integers(2, std::max(magnitude_, 1), multiple);
  }

  void run() override { run_into(result(), request_.force()); }

  std::string check() override {
    if (magnitude_ == 0)
      fail_value("pool: the sums of ", to_text(request_.problem), " are not exact in ", name_of(request_.dtype));
    Array& got = result();
    Array expected(request_.dtype, forward() ? problem_.output_shape() : problem_.input_shape(), request_.layout);
    got.fill_nan();
    expected.fill_nan();
    run_into(got, request_.force());
    run_into(expected, "reference");
    return first_difference(got, expected);
  }

  std::string algorithm() const override {
    const TensorView &x = input_.view(), &y = output_.view();
    if (forward()) return plan_pool(problem_, x, y, request_.force()).algorithm();
    return (is_max(request_) ? plan_max_pool_taps_grad(problem_, taps_.view(), y, x, request_.force())
                             : plan_avg_pool_input_grad(problem_, y, x, request_.force()))
        .algorithm();
  }
  double flops() const override { return 0; }
  double bytes() const override {
    return input_.bytes() + output_.bytes() + (is_max(request_) && !forward() ? taps_.bytes() : 0);
  }

 private:
  bool forward() const { return request_.direction == Direction::forward; }
  Array& result() { return forward() ? output_ : input_; }

  void run_into(const Array& target, const char* force) {
    if (forward() && is_max(request_))
      max_pool_forward(problem_, input_.view(), target.view(), nullptr, force);
    else if (forward())
      avg_pool_forward(problem_, input_.view(), target.view(), force);
    else if (is_max(request_))
      max_pool_taps_grad(problem_, taps_.view(), output_.view(), target.view(), force);
    else
      avg_pool_input_grad(problem_, output_.view(), target.view(), force);
  }

  Request request_;
  PoolProblem problem_;
  Array input_, output_, taps_;
  int magnitude_ = 0;
};

}  // namespace

std::unique_ptr<Case> make_pool_case(const Request& request) { return std::make_unique<PoolCase>(request); }

void check_pool_request(const Request& request) { (void)problem_of(request); }

}  // namespace striate::bench
