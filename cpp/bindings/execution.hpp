// How a call runs: threads, the GIL, signals, and what its outcome means in Python.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <dsmfast/kernels.hpp>
#include <functional>

#include "companion.hpp"

namespace dsmfast::bindings {

namespace py = pybind11;

// Threads that OpenMP would use now: OMP_NUM_THREADS and threadpoolctl are honoured.
int default_threads();

// Notes the main thread, and that forks are to be noted; runs once, at import.
void note_process();

// Takes the GIL again, or waits for the end of a process whose interpreter is shutting down.
void retake_gil(PyThreadState* thread);

// Not a guard object: taking the GIL may unwind the stack, and must not from a destructor.
template <typename Work>
void without_gil(const Work& work) {
  PyThreadState* thread = PyEval_SaveThread();
  work();
  retake_gil(thread);
}

class Call {
 public:
  // threads 0: default_threads(). `operations` says whether it may take long: multiplications, about.
  Call(int threads, double operations, KeptMemory* kept = nullptr);

  // Runs work(Execution&) without the GIL and raises what its outcome calls for. Divergence is left
  // to the caller, who finds it in the losses.
  template <typename Work>
  Outcome run(const Work& work) {
    Outcome outcome{};
    const auto run_here = [&] {
      execution_.threads = threads_to_be_had(execution_.threads);
      outcome = work(execution_);
    };
    if (!run_beside(run_here)) without_gil(run_here);
    raise(outcome);
    return outcome;
  }

  Index bad_row() const { return execution_.bad_row; }

 private:
  static bool poll(void* call);
  static bool told_to_stop(void* call);
  bool run_beside(const std::function<void()>& work);
  void raise(Outcome outcome) const;

  Execution execution_;
  bool is_long_;
  std::atomic<bool> stop_{false};  // said to the companion
  std::chrono::steady_clock::time_point last_poll_;
};

// What calls cost, for a `Call`.
template <typename... Sizes>
double product_of(Sizes... sizes) {
  return (static_cast<double>(sizes) * ...);
}

}  // namespace dsmfast::bindings
