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
  using Signed = std::int32_t;
  static constexpr int mantissa = 23;
  static constexpr Pattern sqrt_half = 0x3F3504F3;  // bits of 0.70710677
};
template <>
struct Bits<double> {
  using Pattern = std::uint64_t;
  using Signed = std::int64_t;
  static constexpr int mantissa = 52;
  static constexpr Pattern sqrt_half = 0x3FE6A09E667F3BCD;  // bits of 0.70710678118654757
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
  using Pattern = typename Bits<T>::Pattern;
  constexpr int mantissa = Bits<T>::mantissa;
  // Below sqrt(1/2): exponent and mantissa of 2 x + 1.
  const T y = odd<T>(x);
  Pattern bits;
  std::memcpy(&bits, &y, sizeof bits);
  const Pattern exponent = (bits - Bits<T>::sqrt_half) >> mantissa;
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
  for (Index r = 0; r < n_rows; r += counters)
    for (Index g = 0; 4 * g < columns; ++g) {
      for (int l = 0; l < counters; ++l) {
        const Index row = r + l < n_rows ? r + l : n_rows - 1;
        block.place(l, counter(noise.stream, step, draw_of(row), noise.first_row + row_of(row),
                               static_cast<std::uint32_t>(g)));
      }
      philox(block.word, noise.seed);
      transform(block, columns);
      for (Index k = 4 * g; k < columns && k < 4 * g + 4; ++k)
        std::memcpy(out + k * ld + r, block.z[k - 4 * g], sizeof block.z[0]);
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
