// striate._core: registers the bindings, nothing else. The Python-side contract is python/striate/_core.pyi.
#include "base/error.h"
#include "base/parallel.h"
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
    } catch (const striate::Interrupted&) {
      // PyErr_CheckSignals has set the exception, KeyboardInterrupt as a rule.
    }
  });
  // Ctrl-C ends a long kernel: asked on the calling thread, which has released the GIL meanwhile.
  striate::set_interrupt_check([] {
    const pybind11::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  });
  bind_runtime(m);
  bind_conv(m);
  bind_curve(m);
  bind_group_norm(m);
  bind_linear(m);
  bind_loss(m);
  bind_norm(m);
  bind_pointwise(m);
  bind_pool(m);
  bind_rearrange(m);
  bind_resample(m);
  bind_sample(m);
  bind_update(m);
}
