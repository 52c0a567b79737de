// Matrix products: C (m, n) = A (m, k) B (k, n), B packed into panels.
//
// Eigen's own product repacks both factors at every call and sums in an order that depends on the
// shape and on the cache sizes it finds. Here W is packed once a step and shared by the products
// that read it, tiles are finished (bias, sigmoid, residual) while they are in the first-level
// cache, and an element of C is always the same sum in the same order, whatever m, n and the edges.
// (Zen 5, one core, float32: 240 GFLOP/s against 183 to 220 for Eigen's product.)
#pragma once

#include "lanes.hpp"

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

  static Index stored(Index rows, Index columns) { return padded<T>(columns) * (rows | 1); }
  static Matrix in_panels(T* data, Index rows) {
    return {data, panel_width<T>, panel_width<T> * (rows | 1)};
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
  Lanes<T> sum[rows][vectors];
  DSMFAST_UNROLL
  for (int i = 0; i < rows; ++i) {
    DSMFAST_UNROLL
    for (int j = 0; j < vectors; ++j) sum[i][j].setZero();
  }

  for (Index first = 0; first < k; first += panel_width<T>) {
    const Index end = k - first < panel_width<T> ? k - first : panel_width<T>;
    for (Index p = 0; p < end; ++p) {
      Lanes<T> row[vectors];
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
    const Index depth = k - p < depth_block ? k - p : depth_block;
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

// sum (count registers,) (+)= sum over rows of value(A), A (rows, count registers). Registers are
// summed side by side: one alone would wait for itself.
template <typename T, int count, typename Value>
DSMFAST_INLINE void sum_registers(Index rows, const T* A, Index lda, T* sum, bool accumulate,
                                  const Value& value) {
  Lanes<T> total[count];
  DSMFAST_UNROLL
  for (int k = 0; k < count; ++k)
    total[k] = accumulate ? load(sum + k * lanes<T>) : Lanes<T>(Lanes<T>::Zero());
  for (Index i = 0; i < rows; ++i) {
    DSMFAST_UNROLL
    for (int k = 0; k < count; ++k) total[k] += value(load(A + i * lda + k * lanes<T>));
  }
  DSMFAST_UNROLL
  for (int k = 0; k < count; ++k) store<T>(sum + k * lanes<T>, total[k]);
}

// sum (columns,) (+)= sum over rows of value(A), A (rows, columns), in whole registers.
template <typename T, typename Value>
void column_sums(Index rows, Index columns, const T* A, Index lda, T* sum, bool accumulate,
                 const Value& value) {
  Index j = 0;
  for (; j + 3 * lanes<T> < columns; j += 4 * lanes<T>)
    sum_registers<T, 4>(rows, A + j, lda, sum + j, accumulate, value);
  for (; j < columns; j += lanes<T>)
    sum_registers<T, 1>(rows, A + j, lda, sum + j, accumulate, value);
}

template <typename T>
void column_sums(Index rows, Index columns, const T* A, Index lda, T* sum, bool accumulate) {
  column_sums(rows, columns, A, lda, sum, accumulate, [](const Lanes<T>& a) { return a; });
}

// The same of columns first ... of a matrix.
template <typename T, typename Value>
void column_sums(Index rows, Index columns, const Matrix<T>& A, Index first, T* sum,
                 bool accumulate, const Value& value) {
  for (Index j = 0; j < columns; j += panel_width<T>)
    column_sums(rows, columns - j < panel_width<T> ? columns - j : panel_width<T>, A(0, first + j),
                A.row, sum + j, accumulate, value);
}

template <typename T>
void column_sums(Index rows, Index columns, const Matrix<T>& A, Index first, T* sum,
                 bool accumulate) {
  column_sums(rows, columns, A, first, sum, accumulate, [](const Lanes<T>& a) { return a; });
}

// The sum of `count` values, in an order that depends on nothing else.
inline double sum_of(const double* values, Index count) {
  double sum[8] = {};
  Index i = 0;
  for (; i + 8 <= count; i += 8) {
    DSMFAST_UNROLL
    for (int k = 0; k < 8; ++k) sum[k] += values[i + k];
  }
  for (; i < count; ++i) sum[0] += values[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// Panel p of a row-major B (k, n): k rows of panel_width columns, zero beyond n.
template <typename T>
void pack_panel(Index k, Index n, const T* b, Index ldb, Index p, T* panel) {
  constexpr Index width = panel_width<T>;
  const Index first = p * width;
  const Index columns = n - first < width ? n - first : width;
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

}  // namespace dsmfast::DSMFAST_ISA
