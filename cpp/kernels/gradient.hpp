// dW, db and dc: the sums over rows, cut into tiles of one panel of features by a block of hidden
// units. A tile is summed by one thread in the order of the rows, then handed over while it is hot.
#pragma once

#include "regression.hpp"

namespace dsmfast::DSMFAST_ISA {

// Hidden units of a tile: long enough that packing R and X~ disappears, short enough to balance.
template <typename T>
constexpr Index hidden_block = 2 * panel_width<T>;

// A panel of few features leaves most of its lanes empty. Below this many, dW' is summed in place
// of dW, with hidden units in the lanes.
template <typename T>
constexpr Index narrow = lanes<T> / 2;

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
  T* R;                   // (capacity, width): one panel of the residuals
  T* X;                   // (capacity, width): one panel of the points
  T* dV;                  // (capacity, width): one panel of it; of Form::features
  T* dW;                  // (hidden_block, width)
  T* E;                   // (hidden_block, width): S' dV; of Form::features
  T* sum;                 // (h_pad,): S' 1, in the blocks of this thread; of Form::trace
  double* E64;            // (hidden_block, panel_width<double>): of Form::hidden
  T* transposed;          // (narrow, width)

  static GradientScratch carve(Arena& arena, Index capacity, Index h, Form form) {
    GradientScratch s{};
    s.R = arena.take<T>(capacity * panel_width<T>);
    s.X = arena.take<T>(capacity * panel_width<T>);
    if (form == Form::features) s.dV = arena.take<T>(capacity * panel_width<T>);
    s.dW = arena.take<T>(hidden_block<T> * panel_width<T>);
    s.E = arena.take<T>(hidden_block<T> * panel_width<T>);
    s.sum = arena.take<T>(padded<T>(h));
    s.E64 = arena.take<double>(hidden_block<T> * panel_width<double>);
    s.transposed = arena.take<T>(narrow<T> * panel_width<T>);
    return s;
  }
};

// Hidden units first_hidden ... + hidden of feature panel p.
struct GradientTile {
  Index p, first_hidden, hidden;
};

// A term A' B of a sum over rows.
template <typename T>
struct Term {
  const T* A;  // (B, ldh)
  const T* B;  // (B, ldx)
  T* packed;   // (B, width): one panel of B
};

// sum (+)= A' B + ... for one tile.
template <typename T>
void add_terms(const Weights<T>& w, const Chunk<T>& chunk, Index rows, const GradientTile& tile,
               const Term<T>* terms, int count, T* transposed, bool accumulate,
               T* sum) {  // (hidden, width)
  if (w.d > narrow<T>) {
    for (int n = 0; n < count; ++n)
      multiply(tile.hidden, w.features_in(tile.p), rows,
               {terms[n].A + tile.first_hidden, 1, chunk.ldh}, {terms[n].packed}, sum, w.width,
               accumulate || n > 0);
    return;
  }
  // Few features: (A' B)' = B' A.
  for (Index first = 0; first < tile.hidden; first += w.width) {
    const Index left = tile.hidden - first;
    const Index columns = left < w.width ? left : w.width;
    for (int n = 0; n < count; ++n)
      multiply(w.d, columns, rows, {terms[n].B, 1, chunk.ldx},
               {terms[n].A + tile.first_hidden + first, chunk.ldh}, transposed, w.width, n > 0);
    for (Index j = 0; j < columns; ++j)
      for (Index k = 0; k < w.d; ++k) {
        T& value = sum[(first + j) * w.width + k];
        value = (accumulate ? value : T(0)) + transposed[k * w.width + j];
      }
  }
}

// The tiles of `team.share`, each finished and handed over: finish(tile, dW, db or null, dc or
// null). first, last: whether this chunk opens and closes the batch.
template <typename T, typename Finish>
void gradient_tiles(const Weights<T>& w, const Curve<T>& curve, const Chunk<T>& chunk, Index rows,
                    bool first, bool last, const GradientSum<T>& total, const GradientScratch<T>& s,
                    const Team& team, const Finish& finish) {
  // R = H W + ...    ->  dW  = H' R
  // A = X~ W' + b    ->  dW += dA' X~
  const Term<T> terms[2] = {{chunk.H, chunk.R, s.R}, {chunk.dA, chunk.X, s.X}};
  // V = S (W o W) - 1    ->  dW += 2 W o (S' dV)
  const Term<T> of_curvature = {chunk.S, chunk.dV, s.dV};
  // Small models are cut finer, so that they still feed many threads.
  const bool few = w.feature_panels() * w.hidden_panels() < 16;
  const Index block = few ? w.width : hidden_block<T>;
  const Index blocks = (w.h + block - 1) / block;
  const Range share = team.share(w.feature_panels() * blocks);
  Index packed = -1;
  for (Index task = share.begin; task < share.end; ++task) {
    const Index p = task / blocks, first_hidden = task % blocks * block;
    const GradientTile tile{p, first_hidden,
                            w.h - first_hidden < block ? w.h - first_hidden : block};
    if (p != packed) {
      // A narrow last panel leaves the rest of its rows alone: what stands there must be zero.
      std::memset(s.dW, 0, static_cast<std::size_t>(hidden_block<T> * w.width) * sizeof(T));
      if (w.d > narrow<T>) {
        for (const Term<T>& term : terms)
          pack_panel(rows, w.d_pad, term.B, chunk.ldx, p, term.packed);
        if (curve.form == Form::features) pack_panel(rows, w.d_pad, chunk.dV, chunk.ldx, p, s.dV);
      }
      packed = p;
    }
    T* dW = total.W == nullptr ? s.dW : total.W + (p * w.h_pad + first_hidden) * w.width;
    add_terms(w, chunk, rows, tile, terms, 2, s.transposed, !first, dW);
    if (curve.form == Form::features) {
      add_terms(w, chunk, rows, tile, &of_curvature, 1, s.transposed, false, s.E);
      add_curvature(w, p, first_hidden, tile.hidden, s.E, dW);
    }
    if (curve.form == Form::trace) {
      // The first tasks of a thread meet each of its blocks of hidden units once, its H in cache.
      if (task - share.begin < blocks)
        column_sums(rows, tile.hidden, chunk.H + first_hidden, chunk.ldh, s.sum + first_hidden,
                    !first, [](const Lanes<T>& h) { return Lanes<T>(h * (T(1) - h)); });
      if (last) add_trace(curve, w, p, first_hidden, tile.hidden, s.sum + first_hidden, dW);
    }
    if (curve.form == Form::hidden && last)
      add_curvature(curve.hidden, w, p, first_hidden, tile.hidden, s.E64, dW);
    // A = X~ W' + b    ->  db = sum dA
    T* db = nullptr;
    if (p == 0) {
      db = total.b + first_hidden;
      column_sums(rows, tile.hidden, chunk.dA + first_hidden, chunk.ldh, db, !first);
    }
    // R = ... + c - T  ->  dc = sum R
    T* dc = nullptr;
    if (first_hidden == 0) {
      dc = total.c + p * w.width;
      column_sums(rows, w.features_in(p), chunk.R + p * w.width, chunk.ldx, dc, !first);
    }
    if (last) finish(tile, dW, db, dc);
  }
}

}  // namespace dsmfast::DSMFAST_ISA
