// Threads, and how work is shared out among them.
//
// One parallel region a call. What is summed is cut into tiles by shape alone, each tile has one owner
// and is summed in a fixed order, so the thread count changes who computes a tile, never a bit of it.
#pragma once

#include <sched.h>

#include "kernels/base/interrupt.hpp"
#include "kernels/base/registers.hpp"
#include "kernels/base/timing.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace dsmfast::DSMFAST_ISA {

struct Range {
  Index begin, end;
};

// Where threads wait for each other. OpenMP's own barrier spins for milliseconds: where another
// program wants the processor too, the thread that all wait for gets no turn, and training was seen
// to slow down tenfold. This one spins as long as a tile may take, and then gives its turn away.
class Barrier {
 public:
  void wait(int size) {
    const unsigned round = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == size) {
      __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
      return;
    }
    for (int spins = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; ++spins) {
      if (spins >= 2000) sched_yield();
#if defined(__SSE2__)
      else
        __builtin_ia32_pause();
#elif defined(__aarch64__)
      else
        __asm__ volatile(
            "isb");  // some cycles, as `pause` is; `yield` is none where cores are whole
#endif
    }
  }

 private:
  int arrived_ = 0;
  unsigned round_ = 0;
};

// One thread of the team that a call runs on.
struct Thread {
  int rank, size;
  Barrier* team_barrier;
  InterruptPoll* interrupt;
  Timer* timer;  // of this thread

  // Consecutive tasks of this thread. Where there are fewer tasks than threads, rank 0 has one: it
  // is the thread that polls for interrupts.
  Range share(Index tasks) const {
    return {(tasks * rank + size - 1) / size, (tasks * (rank + 1) + size - 1) / size};
  }

  void barrier() const {
    if (size > 1) team_barrier->wait(size);
    lap(Region::wait);
  }

  void lap(Region region) const { timer->lap(region); }

  // Called after every piece of work of some milliseconds.
  void poll() const { interrupt->poll(rank); }
  bool stopped() const { return interrupt->stopped(); }
};

// A thread that wakes up can be put where the one that woke it runs, while other processors idle (Linux
// does not look for them once the machine has been busy), and stay there: two threads take turns then
// for as long as the call lasts. Such a thread asks to be elsewhere, and takes that back at once.
inline void leave([[maybe_unused]] int processor, [[maybe_unused]] int threads) {
#ifdef __linux__
  if (processor < 0 || sched_getcpu() != processor) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < threads) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<unsigned>(processor), &others);
  if (sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

inline int this_processor() {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

// Runs body(Thread) on `threads` threads: finished or interrupted. One thread never touches the OpenMP
// runtime, which is what keeps a forked child alive.
template <typename Body>
Outcome parallel([[maybe_unused]] int threads, const Execution& run, const Body& body) {
  Barrier barrier;
  InterruptPoll interrupt(run);
  const auto start = [&](int rank, int size) {
    Timer timer(run.seconds == nullptr ? nullptr : run.seconds + rank * regions);
    body(Thread{rank, size, &barrier, &interrupt, &timer});
  };
#ifdef _OPENMP
  if (threads > 1) {
    const int processor = this_processor();
#pragma omp parallel num_threads(threads)
    {
      if (omp_get_thread_num() > 0) leave(processor, omp_get_num_threads());
      start(omp_get_thread_num(), omp_get_num_threads());
    }
  } else
#endif
    start(0, 1);
  return interrupt.stopped() ? Outcome::interrupted : Outcome::finished;
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

constexpr Index tile_rows = 96;  // at most; a multiple of 6 and 8

// Rows of a tile. Nothing about a row depends on its tile, so that tiles of rows may follow the
// number of threads: as large as can be, because each reads all of W.
inline Index tile_for(Index rows, int threads) {
  const Index share = (rows + threads - 1) / threads;
  const Index tiles = (share + tile_rows - 1) / tile_rows;
  return ((share + tiles - 1) / tiles + block_rows - 1) / block_rows * block_rows;
}

// Calls work(first, count) for this thread's tiles of rows, until it is stopped.
template <typename Work>
void for_tiles(Index rows, Index tile, const Thread& thread, const Work& work) {
  const Range share = thread.share((rows + tile - 1) / tile);
  for (Index t = share.begin; t < share.end && !thread.stopped(); ++t) {
    work(t * tile, smaller(rows - t * tile, tile));
    thread.poll();
  }
}

// Calls work(q, r), r <= q, for the pairs of panels of a symmetric matrix that are this thread's.
template <typename Work>
void for_pairs(Index panels, const Thread& thread, const Work& work) {
  const Range mine = thread.share(panels * (panels + 1) / 2);
  Index t = 0;
  for (Index q = 0; q < panels; ++q)
    for (Index r = 0; r <= q; ++r, ++t)
      if (t >= mine.begin && t < mine.end) work(q, r);
}

// Tasks of unequal threads: whoever is free takes the next. Only for tasks whose result does not
// depend on who does which.
class TaskQueue {
 public:
  Index take() { return __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED); }

  // As many as a fair share of half of what is left, in blocks, `most` at most: the last ones are
  // small, so that threads end together.
  Range take_guided(Index tasks, int threads, Index block, Index most) {
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

// Calls work(first, count) for tiles of rows from a queue, until it is stopped.
template <typename Work>
void for_tiles(TaskQueue& queue, Index rows, const Thread& thread, const Work& work) {
  while (!thread.stopped()) {
    const Range tile = queue.take_guided(rows, thread.size, block_rows, tile_rows);
    if (tile.begin >= rows) return;
    work(tile.begin, tile.end - tile.begin);
    thread.poll();
  }
}

}  // namespace dsmfast::DSMFAST_ISA
