// A problem as one line of text, in the syntax of oneDNN's benchdnn, so that its case files serve here too:
//
//     mb8ic64ih56oc64oh56kh3ph1n"res2a"                conv
//     pool:mb8ic64ih112oh56kh3sh2ph1                   pooling and resampling: the op in front, or --op=
//
// Each key is followed by a number; `_` between them is ignored; n begins the name, which is the rest.
//     g groups   mb batch   ic, oc channels of all groups together
//     i o k s p d   input, output, kernel, stride, low padding, dilation, each followed by d, h or w
//
// Rules, as in benchdnn:
//   - dilation counts from 0 in the text, from 1 (dense) in Axis;
//   - only w given: 1-d; only h: 2-d and w is its twin; only d: 3-d and h, w are its twins; in 3-d, w may
//     be missing beside d and h. An axis counts as given when any of its keys is, so a given axis needs
//     its input (and kernel);
//   - output missing: computed from padding (0 if missing) on both sides; padding missing beside an
//     output: half of what the output needs. The high padding is what the output needs beyond the low.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace striate::bench {

enum class Op : uint8_t { conv, pool, resampling };
const char* name_of(Op op);

struct Axis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1;
  int64_t dilation = 1;  // 1 is dense
  int64_t pad = 0;
  int64_t pad_end = 0;  // negative: so many of the last inputs are not read
  bool operator==(const Axis&) const = default;
};

struct Problem {
  Op op = Op::conv;
  int rank = 2;  // spatial axes
  int64_t mb = 2, g = 1, ic = 0, oc = 0;
  std::array<Axis, 3> axis;  // d, h, w; absent ones keep their defaults
  std::string name;
  bool operator==(const Problem&) const = default;
};

/// ValueError whose message tells the column (from 1) or the rule.
Problem parse_problem(Op op, std::string_view text);

/// The shortest line that parses to the same problem.
std::string to_text(const Problem& problem);

}  // namespace striate::bench
