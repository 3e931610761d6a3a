// What the user asks for: problems, each with the settings to run it under.
//
//     striate-bench [OPTION | PROBLEM]...
//
// As in benchdnn, an option holds for the problems after it. A case file (--batch) is the same text, line
// by line, with # comments; its options end with it. Options take lists: --layout=nchw,nhwc runs both.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/tensor_view.h"
#include "problem.h"

namespace striate::bench {

enum class Direction : uint8_t { forward, input_grad, weight_grad };
const char* name_of(Direction direction);  // FWD, BWD_D, BWD_W
const char* name_of(MemoryFormat layout);  // nchw, nhwc

struct Request {
  Problem problem;
  Direction direction;
  MemoryFormat layout;
  DType dtype;
  Isa isa;
  int threads;
  std::string alg;        // pooling: max, avg_np, avg_p; resampling: nearest, linear
  std::string algorithm;  // the plan's row to force; empty: its choice

  const char* force() const { return algorithm.empty() ? nullptr : algorithm.c_str(); }
};

/// "conv FWD nchw f32 avx2 2t mb8ic64...", for tables.
std::string to_text(const Request& request);

/// The command that runs this request again, check included.
std::string reproduction(const Request& request);

struct CommandLine {
  std::vector<Request> requests;
  bool check = false;
  bool help = false;
  double min_time = 0.2;  // seconds of measurement a request
};

/// ValueError for anything that does not parse.
CommandLine parse_command_line(std::span<const char* const> arguments);

extern const char* const kUsage;

}  // namespace striate::bench
