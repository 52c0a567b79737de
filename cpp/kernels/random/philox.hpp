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

struct WordBlock {
  Word part[words];
};

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

DSMFAST_INLINE void load_words(const std::uint32_t* x, WordBlock& block) {
  std::uint64_t wide[counters];
  for (int l = 0; l < counters; ++l) wide[l] = x[l];
  std::memcpy(block.part, wide, sizeof wide);
}

DSMFAST_INLINE void store_words(const WordBlock& block, std::uint32_t* x) {
  std::uint64_t wide[counters];
  std::memcpy(wide, block.part, sizeof wide);
  for (int l = 0; l < counters; ++l) x[l] = static_cast<std::uint32_t>(wide[l]);
}

// c[k][l]: word k of counter l, replaced by output k.
inline void philox(std::uint32_t (&c)[4][counters], std::uint64_t seed) {
  WordBlock x[4];
  for (int k = 0; k < 4; ++k) load_words(c[k], x[k]);
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    DSMFAST_UNROLL
    for (int i = 0; i < words; ++i) {
      const Word p0 = low_product(x[0].part[i], 0xD2511F53);
      const Word p1 = low_product(x[2].part[i], 0xCD9E8D57);
      x[0].part[i] = (p1 >> 32) ^ x[1].part[i] ^ key0;
      x[1].part[i] = p1;
      x[2].part[i] = (p0 >> 32) ^ x[3].part[i] ^ key1;
      x[3].part[i] = p0;
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  for (int k = 0; k < 4; ++k) store_words(x[k], c[k]);
}

}  // namespace dsmfast::DSMFAST_ISA
