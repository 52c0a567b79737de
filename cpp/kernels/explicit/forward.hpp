// The regression |D(x~) - t|^2 on a tile of rows.
//
// forward                                   backward, with k twice the scale of the loss
//   X~ = X + sigma E          (B, d)
//   A  = X~ W' + b            (B, h)          dA = G o H o (1 - H)
//   H  = sigmoid(A)           (B, h)          G  = R W'
//   R  = H W + c - T          (B, d)
//   loss = sum R o R                          dW = k (H' R + dA' X~)   (h, d)
//                                             db = k sum dA             (h,)
//                                             dc = k sum R              (d,)
//
// Everything up to dA belongs to a row and is done here, tile by tile; dW, db and dc sum over rows and
// are done panel by panel, in gradient.hpp. Between the two stands a barrier, and X~, R, H and dA of
// one chunk of rows. What implicit score matching adds stands in curvature/curvature.hpp.
#pragma once

#include "kernels/explicit/points.hpp"
#include "kernels/model/layers.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path {

// Panel p of R = H W + (c - T), which stands in R already; |R_i|^2 over its features, added to loss[i]
template <typename T>
void residual_panel(const Weights<T>& w, Index rows, Index p, const Matrix<T>& H,  // (rows, h)
                    const Matrix<T>& R,                                            // (rows, d)
                    double* loss) {                                                // (rows,)
  T* r = R(0, p * w.width);
  multiply<T>(rows, w.features_in(p), w.h, H, w.feature_panel(p), r, R.row, true);
  for (Index i = 0; i < rows; ++i) {
    Packet<T> square = Packet<T>::Zero();
    for (Index k = 0; k < w.features_in(p); k += lanes<T>)
      square += load(r + i * R.row + k).square();
    loss[i] += static_cast<double>(square.sum());
  }
}

// R = H W + ...    ->  G  = R W'
// H = sigmoid(A)   ->  dA = G o H o (1 - H)
// S = H o (1 - H)  ->  dA += slopes o S o (1 - 2 H), from the curvature
//
// for panel q of dA
template <typename T>
void residual_backward_panel(const Weights<T>& w, Index rows, Index q,
                             const Matrix<T>& R,       // (rows, d)
                             const Matrix<T>& H,       // (rows, h)
                             const Matrix<T>& slopes,  // (rows, h), or none
                             const T* weight,          // (rows,): of the slopes; null: 1
                             T* G,                     // (rows, width): scratch
                             const Matrix<T>& dA) {    // (rows, h); may be the slopes
  const Index first = q * w.width;
  multiply<T>(rows, w.hidden_in(q), w.d, R, w.hidden_panel(q), G, w.width);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
      const Packet<T> h = load(H(i, first + j));
      Packet<T> g = load(G + i * w.width + j);
      if (slopes.data != nullptr && weight != nullptr)
        g += weight[i] * load(slopes(i, first + j)) * (T(1) - T(2) * h);
      else if (slopes.data != nullptr)
        g += load(slopes(i, first + j)) * (T(1) - T(2) * h);
      store<T>(dA(i, first + j), g * h * (T(1) - h));
    }
}

// Panel p of R, rows by their weights.
template <typename T>
void weigh_panel(const Weights<T>& w, Index rows, Index p, const Chunk<T>& tile) {
  for (Index i = 0; i < rows; ++i)
    for (Index k = p * w.width; k < p * w.width + w.features_in(p); k += lanes<T>)
      store<T>(tile.R(i, k), tile.weight[i] * load(tile.R(i, k)));
}

// Rows by their weights: from here on what is summed over them.
template <typename T>
void weigh(const Weights<T>& w, const curvature::Terms<T>& terms, Index rows,
           const Chunk<T>& tile) {
  for (Index i = 0; i < rows; ++i) tile.loss[i] *= static_cast<double>(tile.weight[i]);
  for (Index p = 0; p < w.feature_panels(); ++p) weigh_panel(w, rows, p, tile);
  curvature::weigh(terms, rows, w.d, w.h, tile.weight, tile.curvature);
}

// One tile of rows, whose X~ and c - T are in place: forward and, if asked, backward to dA.
template <typename T>
void run_tile(const Weights<T>& w, const curvature::Terms<T>& terms, Index rows, bool backward,
              const Chunk<T>& tile, const Scratch<T>& s, const Thread& thread) {
  encode<T>(w, rows, tile.X, tile.H);
  thread.lap(Region::encode);
  for (Index i = 0; i < rows; ++i) tile.loss[i] = 0;
  for (Index p = 0; p < w.feature_panels(); ++p)
    residual_panel(w, rows, p, tile.H, tile.R, tile.loss);
  const Matrix<T> slopes = curvature::forward(terms, w, rows, tile.H, tile.curvature, tile.dA,
                                              s.panel64, backward, tile.loss);
  if (tile.weight != nullptr) weigh(w, terms, rows, tile);
  thread.lap(Region::decode);
  for (Index q = 0; q < w.hidden_panels() && backward; ++q)
    residual_backward_panel(w, rows, q, tile.R, tile.H, slopes, tile.weight, s.panel, tile.dA);
  thread.lap(Region::backward);
}

}  // namespace dsmfast::DSMFAST_ISA::explicit_path
