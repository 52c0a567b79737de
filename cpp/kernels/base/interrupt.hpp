// How the threads of a call learn that the caller asked to stop. README.md has the rule.
#pragma once

#include <dsmfast/kernels.hpp>

namespace dsmfast::DSMFAST_ISA {

// A flag that one thread raises and all read.
class Flag {
 public:
  void raise() { __atomic_store_n(&raised_, 1, __ATOMIC_RELAXED); }
  bool raised() const { return __atomic_load_n(&raised_, __ATOMIC_RELAXED) != 0; }

 private:
  int raised_ = 0;
};

// The caller is asked by rank 0 alone, in the calling thread; all read the flag.
class InterruptPoll {
 public:
  explicit InterruptPoll(const Execution& run) : run_(run) {}

  void poll(int rank) {
    if (rank == 0 && run_.interrupted != nullptr && run_.interrupted(run_.context)) stop_.raise();
  }
  bool stopped() const { return stop_.raised(); }

 private:
  const Execution& run_;
  Flag stop_;
};

}  // namespace dsmfast::DSMFAST_ISA
