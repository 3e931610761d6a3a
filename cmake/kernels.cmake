# Kernels are written once and compiled once per instruction set. Each object carries its functions in a
# namespace of its own and exports one table (csrc/kernels/table.h); which table serves is decided at run time.

# name | vector bytes | vector registers | flags
#
# The baseline serves processors from before 2013 and is optimised for size, which is a third smaller; unrolling and
# inlining that the sources ask for stays.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(avx512_flags "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512")
  if(STRIATE_EMULATE_AVX512)
    # The compiler makes each vector of 64 bytes from two registers: slow, but the same lanes and tiles.
    set(avx512_flags "-mavx2 -mfma -Wno-psabi")
  endif()
  set(STRIATE_ISAS
    "baseline|16|16|-Os $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>"
    "avx2|32|16|-mavx2 -mfma"
    "avx512|64|32|${avx512_flags}")
else()
  set(STRIATE_ISAS "neon|16|32|")
endif()

# Optimised in every preset: a kernel at -O0 says nothing, and unoptimised inline functions would become
# weak symbols. Contraction of a * b + c is what vec<T, N> relies on to get multiply-adds. No exception passes
# through a kernel, so tables of how to unwind one would only take room.
set(STRIATE_KERNEL_FLAGS -O2 -fno-exceptions -fno-rtti -fno-asynchronous-unwind-tables -ffp-contract=fast
  -fno-math-errno -fno-trapping-math -Wall -Wextra)

function(striate_add_kernels target)
  foreach(isa IN LISTS STRIATE_ISAS)
    string(REPLACE "|" ";" fields "${isa}")
    list(GET fields 0 name)
    list(GET fields 1 bytes)
    list(GET fields 2 registers)
    list(LENGTH fields count)
    set(flags "")
    if(count GREATER 3)
      list(GET fields 3 flags)
      separate_arguments(flags UNIX_COMMAND "${flags}")
    endif()
    set(objects ${target}_kernels_${name})
    add_library(${objects} OBJECT ${ARGN})
    target_include_directories(${objects} PRIVATE ${PROJECT_SOURCE_DIR}/csrc)
    target_compile_definitions(${objects} PRIVATE
      STRIATE_ISA=${name} STRIATE_VECTOR_BYTES=${bytes} STRIATE_REGISTERS=${registers})
    target_compile_options(${objects} PRIVATE ${STRIATE_KERNEL_FLAGS} ${flags}
      $<$<BOOL:${STRIATE_WERROR}>:-Werror>)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()

# For base, ops and bindings; kernels convert between integer widths on purpose.
function(striate_strict_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wno-sign-conversion
    $<$<BOOL:${STRIATE_WERROR}>:-Werror>)
endfunction()
