// Binomial counts as a pure function of their counter.
//
//   k ~ Binomial(n, p),   p = sigmoid(a)
//
// What is drawn is the count m of the rarer outcome, of chance t = sigmoid(-|a|) <= 1/2, which has no
// rounding next to 1; k is m where a < 0, and n - m else. By n:
//
//   n <= few_trials   n trials, trial i by half a word of draw i: x < 2^16 t; where x is the integer
//                     part of that, a word of its own decides. Exact to 2^-49.
//   else              one counter an attempt, its words two uniforms u, v of 53 bits:
//     n t < 10        inversion: the m at which the distribution function passes u
//     n t >= 10       transformed rejection (Hormann 1993, BTRS). It accepts 0.72 of attempts or more,
//                     so that the mean, which is taken after 64 of them, has a chance of 1e-35.
#pragma once

#include "kernels/base/exponential.hpp"
#include "kernels/random/normals.hpp"

namespace dsmfast::DSMFAST_ISA {

// Up to so many trials are counted one by one: half a word and a comparison each are then cheaper.
constexpr Index few_trials = 24;

constexpr Index attempts = 64;

constexpr Index tie_draw = 0x8000;  // from the draw of halves to that of words for ties

// Units that one block of counters serves: the first of them take the lower halves of its words, the
// others the upper ones. Words lie as units do: that at j is output j / 16 % 4 of counter j % 16.
constexpr int block_words = 4 * counters;
constexpr int units = 2 * block_words;

// The numbers of a chain's transition: draws first_draw on of row `row` at `step`.
struct Place {
  std::uint64_t seed;
  Stream stream;
  Index first_row;  // to which rows of `fill` are added
  std::uint32_t step;
  Index row, first_draw;
};

// Sixteen counters, groups first on.
DSMFAST_INLINE void words_at(const Place& at, Index draw, Index first,
                             std::uint32_t (&word)[4][counters]) {
  const Counter c = counter(at.stream, at.step, at.first_draw + draw, at.first_row + at.row,
                            static_cast<std::uint32_t>(first));
  for (int l = 0; l < counters; ++l) {
    word[0][l] = c.group + static_cast<std::uint32_t>(l);
    word[1][l] = c.row, word[2][l] = c.step, word[3][l] = c.last;
  }
  philox(word, at.seed);
}

// The chance of the rarer outcome, e = exp(-|a|); below 0 where that is 0, so that a >= 0.
template <typename T>
DSMFAST_INLINE Packet<T> signed_chance(const Packet<T>& a, const Packet<T>& e) {
  const Packet<T> t = e / (T(1) + e);
  return (a < T(0)).select(t, -(t + T(1e-37)));  // no t is too small for a sign
}

// The count of 1 from that of the rarer outcome.
template <typename T>
DSMFAST_INLINE T count_of_ones(T chance, T trials, T rarer) {
  return chance < T(0) ? trials - rarer : rarer;
}

// What words of their own add to the counts where half a word x is the integer part of 2^16 t.
template <typename T>
__attribute__((noinline)) void decide_ties(const Place& at, Index draw, Index first,
                                           const T (&scaled)[units],
                                           const std::int32_t (&below)[units],
                                           const std::int32_t (&x)[units],
                                           std::int32_t (&m)[units]) {
  for (int half = 0; half < units; half += block_words) {
    std::uint32_t word[4][counters];
    words_at(at, draw + tie_draw, (first + half) / 4, word);
    for (int j = 0; j < block_words; ++j) {
      const int unit = half + j;
      const double u = (static_cast<double>(word[j / counters][j % counters]) + 0.5) / 4294967296.0;
      const T rest = scaled[unit] - static_cast<T>(below[unit]);
      if (x[unit] == below[unit] && u < static_cast<double>(rest)) m[unit] += 1;
    }
  }
}

// Counts of units first ... first + units - 1 by trials, times `factor`, in the place of chances.
template <typename T>
void draw_few(const Place& at, Index n, Index first, T factor, T (&chance)[units]) {
  T scaled[units];
  std::int32_t below[units], m[units];
  for (int j = 0; j < units; ++j) {
    scaled[j] = std::abs(chance[j]) * T(65536);
    below[j] = static_cast<std::int32_t>(scaled[j]);
    m[j] = 0;
  }
  for (Index draw = 0; draw < n; ++draw) {
    std::uint32_t word[4][counters];
    std::int32_t x[units], ties = 0;
    words_at(at, draw, first / 8, word);
    const std::uint32_t* w = word[0];
    for (int j = 0; j < block_words; ++j) {
      x[j] = static_cast<std::int32_t>(w[j] & 0xFFFF);
      x[block_words + j] = static_cast<std::int32_t>(w[j] >> 16);
    }
    for (int j = 0; j < units; ++j) {
      m[j] += static_cast<std::int32_t>(x[j] < below[j]);
      ties |= static_cast<std::int32_t>(x[j] == below[j]);
    }
    if (ties != 0) decide_ties(at, draw, first, scaled, below, x, m);
  }
  const auto trials = static_cast<T>(n);
  for (int j = 0; j < units; ++j)
    chance[j] = factor * count_of_ones(chance[j], trials, static_cast<T>(m[j]));
}

// log k! - (k + 1/2) log(k + 1) + (k + 1) - log sqrt(2 pi): what Stirling's formula leaves.
inline double stirling_rest(double k) {
  constexpr double first[10] = {0.08106146679532726, 0.04134069595540929, 0.02767792568499834,
                                0.02079067210376509, 0.01664469118982119, 0.01387612882307075,
                                0.01189670994589177, 0.01041126526197209, 0.009255462182712733,
                                0.008330563433362871};
  if (k < 10) return first[static_cast<int>(k)];
  const double x = 1 / (k + 1), z = x * x;
  return x * (1.0 / 12 - z * (1.0 / 360 - z * (1.0 / 1260 - z / 1680)));
}

// The smallest m with P(count <= m) > u.
inline double inverted_count(double n, double t, double u) {
  const double odds = t / (1 - t);
  double chance = std::exp(n * std::log1p(-t)), m = 0;
  while (u >= chance && m < n) {
    u -= chance;
    m += 1;
    chance *= odds * (n - m + 1) / m;
  }
  return m;
}

// One attempt at a count by rejection, or -1.
inline double attempted_count(double n, double t, double u, double v) {
  const double spread = std::sqrt(n * t * (1 - t));
  const double b = 1.15 + 2.53 * spread;
  const double a = -0.0873 + 0.0248 * b + 0.01 * t;
  const double from_end = 0.5 - std::abs(u - 0.5);
  const double m = std::floor((2 * a / from_end + b) * (u - 0.5) + n * t + 0.5);
  if (from_end >= 0.07 && v <= 0.92 - 4.2 / b) return m;
  if (m < 0 || m > n) return -1;
  const double mode = std::floor((n + 1) * t), odds = t / (1 - t);
  const double hat = std::log(v * (2.83 + 5.1 / b) * spread / (a / (from_end * from_end) + b));
  const double law = (mode + 0.5) * std::log((mode + 1) / (odds * (n - mode + 1))) +
                     (n + 1) * std::log((n - mode + 1) / (n - m + 1)) +
                     (m + 0.5) * std::log(odds * (n - m + 1) / (m + 1)) + stirling_rest(mode) +
                     stirling_rest(n - mode) - stirling_rest(m) - stirling_rest(n - m);
  return hat <= law ? m : -1;
}

// A uniform of 53 bits.
inline double uniform(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = std::uint64_t{high} << 21 | low >> 11;
  return (static_cast<double>(bits) + 0.5) * (1.0 / 9007199254740992.0);
}

// The same of `used` units by attempts.
template <typename T>
void draw_many(const Place& at, Index n, Index first, Index used, T factor, T* chance) {
  const auto trials = static_cast<double>(n);
  double count[counters];
  bool pending = true;
  for (Index l = 0; l < used; ++l) count[l] = -1;
  for (Index attempt = 0; pending && attempt < attempts; ++attempt) {
    std::uint32_t word[4][counters];
    words_at(at, attempt, first, word);
    pending = false;
    for (Index l = 0; l < used; ++l) {
      if (count[l] >= 0) continue;
      const double t = std::abs(static_cast<double>(chance[l]));
      const double u = uniform(word[0][l], word[1][l]), v = uniform(word[2][l], word[3][l]);
      count[l] = trials * t < 10 ? inverted_count(trials, t, u) : attempted_count(trials, t, u, v);
      pending = pending || count[l] < 0;
    }
  }
  for (Index l = 0; l < used; ++l) {
    const double t = static_cast<double>(chance[l]);
    const double m = count[l] < 0 ? std::floor(trials * std::abs(t)) : count[l];
    chance[l] = factor * static_cast<T>(count_of_ones(t, trials, m));
  }
}

}  // namespace dsmfast::DSMFAST_ISA
