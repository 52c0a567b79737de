// The curvature without a penalty, where V is needed only in sums (curvature.hpp):
//
//   n = diag(W W')                             (h,)
//   loss += 2 v (sum S n - B d)                dA += v n o S o (1 - 2 H)
//                                              dW += 2 v W o (S' 1) 1'
#pragma once

#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA::curvature {

template <typename T>
struct Trace {
  T variance;
  T* n;      // (h_pad,)
  T* slope;  // (h_pad,): v n

  static Trace carve(Arena& arena, Index h) {
    Trace c{};
    arena.take(padded<T>(h), c.n, c.slope);
    return c;
  }
};

// n and v n of this thread's hidden units.
template <typename T>
void refresh_trace(const Trace<T>& c, const Weights<T>& w, const Thread& thread) {
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
void trace_forward(const Trace<T>& c, const Weights<T>& w, Index rows, const Matrix<T>& H,
                   double* loss) {
  for (Index i = 0; i < rows; ++i)
    loss[i] += 2 * static_cast<double>(c.variance) *
               (trace_of_row(w.h, H, i, c.n) - static_cast<double>(w.d));
}

// loss += 2 v sum S n    ->  dW += 2 v W o (S' 1) 1',  sum (hidden,) = S' 1
template <typename T>
void trace_backward(const Trace<T>& c, const Weights<T>& w, const WeightTile& tile, const T* sum,
                    T* dW) {
  const T* W = w.rows_of(tile);
  for (Index j = 0; j < tile.hidden; ++j) {
    const T twice = T(2) * c.variance * sum[j];
    for (Index i = j * w.width; i < j * w.width + w.features_in(tile.p); i += lanes<T>)
      store<T>(dW + i, load(dW + i) + twice * load(W + i));
  }
}

}  // namespace dsmfast::DSMFAST_ISA::curvature
