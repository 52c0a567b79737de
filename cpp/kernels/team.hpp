// Threads and the memory that they work in.
//
// One parallel region a call. Work is cut into tiles by shape alone, each tile has one owner and is
// summed in a fixed order, so the thread count changes who computes a tile and never a bit of it.
#pragma once

#include <cstdlib>
#include <dsmfast/kernels.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace dsmfast::DSMFAST_ISA {

struct Range {
  Index begin, end;
};

struct Team {
  int rank;
  int size;

  // Consecutive tasks of this thread.
  Range share(Index tasks) const { return {tasks * rank / size, tasks * (rank + 1) / size}; }

  void barrier() const {
#ifdef _OPENMP
    if (size > 1) {
#pragma omp barrier
    }
#endif
  }
};

// Runs body(Team) on `threads` threads. One thread never touches the OpenMP runtime, which is what
// keeps a forked child alive.
template <typename Body>
void parallel(int threads, const Body& body) {
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    body(Team{omp_get_thread_num(), omp_get_num_threads()});
    return;
  }
#endif
  (void)threads;
  body(Team{0, 1});
}

// Threads worth starting: a barrier costs about a microsecond, as much as 2e5 operations.
inline int worthwhile(int threads, double operations) {
  const double useful = operations / 2e5;
  return useful < 1 ? 1 : useful < threads ? static_cast<int>(useful) : threads;
}

// A flag that one thread raises and all read.
class Flag {
 public:
  void raise() { __atomic_store_n(&raised_, 1, __ATOMIC_RELAXED); }
  bool raised() const { return __atomic_load_n(&raised_, __ATOMIC_RELAXED) != 0; }

 private:
  int raised_ = 0;
};

// The first row that each thread found to hold a NaN or an infinity.
class BadRows {
 public:
  BadRows(Index* rows, int threads) : row_(rows), threads_(threads) {
    for (int t = 0; t < threads; ++t) row_[t] = -1;
  }

  bool any(int rank) const { return row_[rank] >= 0; }
  void report(int rank, Index row) const {
    if (!any(rank)) row_[rank] = row;
  }

  // Threads own consecutive rows: the first report is the first row.
  Outcome outcome(Execution& run) const {
    for (int t = 0; t < threads_; ++t)
      if (any(t)) {
        run.bad_row = row_[t];
        return Outcome::bad_input;
      }
    return Outcome::finished;
  }

 private:
  Index* row_;
  int threads_;
};

// Cuts cache-line aligned arrays off a block of memory.
struct Arena {
  char* next;

  template <typename T>
  static Index bytes(Index count) {
    return (count * static_cast<Index>(sizeof(T)) + 63) / 64 * 64;
  }

  template <typename T>
  T* take(Index count) {
    T* array = reinterpret_cast<T*>(next);
    next += bytes<T>(count);
    return array;
  }
};

// Zeroed memory for the length of a call.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { std::free(base_); }

  bool reserve(Index bytes) {
    base_ = std::calloc(static_cast<std::size_t>(bytes) + 64, 1);
    return base_ != nullptr;
  }

  Arena arena() const {
    return {reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(base_) + 63) / 64 * 64)};
  }

 private:
  void* base_ = nullptr;
};

}  // namespace dsmfast::DSMFAST_ISA
