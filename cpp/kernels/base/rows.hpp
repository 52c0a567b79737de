// Rows of the arrays that the caller owns.
#pragma once

#include "kernels/base/memory.hpp"
#include "kernels/base/threads.hpp"

namespace dsmfast::DSMFAST_ISA {

// The register at column k of a row of d columns, zero beyond them.
template <typename T>
DSMFAST_INLINE Packet<T> load_columns(const T* row, Index k, Index d) {
  if (k + lanes<T> <= d) return load(row + k);
  Packet<T> value = Packet<T>::Zero();
  for (Index i = k; i < d; ++i) value[i - k] = row[i];
  return value;
}

// Whether a row holds no NaN and no infinity: x - x is 0 only for finite x.
template <typename T>
bool is_finite(const T* x, Index columns) {
  Packet<T> check = Packet<T>::Zero();
  Index k = 0;
  for (; k + lanes<T> <= columns; k += lanes<T>) check += load(x + k) - load(x + k);
  T rest = 0;
  for (; k < columns; ++k) rest += x[k] - x[k];
  return check.sum() + rest == T(0);
}

// One row of the user's array into a padded buffer.
template <typename T>
void copy_row(const View<const T>& x, Index row, T* to) {
  const T* from = x.data + row * x.row_stride;
  if (x.column_stride == 1 && x.columns >= 16) {
    copy(from, x.columns, to);
  } else {
    for (Index k = 0; k < x.columns; ++k) to[k] = from[k * x.column_stride];
  }
}

// The same row where it lies, if its columns are adjacent, else copied.
template <typename T>
const T* contiguous_row(const View<const T>& x, Index row, T* copy) {
  if (x.column_stride == 1) return x.data + row * x.row_stride;
  copy_row(x, row, copy);
  return copy;
}

// The first row that each thread found to hold a NaN or an infinity.
struct BadRows {
  Index* row;  // (threads,): the row's number from 1, or 0
  int threads;

  bool any(int rank) const { return row[rank] != 0; }
  void report(int rank, Index found) const {
    if (!any(rank)) row[rank] = found + 1;
  }

  // Threads own consecutive rows: the first report is the first row.
  Outcome outcome(Execution& run) const {
    int t = 0;
    while (t < threads && !any(t)) ++t;
    if (t == threads) return Outcome::finished;
    run.bad_row = row[t] - 1;
    return Outcome::bad_input;
  }
};

// bad_input where a value is NaN or infinite.
template <typename T>
Outcome check_finite(const View<const T>& x, Execution& run) {
  const Index ld = leading_dimension<T>(x.columns);
  const int threads =
      worthwhile(run.threads, static_cast<double>(x.rows) * static_cast<double>(x.columns));
  T* copies = nullptr;  // (threads, ld)
  BadRows bad{};
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        copies = arena.take<T>(threads * ld);
        bad = {arena.take<Index>(threads), threads};
      }))
    return Outcome::out_of_memory;
  const Outcome outcome = parallel(threads, run, [&](const Thread& thread) {
    for_tiles(x.rows, 1 + 65536 / x.columns, thread, [&](Index first, Index count) {
      for (Index i = first; i < first + count && !bad.any(thread.rank); ++i)
        if (!is_finite(contiguous_row(x, i, copies + thread.rank * ld), x.columns))
          bad.report(thread.rank, i);
    });
  });
  return outcome == Outcome::finished ? bad.outcome(run) : outcome;
}

}  // namespace dsmfast::DSMFAST_ISA
