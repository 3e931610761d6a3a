// Every kernel object exports one strong symbol: its table of function pointers, in the namespace of the
// instruction set it was compiled for. This header declares those tables and picks one.
#pragma once

#if defined(__x86_64__)

#define STRIATE_KERNEL_TABLE(type, name)                  \
  namespace striate::baseline { extern const type name; } \
  namespace striate::avx2 { extern const type name; }     \
  namespace striate::avx512 { extern const type name; }

#define STRIATE_SELECT_TABLE(isa, name)                     \
  ((isa) == ::striate::Isa::avx512 ? ::striate::avx512::name \
   : (isa) == ::striate::Isa::avx2 ? ::striate::avx2::name   \
                                   : ::striate::baseline::name)

#elif defined(__aarch64__)

#define STRIATE_KERNEL_TABLE(type, name) \
  namespace striate::neon { extern const type name; }

#define STRIATE_SELECT_TABLE(isa, name) ((void)(isa), ::striate::neon::name)

#endif

namespace striate {

/// The part of a table that serves number type T.
template <class T, class Table>
constexpr const auto& of_type(const Table& table) {
  if constexpr (sizeof(T) == sizeof(float))
    return table.f32;
  else
    return table.f64;
}

}  // namespace striate
