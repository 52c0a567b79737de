// The layers of the model at a temperature, on a tile of chains.
//
//   receive        A = X W'                           softplus_sums   sum softplus(a_beta)
//   chances        H = signed_chance(a_beta)          feed            H W
//   activations    H = sigmoid(a_beta)
//
// a_beta = beta A + bias. A lower triangular W takes half of each product: unit j receives features
// up to j alone, and feature k is fed by units from k on.
#pragma once

#include "kernels/chains/workspace.hpp"

namespace dsmfast::DSMFAST_ISA::chains {

template <typename T>
void receive(const Weights<T>& w, bool lower, Index rows, const Matrix<const T>& X,  // (rows, d)
             const Matrix<T>& A) {                                                   // (rows, h)
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const Index depth = lower ? smaller(w.d, (q + 1) * w.width) : w.d;
    multiply<T>(rows, w.hidden_in(q), depth, X, w.hidden_panel(q), A(0, q * w.width), A.row);
  }
}

// finish(i, first feature, count, values) as in `decode`, without c.
template <typename T, typename Finish>
void feed(const Weights<T>& w, bool lower, Index rows, const Matrix<T>& H,  // (rows, h)
          T* D,  // (rows, width): scratch
          const Finish& finish) {
  for (Index p = 0; p < w.feature_panels(); ++p) {
    const Index first = lower ? p * w.width : 0;
    const Panel<T> panel{w.rows_of({p, first, 0})};
    multiply<T>(rows, w.features_in(p), w.h - first, Left<T>(H).from(0, first), panel, D, w.width);
    for (Index i = 0; i < rows; ++i) finish(i, p * w.width, w.features_in(p), D + i * w.width);
  }
}

// H = sigmoid(a_beta).
template <typename T>
void activations(const Weights<T>& w, Index rows, const Matrix<T>& A, T beta, const T* bias,
                 const Matrix<T>& H) {
  for (Index q = 0; q < w.hidden_panels(); ++q)
    for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
      const Packet<T> b = load(bias + q * w.width + j);
      const T* a = A(0, q * w.width) + j;
      T* h = H(0, q * w.width) + j;
      for (Index i = 0; i < rows; ++i)
        store<T>(h + i * H.row, sigmoid<T>(beta * load(a + i * A.row) + b));
    }
}

// H = signed_chance(a_beta) and sum (rows,) = sum_j softplus(a_j), each if it is wanted: both are made
// of exp(-|a|). The sum is max(a, 0) summed up, and the logarithm of a product of 1 + exp(-|a|): one
// logarithm for so many factors, each at most 2.
template <bool to_chances, bool to_sums, typename T>
void receive_units(const Weights<T>& w, Index rows, const Matrix<T>& A, T beta, const T* bias,
                   const Matrix<T>& H, double* sum) {
  constexpr int factors = 32;
  using Doubles = Eigen::Array<double, lanes<T>, 1>;
  for (Index i = 0; i < rows; ++i) {
    Doubles total = Doubles::Zero();
    Packet<T> linear = Packet<T>::Zero(), product = Packet<T>::Ones();
    int used = 0;
    for (Index q = 0; q < w.hidden_panels(); ++q) {
      const T* from = A(i, q * w.width);
      for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
        const Packet<T> a = beta * load(from + j) + load(bias + q * w.width + j);
        const Packet<T> e = falling_exponential<T>(a);
        if constexpr (to_chances) store<T>(H(i, q * w.width) + j, signed_chance<T>(a, e));
        if constexpr (!to_sums) continue;
        product *= T(1) + e;
        linear += a.max(T(0));
        if (++used < factors) continue;
        total += (linear + product.log()).template cast<double>();
        linear.setZero();
        product.setOnes();
        used = 0;
      }
    }
    if constexpr (to_sums)
      sum[i] = (total + (linear + product.log()).template cast<double>()).sum();
  }
}

// H = signed_chance(a_beta), and the sums of softplus if `sum` is not null.
template <typename T>
void chances(const Weights<T>& w, Index rows, const Matrix<T>& A, T beta, const T* bias,
             const Matrix<T>& H, double* sum) {
  if (sum == nullptr)
    receive_units<true, false>(w, rows, A, beta, bias, H, sum);
  else
    receive_units<true, true>(w, rows, A, beta, bias, H, sum);
}

template <typename T>
void softplus_sums(const Weights<T>& w, Index rows, const Matrix<T>& A, T beta, const T* bias,
                   double* sum) {
  receive_units<false, true>(w, rows, A, beta, bias, A, sum);
}

}  // namespace dsmfast::DSMFAST_ISA::chains
