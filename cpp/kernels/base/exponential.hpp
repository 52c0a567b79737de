// exp(-|a|) of one register: what sigmoid and softplus are made of where a has no end.
#pragma once

#include <cstring>

#include "kernels/base/registers.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
DSMFAST_INLINE Packet<T> falling_exponential(const Packet<T>& a) {
  return (-a.abs()).exp();
}

// exp(x) = 2^n exp(r), x <= 0, by the polynomial of Cephes. Eigen's takes any x, and half of its time
// for powers of two that are no float; here the exponent is what rounding to an integer leaves in the
// last bits. Below -87 it stays at 1.6e-38.
template <>
DSMFAST_INLINE Packet<float> falling_exponential<float>(const Packet<float>& a) {
  using Pattern = std::uint32_t __attribute__((vector_size(register_bytes)));
  constexpr float integers = 12582912.0F;  // 3/2 2^23: the last bit of what is next to it is 1
  constexpr float bias = 127.0F;
  const Packet<float> x = (-a.abs()).max(-87.0F);
  const Packet<float> shifted = x * 1.44269504088896341F + (integers + bias);
  const Packet<float> n = shifted - (integers + bias);
  const Packet<float> r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  const Packet<float> square = r * r;
  const Packet<float> high = (1.9875691500e-4F * r + 1.3981999507e-3F) * r + 8.3334519073e-3F;
  const Packet<float> low = (4.1665795894e-2F * r + 1.6666665459e-1F) * r + 5.0000001201e-1F;
  const Packet<float> value = (high * (square * r) + low) * square + (r + 1.0F);
  Pattern power;
  std::memcpy(&power, shifted.data(), sizeof power);
  power <<= 23;
  Packet<float> scale;
  std::memcpy(scale.data(), &power, sizeof power);
  return value * scale;
}

}  // namespace dsmfast::DSMFAST_ISA
