// The part of GCC's OpenMP runtime that the kernels use, by pthreads, for ThreadSanitizer: it sees no
// synchronization in the runtime itself, which is not built for it, and every edge of these.
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace {
struct Place {
  int rank = 0, size = 1;
};
struct Task {
  void (*body)(void*);
  void* data;
  Place place;
};
thread_local Place here;

void* begin(void* argument) {
  const Task& task = *static_cast<Task*>(argument);
  here = task.place;
  task.body(task.data);
  return nullptr;
}
}  // namespace

extern "C" {
int omp_get_thread_num() { return here.rank; }
int omp_get_num_threads() { return here.size; }
int omp_get_max_threads() { return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)); }
void GOMP_parallel(void (*body)(void*), void* data, unsigned asked, unsigned) {
  const int size = asked > 0 ? static_cast<int>(asked) : omp_get_max_threads();
  std::vector<Task> tasks;
  for (int rank = 0; rank < size; ++rank) tasks.push_back({body, data, {rank, size}});
  std::vector<pthread_t> threads(tasks.size());
  for (std::size_t i = 1; i < tasks.size(); ++i)
    if (pthread_create(&threads[i], nullptr, begin, &tasks[i]) != 0) std::abort();
  begin(&tasks[0]);
  here = {};
  for (std::size_t i = 1; i < tasks.size(); ++i) pthread_join(threads[i], nullptr);
}
}
