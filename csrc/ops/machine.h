// The machine that predicted costs are counted on: one core's speeds, fixed numbers for each instruction set.
// They are not measured where the program runs, so that a plan is the same everywhere and on every run; only
// their proportions matter to a choice. `bench/README.md` tells how the harness measures them.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "base/tensor_view.h"

namespace striate {

struct Machine {
  Isa isa;
  int vector_bytes;         // of a register
  int registers;
  double register_macs;     // float32 multiply-adds a second, operands in registers
  double cache_bytes;       // bytes a second copied within L2
  double memory_bytes;      // bytes a second moved from or to memory
  double scalar_elements;   // elements a second moved one by one, with index arithmetic
  double task_seconds;      // to start a task: tables of its window, first misses

  int lanes(DType dtype) const { return vector_bytes / static_cast<int>(size_of(dtype)); }
  double macs(DType dtype) const { return dtype == DType::f32 ? register_macs : register_macs / 2; }
};

const Machine& machine_of(Isa isa);

}  // namespace striate
