// The order in which an epoch visits the rows.
#pragma once

#include "kernels/random/philox.hpp"

namespace dsmfast::DSMFAST_ISA {

// Fisher and Yates from the last row down: row i changes places with row floor(r (i + 1) / 2^64), r
// the first two words of counter i.
inline void shuffle(std::uint64_t seed, std::uint32_t epoch, std::uint32_t window, Index rows,
                    Index* order) {
  std::uint32_t word[4][counters];
  for (Index i = 0; i < rows; ++i) order[i] = i;
  for (Index first = (rows - 1) / counters * counters; first >= 0; first -= counters) {
    for (int l = 0; l < counters; ++l) {
      const Counter c = counter(Stream::shuffle, epoch, 0, first + l, window);
      word[0][l] = c.group, word[1][l] = c.row, word[2][l] = c.step, word[3][l] = c.last;
    }
    philox(word, seed);
    const Index end = rows - first < counters ? rows : first + counters;
    for (Index i = end - 1; i >= first && i > 0; --i) {
      const std::uint64_t r = std::uint64_t{word[1][i - first]} << 32 | word[0][i - first];
      const auto bound = static_cast<std::uint64_t>(i) + 1;
      const auto j = static_cast<Index>((static_cast<unsigned __int128>(r) * bound) >> 64);
      const Index swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA
