// sigmoid of one register, exact to rounding over the whole range: sigmoid(a) -> exp(a), not 0, as
// a -> -infinity.
#pragma once

#include "kernels/base/exponential.hpp"

namespace dsmfast::DSMFAST_ISA {

// 1 / (1 + e) or e / (1 + e), with e = exp(-|a|)
template <typename T>
DSMFAST_INLINE Packet<T> sigmoid(const Packet<T>& a) {
  using Values = typename Exponential<T>::Values;
  Packet<T> e = falling_exponential<T>(a);
  const Packet<T> whole = T(1) + e;
  Values sign, numerator;
  std::memcpy(&sign, a.data(), sizeof sign);
  std::memcpy(&numerator, e.data(), sizeof numerator);
  numerator = sign >= T(0) ? Values{} + T(1) : numerator;
  std::memcpy(e.data(), &numerator, sizeof numerator);
  return e / whole;
}

}  // namespace dsmfast::DSMFAST_ISA
