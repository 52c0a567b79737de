// The layers of the model, on a tile of rows.
//
//   encode        H = sigmoid(X W' + b)          free_energy     sum softplus(X W' + b)
//   decode        D = H W + c                    gaussian_part   <c, x> - |x|^2 / 2
#pragma once

#include "kernels/base/rows.hpp"
#include "kernels/model/activation.hpp"
#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA {

// Panel q of H = sigmoid(X W' + b). meanwhile() is called once X has been read.
template <typename T, typename Meanwhile>
void encode_panel(const Weights<T>& w, Index rows, Index q, const Matrix<const T>& X,  // (rows, d)
                  const Matrix<T>& H,                                                  // (rows, h)
                  const Meanwhile& meanwhile) {
  T* h = H(0, q * w.width);
  multiply<T>(rows, w.hidden_in(q), w.d, X, w.hidden_panel(q), h, H.row);
  meanwhile();
  for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
    const Packet<T> b = load(w.b + q * w.width + j);
    for (Index i = 0; i < rows; ++i)
      store<T>(h + i * H.row + j, sigmoid<T>(load(h + i * H.row + j) + b));
  }
}

// H = sigmoid(X W' + b). meanwhile() is called once, when X has been read for the first time.
template <typename T, typename Meanwhile>
void encode(const Weights<T>& w, Index rows, const Matrix<const T>& X, const Matrix<T>& H,
            const Meanwhile& meanwhile) {
  encode_panel<T>(w, rows, 0, X, H, meanwhile);
  for (Index q = 1; q < w.hidden_panels(); ++q) encode_panel<T>(w, rows, q, X, H, [] {});
}

// sum_j softplus(A_j) for each row. Summed in double: the energy is a difference of large sums.
template <typename T, typename Meanwhile>
void free_energy(const Weights<T>& w, Index rows, const Matrix<const T>& X,  // (rows, d)
                 T* A,         // (rows, width): scratch
                 double* sum,  // (rows,)
                 const Meanwhile& meanwhile) {
  for (Index i = 0; i < rows; ++i) sum[i] = 0;
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const Index columns = w.hidden_in(q);
    multiply<T>(rows, columns, w.d, X, w.hidden_panel(q), A, w.width);
    if (q == 0) meanwhile();
    for (Index i = 0; i < rows; ++i) {
      Eigen::Array<double, lanes<T>, 1> total = Eigen::Array<double, lanes<T>, 1>::Zero();
      for (Index j = 0; j < columns; j += lanes<T>) {
        T* a = A + i * w.width + j;
        store<T>(a, softplus<T>(load(a) + load(w.b + q * w.width + j)));
        total += load_columns(A + i * w.width, j, columns).template cast<double>();
      }
      sum[i] += total.sum();
    }
  }
}

// <c, x> - |x|^2 / 2 = sum x (c - x / 2), moved to double once a block so that nothing is lost in
// long rows. c is padded to whole registers.
template <typename T>
double gaussian_part(const T* c, Index d, const T* x) {
  constexpr Index block = 64 * lanes<T>;
  double sum = 0;
  for (Index first = 0; first < d; first += block) {
    const Index end = d - first < block ? d : first + block;
    Packet<T> partial = Packet<T>::Zero();
    for (Index k = first; k < end; k += lanes<T>) {
      const Packet<T> value = load_columns(x, k, d);
      partial += value * (load(c + k) - T(0.5) * value);
    }
    sum += partial.template cast<double>().sum();
  }
  return sum;
}

// D = H W + c, handed over panel by panel: finish(i, first feature, count, values).
template <typename T, typename Finish>
void decode(const Weights<T>& w, Index rows, const Matrix<const T>& H,  // (rows, h)
            T* D,                                                       // (rows, width): scratch
            const Finish& finish) {
  for (Index p = 0; p < w.feature_panels(); ++p) {
    multiply<T>(rows, w.features_in(p), w.h, H, w.feature_panel(p), D, w.width);
    for (Index i = 0; i < rows; ++i) {
      T* row = D + i * w.width;
      for (Index j = 0; j < w.features_in(p); j += lanes<T>)
        store<T>(row + j, load(row + j) + load(w.c + p * w.width + j));
      finish(i, p * w.width, w.features_in(p), row);
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA
