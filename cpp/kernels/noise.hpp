// Standard normals as a pure function of their counter: Box-Muller on the words of philox.hpp.
//
//   u = (x + 1/2) / 2^32,   r = sqrt(-2 log u0),   z0 = r cos(2 pi u1),   z1 = r sin(2 pi u1)
//
// Integers are reduced before they become floating point, so float32 and float64 agree to float32
// rounding everywhere: also where u is next to 1 and where the sine is next to 0.
#pragma once

#include <cmath>
#include <cstring>

#include "philox.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
struct Bits;
template <>
struct Bits<float> {
  using Word = std::uint32_t;
  using Signed = std::int32_t;
  static constexpr int mantissa = 23;
  static constexpr Word sqrt_half = 0x3F3504F3;  // bits of 0.70710677
};
template <>
struct Bits<double> {
  using Word = std::uint64_t;
  using Signed = std::int64_t;
  static constexpr int mantissa = 52;
  static constexpr Word sqrt_half = 0x3FE6A09E667F3BCD;  // bits of 0.70710678118654757
};

// 2 x + 1, rounded once. Halves are converted as signed integers: few sets convert unsigned ones.
template <typename T>
DSMFAST_INLINE T odd(std::uint32_t x) {
  const T high = static_cast<T>(static_cast<std::int32_t>(x >> 16));
  const T low = static_cast<T>(static_cast<std::int32_t>(x & 0xFFFF) * 2 + 1);
  return high * T(131072) + low;
}

// sqrt(-2 log((x + 1/2) / 2^32)). With 1 + f the mantissa and s = f / (2 + f),
// log(1 + f) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172.
template <typename T>
DSMFAST_INLINE T radius(std::uint32_t x) {
  using Word = typename Bits<T>::Word;
  constexpr int mantissa = Bits<T>::mantissa;
  // Below sqrt(1/2): exponent and mantissa of 2 x + 1.
  const T y = odd<T>(x);
  Word bits;
  std::memcpy(&bits, &y, sizeof bits);
  const Word exponent = (bits - Bits<T>::sqrt_half) >> mantissa;
  bits -= exponent << mantissa;
  T m;
  std::memcpy(&m, &bits, sizeof m);
  // Above: u = 1 - (2 ~x + 1) / 2^33 exactly, with no exponent to take off.
  const bool upper = x >= 0xB504F334;
  const T f = upper ? odd<T>(~x) * T(-1.0 / 8589934592.0) : m - T(1);
  const T e =
      upper ? T(0) : static_cast<T>(static_cast<typename Bits<T>::Signed>(exponent)) - T(33);

  const T s = f / (T(2) + f);
  const T z = s * s;
  T series = 0;
  constexpr int terms = sizeof(T) == 4 ? 5 : 11;
  DSMFAST_UNROLL
  for (int i = terms - 1; i >= 0; --i) series = series * z + T(1.0 / (2 * i + 1));
  return std::sqrt(T(-4) * s * series - T(2 * 0.693147180559945309417) * e);
}

// cos and sin of 2 pi (x + 1/2) / 2^32: the quadrant from the top bits, then Taylor on |t| < pi/4.
template <typename T>
DSMFAST_INLINE void circle(std::uint32_t x, T& cosine, T& sine) {
  const std::uint32_t quadrant = (x + 0x20000000u) >> 30;
  const std::int32_t rest = static_cast<std::int32_t>(x - (quadrant << 30));
  const T t = static_cast<T>(2 * rest + 1) * T(3.14159265358979323846 / 4294967296.0);
  const T z = t * t;
  constexpr int terms = sizeof(T) == 4 ? 6 : 9;
  T c = 1, s = 1;
  DSMFAST_UNROLL
  for (int i = terms - 1; i >= 1; --i) {
    c = T(1) - c * z * T(1.0 / ((2 * i - 1) * (2 * i)));
    s = T(1) - s * z * T(1.0 / ((2 * i) * (2 * i + 1)));
  }
  s *= t;
  const bool swap = (quadrant & 1) != 0;
  const T a = swap ? s : c;
  const T b = swap ? c : s;
  cosine = ((quadrant + 1) & 2) != 0 ? -a : a;
  sine = (quadrant & 2) != 0 ? -b : b;
}

// Counters that are computed together; the loops over them become vector code.
constexpr int counters = 16;

template <typename T>
struct NormalBlock {
  std::uint32_t group[counters];
  std::uint32_t row[counters];
  std::uint32_t last[counters];  // counter[3]
  T z[4][counters];

  void compute(std::uint32_t step, Key key) {
    std::uint32_t words[4][counters];
    for (int l = 0; l < counters; ++l) {
      const Words w = philox({{group[l], row[l], step, last[l]}}, key);
      words[0][l] = w.x[0];
      words[1][l] = w.x[1];
      words[2][l] = w.x[2];
      words[3][l] = w.x[3];
    }
    for (int pair = 0; pair < 4; pair += 2)
      for (int l = 0; l < counters; ++l) {
        const T r = radius<T>(words[pair][l]);
        T cosine, sine;
        circle<T>(words[pair + 1][l], cosine, sine);
        z[pair][l] = r * cosine;
        z[pair + 1][l] = r * sine;
      }
  }
};

// Normals of n_rows rows into out (n_rows, columns), leading dimension ld. `row_of(r)` and
// `draw_of(r)` name the counter of row r. Counters run through the rows one after the other, so
// narrow rows fill a vector as well as wide ones do.
template <typename T, typename RowOf, typename DrawOf>
void fill_normals(const Noise<T>& noise, std::uint32_t step, Index n_rows, Index columns,
                  const RowOf& row_of, const DrawOf& draw_of, T* out, Index ld) {
  const Key key = key_of(noise.seed);
  const Index groups = (columns + 3) / 4;
  NormalBlock<T> block;
  Index r = 0, g = 0;
  while (r < n_rows) {
    if (groups - g >= counters) {  // one row, sixteen adjacent groups
      const Words first = counter(noise.stream, step, draw_of(r), row_of(r), 0);
      for (int l = 0; l < counters; ++l) {
        block.group[l] = static_cast<std::uint32_t>(g) + static_cast<std::uint32_t>(l);
        block.row[l] = first.x[1];
        block.last[l] = first.x[3];
      }
      block.compute(step, key);
      T* row = out + r * ld + 4 * g;
      if (4 * g + 4 * counters <= columns) {
        for (int l = 0; l < counters; ++l)
          for (int k = 0; k < 4; ++k) row[4 * l + k] = block.z[k][l];
      } else {
        for (Index j = 0; j < columns - 4 * g; ++j) row[j] = block.z[j % 4][j / 4];
      }
      g += counters;
      if (g == groups) g = 0, ++r;
      continue;
    }
    // Ends of rows and narrow rows: each lane has its own row and group.
    Index target[counters];
    int used = 0;
    for (; used < counters && r < n_rows; ++used) {
      const Words c =
          counter(noise.stream, step, draw_of(r), row_of(r), static_cast<std::uint32_t>(g));
      block.group[used] = c.x[0];
      block.row[used] = c.x[1];
      block.last[used] = c.x[3];
      target[used] = r * groups + g;
      if (++g == groups) {
        g = 0;
        ++r;
        if (groups >= counters) { ++used; break; }
      }
    }
    for (int l = used; l < counters; ++l) block.group[l] = block.row[l] = block.last[l] = 0;
    block.compute(step, key);
    for (int l = 0; l < used; ++l) {
      const Index row = target[l] / groups, first = 4 * (target[l] % groups);
      const Index count = columns - first < 4 ? columns - first : 4;
      for (Index k = 0; k < count; ++k) out[row * ld + first + k] = block.z[k][l];
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA
