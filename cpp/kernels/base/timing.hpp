// Where a thread spends its time, if the caller asks.
#pragma once

#include <time.h>

#include <dsmfast/kernels.hpp>

namespace dsmfast::DSMFAST_ISA {

// The time since the last lap belongs to the region that is named when it ends.
class Timer {
 public:
  explicit Timer(double* seconds) : seconds_(seconds) {  // (regions,); null: does nothing
    if (seconds_ != nullptr) last_ = now();
  }

  void lap(Region region) {
    if (seconds_ == nullptr) return;
    const double time = now();
    seconds_[static_cast<int>(region)] += time - last_;
    last_ = time;
  }

 private:
  static double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  double* seconds_;
  double last_ = 0;
};

}  // namespace dsmfast::DSMFAST_ISA
