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

  static Index bytes(const Index d, Index h, bool chunks) {
    const Index d_pad = padded<T>(d), h_pad = padded<T>(h);
    return (chunks ? Arena::bytes<T>(d_pad * h_pad) : 0) + Arena::bytes<T>(h_pad) +
           Arena::bytes<T>(d_pad);
  }
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
  T* X;                   // (capacity, width): and of the points
  T* dW;                  // (hidden_block, width)

  static Index bytes(Index capacity) {
    return 2 * Arena::bytes<T>(capacity * panel_width<T>) +
           Arena::bytes<T>(hidden_block<T> * panel_width<T>);
  }
  static GradientScratch carve(Arena& arena, Index capacity) {
    GradientScratch s{};
    s.R = arena.take<T>(capacity * panel_width<T>);
    s.X = arena.take<T>(capacity * panel_width<T>);
    s.dW = arena.take<T>(hidden_block<T> * panel_width<T>);
    return s;
  }
};

// sum (columns,) (+)= sum over rows of A (rows, columns), in whole registers.
template <typename T>
void column_sums(Index rows, Index columns, const T* A, Index lda, T* sum, bool accumulate) {
  for (Index j = 0; j < columns; j += lanes<T>) {
    Lanes<T> total = Lanes<T>::Zero();
    for (Index i = 0; i < rows; ++i) total += load(A + i * lda + j);
    store<T>(sum + j, accumulate ? Lanes<T>(load(sum + j) + total) : total);
  }
}

// Rows j ... j + count of dW for panel p, where they lie in the layout of by_feature.
struct GradientTile {
  Index p, q, first_hidden, hidden;
};

// The tiles of `team.share`, each finished and handed over: finish(tile, dW, db or null, dc or null).
// first, last: whether this chunk opens and closes the batch.
template <typename T, typename Finish>
void gradient_tiles(const Weights<T>& w, const Chunk<T>& chunk, Index rows, bool first, bool last,
                    const GradientSum<T>& total, const GradientScratch<T>& s, const Team& team,
                    const Finish& finish) {
  const Index blocks = (w.h + hidden_block<T> - 1) / hidden_block<T>;
  const Range share = team.share(w.feature_panels() * blocks);
  Index packed = -1;
  for (Index task = share.begin; task < share.end; ++task) {
    GradientTile tile{task / blocks, task % blocks, 0, 0};
    tile.first_hidden = tile.q * hidden_block<T>;
    const Index left = w.h - tile.first_hidden;
    tile.hidden = left < hidden_block<T> ? left : hidden_block<T>;
    if (tile.p != packed) {
      pack_panel(rows, w.d_pad, chunk.R, chunk.ldx, tile.p, s.R);
      pack_panel(rows, w.d_pad, chunk.X, chunk.ldx, tile.p, s.X);
      packed = tile.p;
      // A narrow last panel leaves its second register alone: what stands there must be zero.
      std::memset(s.dW, 0, static_cast<std::size_t>(hidden_block<T> * w.width) * sizeof(T));
    }
    const Index columns = w.features_in(tile.p);
    T* dW = total.W == nullptr
                ? s.dW
                : total.W + (tile.p * w.h_pad + tile.first_hidden) * w.width;
    // R = H W + ...        ->  dW  = H' R
    multiply(tile.hidden, columns, rows, chunk.H + tile.first_hidden, 1, chunk.ldh, s.R, dW,
             w.width, !first);
    // A = X~ W' + b        ->  dW += dA' X~,  db = sum dA
    multiply(tile.hidden, columns, rows, chunk.dA + tile.first_hidden, 1, chunk.ldh, s.X, dW,
             w.width, true);
    T* db = nullptr;
    if (tile.p == 0) {
      db = total.b + tile.first_hidden;
      column_sums(rows, tile.hidden, chunk.dA + tile.first_hidden, chunk.ldh, db, !first);
    }
    // R = ... + c - T      ->  dc  = sum R
    T* dc = nullptr;
    if (tile.q == 0) {
      dc = total.c + tile.p * w.width;
      column_sums(rows, columns, s.R, w.width, dc, !first);
    }
    if (last) finish(tile, dW, db, dc);
  }
}

}  // namespace dsmfast::DSMFAST_ISA
