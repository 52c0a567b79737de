// sigmoid and softplus of one register. Both are exact to rounding over the whole range: neither
// overflows, and softplus(a) -> exp(a), not 0, as a -> -infinity.
#pragma once

#include "lanes.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
DSMFAST_INLINE Lanes<T> sigmoid(const Lanes<T>& a) {
  return T(1) / (T(1) + (-a).exp());
}

// log(1 + exp(a)) = max(a, 0) + log(1 + e) with e = exp(-|a|), and with s = e / (2 + e), at most 1/3,
// log(1 + e) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...): the last term left out is 1/8 of rounding.
template <typename T>
DSMFAST_INLINE Lanes<T> softplus(const Lanes<T>& a) {
  constexpr int terms = sizeof(T) == 4 ? 7 : 16;
  const Lanes<T> e = (-a.abs()).exp();
  const Lanes<T> s = e / (T(2) + e);
  const Lanes<T> z = s * s;
  Lanes<T> series = Lanes<T>::Zero();
  DSMFAST_UNROLL
  for (int i = terms - 1; i >= 0; --i) series = series * z + T(1.0 / (2 * i + 1));
  return a.max(T(0)) + T(2) * s * series;
}

}  // namespace dsmfast::DSMFAST_ISA
