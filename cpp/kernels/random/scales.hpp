// The scales of noise, as a pure function of their counter. Of column 0 in a stream of their own
// (philox.hpp), word 0 says whether a visit is coarse, and word 1 where between the scales it is:
//
//   u = (x1 + 1/2) / 2^32,   s = sigma (sigma_max / sigma)^u   where x0 < chance,   else sigma
#pragma once

#include "kernels/random/normals.hpp"

namespace dsmfast::DSMFAST_ISA {

// log(s / sigma) of so many visits, up to the next multiple of `counters`: above 0 of those that are
// coarse, and 0 of the others. row_of(i) and draw_of(i) name the counter.
template <typename T, typename RowOf, typename DrawOf>
void draw_scales(const Noise<T>& noise, std::uint32_t step, Index count, const RowOf& row_of,
                 const DrawOf& draw_of, T* log_scale) {
  const Scales<T>& scales = noise.scales;
  // x0 < chance, of words: without a chance, none has a scale of its own.
  const auto most = static_cast<std::uint32_t>(scales.chance - 1);
  const T span = scales.chance == 0 ? T(0) : scales.log_ratio;
  std::uint32_t word[4][counters];
  for (Index first = 0; first < count; first += counters) {
    for (int l = 0; l < counters; ++l) {
      const Index i = first + l < count ? first + l : count - 1;
      const Counter c = counter(Stream::scale, step, draw_of(i), noise.first_row + row_of(i), 0);
      word[0][l] = c.group, word[1][l] = c.row, word[2][l] = c.step, word[3][l] = c.last;
    }
    philox(word, noise.seed);
    for (int l = 0; l < counters; ++l) {
      const T u = odd<T>(word[1][l]) * T(1.0 / 8589934592.0);
      log_scale[first + l] = word[0][l] <= most ? u * span : T(0);
    }
  }
}

// out (n_rows,): the scales of rows[0], rows[1], ... in one draw.
template <typename T>
Outcome scales(const Noise<T>& noise, Index draw, const Index* rows, Index n_rows, T* out,
               Execution& run) {
  constexpr Index block = 4096;  // rows between two polls
  return parallel(worthwhile(run.threads, 20 * static_cast<double>(n_rows)), run,
                  [&](const Thread& thread) {
                    for_tiles(n_rows, block, thread, [&](Index first, Index count) {
                      T log_scale[counters];
                      for (Index i = first; i < first + count; i += counters) {
                        const Index used = smaller(first + count - i, counters);
                        draw_scales(
                            noise, noise.step, used, [&](Index l) { return rows[i + l]; },
                            [&](Index) { return draw; }, log_scale);
                        for (Index l = 0; l < used; l += lanes<T>)
                          store<T>(log_scale + l, noise.sigma * load(log_scale + l).exp());
                        copy(log_scale, used, out + i);
                      }
                    });
                  });
}

}  // namespace dsmfast::DSMFAST_ISA
