// Threads and the memory that they work in.
//
// One parallel region a call. What is summed is cut into tiles by shape alone, each tile has one owner
// and is summed in a fixed order, so the thread count changes who computes a tile, never a bit of it.
#pragma once

#include <sched.h>

#include <cstdlib>

#include "laps.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace dsmfast::DSMFAST_ISA {

struct Range {
  Index begin, end;
};

inline void pause() {
#if defined(__SSE2__)
  __builtin_ia32_pause();
#endif
}

// Where threads wait for each other. OpenMP's own barrier spins for milliseconds: where another
// program wants the processor too, the thread that all wait for gets no turn, and training was seen
// to slow down tenfold. This one spins as long as a tile may take, and then gives its turn away.
class Meeting {
 public:
  void wait(int size) {
    const unsigned round = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == size) {
      __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
      return;
    }
    for (int spins = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; ++spins) {
      if (spins < 2000)
        pause();
      else
        sched_yield();
    }
  }

 private:
  int arrived_ = 0;
  unsigned round_ = 0;
};

struct Team {
  int rank;
  int size;
  Meeting* meeting;
  Laps* laps;  // of this thread

  // Consecutive tasks of this thread. Where there are fewer tasks than threads, rank 0 has one: it
  // is the thread that looks for signals.
  Range share(Index tasks) const {
    return {(tasks * rank + size - 1) / size, (tasks * (rank + 1) + size - 1) / size};
  }

  void barrier() const {
    if (size > 1) meeting->wait(size);
    lap(Region::wait);
  }

  // What this thread did since the last lap.
  void lap(Region region) const { laps->lap(region); }
};

// Runs body(Team) on `threads` threads. One thread never touches the OpenMP runtime, which is what
// keeps a forked child alive. seconds: (threads, regions), or null.
template <typename Body>
void parallel(int threads, const Body& body, double* seconds = nullptr) {
  Meeting meeting;
  const auto run = [&](int rank, int size) {
    Laps laps(seconds == nullptr ? nullptr : seconds + rank * regions);
    body(Team{rank, size, &meeting, &laps});
  };
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    run(omp_get_thread_num(), omp_get_num_threads());
    return;
  }
#endif
  (void)threads;
  run(0, 1);
}

// Operations that a row costs: products, and what sigmoid and noise cost beside them.
inline double row_operations(int products, Index d, Index h) {
  return 2.0 * products * static_cast<double>(d) * static_cast<double>(h) +
         60.0 * static_cast<double>(d + h);
}

// Threads worth starting: a barrier costs about a microsecond, as much as 2e5 operations.
inline int worthwhile(int threads, double operations) {
  const double useful = operations / 2e5;
  return useful < 1 ? 1 : useful < threads ? static_cast<int>(useful) : threads;
}

// Tasks of unequal threads: whoever is free takes the next. Only for tasks whose result does not
// depend on who does which.
class Queue {
 public:
  Index take() { return __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED); }

  // As many as a fair share of half of what is left, in blocks, `most` at most: the last ones are
  // small, so that threads end together.
  Range take_share(Index tasks, int threads, Index block, Index most) {
    Index first = __atomic_load_n(&next_, __ATOMIC_RELAXED), end = first;
    do {
      const Index share = (tasks - first) / (2 * threads) / block * block;
      const Index count = share < block ? block : share < most ? share : most;
      end = tasks - first < count ? tasks : first + count;
    } while (first < tasks && !__atomic_compare_exchange_n(&next_, &first, end, true,
                                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return {first, end};
  }
  void refill() { __atomic_store_n(&next_, 0, __ATOMIC_RELAXED); }

 private:
  Index next_ = 0;
};

// A flag that one thread raises and all read.
class Flag {
 public:
  void raise() { __atomic_store_n(&raised_, 1, __ATOMIC_RELAXED); }
  bool raised() const { return __atomic_load_n(&raised_, __ATOMIC_RELAXED) != 0; }

 private:
  int raised_ = 0;
};

// How a thread of a team learns that the caller asked to stop: rank 0 looks, all see the flag.
class Watch {
 public:
  Watch(const Execution& run, const Team& team, Flag& stop) : run_(run), team_(team), stop_(stop) {}

  bool stopped() const { return stop_.raised(); }

  // Called after every piece of work of some milliseconds.
  void look() const {
    if (team_.rank == 0 && run_.interrupted != nullptr && run_.interrupted(run_.context))
      stop_.raise();
  }

 private:
  const Execution& run_;
  const Team& team_;
  Flag& stop_;
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

// Cuts cache-line aligned arrays off a block of memory. A measuring one has no memory: what is
// carved of it must not be touched, and `used` says what it takes.
struct Arena {
  static constexpr std::uintptr_t nowhere = 64;
  char* next;

  static Arena measuring() { return {reinterpret_cast<char*>(nowhere)}; }
  Index used() const {
    return static_cast<Index>(reinterpret_cast<std::uintptr_t>(next) - nowhere);
  }

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

// Zeroed memory for the length of a call, or the caller's, which another call of this shape left.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (kept_ == nullptr) std::free(base_);
  }

  bool reserve(Index bytes) {
    base_ = std::calloc(static_cast<std::size_t>(bytes) + 64, 1);
    return base_ != nullptr;
  }

  bool reserve(Index bytes, std::uint64_t shape, KeptMemory* kept) {
    kept_ = kept;
    if (kept == nullptr) return reserve(bytes);
    if (kept->block == nullptr || kept->bytes != bytes || kept->shape != shape) {
      std::free(kept->block);
      *kept = {nullptr, 0, 0};
      if (!reserve(bytes)) return false;
      *kept = {base_, bytes, shape};
    }
    base_ = kept->block;
    return true;
  }

  // What it holds is not to be relied on.
  void spoil() {
    if (kept_ != nullptr) kept_->shape = 0;
  }

  Arena arena() const {
    return {reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(base_) + 63) / 64 * 64)};
  }

 private:
  void* base_ = nullptr;
  KeptMemory* kept_ = nullptr;
};

}  // namespace dsmfast::DSMFAST_ISA
