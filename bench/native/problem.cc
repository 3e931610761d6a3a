#include "problem.h"

#include <charconv>
#include <optional>

#include "base/error.h"

namespace striate::bench {
namespace {

constexpr std::string_view kAxisLetters = "dhw";

// What the text says of one axis, in the order of Axis.
struct AxisText {
  std::optional<int64_t> in, out, kernel, stride, pad, dilation;

  // benchdnn: stride 1, padding 0 and dilation 0 say nothing.
  bool given() const {
    return in || out || kernel || stride.value_or(1) != 1 || pad.value_or(0) != 0 || dilation.value_or(0) != 0;
  }
};

struct Key {
  char letter;
  std::optional<int64_t> AxisText::*field;
  bool windowed;  // keys of convolution and pooling, which resampling lacks
};
constexpr Key kAxisKeys[] = {{'i', &AxisText::in, false},     {'o', &AxisText::out, false},
                             {'k', &AxisText::kernel, true},  {'s', &AxisText::stride, true},
                             {'p', &AxisText::pad, true},     {'d', &AxisText::dilation, true}};

class Parser {
 public:
  Parser(Op op, std::string_view text) : op_(op), text_(text) {}

  Problem parse() {
    take_prefix();
    while (at_ < text_.size() && !take_name())
      if (text_[at_] == '_')
        ++at_;
      else
        take_pair();
    finish();
    return problem_;
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail_at(size_t at, const Parts&... parts) const {
    fail_value("'", text_, "': column ", at + 1, ": ", parts...);
  }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_value("'", text_, "': ", parts...);
  }

  void take_prefix() {
    const size_t colon = text_.substr(0, text_.find('"')).find(':');
    if (colon != std::string_view::npos) {
      const std::string_view prefix = text_.substr(0, colon);
      bool known = false;
      for (Op op : {Op::conv, Op::pool, Op::resampling})
        if (prefix == name_of(op)) {
          op_ = op;
          known = true;
        }
      if (!known) fail_at(0, "unknown op '", prefix, "', expected conv, pool or resampling");
      at_ = colon + 1;
    }
    problem_.op = op_;
  }

  bool take_name() {
    if (text_[at_] != 'n') return false;
    std::string_view name = text_.substr(at_ + 1);
    if (name.starts_with('"')) {
      if (name.size() < 2 || name.find('"', 1) != name.size() - 1)
        fail_at(at_ + 1, "the name must end the line with a second quote");
      name = name.substr(1, name.size() - 2);
    }
    problem_.name = name;
    at_ = text_.size();
    return true;
  }

  void take_pair() {
    const size_t key_at = at_;
    while (at_ < text_.size() && text_[at_] >= 'a' && text_[at_] <= 'z') ++at_;
    const std::string_view key = text_.substr(key_at, at_ - key_at);
    if (key.empty()) fail_at(key_at, "expected a key such as mb, ic or ih, got '", text_[key_at], "'");
    std::optional<int64_t>& target = slot(key, key_at);
    if (target) fail_at(key_at, "'", key, "' is given twice");
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) fail_at(at_, "the number after '", key, "' is too large");
    if (error != std::errc{}) fail_at(at_, "'", key, "' needs a number");
    if (value < 0) fail_at(at_, "'", key, "' must not be negative, got ", value);
    at_ += static_cast<size_t>(end - begin);
    target = value;
  }

  std::optional<int64_t>& slot(std::string_view key, size_t key_at) {
    const bool conv = op_ == Op::conv;
    if (key == "mb") return mb_;
    if (key == "ic") return ic_;
    if (key == "oc" && conv) return oc_;
    if (key == "g" && conv) return g_;
    if (key.size() == 2 && kAxisLetters.find(key[1]) != std::string_view::npos)
      for (const Key& k : kAxisKeys)
        if (key[0] == k.letter && !(k.windowed && op_ == Op::resampling))
          return axis_[kAxisLetters.find(key[1])].*k.field;
    fail_at(key_at, "unknown key '", key, "' of ", name_of(op_));
  }

  void finish() {
    if (!ic_) fail("ic (input channels) is missing");
    if (op_ == Op::conv && !oc_) fail("oc (output channels) is missing");
    problem_.mb = mb_.value_or(2);
    problem_.g = g_.value_or(1);
    problem_.ic = *ic_;
    problem_.oc = oc_.value_or(0);

    const bool d = axis_[0].given(), h = axis_[1].given(), w = axis_[2].given();
    if (!d && !h && !w) fail("no spatial size: give iw, ih or id");
    if (d && w && !h) fail("d and w are given, but h is missing");
    problem_.rank = d ? 3 : h ? 2 : 1;
    for (size_t i = 0; i < 3; ++i)
      if (axis_[i].given()) problem_.axis[i] = finish_axis(axis_[i], kAxisLetters[i]);
    if (d && !h) problem_.axis[1] = problem_.axis[0];
    if (!w) problem_.axis[2] = problem_.axis[1];
  }

  Axis finish_axis(const AxisText& t, char letter) const {
    if (!t.in) fail("i", letter, " is missing");
    if (op_ == Op::resampling) {
      if (!t.out) fail("o", letter, " is missing");
      return {.in = *t.in, .out = *t.out};
    }
    if (!t.kernel) fail("k", letter, " is missing");
    Axis a{.in = *t.in, .kernel = *t.kernel, .stride = t.stride.value_or(1)};
    if (a.stride < 1) fail("s", letter, " must be positive");
    if (a.kernel < 1) fail("k", letter, " must be positive");
    for (int64_t value : {a.in, a.kernel, a.stride, t.pad.value_or(0), t.dilation.value_or(0), t.out.value_or(0)})
      if (value > INT32_MAX) fail("the ", letter, " axis has a number above 2^31 - 1: ", value);
    a.dilation = t.dilation.value_or(0) + 1;
    const int64_t reach = (a.kernel - 1) * a.dilation + 1;
    if (!t.out) {
      a.pad = a.pad_end = t.pad.value_or(0);
      const int64_t spare = a.in + 2 * a.pad - reach;
      if (spare < 0) fail("the kernel reaches over ", reach, ", but padded i", letter, " is ", a.in + 2 * a.pad);
      a.out = spare / a.stride + 1;
      a.pad_end = needed(a, reach) - a.pad;
      return a;
    }
    a.out = *t.out;
    if (a.out < 1) fail("o", letter, " must be positive");
    const int64_t need = needed(a, reach);
    a.pad = t.pad.value_or(std::max<int64_t>(need / 2, 0));
    a.pad_end = need - a.pad;
    // A whole further output would fit: no padding gives the output that the text names.
    if (a.pad_end <= -a.stride)
      fail("o", letter, a.out, " does not fit: i", letter, a.in, " k", letter, a.kernel, " s", letter, a.stride,
           " p", letter, a.pad, " dilation ", a.dilation - 1, " gives at least o", letter,
           (a.in + a.pad - reach) / a.stride + 1);
    return a;
  }

  // Padding on both sides together with which the windows end exactly at the last element.
  static int64_t needed(const Axis& a, int64_t reach) { return (a.out - 1) * a.stride + reach - a.in; }

  Op op_;
  std::string_view text_;
  size_t at_ = 0;
  Problem problem_;
  std::optional<int64_t> mb_, g_, ic_, oc_;
  std::array<AxisText, 3> axis_;
};

}  // namespace

const char* name_of(Op op) {
  return op == Op::conv ? "conv" : op == Op::pool ? "pool" : "resampling";
}

Problem parse_problem(Op op, std::string_view text) { return Parser(op, text).parse(); }

std::string to_text(const Problem& p) {
  // The axes that their twin does not tell.
  const bool w_is_h = p.axis[2] == p.axis[1];
  const bool show[3] = {p.rank == 3, p.rank == 2 || (p.rank == 3 && !(w_is_h && p.axis[1] == p.axis[0])),
                        p.rank == 1 || !w_is_h};
  std::string text;
  const auto add = [&](char letter, int64_t Axis::*field, int64_t offset, bool always) {
    bool needed = always;
    for (size_t i = 0; i < 3; ++i) needed = needed || (show[i] && p.axis[i].*field != 1);
    for (size_t i = 0; i < 3; ++i)
      if (needed && show[i]) text += concat(letter, kAxisLetters[i], p.axis[i].*field - offset);
  };
  const bool windowed = p.op != Op::resampling;
  if (p.g != 1) text += concat("g", p.g);
  text += concat("mb", p.mb, "ic", p.ic);
  add('i', &Axis::in, 0, true);
  if (p.op == Op::conv) text += concat("oc", p.oc);
  add('o', &Axis::out, 0, true);
  if (windowed) {
    add('k', &Axis::kernel, 0, true);
    add('s', &Axis::stride, 0, false);
    add('p', &Axis::pad, 0, true);
    add('d', &Axis::dilation, 1, false);
  }
  if (!p.name.empty()) text += concat("n\"", p.name, '"');
  return text;
}

}  // namespace striate::bench
