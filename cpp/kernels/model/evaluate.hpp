// What the model says of points, row by row.
//
//   score  = (D - X) / sigma^2
//   energy = -(<c, x> - |x|^2 / 2 + sum softplus(W x + b)) / sigma^2
#pragma once

#include "kernels/model/layers.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
struct EvaluationScratch {  // one a thread
  T* x;                     // (tile_rows, ldx): points whose columns are not adjacent
  Matrix<T> H;              // (tile_rows, h), in panels
  T* panel;                 // (tile_rows, width)
  double* sum;              // (tile_rows,)

  static EvaluationScratch carve(Arena& arena, Index ldx, Index h) {
    EvaluationScratch s{};
    arena.take(tile_rows * ldx, s.x);
    s.H = Matrix<T>::carve(arena, tile_rows, h);
    arena.take(tile_rows * panel_width<T>, s.panel);
    arena.take(tile_rows, s.sum);
    return s;
  }
};

// One tile of rows X, (rows, d) or, to decode, (rows, h), to the user's output.
template <typename T, typename Meanwhile>
void evaluate_tile(const Weights<T>& w, Quantity quantity, T sigma, Index rows,
                   const Matrix<const T>& X, const EvaluationScratch<T>& s, T* out,
                   const Meanwhile& meanwhile) {
  if (quantity == Quantity::energy) {
    free_energy<T>(w, rows, X, s.panel, s.sum, meanwhile);
    const double variance = static_cast<double>(sigma) * static_cast<double>(sigma);
    for (Index i = 0; i < rows; ++i)
      out[i] = static_cast<T>(-(gaussian_part(w.c, w.d, X(i, 0)) + s.sum[i]) / variance);
    return;
  }
  if (quantity == Quantity::decode)
    meanwhile();
  else
    encode<T>(w, rows, X, s.H, meanwhile);
  if (quantity == Quantity::hidden) {
    for (Index i = 0; i < rows; ++i)
      for (Index q = 0; q < w.hidden_panels(); ++q)
        copy(s.H(i, q * w.width), w.hidden_in(q), out + i * w.h + q * w.width);
    return;
  }
  const T precision = T(1) / (sigma * sigma);
  const Matrix<const T> H = quantity == Quantity::decode ? X : s.H;
  decode<T>(w, rows, H, s.panel, [&](Index i, Index first, Index count, const T* D) {
    T* to = out + i * w.d + first;
    if (quantity != Quantity::score) return copy(D, count, to);
    const T* x = X(i, first);
    for (Index k = 0; k < count; ++k) to[k] = (D[k] - x[k]) * precision;
  });
}

template <typename T>
Outcome evaluate(const Model<T>& model, Quantity quantity, const View<const T>& x, T* out,
                 Execution& run) {
  const Index d = model.features, h = model.hidden;
  const Index ldx = leading_dimension<T>(x.columns);
  const Index width = quantity == Quantity::hidden ? h : quantity == Quantity::energy ? 1 : d;
  const int threads =
      worthwhile(run.threads, row_operations(2, d, h) * static_cast<double>(x.rows));

  Weights<T> w{};
  BadRows bad{};
  ThreadArenas scratch;
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        w = Weights<T>::carve(arena, d, h);
        bad = {arena.take<Index>(threads), threads};
        scratch = ThreadArenas::carve<EvaluationScratch<T>>(arena, threads, ldx, h);
      }))
    return Outcome::out_of_memory;
  const Outcome outcome = parallel(threads, run, [&](const Thread& thread) {
    const auto s = scratch.of_thread<EvaluationScratch<T>>(thread.rank, ldx, h);
    pack(w, {model.W, model.b, model.c}, thread);
    thread.barrier();
    for_tiles(x.rows, tile_for(x.rows, threads), thread, [&](Index first, Index rows) {
      if (bad.any(thread.rank)) return;
      Matrix<const T> X{x.data + first * x.row_stride, x.row_stride};
      if (x.column_stride != 1) {
        for (Index i = 0; i < rows; ++i) copy_row(x, first + i, s.x + i * ldx);
        X = {s.x, ldx};
      }
      // The product, busy and reading ahead, fetches rows from memory for nothing; checked before
      // it, they would be waited for.
      evaluate_tile(w, quantity, model.sigma, rows, X, s, out + first * width, [&] {
        for (Index i = 0; i < rows; ++i)
          if (!is_finite(X(i, 0), x.columns)) bad.report(thread.rank, first + i);
      });
    });
  });
  return outcome == Outcome::finished ? bad.outcome(run) : outcome;
}

}  // namespace dsmfast::DSMFAST_ISA
