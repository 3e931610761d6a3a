// striate._core: registers the bindings, nothing else. The Python-side contract is python/striate/_core.pyi.
#include "base/error.h"
#include "bindings/arrays.h"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  using namespace striate::python;
  m.doc() = "Native kernels of striate; use striate.ops instead.";
  m.attr("__version__") = STRIATE_VERSION;
  // striate::ValueError is a std::invalid_argument, which pybind11 makes a ValueError already.
  pybind11::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const striate::TypeError& type_error) {
      pybind11::set_error(PyExc_TypeError, type_error.what());
    }
  });
  bind_runtime(m);
  bind_conv(m);
  bind_pool(m);
  bind_resample(m);
}
