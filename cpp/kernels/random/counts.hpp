// Binomial counts as a pure function of their counter.
//
//   k ~ Binomial(n, p),   p = sigmoid(a)
//
// What is drawn is the count m of the rarer outcome, of chance t = sigmoid(-|a|) <= 1/2, which has no
// rounding next to 1; k is m where a < 0, and n - m else. By n:
//
//   n <= few_trials   n trials, trial i by the word of draw i: x < 2^31 t, x its upper 31 bits; where
//                     x is the integer part of that, a second word decides. Exact to 2^-63.
//   else              one counter an attempt, its words two uniforms u, v of 53 bits:
//     n t < 10        inversion: the m at which the distribution function passes u
//     n t >= 10       transformed rejection (Hormann 1993, BTRS). It accepts five attempts of six, so
//                     that the last of 64, taken as the mean, has a chance of 1e-48.
#pragma once

#include "kernels/base/product.hpp"
#include "kernels/random/normals.hpp"

namespace dsmfast::DSMFAST_ISA {

// Up to so many trials are counted one by one: a word and a comparison each are then cheaper.
constexpr Index few_trials = 24;

constexpr Index attempts = 64;

constexpr Index tie_draw = 0x8000;  // from a word's draw to that of the word which decides for it

// Units that one block of counters serves: unit j takes output j / 16 % 4 of counter
// 16 (j / 64) + j % 16, so that words lie as units do.
constexpr int units = 4 * counters;

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

// Counts of units first ... first + units - 1 by trials, times `factor`, in the place of chances. Few
// sets convert unsigned integers, so 31 bits of a word are compared.
template <typename T>
void draw_few(const Place& at, Index n, Index first, T factor, T (&chance)[units]) {
  constexpr T bits = T(2147483648.0);
  std::int32_t below[units], m[units];
  for (int j = 0; j < units; ++j) {
    below[j] = static_cast<std::int32_t>(std::abs(chance[j]) * bits);
    m[j] = 0;
  }
  for (Index draw = 0; draw < n; ++draw) {
    std::uint32_t word[4][counters];
    words_at(at, draw, first / 4, word);
    const std::uint32_t* x = word[0];
    std::int32_t ties = 0;
    for (int j = 0; j < units; ++j) {
      const auto upper = static_cast<std::int32_t>(x[j] >> 1);
      m[j] += static_cast<std::int32_t>(upper < below[j]);
      ties |= static_cast<std::int32_t>(upper == below[j]);
    }
    if (ties == 0) continue;
    std::uint32_t second[4][counters];
    words_at(at, draw + tie_draw, first / 4, second);
    const std::uint32_t* y = second[0];
    for (int j = 0; j < units; ++j) {
      const T rest = std::abs(chance[j]) * bits - static_cast<T>(below[j]);
      const bool tie = static_cast<std::int32_t>(x[j] >> 1) == below[j];
      if (tie && (static_cast<double>(y[j]) + 0.5) / 4294967296.0 < static_cast<double>(rest))
        m[j] += 1;
    }
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
