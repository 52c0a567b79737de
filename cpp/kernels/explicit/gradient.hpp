// dW, db and dc: the sums over rows, cut into tiles of one panel of features by a block of hidden
// units. A tile is summed by one thread in the order of the rows, then handed over while it is hot.
#pragma once

#include "kernels/explicit/forward.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path {

template <typename T>
struct Pair {
  const Matrix<T>&A, &B;  // (rows, h), (rows, d)
};

// sum (+)= A' B of each pair over rows, for one tile.
template <typename T, int pairs>
void add_rows(const Weights<T>& w, Index rows, const WeightTile& tile, const Pair<T> (&pair)[pairs],
              bool accumulate, T* sum) {  // (hidden, width)
  const auto term = [&](const Pair<T>& of, Index j) {
    return Term<T>{Left<T>::transposed(of.A, tile.first_hidden + j),
                   {of.B(0, tile.p * w.width), of.B.row}};
  };
  for (Index j = 0; j < tile.hidden; j += w.width) {
    const Index units = smaller(tile.hidden - j, w.width), columns = w.features_in(tile.p);
    if constexpr (pairs == 1)
      multiply<T>(units, columns, rows, {term(pair[0], j)}, sum + j * w.width, w.width, accumulate);
    else
      multiply<T>(units, columns, rows, {term(pair[0], j), term(pair[1], j)}, sum + j * w.width,
                  w.width, accumulate);
  }
}

// What the curvature adds to a tile of dW. opens: whether its units are met for the first time in this
// chunk by this thread.
template <typename T>
void add_curvature(const Workspace<T>& s, Index rows, const WeightTile& tile, bool first, bool last,
                   bool opens, const Scratch<T>& scratch, T* dW) {
  const Chunk<T>& chunk = s.chunk;
  const curvature::Form form = s.sizes.form;
  T* sum = scratch.sum + tile.first_hidden;
  if (form == curvature::Form::features) {
    // V = S (W o W) - 1    ->  dW += 2 W o (S' dV)
    add_rows<T, 1>(s.w, rows, tile, {{chunk.curvature.S, chunk.curvature.dV}}, false, scratch.E);
    curvature::features_backward(s.w, tile, scratch.E, dW);
  }
  if (form == curvature::Form::trace && opens)
    column_sums(rows, tile.hidden, chunk.H, tile.first_hidden, sum, !first,
                [&](const Packet<T>& h, Index i) {
                  const Packet<T> S = h * (T(1) - h);
                  return chunk.weight == nullptr ? S : Packet<T>(chunk.weight[i] * S);
                });
  if (form == curvature::Form::trace && last)
    curvature::trace_backward(s.curvature.features, s.w, tile, sum, dW);
  if (form == curvature::Form::hidden && last)
    curvature::hidden_backward(s.curvature.hidden, s.w, tile, scratch.E64, dW);
}

// The tiles of this thread, each summed over the chunk and, in the last, handed over: finish(tile, dW,
// db or null, dc or null). first, last: whether this chunk opens and closes the batch.
template <typename T, typename Finish>
void gradient_tiles(const Workspace<T>& s, Index rows, bool first, bool last,
                    const Scratch<T>& scratch, const Thread& thread, const Finish& finish) {
  const Weights<T>& w = s.w;
  const Chunk<T>& chunk = s.chunk;
  // Small models are cut finer, so that they still feed many threads.
  const bool few = w.feature_panels() * w.hidden_panels() < 16;
  const Index block = few ? w.width : hidden_block<T>;
  const Index blocks = (w.h + block - 1) / block;
  const Range share = thread.share(w.feature_panels() * blocks);
  Index cleared = -1;
  for (Index task = share.begin; task < share.end; ++task) {
    const Index p = task / blocks, j = task % blocks * block;
    const WeightTile tile{p, j, smaller(w.h - j, block)};
    if (p != cleared) {
      // A narrow last panel leaves the rest of its rows alone: what stands there must be zero.
      clear(scratch.dW, hidden_block<T> * w.width);
      cleared = p;
    }
    T* dW = s.total.W == nullptr ? scratch.dW : s.total.W + (p * w.h_pad + j) * w.width;
    prefetch(w, tile);
    // R = H W + ...    ->  dW  = H' R
    // A = X~ W' + b    ->  dW += dA' X~
    add_rows<T, 2>(w, rows, tile, {{chunk.H, chunk.R}, {chunk.dA, chunk.X}}, !first, dW);
    // The first tasks of a thread meet each of its blocks of hidden units once, its H in cache.
    add_curvature(s, rows, tile, first, last, task - share.begin < blocks, scratch, dW);
    // A = X~ W' + b    ->  db = sum dA
    T* db = p == 0 ? s.total.b + j : nullptr;
    if (db != nullptr) column_sums(rows, tile.hidden, chunk.dA, j, db, !first);
    // R = ... + c - T  ->  dc = sum R
    T* dc = j == 0 ? s.total.c + p * w.width : nullptr;
    if (dc != nullptr) column_sums(rows, w.features_in(p), chunk.R, p * w.width, dc, !first);
    if (last) finish(tile, dW, db, dc);
  }
}

}  // namespace dsmfast::DSMFAST_ISA::explicit_path
