// dsmfast._core: one topic a file, no mathematics here.
#include <pybind11/pybind11.h>

#include "execution.hpp"

namespace dsmfast::bindings {
void register_model(pybind11::module_&);
void register_noise(pybind11::module_&);
void register_parzen(pybind11::module_&);
void register_regression(pybind11::module_&);
void register_train(pybind11::module_&);
void register_build_info(pybind11::module_&);
}  // namespace dsmfast::bindings

PYBIND11_MODULE(_core, m) {
  using namespace dsmfast::bindings;
  m.doc() = "Compiled kernels of dsmfast. The public names are those of the package.";
  watch_process();
  register_model(m);
  register_noise(m);
  register_parzen(m);
  register_regression(m);
  register_train(m);
  register_build_info(m);
}
