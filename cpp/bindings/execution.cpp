#include "execution.hpp"

#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

#include <pthread.h>

#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace dsmfast::bindings {

namespace {

// An OpenMP runtime that has started threads cannot start any after fork(): the child would wait
// for threads that it does not have. It runs on, with the one thread it has; also where nothing here
// ran before, because another library may have started the threads of a runtime that both share.
bool is_forked_child = false;

// Only the main thread hears of signals. Others do not poll for them: taking the GIL while the
// interpreter shuts down would end the thread, and with it the process.
unsigned long main_thread = 0;

constexpr auto time_between_polls = std::chrono::milliseconds(50);

// From so many multiplications on, some milliseconds, a call of the main thread goes to the companion.
constexpr double long_call = 2e8;

[[noreturn]] void wait_for_the_end() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace

void note_process() {
  main_thread =
      py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
  pthread_atfork(nullptr, nullptr, [] {
    is_forked_child = true;
    main_thread = PyThread_get_thread_ident();
  });
}

int default_threads() {
#ifdef _OPENMP
  return is_forked_child ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

Call::Call(int threads, double operations, KeptMemory* kept)
    : execution_{threads, &Call::poll, this, -1, kept, nullptr},
      is_long_(operations >= long_call),
      last_poll_(std::chrono::steady_clock::now()) {
  if (threads <= 0) execution_.threads = default_threads();
#ifdef _OPENMP
  if (is_forked_child) execution_.threads = 1;
#else
  execution_.threads = 1;
#endif
  if (PyThread_get_thread_ident() != main_thread) execution_.interrupted = nullptr;
}

bool Call::poll(void* call) {
  auto* self = static_cast<Call*>(call);
  const auto now = std::chrono::steady_clock::now();
  if (now - self->last_poll_ < time_between_polls) return false;
  self->last_poll_ = now;
  py::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

bool Call::told_to_stop(void* call) {
  return static_cast<Call*>(call)->stop_.load(std::memory_order_relaxed);
}

// Long calls of the main thread, unless the companion is busy with one that a signal's handler broke
// in on. A forked child has no companion.
bool Call::run_beside(const std::function<void()>& work) {
  if (!is_long_ || execution_.interrupted == nullptr || is_forked_child) return false;
  execution_.interrupted = &Call::told_to_stop;
  if (!companion().begin(work)) {
    execution_.interrupted = &Call::poll;
    return false;
  }
  constexpr double seconds = std::chrono::duration<double>(time_between_polls).count();
  PyThreadState* thread = PyEval_SaveThread();
  for (bool done = false; !done;) {
    done = companion().wait(seconds);
    PyEval_RestoreThread(thread);
    if (!done && !stop_ && PyErr_CheckSignals() != 0) stop_ = true;
    done = done || companion().wait(0);
    if (!done) thread = PyEval_SaveThread();
  }
  companion().finish();
  return true;
}

// An interpreter that is shutting down ends a thread that asks for the GIL by unwinding its stack,
// which may not pass through a destructor, and would here run some without the GIL. The thread waits
// for the end of the process instead.
void retake_gil(PyThreadState* thread) {
#if PY_VERSION_HEX >= 0x030D0000
  const bool is_ending = Py_IsFinalizing() != 0;
#else
  const bool is_ending = _Py_IsFinalizing() != 0;
#endif
  if (is_ending && PyThread_get_thread_ident() != main_thread) wait_for_the_end();
#ifdef __GLIBCXX__
  try {
    PyEval_RestoreThread(thread);
  } catch (abi::__forced_unwind&) {  // the shutdown began while this thread waited for the GIL
    wait_for_the_end();
  }
#else
  PyEval_RestoreThread(thread);
#endif
}

void Call::raise(Outcome outcome) const {
  if (outcome == Outcome::out_of_memory)
    PyErr_SetString(PyExc_MemoryError, "not enough memory for the kernels' working arrays");
  // Where it was interrupted, what the signal handler raised.
  if (outcome == Outcome::out_of_memory || outcome == Outcome::interrupted)
    throw py::error_already_set();
}

}  // namespace dsmfast::bindings
