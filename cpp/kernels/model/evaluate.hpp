// What the model says of points, row by row.
//
//   score  = (D - X) / sigma^2
//   energy = -(<c, x> - |x|^2 / 2 + sum softplus(W x + b)) / sigma^2
//
// All but decode is worked out in coordinates from c, y = x - c, where W x + b = W y + (b + W c). Far from 0
// (hectopascals, years) x is large and its differences are not: there W x + b and the two terms of x would
// leave no digit of an energy. For the same reason energies, which |c|^2 / 2 is a part of, are double.
#pragma once

#include <cmath>

#include "kernels/model/layers.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
struct EvaluationScratch {  // one a thread
  T* x;                     // (tile_rows, ldx): y, or what is to be decoded
  Matrix<T> H;              // (tile_rows, h), in panels
  T* panel;                 // (tile_rows, width)
  FreeEnergyScratch<T> free;
  double *sum, *gaussian;  // (tile_rows,): sum softplus(W x + b), -|y|^2 / 2

  static EvaluationScratch carve(Arena& arena, Index ldx, Index h) {
    EvaluationScratch s{};
    arena.take(tile_rows * ldx, s.x);
    s.H = Matrix<T>::carve(arena, tile_rows, h);
    arena.take(tile_rows * panel_width<T>, s.panel);
    s.free = FreeEnergyScratch<T>::carve(arena);
    arena.take(tile_rows, s.sum, s.gaussian);
    return s;
  }
};

// The model in coordinates from c.
template <typename T>
struct Centred {
  Weights<T> w;     // packed; b is b + W c, and c is 0 where the score is asked for
  T* origin;        // (d_pad,): c
  double half = 0;  // |c|^2 / 2

  static Centred carve(Arena& arena, Index d, Index h) {
    Centred m{Weights<T>::carve(arena, d, h), nullptr};
    arena.take(m.w.d_pad, m.origin);
    return m;
  }

  // Every thread of the team takes part. Needs a barrier after it.
  void set(const Model<T>& model, Quantity quantity, const Thread& thread) const {
    const Index d = w.d;
    pack(w, {model.W, model.b, model.c}, thread);
    if (thread.rank == 0) copy(model.c, d, origin);
    if (quantity == Quantity::decode) return;
    thread.barrier();
    if (thread.rank == 0 && quantity == Quantity::score) clear(w.c, d);
    const Range mine = thread.share(w.h);
    for (Index j = mine.begin; j < mine.end; ++j)
      w.b[j] = static_cast<T>(static_cast<double>(model.b[j]) + dot(model.W + j * d, model.c, d));
  }
};

// One tile of rows Y, (rows, d) from c or, to decode, (rows, h), to the user's output.
template <typename T>
void evaluate_tile(const Centred<T>& m, Quantity quantity, T sigma, Index rows,
                   const Matrix<const T>& Y, const EvaluationScratch<T>& s, T* out,
                   double* energy) {
  const Weights<T>& w = m.w;
  if (quantity == Quantity::energy) {
    free_energy<T>(w, rows, Y, s.free, s.sum);
    const double variance = static_cast<double>(sigma) * static_cast<double>(sigma);
    for (Index i = 0; i < rows; ++i) energy[i] = -(s.gaussian[i] + s.sum[i] + m.half) / variance;
    return;
  }
  if (quantity != Quantity::decode) encode<T>(w, rows, Y, s.H);
  if (quantity == Quantity::hidden) {
    for (Index i = 0; i < rows; ++i)
      for (Index q = 0; q < w.hidden_panels(); ++q)
        copy(s.H(i, q * w.width), w.hidden_in(q), out + i * w.h + q * w.width);
    return;
  }
  const T precision = T(1) / (sigma * sigma);
  const Matrix<const T> H = quantity == Quantity::decode ? Y : s.H;
  decode<T>(w, rows, H, s.panel, [&](Index i, Index first, Index count, const T* D) {
    T* to = out + i * w.d + first;
    if (quantity != Quantity::score) return copy(D, count, to);
    const T* y = Y(i, first);
    for (Index k = 0; k < count; ++k) to[k] = (D[k] - y[k]) * precision;
  });
}

template <typename T>
Outcome evaluate(const Model<T>& model, Quantity quantity, const View<const T>& x, T* out,
                 double* energy, Execution& run) {
  const Index d = model.features, h = model.hidden;
  const Index ldx = leading_dimension<T>(x.columns);
  const Index width = quantity == Quantity::hidden ? h : d;
  const int threads =
      worthwhile(run.threads, row_operations(2, d, h) * static_cast<double>(x.rows));

  Centred<T> m{};
  BadRows bad{};
  ThreadArenas scratch;
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        m = Centred<T>::carve(arena, d, h);
        bad = {arena.take<Index>(threads), threads};
        scratch = ThreadArenas::carve<EvaluationScratch<T>>(arena, threads, ldx, h);
      }))
    return Outcome::out_of_memory;
  m.half = dot(model.c, model.c, d) / 2;
  const Outcome outcome = parallel(threads, run, [&](const Thread& thread) {
    const auto s = scratch.of_thread<EvaluationScratch<T>>(thread.rank, ldx, h);
    m.set(model, quantity, thread);
    thread.barrier();
    // Row i of a tile as the tile is worked on; whether it is finite.
    const auto prepare = [&](Index i, const T* row) {
      if (quantity == Quantity::decode) return is_finite(row, h);
      T* y = s.x + i * ldx;
      s.gaussian[i] = gaussian_part(
          m.origin, d, row, [&](Index k, const Packet<T>& value) { store<T>(y + k, value); });
      return std::isfinite(s.gaussian[i]) || is_finite(row, d);  // squares may be too large
    };
    for_tiles(x.rows, tile_for(x.rows, threads), thread, [&](Index first, Index rows) {
      if (bad.any(thread.rank)) return;
      Matrix<const T> X{x.data + first * x.row_stride, x.row_stride};
      for (Index i = 0; i < rows; ++i) {
        const T* row = contiguous_row(x, first + i, s.x + i * ldx);
        if (!prepare(i, row)) bad.report(thread.rank, first + i);
      }
      if (x.column_stride != 1 || quantity != Quantity::decode) X = {s.x, ldx};
      const bool is_energy = quantity == Quantity::energy;
      evaluate_tile(m, quantity, model.sigma, rows, X, s, is_energy ? out : out + first * width,
                    is_energy ? energy + first : energy);
    });
  });
  return outcome == Outcome::finished ? bad.outcome(run) : outcome;
}

}  // namespace dsmfast::DSMFAST_ISA
