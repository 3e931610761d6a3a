#include "array.h"
#include "case.h"
#include "ops/conv.h"

namespace striate::bench {
namespace {

ConvProblem problem_of(const Request& r) {
  const Problem& p = r.problem;
  const auto rank = static_cast<size_t>(p.rank);
  std::vector<int64_t> input{p.mb, p.ic}, weight{p.oc, p.g > 0 ? p.ic / p.g : 0}, stride, dilation;
  std::vector<std::array<int64_t, 2>> padding;
  for (size_t i = 3 - rank; i < 3; ++i) {
    const Axis& a = p.axis[i];
    input.push_back(a.in);
    weight.push_back(a.kernel);
    stride.push_back(a.stride);
    dilation.push_back(a.dilation);
    padding.push_back({a.pad, std::max<int64_t>(a.pad_end, 0)});
  }
  const std::string op = concat("conv", rank, "d");
  return ConvProblem::make({.op = op.c_str(),
                            .dtype = r.dtype,
                            .input_shape = input,
                            .weight_shape = weight,
                            .stride = stride,
                            .dilation = dilation,
                            .padding = padding,
                            .groups = p.g,
                            .exact = false});
}

ConvDirection direction_of(const Request& r) {
  switch (r.direction) {
    case Direction::forward: return ConvDirection::forward;
    case Direction::input_grad: return ConvDirection::input_grad;
    case Direction::weight_grad: return ConvDirection::weight_grad;
  }
  return {};
}

// Of the largest sum: what Winograd may be off by.
constexpr double kRounded = 1e-5;

class ConvCase final : public Case {
 public:
  explicit ConvCase(const Request& r)
      : request_(r),
        problem_(problem_of(r)),
        input_(r.dtype, problem_.input_shape(), r.layout),
        weight_(r.dtype, problem_.weight_shape(), MemoryFormat::contiguous),
        output_(r.dtype, problem_.output_shape(), r.layout) {
    magnitude_ = exact_magnitude(r.dtype, terms());
    uint32_t seed = 0;
    for (Array* array : {&input_, &weight_, &output_}) array->fill_integers(++seed, std::max(magnitude_, 1));
  }

  void run() override { run_into(result(), request_.force()); }

  std::string check() override {
    if (magnitude_ == 0)
      fail_value("conv: sums of ", terms(), " products are not exact in ", name_of(request_.dtype), ": ",
                 to_text(request_.problem));
    Array& got = result();
    Array expected(request_.dtype, shape_of(got), request_.direction == Direction::weight_grad
                                                      ? MemoryFormat::contiguous
                                                      : request_.layout);
    expected.fill_nan();
    got.fill_nan();
    run_into(got, request_.force());
    run_into(expected, "reference");
    const Plan plan = plan_conv(problem_, direction_of(request_), request_.force(), formats());
    const bool rounds = plan.candidates[plan.chosen].arithmetic == Arithmetic::rounded;
    return first_difference(got, expected, rounds ? kRounded : 0);
  }

  std::string algorithm() const override {
    return plan_conv(problem_, direction_of(request_), request_.force(), formats()).algorithm();
  }
  double flops() const override { return 2 * problem_.macs(); }
  double bytes() const override { return input_.bytes() + weight_.bytes() + output_.bytes(); }

 private:
  ConvFormats formats() const { return {request_.layout, request_.layout}; }

  // Products in one sum of the result.
  double terms() const {
    const auto taps = static_cast<double>(problem_.taps());
    switch (request_.direction) {
      case Direction::forward: return taps * static_cast<double>(problem_.ic_group());
      case Direction::input_grad: return taps * static_cast<double>(problem_.oc_group());
      case Direction::weight_grad:
        return static_cast<double>(problem_.n) * static_cast<double>(problem_.output_pixels());
    }
    return 0;
  }

  Array& result() {
    switch (request_.direction) {
      case Direction::forward: return output_;
      case Direction::input_grad: return input_;
      case Direction::weight_grad: return weight_;
    }
    return output_;
  }

  std::vector<int64_t> shape_of(const Array& array) const {
    return &array == &output_  ? problem_.output_shape()
           : &array == &input_ ? problem_.input_shape()
                               : problem_.weight_shape();
  }

  void run_into(const Array& target, const char* force) {
    const TensorView &x = input_.view(), &w = weight_.view(), &y = output_.view();
    switch (request_.direction) {
      case Direction::forward: return conv_forward(problem_, x, w, nullptr, target.view(), force);
      case Direction::input_grad: return conv_input_grad(problem_, w, y, nullptr, target.view(), force);
      case Direction::weight_grad: return conv_weight_grad(problem_, x, y, target.view(), force);
    }
  }

  Request request_;
  ConvProblem problem_;
  Array input_, weight_, output_;
  int magnitude_ = 0;
};

}  // namespace

std::unique_ptr<Case> make_conv_case(const Request& request) { return std::make_unique<ConvCase>(request); }

void check_conv_request(const Request& request) {
  const ConvProblem problem = problem_of(request);
  (void)plan_conv(problem, direction_of(request), request.force());
}

}  // namespace striate::bench
