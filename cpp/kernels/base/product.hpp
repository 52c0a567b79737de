// Matrix products: C (m, n) = A (m, k) B (k, n), B packed into panels.
//
// Eigen's own product repacks both factors at every call and sums in an order that depends on the
// shape and on the cache sizes it finds. Here W is packed once a step and shared by the products
// that read it, tiles are finished (bias, sigmoid, residual) while they are in the first-level
// cache, and an element of C is always the same sum in the same order, whatever m, n and the edges.
// (Zen 5, one core, float32: 240 GFLOP/s against 183 to 220 for Eigen's product.)
#pragma once

#include "kernels/base/memory.hpp"
#include "kernels/base/threads.hpp"

namespace dsmfast::DSMFAST_ISA {

// Depth of a block: depth_block x panel_width of B (32 KiB) is read from the first-level cache.
constexpr Index depth_block = 256;

// A panel of the right factor: k rows of `vectors` registers, `stride` apart. Packed, the stride is
// panel_width; few columns are read where they lie.
template <typename T>
struct Panel {
  const T* data;
  Index stride = panel_width<T>;
};

// A matrix whose columns are cut into panels. Row-major, the panels of a row stand side by side;
// where rows are summed over they are kept panel after panel, so that either factor of a product is
// read as it lies: `row` is then panel_width, and a panel an odd number of rows, as rows that are a
// power of two apart would all fall into the same few sets of the first-level cache.
template <typename T>
struct Matrix {
  T* data;
  Index row;                     // from one row to the next
  Index panel = panel_width<T>;  // from one panel of panel_width columns to the next

  static Matrix carve(Arena& arena, Index rows, Index columns) {
    const Index panel = panel_width<T> * (rows | 1);
    return {arena.take<T>(padded<T>(columns) * (rows | 1)), panel_width<T>, panel};
  }

  T* operator()(Index i, Index j) const {
    return data + j / panel_width<T> * panel + i * row + j % panel_width<T>;
  }
  Matrix from(Index i) const { return {data + i * row, row, panel}; }
  operator Matrix<const T>() const { return {data, row, panel}; }
};

// The left factor, whose element (i, p) is at data[i * row + p * depth] for p below panel_width, and
// so on a panel further. A transposed one costs nothing.
template <typename T>
struct Left {
  const T* data;
  Index row, depth, panel;

  Left(const T* data_, Index row_, Index depth_)
      : data(data_), row(row_), depth(depth_), panel(depth_ * panel_width<T>) {}
  template <typename U>
  Left(const Matrix<U>& A) : data(A.data), row(A.row), depth(1), panel(A.panel) {}

  // The transpose of A's columns j ..., up to the end of their panel.
  static Left transposed(const Matrix<T>& A, Index j) { return {A(0, j), 1, A.row}; }

  // Of a depth p that is whole panels.
  Left from(Index i, Index p) const {
    Left to = *this;
    to.data += i * row + p / panel_width<T> * panel;
    return to;
  }
};

// c (rows, vectors * lanes) (+)= a (rows, k) b (k, vectors * lanes).
template <typename T, int rows, int vectors>
DSMFAST_INLINE void multiply_block(Index k, Left<T> a, Panel<T> b, T* c, Index ldc,
                                   bool accumulate) {
  Packet<T> sum[rows][vectors];
  DSMFAST_UNROLL
  for (int i = 0; i < rows; ++i) {
    DSMFAST_UNROLL
    for (int j = 0; j < vectors; ++j) sum[i][j].setZero();
  }

  for (Index first = 0; first < k; first += panel_width<T>) {
    const Index end = smaller(k - first, panel_width<T>);
    for (Index p = 0; p < end; ++p) {
      Packet<T> row[vectors];
      DSMFAST_UNROLL
      for (int j = 0; j < vectors; ++j) row[j] = load(b.data + j * lanes<T>);
      DSMFAST_UNROLL
      for (int i = 0; i < rows; ++i) {
        const T factor = a.data[i * a.row + p * a.depth];
        DSMFAST_UNROLL
        for (int j = 0; j < vectors; ++j) sum[i][j] += factor * row[j];
      }
      b.data += b.stride;
    }
    a.data += a.panel;
  }

  DSMFAST_UNROLL
  for (int i = 0; i < rows; ++i) {
    DSMFAST_UNROLL
    for (int j = 0; j < vectors; ++j) {
      T* out = c + i * ldc + j * lanes<T>;
      if (accumulate)
        store<T>(out, load(out) + sum[i][j]);
      else
        store<T>(out, sum[i][j]);
    }
  }
}

// The last rows of a product: as many as remain, `rows` at most.
template <typename T, int rows, int vectors>
DSMFAST_INLINE void multiply_remainder(Index remaining, Index k, Left<T> a, Panel<T> b, T* c,
                                       Index ldc, bool accumulate) {
  if constexpr (rows > 0) {
    if (remaining == rows)
      multiply_block<T, rows, vectors>(k, a, b, c, ldc, accumulate);
    else
      multiply_remainder<T, rows - 1, vectors>(remaining, k, a, b, c, ldc, accumulate);
  }
}

template <typename T, int vectors>
__attribute__((noinline)) void multiply_panel(Index m, Index k, Left<T> a, Panel<T> b, T* c,
                                              Index ldc, bool accumulate) {
  for (Index p = 0; p < k; p += depth_block) {
    const Index depth = smaller(k - p, depth_block);
    const Panel<T> block{b.data + p * b.stride, b.stride};
    Index i = 0;
    for (; i + block_rows <= m; i += block_rows)
      multiply_block<T, block_rows, vectors>(depth, a.from(i, p), block, c + i * ldc, ldc,
                                             accumulate);
    if (i < m)
      multiply_remainder<T, block_rows - 1, vectors>(m - i, depth, a.from(i, p), block, c + i * ldc,
                                                     ldc, accumulate);
    accumulate = true;
  }
}

// C (m, columns) (+)= A (m, k) B (k, columns), columns <= panel_width. B is read and C written in
// whole registers: their rows must be padded.
template <typename T>
void multiply(Index m, Index columns, Index k, Left<T> a, Panel<T> b, T* c, Index ldc,
              bool accumulate = false) {
  if (columns <= lanes<T>)
    multiply_panel<T, 1>(m, k, a, b, c, ldc, accumulate);
  else
    multiply_panel<T, 2>(m, k, a, b, c, ldc, accumulate);
}

// Panel p of a row-major B (k, n): k rows of panel_width columns, zero beyond n.
template <typename T>
void pack_panel(Index k, Index n, const T* b, Index ldb, Index p, T* panel) {
  constexpr Index width = panel_width<T>;
  const Index first = p * width;
  const Index columns = smaller(n - first, width);
  for (Index i = 0; i < k; ++i) {
    const T* row = b + i * ldb + first;
    T* out = panel + i * width;
    if (columns == width) {
      store<T>(out, load(row));
      store<T>(out + lanes<T>, load(row + lanes<T>));
    } else {
      for (Index j = 0; j < width; ++j) out[j] = j < columns ? row[j] : T(0);
    }
  }
}

// Tile (r, q) of C (+)= A' A, A (k, columns): of a diagonal one, what stands on and above the
// diagonal, in whole registers.
template <typename T>
void pair_product(Index k, const T* A, Index ld, Index r, Index q, T* C, Index ldc,
                  bool accumulate) {
  constexpr Index width = panel_width<T>, half = lanes<T>;
  const auto add = [&](Index row, Index rows, Index column, Index columns) {
    multiply(rows, columns, k, {A + row, 1, ld}, {A + column, ld}, C + row * ldc + column, ldc,
             accumulate);
  };
  if (r != q) return add(r * width, width, q * width, width);
  add(r * width, half, q * width, width);
  add(r * width + half, half, q * width + half, half);
}

// C (m, n) = A (m, k) B (k, n) of contiguous arrays, for tests and benches.
template <typename T>
Outcome product(Index m, Index n, Index k, const T* A, const T* B, T* C, Execution& run) {
  constexpr Index width = panel_width<T>;
  const Index panels = padded<T>(n) / width;
  const int threads = worthwhile(
      run.threads, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  T *packed = nullptr, *tiles = nullptr;  // (panels, k, width), (threads, tile_rows, width)
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        packed = arena.take<T>(panels * k * width);
        tiles = arena.take<T>(threads * tile_rows * width);
      }))
    return Outcome::out_of_memory;
  return parallel(threads, run, [&](const Thread& thread) {
    T* tile = tiles + thread.rank * tile_rows * width;
    const Range mine = thread.share(panels);
    for (Index p = mine.begin; p < mine.end; ++p) pack_panel(k, n, B, n, p, packed + p * k * width);
    thread.barrier();
    for_tiles(m, tile_rows, thread, [&](Index first, Index rows) {
      for (Index p = 0; p < panels; ++p) {
        const Index columns = smaller(n - p * width, width);
        multiply(rows, columns, k, {A + first * k, k, 1}, {packed + p * k * width}, tile, width);
        for (Index i = 0; i < rows; ++i)
          copy(tile + i * width, columns, C + (first + i) * n + p * width);
      }
    });
  });
}

}  // namespace dsmfast::DSMFAST_ISA
