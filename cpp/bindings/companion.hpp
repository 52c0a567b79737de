// A thread that runs long calls while the main thread waits for them.
//
// Only the main thread hears of signals, and to look for one it has to have the GIL. Where it computes
// itself, and another thread holds the GIL, each look stops the computation for as long as that takes.
// So it does not compute: it waits for the companion, and looks meanwhile.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>

namespace dsmfast::bindings {

class Companion {
 public:
  // Begins to run `work` beside the caller; false where there is no thread for it, or it is busy.
  bool begin(std::function<void()> work);

  // Waits so long for the work to be done; whether it is.
  bool wait(double seconds);

  // Takes leave of work that is done; what it threw is thrown here.
  void finish();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;
  std::exception_ptr error_;
  enum class State { none, idle, busy, done } state_ = State::none;
};

// The one of this process. It is never destroyed: its thread may wait for work until the very end.
Companion& companion();

// Threads that a region may have when so many are asked for: not more than make sense, and not more
// than can be started from here. OpenMP ends the process where it cannot start one.
int threads_to_be_had(int threads);

}  // namespace dsmfast::bindings
