#include "ops/machine.h"

namespace striate {

const Machine& machine_of(Isa isa) {
#if defined(__x86_64__)
  // Measured on one core of a Xeon with AVX-512 (4th generation), two at work; `baseline` and `neon` estimated.
  static constexpr Machine kMachines[] = {
      {Isa::baseline, 16, 16, 8e9, 30e9, 12e9, 0.8e9, 1.0e-6},
      {Isa::avx2, 32, 16, 64e9, 80e9, 13e9, 1.0e9, 0.5e-6},
      {Isa::avx512, 64, 32, 116e9, 90e9, 13e9, 1.0e9, 0.5e-6},
  };
#else
  static constexpr Machine kMachines[] = {
      {Isa::neon, 16, 32, 20e9, 30e9, 10e9, 0.8e9, 0.5e-6},
  };
#endif
  return kMachines[static_cast<size_t>(isa)];
}

}  // namespace striate
