// Two threads that count: each for itself, or in the same place, which is a race.
#include <omp.h>

int main() {
  int counts[2] = {};
#pragma omp parallel num_threads(2)
  ++counts[SHARED ? 0 : omp_get_thread_num()];
  return counts[0] + counts[1] > 2;
}
