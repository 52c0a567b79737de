// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): ten rounds turn a counter into four words.
//
// The one definition of the counter. For column j of global row i in draw m of step t, under `seed`:
//
//   key         seed, low word first
//   counter[0]  j / 4
//   counter[1]  i, low 32 bits
//   counter[2]  t
//   counter[3]  stream << 28 | (i >> 32) << 16 | m        i < 2^44, m < 2^16
//
// and column j takes output j % 4.
#pragma once

#include "lanes.hpp"

namespace dsmfast::DSMFAST_ISA {

struct Words {
  std::uint32_t x[4];
};

struct Key {
  std::uint32_t lo, hi;
};

inline Key key_of(std::uint64_t seed) {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

DSMFAST_INLINE Words counter(Stream stream, std::uint32_t step, Index draw, Index row,
                             std::uint32_t group) {
  return {{group, static_cast<std::uint32_t>(row), step,
           static_cast<std::uint32_t>(stream) << 28 |
               static_cast<std::uint32_t>(row >> 32) << 16 | static_cast<std::uint32_t>(draw)}};
}

DSMFAST_INLINE Words philox(Words c, Key key) {
  DSMFAST_UNROLL
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c.x[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c.x[2];
    c = {{static_cast<std::uint32_t>(p1 >> 32) ^ c.x[1] ^ key.lo, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ c.x[3] ^ key.hi, static_cast<std::uint32_t>(p0)}};
    key.lo += 0x9E3779B9;
    key.hi += 0xBB67AE85;
  }
  return c;
}

}  // namespace dsmfast::DSMFAST_ISA
