// A request with its arrays, ready to run. One source an op derives from this; main.cc knows no op.
#pragma once

#include <memory>
#include <string>

#include "request.h"

namespace striate::bench {

class Case {
 public:
  virtual ~Case() = default;
  virtual void run() = 0;
  /// Runs once and compares with the reference: the first difference, empty if there is none.
  virtual std::string check() = 0;
  virtual std::string algorithm() const = 0;
  virtual double flops() const = 0;
  virtual double bytes() const = 0;  // every array read or written once
};

std::unique_ptr<Case> make_conv_case(const Request& request);
std::unique_ptr<Case> make_pool_case(const Request& request);
std::unique_ptr<Case> make_resampling_case(const Request& request);

// ValueError if the op refuses the request; nothing is allocated.
void check_conv_request(const Request& request);
void check_pool_request(const Request& request);
void check_resampling_request(const Request& request);

}  // namespace striate::bench
