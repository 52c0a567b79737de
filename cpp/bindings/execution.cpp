#include "execution.hpp"

#include <string>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

namespace dsmfast::bindings {

namespace {

// An OpenMP runtime that has started threads cannot start any after fork(): the child would wait
// for threads that it does not have. It runs on, with the one thread it has.
bool has_started_threads = false;
bool is_forked_child = false;

constexpr auto time_between_looks = std::chrono::milliseconds(50);

}  // namespace

void watch_for_forks() {
#ifndef _WIN32
  pthread_atfork(nullptr, nullptr, [] { is_forked_child = has_started_threads; });
#endif
}

int default_threads() {
#ifdef _OPENMP
  return is_forked_child ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

Call::Call(int threads)
    : execution_{threads, &Call::interrupted, this, -1},
      last_look_(std::chrono::steady_clock::now()) {
  if (threads <= 0) execution_.threads = default_threads();
#ifdef _OPENMP
  if (is_forked_child) execution_.threads = 1;
#else
  execution_.threads = 1;
#endif
  if (execution_.threads > 1) has_started_threads = true;
}

bool Call::interrupted(void* call) {
  auto* self = static_cast<Call*>(call);
  const auto now = std::chrono::steady_clock::now();
  if (now - self->last_look_ < time_between_looks) return false;
  self->last_look_ = now;
  py::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

void Call::raise(Outcome outcome) const {
  switch (outcome) {
    case Outcome::interrupted:
      throw py::error_already_set();  // what the signal handler raised
    case Outcome::out_of_memory:
      throw std::bad_alloc();
    case Outcome::bad_input:
    case Outcome::finished:
    case Outcome::diverged:
      return;
  }
}

}  // namespace dsmfast::bindings
