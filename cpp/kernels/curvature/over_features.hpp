// The curvature over features (curvature.hpp). With a penalty by V itself: three products of B d h.
// Without one V is needed only in sums, with n = diag(W W'):
//
//   loss += 2 v (sum S n - B d)         dA += v n o S o (1 - 2 H)         dW += 2 v W o (S' 1) 1'
#pragma once

#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA::curvature {

template <typename T>
struct OverFeatures {
  T variance, penalty;
  T *n, *slope;        // (h_pad,): n, and v n           without a penalty
  Weights<T> squares;  // W o W                          with one, as is:
  T* ones;             // (d_pad,): 1 for each feature, then 0

  static OverFeatures carve(Arena& arena, Index d, Index h, bool penalised) {
    OverFeatures c{};
    if (!penalised) return arena.take(padded<T>(h), c.n, c.slope), c;
    c.squares = Weights<T>::carve(arena, d, h);
    arena.take(padded<T>(d), c.ones);
    return c;
  }
};

// n and v n of this thread's hidden units.
template <typename T>
void refresh_trace(const OverFeatures<T>& c, const Weights<T>& w, const Thread& thread) {
  constexpr Index width = panel_width<T>;
  const Range mine = thread.share(w.hidden_panels());
  for (Index q = mine.begin; q < mine.end; ++q) {
    const T* rows = w.by_hidden + q * w.d_pad * width;
    for (Index j = q * width; j < (q + 1) * width; j += lanes<T>, rows += lanes<T>) {
      Packet<T> n = Packet<T>::Zero();
      for (Index i = 0; i < w.d; ++i) n += load(rows + i * width).square();
      store<T>(c.n + j, n);
      store<T>(c.slope + j, c.variance * n);
    }
  }
}

// sum_j S_j n_j, S = H o (1 - H), of row i; of h rounded up to whole panels: n is 0 there.
template <typename T>
double trace_of_row(Index h, const Matrix<T>& H, Index i, const T* n) {
  Packet<T> even = Packet<T>::Zero(), odd = Packet<T>::Zero();
  for (Index j = 0; j < h; j += panel_width<T>) {
    const Packet<T> s = load(H(i, j)), t = load(H(i, j) + lanes<T>);
    even += s * (T(1) - s) * load(n + j);
    odd += t * (T(1) - t) * load(n + j + lanes<T>);
  }
  return static_cast<double>((even + odd).sum());
}

// loss[i] += 2 v (sum S n - d)
template <typename T>
void trace_forward(const OverFeatures<T>& c, const Weights<T>& w, Index rows, const Matrix<T>& H,
                   double* loss) {
  for (Index i = 0; i < rows; ++i)
    loss[i] += 2 * static_cast<double>(c.variance) *
               (trace_of_row(w.h, H, i, c.n) - static_cast<double>(w.d));
}

// loss += 2 v sum S n    ->  dW += 2 v W o (S' 1) 1',  sum (hidden,) = S' 1
template <typename T>
void trace_backward(const OverFeatures<T>& c, const Weights<T>& w, const WeightTile& tile,
                    const T* sum, T* dW) {
  const T* W = w.rows_of(tile);
  for (Index j = 0; j < tile.hidden; ++j) {
    const T twice = T(2) * c.variance * sum[j];
    for (Index i = j * w.width; i < j * w.width + w.features_in(tile.p); i += lanes<T>)
      store<T>(dW + i, load(dW + i) + twice * load(W + i));
  }
}

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
