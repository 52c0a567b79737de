// sigmoid and softplus of one register. Both are exact to rounding over the whole range: neither
// overflows, and softplus(a) -> exp(a), not 0, as a -> -infinity.
#pragma once

#include "lanes.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
DSMFAST_INLINE Lanes<T> sigmoid(const Lanes<T>& a) {
  return T(1) / (T(1) + (-a).exp());
}

// log(1 + exp(a)) = max(a, 0) + log1p(exp(-|a|))
template <typename T>
DSMFAST_INLINE Lanes<T> softplus(const Lanes<T>& a) {
  return a.max(T(0)) + (-a.abs()).exp().log1p();
}

}  // namespace dsmfast::DSMFAST_ISA
