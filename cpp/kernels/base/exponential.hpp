// exp(-|a|) of one register: what sigmoid and softplus are made of where a has no end.
#pragma once

#include <cstring>

#include "kernels/base/registers.hpp"

namespace dsmfast::DSMFAST_ISA {

// The constants of one precision, and what fills a register: here bits are moved.
//
// exp(x) = 2^n exp(r), |r| <= log(2) / 2, x <= 0. Eigen's takes any x, and half of its time for powers
// of two that are no float; here the exponent is what rounding to an integer leaves in the last bits.
template <typename T>
struct Exponential;

template <>
struct Exponential<float> {
  using Values = float __attribute__((vector_size(register_bytes)));
  using Patterns = std::uint32_t __attribute__((vector_size(register_bytes)));
  static constexpr int mantissa = 23;
  static constexpr float least = -104.0F;  // exp of it is 0
  // 3/2 2^23: the last bit of what is next to it is 1
  static constexpr float integers = 12582912.0F;
  static constexpr float bias = 127.0F;
  // log(2), the first part of which n times is exact
  static constexpr float log2_high = 0.693359375F, log2_low = -2.12194440e-4F;

  // (exp(r) - 1 - r) / r^2, of Cephes
  static DSMFAST_INLINE Packet<float> rest(const Packet<float>& r, const Packet<float>& square) {
    const Packet<float> high = (1.9875691500e-4F * r + 1.3981999507e-3F) * r + 8.3334519073e-3F;
    const Packet<float> low = (4.1665795894e-2F * r + 1.6666665459e-1F) * r + 5.0000001201e-1F;
    return high * (square * r) + low;
  }
};

template <>
struct Exponential<double> {
  using Values = double __attribute__((vector_size(register_bytes)));
  using Patterns = std::uint64_t __attribute__((vector_size(register_bytes)));
  static constexpr int mantissa = 52;
  static constexpr double least = -746.0;
  static constexpr double integers = 6755399441055744.0;  // 3/2 2^52
  static constexpr double bias = 1023.0;
  static constexpr double log2_high = 6.93145751953125e-1, log2_low = 1.42860682030941723212e-6;

  // Taylor's, up to r^13 / 13!: 4e-18 is left out.
  static DSMFAST_INLINE Packet<double> rest(const Packet<double>& r, const Packet<double>& square) {
    constexpr double inverse[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                  1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                  1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    Packet<double> even = Packet<double>::Constant(inverse[10]);
    Packet<double> odd = Packet<double>::Constant(inverse[11]);
    DSMFAST_UNROLL
    for (int i = 8; i >= 0; i -= 2) {
      even = even * square + inverse[i];
      odd = odd * square + inverse[i + 1];
    }
    return odd * r + even;
  }
};

// exp(-|a|), down to where it rounds to 0; NaN of NaN.
template <typename T>
DSMFAST_INLINE Packet<T> falling_exponential(const Packet<T>& a) {
  using E = Exponential<T>;
  // So that 2^n is a normal number where the exponential is none.
  constexpr T lifted = 64;
  constexpr T shift = E::integers + E::bias + lifted;
  const Packet<T> x = (-a.abs()).max(E::least);
  const Packet<T> shifted = x * T(1.44269504088896340736) + shift;
  const Packet<T> n = shifted - shift;
  const Packet<T> r = (x - n * E::log2_high) - n * E::log2_low;
  const Packet<T> square = r * r;
  const Packet<T> value = (E::rest(r, square) * square + r) + T(1);
  typename E::Patterns power;
  std::memcpy(&power, shifted.data(), sizeof power);
  power <<= E::mantissa;
  Packet<T> scale;
  std::memcpy(scale.data(), &power, sizeof power);
  return value * scale * T(0x1p-64);
}

}  // namespace dsmfast::DSMFAST_ISA
