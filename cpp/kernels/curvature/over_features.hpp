// The curvature with a penalty, by V itself (curvature.hpp): three products of B d h.
#pragma once

#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA::curvature {

template <typename T>
struct OverFeatures {
  T variance, penalty;
  Weights<T> squares;  // W o W
  T* ones;             // (d_pad,): 1 for each feature, then 0

  static OverFeatures carve(Arena& arena, Index d, Index h) {
    const Weights<T> squares = Weights<T>::carve(arena, d, h);
    return {T(0), T(0), squares, arena.take<T>(padded<T>(d))};
  }
};

// Squares of the rows of a panel, of so many columns.
template <typename T>
void square(Index rows, Index columns, const T* from, T* to) {
  for (Index j = 0; j < rows * panel_width<T>; j += panel_width<T>)
    for (Index i = j; i < j + columns; i += lanes<T>) store<T>(to + i, load(from + i).square());
}

// W o W in both layouts, by panels of this thread.
template <typename T>
void refresh_features(const OverFeatures<T>& c, const Weights<T>& w, const Thread& thread) {
  const Range units = thread.share(w.hidden_panels());
  for (Index q = units.begin; q < units.end; ++q)
    square(w.d, w.hidden_in(q), w.by_hidden + q * w.d_pad * w.width,
           c.squares.by_hidden + q * w.d_pad * w.width);
  const Range features = thread.share(w.feature_panels());
  for (Index p = features.begin; p < features.end; ++p)
    square(w.h, w.features_in(p), w.by_feature + p * w.h_pad * w.width,
           c.squares.by_feature + p * w.h_pad * w.width);
}

// loss[i] += what row i adds; S (rows, h) and dV (rows, d) are filled; and, for the way back, the
// slope K (rows, h) with dA += K o S o (1 - 2 H).
template <typename T>
void features_forward(const OverFeatures<T>& c, const Weights<T>& w, Index rows, const Matrix<T>& H,
                      const Matrix<T>& S, const Matrix<T>& dV, const Matrix<T>& K, bool backward,
                      double* loss) {
  for (Index j = 0; j < w.h; j += lanes<T>)
    for (Index i = 0; i < rows; ++i) {
      const Packet<T> s = load(H(i, j));
      store<T>(S(i, j), s * (T(1) - s));
    }
  for (Index p = 0; p < w.feature_panels(); ++p) {
    T* V = dV(0, p * w.width);
    multiply<T>(rows, w.features_in(p), w.h, S, c.squares.feature_panel(p), V, dV.row);
    for (Index i = 0; i < rows; ++i) {
      Packet<T> sum = Packet<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>) {
        T* v = V + i * dV.row + k;
        const Packet<T> value = load(v) - load(c.ones + p * w.width + k);
        sum += value * (c.variance + c.penalty * value);
        store<T>(v, c.variance + T(2) * c.penalty * value);
      }
      loss[i] += 2 * static_cast<double>(sum.sum());
    }
  }
  // V = S (W o W) - 1    ->  K = dV (W o W)'
  for (Index q = 0; q < w.hidden_panels() && backward; ++q)
    multiply<T>(rows, w.hidden_in(q), w.d, dV, c.squares.hidden_panel(q), K(0, q * w.width), K.row);
}

// V = S (W o W) - 1    ->  dW += 2 W o E,  E = S' dV (hidden, width)
template <typename T>
void features_backward(const Weights<T>& w, const WeightTile& tile, const T* E, T* dW) {
  const T* W = w.rows_of(tile);
  for (Index j = 0; j < tile.hidden * w.width; j += w.width)
    for (Index i = j; i < j + w.features_in(tile.p); i += lanes<T>)
      store<T>(dW + i, load(dW + i) + T(2) * load(W + i) * load(E + i));
}

}  // namespace dsmfast::DSMFAST_ISA::curvature
