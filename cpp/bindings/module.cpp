// dsmfast._core: one topic a file, no mathematics here.
#include "execution.hpp"

namespace dsmfast::bindings {
void register_model(pybind11::module_&);
void register_random(pybind11::module_&);
void register_chains(pybind11::module_&);
void register_parzen(pybind11::module_&);
void register_regression(pybind11::module_&);
void register_training(pybind11::module_&);
void register_build_info(pybind11::module_&);
}  // namespace dsmfast::bindings

PYBIND11_MODULE(_core, m) {
  using namespace dsmfast::bindings;
  m.doc() = "Compiled kernels of dsmfast. The public names are those of the package.";
  note_process();
  register_model(m);
  register_random(m);
  register_chains(m);
  register_parzen(m);
  register_regression(m);
  register_training(m);
  register_build_info(m);
}
