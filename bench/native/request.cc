#include "request.h"

#include <charconv>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/parallel.h"

namespace striate::bench {
namespace {

constexpr Direction kDirections[] = {Direction::forward, Direction::input_grad, Direction::weight_grad};

// The settings in force while options and problems are read from left to right.
struct Settings {
  Op op = Op::conv;
  std::vector<Direction> directions;  // empty: all that the op has
  std::vector<MemoryFormat> layouts{MemoryFormat::contiguous};
  std::vector<DType> dtypes{DType::f32};
  std::vector<Isa> isas{current_isa()};
  std::vector<int> threads{get_num_threads()};
  std::vector<std::string> algs;  // empty: the op's first
  std::string algorithm;
};

std::vector<std::string> algs_of(Op op) {
  switch (op) {
    case Op::conv: return {""};
    case Op::pool: return {"max", "avg_np", "avg_p"};
    case Op::resampling: return {"nearest", "linear"};
  }
  return {};
}

template <class Value>
struct Choice {
  const char* name;
  Value value;
};

// Splits "a,b" and looks every entry up.
template <class Value, size_t N>
std::vector<Value> parse_list(std::string_view option, std::string_view text, const Choice<Value> (&choices)[N]) {
  std::vector<Value> values;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view entry = text.substr(begin, end - begin);
    const Choice<Value>* found = nullptr;
    std::string known;
    for (const Choice<Value>& choice : choices) {
      if (entry == choice.name) found = &choice;
      known += concat(known.empty() ? "" : ", ", choice.name);
    }
    if (!found) fail_value(option, ": unknown '", entry, "', expected ", known);
    values.push_back(found->value);
    begin = end + 1;
  }
  return values;
}

template <class Number>
Number parse_number(std::string_view option, std::string_view text, Number least, Number most) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most))
    fail_value(option, ": must be a number from ", least, " to ", most, ", got '", text, "'");
  return value;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Isa parse_isa(const std::string& name) {
  for (Isa isa : all_isas())
    if (name == name_of(isa) && is_supported(isa)) return isa;
  set_isa(name);  // says what is wrong with it
  return current_isa();
}

// Whitespace separates, except inside quotes; # begins a comment.
std::vector<std::string> tokens_of(const std::string& line) {
  std::vector<std::string> tokens;
  std::string token;
  bool quoted = false;
  for (char c : line) {
    if (c == '#' && !quoted) break;
    if (c == '"') quoted = !quoted;
    if ((c == ' ' || c == '\t' || c == '\r') && !quoted) {
      if (!token.empty()) tokens.push_back(std::move(token));
      token.clear();
    } else {
      token += c;
    }
  }
  if (quoted) fail_value("a quote is not closed: ", line);
  if (!token.empty()) tokens.push_back(std::move(token));
  return tokens;
}

class Reader {
 public:
  CommandLine line;

  void read(const std::string& token, Settings& s, const std::filesystem::path& folder) {
    if (!token.starts_with("--")) return add_problem(token, s);
    const size_t equals = token.find('=');
    const std::string option = token.substr(0, equals);
    if (option == "--check" || option == "--help") {
      if (equals != std::string::npos) fail_value(option, ": takes no value");
      (option == "--check" ? line.check : line.help) = true;
      return;
    }
    if (equals == std::string::npos) fail_value("'", token, "': expected --option=value (see --help)");
    const std::string value = token.substr(equals + 1);
    if (option == "--op")
      s.op = parse_list<Op>(option, value, {{"conv", Op::conv}, {"pool", Op::pool}, {"resampling", Op::resampling}})
                 .back();
    else if (option == "--dir")
      s.directions = parse_list<Direction>(option, value,
                                           {{"FWD", Direction::forward},
                                            {"BWD_D", Direction::input_grad},
                                            {"BWD_W", Direction::weight_grad}});
    else if (option == "--layout")
      s.layouts = parse_list<MemoryFormat>(
          option, value, {{"nchw", MemoryFormat::contiguous}, {"nhwc", MemoryFormat::channels_last}});
    else if (option == "--dtype")
      s.dtypes = parse_list<DType>(option, value, {{"f32", DType::f32}, {"f64", DType::f64}});
    else if (option == "--alg")
      s.algs = split(value);
    else if (option == "--algorithm")
      s.algorithm = value;
    else if (option == "--min-time")
      line.min_time = parse_number<double>(option, value, 0.0, 3600.0);
    else if (option == "--threads")
      s.threads = each<int>(value, [&](const std::string& v) { return parse_number<int>(option, v, 1, 1024); });
    else if (option == "--isa")
      s.isas = each<Isa>(value, parse_isa);
    else if (option == "--batch")
      read_file(folder / value, s);
    else
      fail_value("unknown option ", option, " (see --help)");
  }

 private:
  template <class Value, class Parse>
  static std::vector<Value> each(const std::string& text, Parse parse) {
    std::vector<Value> values;
    for (const std::string& part : split(text)) values.push_back(parse(part));
    return values;
  }

  void read_file(const std::filesystem::path& path, Settings s) {
    std::ifstream file(path);
    if (!file) fail_value("--batch: cannot read ", path.string());
    if (++depth_ > 8) fail_value("--batch: ", path.string(), " includes itself");
    std::string text;
    for (int number = 1; std::getline(file, text); ++number) {
      try {
        for (const std::string& token : tokens_of(text)) read(token, s, path.parent_path());
      } catch (const ValueError& error) {
        fail_value(path.string(), ":", number, ": ", error.what());
      }
    }
    --depth_;
  }

  void add_problem(const std::string& text, const Settings& s) {
    const Problem problem = parse_problem(s.op, text);
    const std::vector<std::string> known = algs_of(problem.op);
    std::vector<std::string> algs{known.front()};
    if (!s.algs.empty() && problem.op != Op::conv) algs = s.algs;
    for (const std::string& alg : algs)
      if (std::find(known.begin(), known.end(), alg) == known.end())
        fail_value("--alg: ", name_of(problem.op), " has no '", alg, "'");
    const bool has_weight = problem.op == Op::conv;
    std::vector<Direction> directions = s.directions;
    if (directions.empty()) directions.assign(kDirections, kDirections + (has_weight ? 3 : 2));
    for (Direction direction : directions)
      if (direction == Direction::weight_grad && !has_weight)
        fail_value("--dir: ", name_of(problem.op), " has no weight, so no BWD_W");
    for (Isa isa : s.isas)
      for (int threads : s.threads)
        for (DType dtype : s.dtypes)
          for (MemoryFormat layout : s.layouts)
            for (const std::string& alg : algs)
              for (Direction direction : directions)
                line.requests.push_back({problem, direction, layout, dtype, isa, threads, alg, s.algorithm});
  }

  int depth_ = 0;
};

const char* dtype_text(DType dtype) { return dtype == DType::f32 ? "f32" : "f64"; }

}  // namespace

const char* name_of(Direction direction) {
  return direction == Direction::forward ? "FWD" : direction == Direction::input_grad ? "BWD_D" : "BWD_W";
}
const char* name_of(MemoryFormat layout) { return layout == MemoryFormat::channels_last ? "nhwc" : "nchw"; }

std::string to_text(const Request& r) {
  return concat(name_of(r.problem.op), r.alg.empty() ? "" : "/", r.alg, ' ', name_of(r.direction), ' ',
                name_of(r.layout), ' ', dtype_text(r.dtype), ' ', name_of(r.isa), ' ', r.threads, "t ",
                to_text(r.problem));
}

std::string reproduction(const Request& r) {
  std::string line = concat("striate-bench --check --op=", name_of(r.problem.op), " --dir=", name_of(r.direction),
                            " --layout=", name_of(r.layout), " --dtype=", dtype_text(r.dtype),
                            " --isa=", name_of(r.isa), " --threads=", r.threads);
  if (!r.alg.empty()) line += " --alg=" + r.alg;
  if (!r.algorithm.empty()) line += " --algorithm=" + r.algorithm;
  Problem unnamed = r.problem;  // a name's quotes would need quoting
  unnamed.name.clear();
  return line + ' ' + to_text(unnamed);
}

CommandLine parse_command_line(std::span<const char* const> arguments) {
  Reader reader;
  Settings settings;
  for (const char* argument : arguments) reader.read(argument, settings, {});
  return std::move(reader.line);
}

const char* const kUsage =
    R"(striate-bench [OPTION | PROBLEM]...

Times striate's operations, or checks them against the naive reference. A problem is one line in the syntax
of oneDNN's benchdnn, such as mb8ic64ih56oc64oh56kh3ph1n"res2a". An option holds for the problems after it;
those with a * take comma-separated lists and run every combination.

  --op=conv|pool|resampling   what the problems are (a problem may say so itself: pool:mb8ic64...)
  --dir=FWD,BWD_D,BWD_W       * output, input gradient, weight gradient; all by default
  --layout=nchw,nhwc          * memory format of images
  --dtype=f32,f64             *
  --threads=N                 * default: all that this process may use
  --isa=NAME                  * instruction set; default: the best here
  --alg=NAME                  * pool: max, avg_np, avg_p; resampling: nearest, linear
  --algorithm=NAME            the plan's algorithm to use, such as tiles or reference
  --batch=FILE                reads options and problems from a file, with # comments
  --check                     compares with the reference on small integers, all but Winograd bit for bit; no timing
  --min-time=S                seconds to measure each (0.2)

Columns: % is the share of `of`: the arithmetic peak, or the copy bandwidth of the smallest memory level that
holds the problem's arrays, whichever bounds it. Operations count the zeros of padding.

Exit status: 0, 1 if a check failed, 2 for a bad command line.
)";

}  // namespace striate::bench
