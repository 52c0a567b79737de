// dW, db and dc: the sums over rows, cut into tiles of one panel of features by a block of hidden
// units. A tile is summed by one thread in the order of the rows, then handed over while it is hot.
#pragma once

#include "regression.hpp"

namespace dsmfast::DSMFAST_ISA {

// Hidden units of a tile: long enough that packing R and X~ disappears, short enough to balance.
template <typename T>
constexpr Index hidden_block = 2 * panel_width<T>;

// The gradient, laid out like Weights::by_feature, for batches of more than one chunk.
template <typename T>
struct GradientSum {
  T* W;  // (d_pad / width, h_pad, width); null while one chunk is the whole batch
  T* b;  // (h_pad,)
  T* c;  // (d_pad,)

  static GradientSum carve(Arena& arena, Index d, Index h, bool chunks) {
    GradientSum g{};
    g.W = chunks ? arena.take<T>(padded<T>(d) * padded<T>(h)) : nullptr;
    g.b = arena.take<T>(padded<T>(h));
    g.c = arena.take<T>(padded<T>(d));
    return g;
  }
};

template <typename T>
struct GradientScratch {  // one a thread
  T* dW;                  // (hidden_block, width)
  T* E;                   // (hidden_block, width): S' dV; of Form::features
  T* sum;                 // (h_pad,): S' 1, in the blocks of this thread; of Form::trace
  double* E64;            // (hidden_block, panel_width<double>): of Form::hidden

  static GradientScratch carve(Arena& arena, Index h) {
    GradientScratch s{};
    s.dW = arena.take<T>(hidden_block<T> * panel_width<T>);
    s.E = arena.take<T>(hidden_block<T> * panel_width<T>);
    s.sum = arena.take<T>(padded<T>(h));
    s.E64 = arena.take<double>(hidden_block<T> * panel_width<double>);
    return s;
  }
};

// Hidden units first_hidden ... + hidden of feature panel p.
struct GradientTile {
  Index p, first_hidden, hidden;
};

// sum (+)= A' B over rows, for one tile.
template <typename T>
void add_rows(const Weights<T>& w, Index rows, const GradientTile& tile, const Matrix<T>& A,
              const Matrix<T>& B,         // (rows, h), (rows, d)
              bool accumulate, T* sum) {  // (hidden, width)
  const Panel<T> panel{B(0, tile.p * w.width), B.row};
  for (Index j = 0; j < tile.hidden; j += w.width)
    multiply(tile.hidden - j < w.width ? tile.hidden - j : w.width, w.features_in(tile.p), rows,
             Left<T>::transposed(A, tile.first_hidden + j), panel, sum + j * w.width, w.width,
             accumulate);
}

// The tiles of `team.share`, each finished and handed over: finish(tile, dW, db or null, dc or
// null). first, last: whether this chunk opens and closes the batch.
template <typename T, typename Finish>
void gradient_tiles(const Weights<T>& w, const Curve<T>& curve, const Chunk<T>& chunk, Index rows,
                    bool first, bool last, const GradientSum<T>& total, const GradientScratch<T>& s,
                    const Team& team, const Finish& finish) {
  // Small models are cut finer, so that they still feed many threads.
  const bool few = w.feature_panels() * w.hidden_panels() < 16;
  const Index block = few ? w.width : hidden_block<T>;
  const Index blocks = (w.h + block - 1) / block;
  const Range share = team.share(w.feature_panels() * blocks);
  Index cleared = -1;
  for (Index task = share.begin; task < share.end; ++task) {
    const Index p = task / blocks, first_hidden = task % blocks * block;
    const GradientTile tile{p, first_hidden,
                            w.h - first_hidden < block ? w.h - first_hidden : block};
    if (p != cleared) {
      // A narrow last panel leaves the rest of its rows alone: what stands there must be zero.
      std::memset(s.dW, 0, static_cast<std::size_t>(hidden_block<T> * w.width) * sizeof(T));
      cleared = p;
    }
    T* dW = total.W == nullptr ? s.dW : total.W + (p * w.h_pad + first_hidden) * w.width;
    prefetch(w, p, first_hidden, tile.hidden);
    // R = H W + ...    ->  dW  = H' R
    // A = X~ W' + b    ->  dW += dA' X~
    add_rows(w, rows, tile, chunk.H, chunk.R, !first, dW);
    add_rows(w, rows, tile, chunk.dA, chunk.X, true, dW);
    if (curve.form == Form::features) {
      // V = S (W o W) - 1    ->  dW += 2 W o (S' dV)
      add_rows(w, rows, tile, chunk.S, chunk.dV, false, s.E);
      add_curvature(w, p, first_hidden, tile.hidden, s.E, dW);
    }
    if (curve.form == Form::trace) {
      // The first tasks of a thread meet each of its blocks of hidden units once, its H in cache.
      if (task - share.begin < blocks)
        column_sums(rows, tile.hidden, chunk.H, first_hidden, s.sum + first_hidden, !first,
                    [](const Lanes<T>& h) { return Lanes<T>(h * (T(1) - h)); });
      if (last) add_trace(curve, w, p, first_hidden, tile.hidden, s.sum + first_hidden, dW);
    }
    if (curve.form == Form::hidden && last)
      add_curvature(curve.hidden, w, p, first_hidden, tile.hidden, s.E64, dW);
    // A = X~ W' + b    ->  db = sum dA
    T* db = nullptr;
    if (p == 0) {
      db = total.b + first_hidden;
      column_sums(rows, tile.hidden, chunk.dA, first_hidden, db, !first);
    }
    // R = ... + c - T  ->  dc = sum R
    T* dc = nullptr;
    if (first_hidden == 0) {
      dc = total.c + p * w.width;
      column_sums(rows, w.features_in(p), chunk.R, p * w.width, dc, !first);
    }
    if (last) finish(tile, dW, db, dc);
  }
}

}  // namespace dsmfast::DSMFAST_ISA
