// Draws in all features from those in the directions of the weights; and their energies alone.
//
//   x = Q'y + (I - Q'Q)(c + sigma e) = rest + sigma e + Q'(y - sigma Q e),   rest = (I - Q'Q) c
//
// beside = |(I - Q'Q) e|^2 = |e|^2 - |Q e|^2, twice what the energy of x has beyond that of y, but for
// a constant.
#pragma once

#include "kernels/chains/layers.hpp"

namespace dsmfast::DSMFAST_ISA::chains {

template <typename T>
struct LiftScratch {  // one a thread
  T* E;               // (tile_rows, ldx)
  Matrix<T> H;        // (tile_rows, r)
  T* panel;           // (tile_rows, width)

  static LiftScratch carve(Arena& arena, Index d, Index r) {
    LiftScratch s{};
    arena.take(tile_rows * leading_dimension<T>(d), s.E);
    s.H = Matrix<T>::carve(arena, tile_rows, r);
    arena.take(tile_rows * panel_width<T>, s.panel);
    return s;
  }
};

template <typename T>
double sum_of_squares(const T* x, Index count) {
  SquareSum<T> sum;
  for (Index k = 0; k < count; k += lanes<T>) sum.add(load_columns(x, k, count));
  return sum.value();
}

// basis: Q (r, d) for W, and rest for c. y (n, r) to x (n, d), beside (n,).
template <typename T>
Outcome lift(const Model<T>& basis, const Lift<T>& task, Execution& run) {
  const Index d = basis.features, r = basis.hidden, ldx = leading_dimension<T>(d);
  const int threads =
      worthwhile(run.threads, row_operations(2, d, r) * static_cast<double>(task.draws));
  Weights<T> w{};
  ThreadArenas scratch;
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        w = Weights<T>::carve(arena, d, r);
        scratch = ThreadArenas::carve<LiftScratch<T>>(arena, threads, d, r);
      }))
    return Outcome::out_of_memory;
  return parallel(threads, run, [&](const Thread& thread) {
    const auto s = scratch.template of_thread<LiftScratch<T>>(thread.rank, d, r);
    pack(w, {basis.W, basis.b, basis.c}, thread);
    thread.barrier();
    for_tiles(task.draws, tile_for(task.draws, threads), thread, [&](Index first, Index rows) {
      fill(
          task.source, [&](Index i) { return task.steps[first + i]; }, rows, d,
          [&](Index i) { return task.rows[first + i]; }, [&](Index) { return task.draw; },
          ToNormals{}, s.E, ldx);
      receive<T>(w, false, rows, Matrix<const T>{s.E, ldx}, s.H);
      for (Index i = 0; i < rows; ++i) {
        double along = 0;
        for (Index q = 0; q < w.hidden_panels(); ++q) {
          T* h = s.H(i, q * w.width);
          const T* y = task.y + (first + i) * r + q * w.width;
          along += sum_of_squares(h, w.hidden_in(q));
          for (Index j = 0; j < w.hidden_in(q); ++j) h[j] = y[j] - task.sigma * h[j];
        }
        task.beside[first + i] = sum_of_squares(s.E + i * ldx, d) - along;
      }
      feed(w, false, rows, s.H, s.panel, [&](Index i, Index from, Index count, const T* D) {
        T* x = task.x + (first + i) * d + from;
        const T* e = s.E + i * ldx + from;
        for (Index k = 0; k < count; ++k) x[k] = D[k] + w.c[from + k] + task.sigma * e[k];
      });
    });
  });
}

}  // namespace dsmfast::DSMFAST_ISA::chains
