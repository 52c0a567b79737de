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

// Depth of a block: depth_block x panel_width of B is read from the first-level cache, 32 KiB of it with
// AVX-512 and 12 KiB without.
constexpr Index depth_block = register_bytes == 64 ? 256 : 192;

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

// A product that is summed up with others.
template <typename T>
struct Term {
  Left<T> a;   // (rows, k)
  Panel<T> b;  // (k, columns)

  Term from(Index i, Index p) const { return {a.from(i, p), {b.data + p * b.stride, b.stride}}; }
};

// c (rows, vectors * lanes) (+)= sum over terms of a (rows, k) b (k, vectors * lanes).
template <typename T, int rows, int vectors, int terms>
DSMFAST_INLINE void multiply_block(Index k, const Term<T> (&term)[terms], Index i, Index p, T* c,
                                   Index ldc, bool accumulate) {
  Packet<T> sum[rows][vectors];
  DSMFAST_UNROLL
  for (int r = 0; r < rows; ++r) {
    DSMFAST_UNROLL
    for (int j = 0; j < vectors; ++j) sum[r][j].setZero();
  }

  for (int t = 0; t < terms; ++t) {
    auto [a, b] = term[t].from(i, p);
    for (Index first = 0; first < k; first += panel_width<T>) {
      const Index end = smaller(k - first, panel_width<T>);
      for (Index q = 0; q < end; ++q) {
        Packet<T> row[vectors];
        DSMFAST_UNROLL
        for (int j = 0; j < vectors; ++j) row[j] = load(b.data + j * lanes<T>);
        DSMFAST_UNROLL
        for (int r = 0; r < rows; ++r) {
          const T factor = a.data[r * a.row + q * a.depth];
          DSMFAST_UNROLL
          for (int j = 0; j < vectors; ++j) sum[r][j] += factor * row[j];
        }
        b.data += b.stride;
      }
      a.data += a.panel;
    }
  }

  DSMFAST_UNROLL
  for (int r = 0; r < rows; ++r) {
    DSMFAST_UNROLL
    for (int j = 0; j < vectors; ++j) {
      T* out = c + r * ldc + j * lanes<T>;
      if (accumulate)
        store<T>(out, load(out) + sum[r][j]);
      else
        store<T>(out, sum[r][j]);
    }
  }
}

// The last rows of a product: as many as remain, `rows` at most.
template <typename T, int rows, int vectors, int terms>
DSMFAST_INLINE void multiply_remainder(Index remaining, Index k, const Term<T> (&term)[terms],
                                       Index i, Index p, T* c, Index ldc, bool accumulate) {
  if constexpr (rows > 0) {
    if (remaining == rows)
      multiply_block<T, rows, vectors>(k, term, i, p, c, ldc, accumulate);
    else
      multiply_remainder<T, rows - 1, vectors>(remaining, k, term, i, p, c, ldc, accumulate);
  }
}

// Asks for the next block of B, or of the next panel, while rows are multiplied by this one: it may be
// as far away as memory. Not with AVX-512, where it was not measured.
template <typename T>
struct Ahead {
  const T* row;
  Index stride, rows;  // of B, at a time

  Ahead(Index m, const T* first, Index stride_, Index depth)
      : row(first),
        stride(stride_),
        rows(register_bytes == 64 || m < 4 * block_rows ? 0 : (depth * block_rows + m - 1) / m) {}

  DSMFAST_INLINE void ask() {
    for (Index l = 0; l < rows; ++l, row += stride) __builtin_prefetch(row, 0, 2);
  }
};

template <typename T, int vectors, int terms>
__attribute__((noinline)) void multiply_panel(Index m, Index k, const Term<T> (&term)[terms], T* c,
                                              Index ldc, bool accumulate) {
  constexpr Index block = depth_block / terms;
  for (Index p = 0; p < k; p += block) {
    const Index depth = smaller(k - p, block);
    const Panel<T>& b = term[0].b;
    Ahead<T> ahead(m, b.data + (p + depth) * b.stride, b.stride, depth);
    Index i = 0;
    for (; i + block_rows <= m; i += block_rows) {
      ahead.ask();
      multiply_block<T, block_rows, vectors>(depth, term, i, p, c + i * ldc, ldc, accumulate);
    }
    if (i < m)
      multiply_remainder<T, block_rows - 1, vectors>(m - i, depth, term, i, p, c + i * ldc, ldc,
                                                     accumulate);
    accumulate = true;
  }
}

// C (m, columns) (+)= sum over terms of A (m, k) B (k, columns), columns <= panel_width. B is read and C
// written in whole registers: their rows must be padded.
template <typename T, int terms>
void multiply(Index m, Index columns, Index k, const Term<T> (&term)[terms], T* c, Index ldc,
              bool accumulate = false) {
  if (columns <= lanes<T>)
    multiply_panel<T, 1>(m, k, term, c, ldc, accumulate);
  else
    multiply_panel<T, 2>(m, k, term, c, ldc, accumulate);
}

template <typename T>
void multiply(Index m, Index columns, Index k, Left<T> a, Panel<T> b, T* c, Index ldc,
              bool accumulate = false) {
  multiply<T>(m, columns, k, {Term<T>{a, b}}, c, ldc, accumulate);
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
  const Index panels = padded<T>(n) / width, whole = n / width;
  const int threads = worthwhile(
      run.threads, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  T* packed = nullptr;  // (panels, k, width)
  struct Scratch {      // one a thread
    Matrix<T> A;        // (tile_rows, depth_block)
    T* last;            // (tile_rows, width): of a panel that C has no room for
    static Scratch carve(Arena& arena) {
      const auto A_ = Matrix<T>::carve(arena, tile_rows, depth_block);
      return {A_, arena.take<T>(tile_rows * width)};
    }
  };
  ThreadArenas arenas;
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        packed = arena.take<T>(panels * k * width);
        arenas = ThreadArenas::carve<Scratch>(arena, threads);
      }))
    return Outcome::out_of_memory;
  return parallel(threads, run, [&](const Thread& thread) {
    const auto s = arenas.of_thread<Scratch>(thread.rank);
    const Range mine = thread.share(panels);
    for (Index q = mine.begin; q < mine.end; ++q) pack_panel(k, n, B, n, q, packed + q * k * width);
    thread.barrier();
    for_tiles(m, tile_for(m, threads), thread, [&](Index first, Index rows) {
      T* to = C + first * n;
      for (Index p = 0; p < k; p += depth_block) {
        const Index depth = smaller(k - p, depth_block);
        for (Index i = 0; i < rows; ++i)
          for (Index l = 0; l < depth; l += width)
            copy(A + (first + i) * k + p + l, smaller(depth - l, width), s.A(i, l));
        for (Index q = 0; q < whole; ++q)
          multiply<T>(rows, width, depth, s.A, {packed + (q * k + p) * width}, to + q * width, n,
                      p > 0);
        if (whole < panels)
          multiply<T>(rows, n - whole * width, depth, s.A, {packed + (whole * k + p) * width},
                      s.last, width, p > 0);
      }
      for (Index i = 0; i < rows && whole < panels; ++i)
        copy(s.last + i * width, n - whole * width, to + i * n + whole * width);
    });
  });
}

}  // namespace dsmfast::DSMFAST_ISA
