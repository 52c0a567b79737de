// The vector register as a value, and the tile sizes that follow from it.
//
// Packet<T> is a fixed-size Eigen array that fills one register: Eigen turns its arithmetic and exp
// into the instructions of the set that this unit is compiled for. Everything is processed in whole
// registers of padded rows, so no element is ever treated differently for its position: a row has
// the same bits alone and among a million.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <cstring>
#include <dsmfast/kernels.hpp>

#define DSMFAST_INLINE inline __attribute__((always_inline))
#define DSMFAST_UNROLL _Pragma("GCC unroll 16")

namespace dsmfast::DSMFAST_ISA {

constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
constexpr Index block_rows = 8;  // 8 x 2 accumulators of 32 registers: 0.99 of the peak on Zen 5
#elif defined(__AVX__)
constexpr int register_bytes = 32;
constexpr Index block_rows = 6;  // 6 x 2 accumulators of 16 registers
#else
constexpr int register_bytes = 16;
constexpr Index block_rows = 6;
#endif

template <typename T>
constexpr int lanes = register_bytes / static_cast<int>(sizeof(T));

template <typename T>
constexpr Index panel_width = 2 * lanes<T>;  // columns of a packed panel: two registers

template <typename T>
constexpr Index cache_line = 64 / static_cast<Index>(sizeof(T));  // values of a cache line

template <typename T>
using Packet = Eigen::Array<T, lanes<T>, 1>;

template <typename T>
DSMFAST_INLINE Packet<T> load(const T* p) {
  return Eigen::Map<const Packet<T>>(p);
}

template <typename T>
DSMFAST_INLINE void store(T* p, const Packet<T>& v) {
  Eigen::Map<Packet<T>>{p} = v;
}

// A register in double: one or two.
template <typename T>
struct Wide {
  static constexpr int parts = lanes<T> / lanes<double>;
  Packet<double> part[parts];

  explicit Wide(const Packet<T>& values) {
    if constexpr (parts == 1) {
      part[0] = values;
    } else {
      using Half = float __attribute__((vector_size(register_bytes / 2)));
      using Whole = double __attribute__((vector_size(register_bytes)));
      for (int i = 0; i < parts; ++i) {
        Half half;
        std::memcpy(&half, values.data() + i * lanes<double>, sizeof half);
        const Whole whole = __builtin_convertvector(half, Whole);
        std::memcpy(part[i].data(), &whole, sizeof whole);
      }
    }
  }
};

// The square of one register a side at `from`, transposed to `to`; they may be the same.
template <typename T, int from_stride, int to_stride>
DSMFAST_INLINE void transpose_square(const T* from, T* to) {
  using Square = Eigen::Matrix<T, lanes<T>, lanes<T>>;
  Square square = Eigen::Map<const Square, 0, Eigen::OuterStride<from_stride>>(from);
  square.transposeInPlace();
  Eigen::Map<Square, 0, Eigen::OuterStride<to_stride>>{to} = square;
}

// Columns of a row-major buffer, padded to whole panels.
template <typename T>
constexpr Index padded(Index columns) {
  return (columns + panel_width<T> - 1) / panel_width<T> * panel_width<T>;
}

// Leading dimension of a row-major buffer: an odd number of cache lines, because rows that are a
// power of two apart would all fall into the same few sets of the first-level cache.
template <typename T>
constexpr Index leading_dimension(Index columns) {
  const Index lines = (padded<T>(columns) + cache_line<T> - 1) / cache_line<T>;
  return (lines | 1) * cache_line<T>;
}

}  // namespace dsmfast::DSMFAST_ISA
