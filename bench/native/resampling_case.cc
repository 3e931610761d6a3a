#include <bit>
#include <numeric>

#include "array.h"
#include "case.h"
#include "ops/resample.h"

namespace striate::bench {
namespace {

bool linear(const Request& r) { return r.alg == "linear"; }

ResampleProblem problem_of(const Request& r) {
  const Problem& p = r.problem;
  std::vector<int64_t> input{p.mb, p.ic}, output;
  for (size_t i = 3 - static_cast<size_t>(p.rank); i < 3; ++i) {
    input.push_back(p.axis[i].in);
    output.push_back(p.axis[i].out);
  }
  return ResampleProblem::make({.op = "interpolate",
                                .dtype = r.dtype,
                                .input_shape = input,
                                .output_size = output,
                                .scale = nullptr,
                                .mode = linear(r) ? Resampling::linear : Resampling::nearest});
}

// Linear weights are whole multiples of 1 / (2 out / gcd(in, out)): exact in binary if that is a power of
// two. Then sums of integers need as many bits more. 0 if it is none.
double exact_terms(const ResampleProblem& p) {
  double terms = 1;
  const bool linear = p.mode == Resampling::linear;
  for (const ResampleAxis& a : p.axis) {
    const int64_t divisor = a.out / std::gcd(a.in, a.out);
    if (linear && !std::has_single_bit(static_cast<uint64_t>(divisor))) return 0;
    const double reached = static_cast<double>(a.out) / static_cast<double>(a.in) + 2;  // outputs that read an input
    terms *= reached * (linear ? 2 * static_cast<double>(divisor) : 1);
  }
  return terms;
}

class ResamplingCase final : public Case {
 public:
  explicit ResamplingCase(const Request& r)
      : request_(r),
        problem_(problem_of(r)),
        input_(r.dtype, problem_.input_shape(), r.layout),
        output_(r.dtype, problem_.output_shape(), r.layout) {
    const double terms = exact_terms(problem_);
    magnitude_ = terms > 0 ? exact_magnitude(r.dtype, terms) : 0;
    input_.fill_integers(1, std::max(magnitude_, 1));
    output_.fill_integers(2, std::max(magnitude_, 1));
  }

  void run() override { run_into(result(), request_.force()); }

  std::string check() override {
    if (magnitude_ == 0)
      fail_value("resampling: the weights of ", to_text(request_.problem), " are not exact in ",
                 name_of(request_.dtype), ": --check needs out / gcd(in, out) to be a small power of two");
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
    return plan_resample(forward() ? x : y, forward() ? y : x, request_.force()).algorithm();
  }
  double flops() const override { return 0; }
  double bytes() const override { return input_.bytes() + output_.bytes(); }

 private:
  bool forward() const { return request_.direction == Direction::forward; }
  Array& result() { return forward() ? output_ : input_; }

  void run_into(const Array& target, const char* force) {
    if (forward())
      interpolate_forward(problem_, input_.view(), target.view(), force);
    else
      interpolate_input_grad(problem_, output_.view(), target.view(), force);
  }

  Request request_;
  ResampleProblem problem_;
  Array input_, output_;
  int magnitude_ = 0;
};

}  // namespace

std::unique_ptr<Case> make_resampling_case(const Request& request) {
  return std::make_unique<ResamplingCase>(request);
}

void check_resampling_request(const Request& request) { (void)problem_of(request); }

}  // namespace striate::bench
