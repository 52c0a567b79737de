// What was built, what this machine can run, and what is in use.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include "execution.hpp"

namespace dsmfast::bindings {

namespace {

constexpr InstructionSet all_sets[] = {InstructionSet::baseline, InstructionSet::avx2,
                                       InstructionSet::avx512};

std::vector<std::string> names(bool (*holds)(InstructionSet)) {
  std::vector<std::string> found;
  for (const InstructionSet set : all_sets)
    if (holds(set)) found.emplace_back(name_of(set));
  return found;
}

py::dict build_info() {
  py::dict info;
  info["version"] = DSMFAST_VERSION;
  info["compiler"] = __VERSION__;
  info["eigen"] = DSMFAST_EIGEN;
  info["instruction_sets_built"] = names(is_built);
  info["instruction_sets_available"] = names(is_available);
  info["instruction_set"] = name_of(instruction_set());
  info["openmp"] = py::none();
#ifdef _OPENMP
  info["openmp"] = _OPENMP;
#endif
  info["threads"] = default_threads();
  return info;
}

void choose_by_name(const std::string& name) {
  for (const InstructionSet set : all_sets)
    if (name == name_of(set) && is_available(set)) return choose(set);
  throw py::value_error(name);
}

}  // namespace

void register_build_info(py::module_& m) {
  m.def("build_info", &build_info);
  m.def("choose_instruction_set", &choose_by_name, py::arg("name"));
}

}  // namespace dsmfast::bindings
