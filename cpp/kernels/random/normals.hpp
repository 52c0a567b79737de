// Noise as a pure function of its counter: normals by Box-Muller on the words of philox.hpp, and
// marks for the features that are overwritten.
//
//   u = (x + 1/2) / 2^32,   r = sqrt(-2 log u0),   z0 = r cos(2 pi u1),   z1 = r sin(2 pi u1)
//
// Integers are reduced before they become floating point, so float32 and float64 agree to float32
// rounding everywhere: also where u is next to 1 and where the sine is next to 0.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/base/threads.hpp"
#include "kernels/random/philox.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
struct Bits;
template <>
struct Bits<float> {
  using Pattern = std::uint32_t;
  static constexpr int mantissa = 23;
  static constexpr Pattern sqrt_half = 0x3F3504F3;  // bits of 0.70710677
};
template <>
struct Bits<double> {
  using Pattern = std::uint64_t;
  static constexpr int mantissa = 52;
  static constexpr Pattern sqrt_half = 0x3FE6A09E667F3BCD;  // bits of 0.70710678118654757
};

template <typename T>
DSMFAST_INLINE typename Bits<T>::Pattern pattern_of(T value) {
  typename Bits<T>::Pattern bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
template <typename T>
DSMFAST_INLINE T value_of(typename Bits<T>::Pattern bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// A small count as floating point. Few sets convert integers of 64 bits, so in double it is set into
// the last bits of 2^52.
DSMFAST_INLINE float count(std::uint32_t n) {
  return static_cast<float>(static_cast<std::int32_t>(n));
}
DSMFAST_INLINE double count(std::uint64_t n) {
  constexpr double first = 4503599627370496.0;
  return value_of<double>(n | pattern_of(first)) - first;
}

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
  using Pattern = typename Bits<T>::Pattern;
  constexpr int mantissa = Bits<T>::mantissa;
  constexpr std::uint32_t sqrt_half = 0xB504F334;  // of 2^32
  // Below sqrt(1/2): exponent and mantissa of 2 x + 1.
  const T y = odd<T>(x);
  const Pattern bits = pattern_of(y);
  const Pattern exponent = (bits - Bits<T>::sqrt_half) >> mantissa;
  const T m = value_of<T>(bits - (exponent << mantissa));
  // Above: u = 1 - (2 ~x + 1) / 2^33 exactly, with no exponent to take off. In double y is exact, and
  // all of it stays in lanes of one width.
  constexpr bool exact = sizeof(T) == 8;
  const bool upper = exact ? y > T(2) * T(sqrt_half) : x >= sqrt_half;
  const T above = exact ? y * T(0x1p-33) - T(1) : odd<T>(~x) * T(-0x1p-33);
  const T f = upper ? above : m - T(1);
  const T e = upper ? T(0) : count(exponent) - T(33);

  const T s = f / (T(2) + f);
  const T z = s * s;
  T series = 0;
  constexpr int terms = sizeof(T) == 4 ? 5 : 11;
  DSMFAST_UNROLL
  for (int i = terms - 1; i >= 0; --i) series = series * z + T(1.0 / (2 * i + 1));
  return std::sqrt(T(-4) * s * series - T(2 * 0.693147180559945309417) * e);
}

// The quadrant of (x + 1/2) / 2^32 of a turn, in the last bits, and what is left of the turn, in units
// of 2^-33 of it: odd, and below an eighth of a turn.
DSMFAST_INLINE std::uint32_t quadrant_of(std::uint32_t x, float& rest) {
  const std::uint32_t quadrant = (x + 0x20000000u) >> 30;
  const std::int32_t left = static_cast<std::int32_t>(x - (quadrant << 30));
  rest = static_cast<float>(2 * left + 1);
  return quadrant;
}
DSMFAST_INLINE std::uint64_t quadrant_of(std::uint32_t x, double& rest) {
  constexpr double integers =
      6755399441055744.0;  // 3/2 2^52: the last bit of what is next to it is 1
  const double y = odd<double>(x);
  const double shifted = y * 0x1p-31 + integers;
  rest = y - (shifted - integers) * 0x1p31;
  return pattern_of(shifted);
}

// cos and sin of 2 pi (x + 1/2) / 2^32: the quadrant from the top bits, then Taylor on |t| < pi/4.
template <typename T>
DSMFAST_INLINE void circle(std::uint32_t x, T& cosine, T& sine) {
  T rest;
  const auto quadrant = quadrant_of(x, rest);
  const T t = rest * T(3.14159265358979323846 / 4294967296.0);
  const T z = t * t;
  constexpr int terms = sizeof(T) == 4 ? 6 : 9;
  T c = 1, s = 1;
  DSMFAST_UNROLL
  for (int i = terms - 1; i >= 1; --i) {
    c = T(1) - c * z * T(1.0 / ((2 * i - 1) * (2 * i)));
    s = T(1) - s * z * T(1.0 / ((2 * i) * (2 * i + 1)));
  }
  s *= t;
  // By bits: the baseline has no comparison of integers of 64.
  using Pattern = typename Bits<T>::Pattern;
  constexpr int to_sign = 8 * sizeof(T) - 2;
  const Pattern differ = (pattern_of(c) ^ pattern_of(s)) & (Pattern{0} - (quadrant & 1));
  cosine = value_of<T>(pattern_of(c) ^ differ ^ ((quadrant + 1) & 2) << to_sign);
  sine = value_of<T>(pattern_of(s) ^ differ ^ (quadrant & 2) << to_sign);
}

// Sixteen counters at once; the loops over them become vector code.
template <typename T>
struct CounterBlock {
  std::uint32_t word[4][counters];
  T z[4][counters];  // output k of counter l

  void place(int l, const Counter& c) {
    word[0][l] = c.group;
    word[1][l] = c.row;
    word[2][l] = c.step;
    word[3][l] = c.last;
  }

  // One group of as many rows: word by word, which becomes vector code.
  void place(Stream stream, std::uint32_t step, const Index (&row)[counters],
             const Index (&draw)[counters], std::uint32_t group) {
    for (int l = 0; l < counters; ++l) word[0][l] = group;
    for (int l = 0; l < counters; ++l) word[1][l] = static_cast<std::uint32_t>(row[l]);
    for (int l = 0; l < counters; ++l) word[2][l] = step;
    for (int l = 0; l < counters; ++l)
      word[3][l] = counter(stream, step, draw[l], row[l], group).last;
  }

  // The 4 * counters columns that adjacent groups fill.
  void write(T* row) const {
    for (int l = 0; l < counters; ++l) {
      row[4 * l] = z[0][l];
      row[4 * l + 1] = z[1][l];
      row[4 * l + 2] = z[2][l];
      row[4 * l + 3] = z[3][l];
    }
  }
};

// Outputs that are standard normals.
struct ToNormals {
  // columns: of a row; up to two, the second pair of each counter has no use.
  template <typename T>
  void operator()(CounterBlock<T>& block, Index columns) const {
    for (int pair = 0; pair < (columns > 2 ? 4 : 2); pair += 2)
      for (int l = 0; l < counters; ++l) {
        const T r = radius<T>(block.word[pair][l]);
        T cosine, sine;
        circle<T>(block.word[pair + 1][l], cosine, sine);
        block.z[pair][l] = r * cosine;
        block.z[pair + 1][l] = r * sine;
      }
  }
};

// Outputs that say what becomes of a feature: -1 low, with probability chance / 2; 1 high, with the
// same; 0 it stays. Words are compared as integers, so that both precisions overwrite the same.
struct ToMarks {
  std::uint64_t chance;  // in units of 2^-32

  template <typename T>
  void operator()(CounterBlock<T>& block, Index) const {
    for (int k = 0; k < 4; ++k)
      for (int l = 0; l < counters; ++l) {
        const std::uint64_t twice = std::uint64_t{block.word[k][l]} * 2;
        block.z[k][l] = twice < chance ? T(-1) : twice < 2 * chance ? T(1) : T(0);
      }
  }
};

template <typename Step>
DSMFAST_INLINE std::uint32_t step_at(const Step& step, Index r) {
  if constexpr (std::is_invocable_v<Step, Index>)
    return step(r);
  else
    return step;
}

// Noise of n_rows rows into out (n_rows, columns), leading dimension ld. row_of(r) and draw_of(r)
// name the counter of row r of the data that begin at noise.first_row. Wide rows take sixteen
// adjacent groups at a time; what remains of them, and narrow rows, are gathered from as many rows as
// it takes to fill the block. Of the noise, its seed, stream and first row are read; step is one of all
// rows, or a function of r.
template <typename T, typename Source, typename Step, typename Transform, typename RowOf,
          typename DrawOf>
void fill(const Source& noise, const Step& step, Index n_rows, Index columns, const RowOf& row_of,
          const DrawOf& draw_of, const Transform& transform, T* out, Index ld) {
  CounterBlock<T> block;
  const Index whole = columns / (4 * counters) * counters;  // groups
  const Index groups = (columns + 3) / 4;
  for (Index r = 0; r < n_rows && whole > 0; ++r)
    for (Index g = 0; g < whole; g += counters) {
      const Counter first = counter(noise.stream, step_at(step, r), draw_of(r),
                                    noise.first_row + row_of(r), static_cast<std::uint32_t>(g));
      for (int l = 0; l < counters; ++l) {
        block.place(l, first);
        block.word[0][l] += static_cast<std::uint32_t>(l);
      }
      philox(block.word, noise.seed);
      transform(block, columns);
      block.write(out + r * ld + 4 * g);
    }

  Index row[counters], group[counters];
  int used = 0;
  for (Index r = 0; r < n_rows; ++r)
    for (Index g = whole; g < groups; ++g) {
      block.place(used, counter(noise.stream, step_at(step, r), draw_of(r),
                                noise.first_row + row_of(r), static_cast<std::uint32_t>(g)));
      row[used] = r;
      group[used] = g;
      const bool end = r == n_rows - 1 && g == groups - 1;
      if (++used < counters && !end) continue;
      for (int l = used; l < counters; ++l) block.place(l, {0, 0, 0, 0});
      philox(block.word, noise.seed);
      transform(block, columns);
      for (int l = 0; l < used; ++l) {
        T* to = out + row[l] * ld + 4 * group[l];
        const Index left = columns - 4 * group[l];
        for (Index k = 0; k < (left < 4 ? left : 4); ++k) to[k] = block.z[k][l];
      }
      used = 0;
    }
}

// The same into out (columns, ld), whose rows are features; `counters` rows at a time, so that up to
// the next multiple of it out is overwritten.
template <typename T, typename Transform, typename RowOf, typename DrawOf>
void fill_columns(const Noise<T>& noise, std::uint32_t step, Index n_rows, Index columns,
                  const RowOf& row_of, const DrawOf& draw_of, const Transform& transform, T* out,
                  Index ld) {
  CounterBlock<T> block;
  for (Index r = 0; r < n_rows; r += counters) {
    Index row[counters], draw[counters];
    for (int l = 0; l < counters; ++l) {
      const Index at = r + l < n_rows ? r + l : n_rows - 1;
      row[l] = noise.first_row + row_of(at);
      draw[l] = draw_of(at);
    }
    for (Index g = 0; 4 * g < columns; ++g) {
      block.place(noise.stream, step, row, draw, static_cast<std::uint32_t>(g));
      philox(block.word, noise.seed);
      transform(block, columns);
      for (Index k = 4 * g; k < columns && k < 4 * g + 4; ++k)
        std::memcpy(out + k * ld + r, block.z[k - 4 * g], sizeof block.z[0]);
    }
  }
}

// out (n_rows, columns): the normals of rows[0], rows[1], ... in one draw; steps: of each, or null.
template <typename T>
Outcome normals(const Noise<T>& noise, Index draw, const Index* rows, const std::uint32_t* steps,
                Index n_rows, Index columns, T* out, Execution& run) {
  const double values = static_cast<double>(n_rows) * static_cast<double>(columns);
  const Index block = 1 + 65536 / columns;  // rows between two polls
  return parallel(worthwhile(run.threads, 10 * values), run, [&](const Thread& thread) {
    for_tiles(n_rows, block, thread, [&](Index first, Index count) {
      const auto step = [&](Index i) { return steps == nullptr ? noise.step : steps[first + i]; };
      fill(
          noise, step, count, columns, [&](Index i) { return rows[first + i]; },
          [&](Index) { return draw; }, ToNormals{}, out + first * columns, columns);
    });
  });
}

}  // namespace dsmfast::DSMFAST_ISA
