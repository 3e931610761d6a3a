// Errors that a caller can cause. Bindings turn ValueError and TypeError into the Python exceptions of
// the same name; std::bad_alloc becomes MemoryError. Messages name the op, the values and the rule:
//     conv2d: input has 6 channels, but weight (32, 8, 3, 3) with groups=2 needs 16
#pragma once

#include <cstdint>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

namespace striate {

struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

/// "(8, 64, 56, 56)", as Python prints a tuple.
inline std::string tuple_text(std::span<const int64_t> values) {
  std::ostringstream text;
  text << '(';
  for (size_t i = 0; i < values.size(); ++i) text << (i ? ", " : "") << values[i];
  text << (values.size() == 1 ? ",)" : ")");
  return text.str();
}

template <class... Parts>
[[noreturn]] void fail_value(const Parts&... parts) {
  throw ValueError(concat(parts...));
}

template <class... Parts>
[[noreturn]] void fail_type(const Parts&... parts) {
  throw TypeError(concat(parts...));
}

}  // namespace striate
