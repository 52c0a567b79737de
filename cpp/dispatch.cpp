// Which instruction set: chosen once, at import, for the whole process.
#include <dsmfast/kernels.hpp>

namespace dsmfast {

#define DSMFAST_DECLARE(set)                 \
  namespace set {                            \
  extern const Kernels<float> table_float;   \
  extern const Kernels<double> table_double; \
  }

DSMFAST_DECLARE(baseline)
#ifdef DSMFAST_X86
DSMFAST_DECLARE(avx2)
DSMFAST_DECLARE(avx512)
constexpr InstructionSet newest = InstructionSet::avx512;
#else
constexpr InstructionSet newest = InstructionSet::baseline;
#endif

namespace {
InstructionSet chosen = InstructionSet::baseline;
}

bool is_built(InstructionSet set) { return set <= newest; }

bool is_available(InstructionSet set) {
  if (!is_built(set)) return false;
#ifdef DSMFAST_X86
  // These ask the operating system too, which must save the registers.
  if (set == InstructionSet::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           is_available(InstructionSet::avx2);
  if (set == InstructionSet::avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return true;
}

InstructionSet instruction_set() { return chosen; }
void choose(InstructionSet set) { chosen = set; }

template <>
const Kernels<float>& kernels<float>() {
#ifdef DSMFAST_X86
  if (chosen == InstructionSet::avx512) return avx512::table_float;
  if (chosen == InstructionSet::avx2) return avx2::table_float;
#endif
  return baseline::table_float;
}

template <>
const Kernels<double>& kernels<double>() {
#ifdef DSMFAST_X86
  if (chosen == InstructionSet::avx512) return avx512::table_double;
  if (chosen == InstructionSet::avx2) return avx2::table_double;
#endif
  return baseline::table_double;
}

}  // namespace dsmfast
