// How a call runs: threads, the GIL, signals, and what its outcome means in Python.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <dsmfast/kernels.hpp>

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
  explicit Call(int threads, KeptMemory* kept = nullptr);  // threads 0: default_threads()

  // Runs work(Execution&) without the GIL and raises what its outcome calls for. Divergence is left
  // to the caller, who finds it in the losses.
  template <typename Work>
  Outcome run(const Work& work) {
    Outcome outcome{};
    without_gil([&] { outcome = work(execution_); });
    raise(outcome);
    return outcome;
  }

  Index bad_row() const { return execution_.bad_row; }

 private:
  static bool interrupted(void* call);
  void raise(Outcome outcome) const;

  Execution execution_;
  std::chrono::steady_clock::time_point last_poll_;
};

}  // namespace dsmfast::bindings
