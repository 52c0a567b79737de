// sigmoid and softplus of one register. Both are exact to rounding over the whole range: neither
// overflows, sigmoid(a) and softplus(a) -> exp(a), not 0, as a -> -infinity.
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

// log(1 + exp(a)) = max(a, 0) + log(1 + e) with e = exp(-|a|), and with s = e / (2 + e), at most 1/3,
// log(1 + e) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...): the last term left out is 1/8 of rounding.
template <typename T>
DSMFAST_INLINE Packet<T> softplus(const Packet<T>& a) {
  constexpr int terms = sizeof(T) == 4 ? 7 : 16;
  const Packet<T> e = falling_exponential<T>(a);
  const Packet<T> s = e / (T(2) + e);
  const Packet<T> z = s * s;
  Packet<T> series = Packet<T>::Zero();
  DSMFAST_UNROLL
  for (int i = terms - 1; i >= 0; --i) series = series * z + T(1.0 / (2 * i + 1));
  return a.max(T(0)) + T(2) * s * series;
}

}  // namespace dsmfast::DSMFAST_ISA
