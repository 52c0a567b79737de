#include "companion.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace dsmfast::bindings {

Companion& companion() {
  static auto* const one = new Companion;
  return *one;
}

bool Companion::begin(std::function<void()> work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ == State::none) {
    const auto body = [](void* self) -> void* {
      static_cast<Companion*>(self)->run();
      return nullptr;
    };
    pthread_t thread;
    if (pthread_create(&thread, nullptr, body, this) != 0) return false;
    pthread_detach(thread);
    state_ = State::idle;
  }
  if (state_ != State::idle) return false;
  work_ = std::move(work);
  state_ = State::busy;
  changed_.notify_all();
  return true;
}

bool Companion::wait(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [this] { return state_ == State::done; });
}

void Companion::finish() {
  const std::lock_guard<std::mutex> lock(mutex_);
  state_ = State::idle;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Companion::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return state_ == State::busy; });
    lock.unlock();
    std::exception_ptr error;
    try {
      work_();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    error_ = error;
    state_ = State::done;
    changed_.notify_all();
  }
}

#ifdef _OPENMP

namespace {

// How many threads can be started beside this one, up to `wanted`, all at once. A runtime has needs
// beside stacks, for which one more than it will start has to fit.
int startable(int wanted) {
  std::mutex mutex;
  mutex.lock();
  const auto body = [](void* gate) -> void* {
    const std::lock_guard<std::mutex> opened(*static_cast<std::mutex*>(gate));
    return nullptr;
  };
  std::vector<pthread_t> started;
  started.reserve(static_cast<std::size_t>(wanted) + 1);
  pthread_t thread;
  while (static_cast<int>(started.size()) <= wanted &&
         pthread_create(&thread, nullptr, body, &mutex) == 0)
    started.push_back(thread);
  mutex.unlock();
  for (const pthread_t one : started) pthread_join(one, nullptr);
  return std::max(0, static_cast<int>(started.size()) - 1);
}

}  // namespace

// Each thread that begins regions has a team of its own in the runtime, which keeps it between them.
int threads_to_be_had(int threads) {
  static const int most = std::max(8, 2 * static_cast<int>(std::thread::hardware_concurrency()));
  const int wanted = std::min(threads, most);
  thread_local int had = 1;
  if (wanted > had) had = std::max(had, 1 + startable(wanted - 1));
  return std::min(wanted, had);
}

#else

int threads_to_be_had(int) { return 1; }

#endif

}  // namespace dsmfast::bindings
