// The layers of the model, on a tile of rows.
//
//   encode        H = sigmoid(X W' + b)          free_energy     sum softplus(X W' + b)
//   decode        D = H W + c                    gaussian_part   <c, x> - |x|^2 / 2 - |c|^2 / 2
#pragma once

#include "kernels/base/rows.hpp"
#include "kernels/model/activation.hpp"
#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA {

// Panel q of H = sigmoid(X W' + b).
template <typename T>
void encode_panel(const Weights<T>& w, Index rows, Index q, const Matrix<const T>& X,  // (rows, d)
                  const Matrix<T>& H) {                                                // (rows, h)
  T* h = H(0, q * w.width);
  multiply<T>(rows, w.hidden_in(q), w.d, X, w.hidden_panel(q), h, H.row);
  for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
    const Packet<T> b = load(w.b + q * w.width + j);
    for (Index i = 0; i < rows; ++i)
      store<T>(h + i * H.row + j, sigmoid<T>(load(h + i * H.row + j) + b));
  }
}

// H = sigmoid(X W' + b).
template <typename T>
void encode(const Weights<T>& w, Index rows, const Matrix<const T>& X, const Matrix<T>& H) {
  for (Index q = 0; q < w.hidden_panels(); ++q) encode_panel<T>(w, rows, q, X, H);
}

// sum_j softplus(A_j) for each row. Summed in double: the energy is a difference of large sums.
template <typename T>
void free_energy(const Weights<T>& w, Index rows, const Matrix<const T>& X,  // (rows, d)
                 T* A,           // (rows, width): scratch
                 double* sum) {  // (rows,)
  for (Index i = 0; i < rows; ++i) sum[i] = 0;
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const Index columns = w.hidden_in(q);
    multiply<T>(rows, columns, w.d, X, w.hidden_panel(q), A, w.width);
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

// -|x - c|^2 / 2 = <c, x> - |x|^2 / 2 - |c|^2 / 2, so written because far from 0 these are large and what
// they differ by is not. Moved to double once a block so that nothing is lost in long rows. c is padded to
// whole registers; keep(k, values) is handed x - c, a register at a time.
template <typename T, typename Keep>
double gaussian_part(const T* c, Index d, const T* x, const Keep& keep) {
  constexpr Index block = 64 * lanes<T>;
  double sum = 0;
  for (Index first = 0; first < d; first += block) {
    const Index end = d - first < block ? d : first + block;
    Packet<T> partial = Packet<T>::Zero();
    for (Index k = first; k < end; k += lanes<T>) {
      const Packet<T> value = load_columns(x, k, d) - load(c + k);
      keep(k, value);
      partial += value.square();
    }
    sum += partial.template cast<double>().sum();
  }
  return -sum / 2;
}

template <typename T>
double gaussian_part(const T* c, Index d, const T* x) {
  return gaussian_part(c, d, x, [](Index, const Packet<T>&) {});
}

// <a, b> in double.
template <typename T>
double dot(const T* a, const T* b, Index count) {
  Eigen::Array<double, lanes<T>, 1> sum = Eigen::Array<double, lanes<T>, 1>::Zero();
  for (Index k = 0; k < count; k += lanes<T>)
    sum += load_columns(a, k, count).template cast<double>() *
           load_columns(b, k, count).template cast<double>();
  return sum.sum();
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
