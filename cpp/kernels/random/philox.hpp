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

#include <cstring>

#include "kernels/base/registers.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace dsmfast::DSMFAST_ISA {

struct Counter {
  std::uint32_t group, row, step, last;
};

DSMFAST_INLINE Counter counter(Stream stream, std::uint32_t step, Index draw, Index row,
                               std::uint32_t group) {
  return {group, static_cast<std::uint32_t>(row), step,
          static_cast<std::uint32_t>(stream) << 28 | static_cast<std::uint32_t>(row >> 32) << 16 |
              static_cast<std::uint32_t>(draw)};
}

// Counters that are computed together.
constexpr int counters = 16;

// One word of each, in the lower half of a 64-bit lane. The upper half holds what a product left
// there: the next product does not read it.
using Word = std::uint64_t __attribute__((vector_size(register_bytes)));
constexpr int words = counters * 8 / register_bytes;

// Registers of a word that go through all rounds together: four words of two leave room for what
// comes up between them, where there are sixteen registers, and hide the time that a product takes.
constexpr int words_together = 2;

// Products of the lower halves.
DSMFAST_INLINE Word low_product(Word a, std::uint32_t factor) {
  const Word b = Word{} + factor;
#if defined(__AVX512F__)
  return (Word)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Word)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Word)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xFFFFFFFF) * b;
#endif
}

// c[k][l]: word k of counter l, replaced by output k.
inline void philox(std::uint32_t (&c)[4][counters], std::uint64_t seed) {
  constexpr int size = register_bytes / 8;
  for (int first = 0; first < words; first += words_together) {
    Word x[4][words_together];
    DSMFAST_UNROLL
    for (int k = 0; k < 4; ++k) {
      DSMFAST_UNROLL
      for (int i = 0; i < words_together; i += 2) {
        std::memcpy(&x[k][i], c[k] + (first + i) * size, sizeof(Word));
        x[k][i + 1] = x[k][i] >> 32;
      }
    }
    std::uint32_t key0 = static_cast<std::uint32_t>(seed);
    std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
    DSMFAST_UNROLL
    for (int round = 0; round < 10; ++round) {
      DSMFAST_UNROLL
      for (int i = 0; i < words_together; ++i) {
        const Word p0 = low_product(x[0][i], 0xD2511F53);
        const Word p1 = low_product(x[2][i], 0xCD9E8D57);
        x[0][i] = (p1 >> 32) ^ (x[1][i] ^ key0);
        x[1][i] = p1;
        x[2][i] = (p0 >> 32) ^ (x[3][i] ^ key1);
        x[3][i] = p0;
      }
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    DSMFAST_UNROLL
    for (int k = 0; k < 4; ++k) {
      DSMFAST_UNROLL
      for (int i = 0; i < words_together; i += 2) {
        const Word both = (x[k][i] & 0xFFFFFFFF) | x[k][i + 1] << 32;
        std::memcpy(c[k] + (first + i) * size, &both, sizeof(Word));
      }
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA
