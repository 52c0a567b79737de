// Sums over rows and over values, each in an order that the shape alone decides.
#pragma once

#include "kernels/base/product.hpp"

namespace dsmfast::DSMFAST_ISA {

// sum (count registers,) (+)= sum over rows i of value(A_i, i), A (rows, count registers). Registers
// are summed side by side: one alone would wait for itself.
template <typename T, int count, typename Value>
DSMFAST_INLINE void sum_registers(Index rows, const T* A, Index lda, T* sum, bool accumulate,
                                  const Value& value) {
  Packet<T> total[count];
  DSMFAST_UNROLL
  for (int k = 0; k < count; ++k)
    total[k] = accumulate ? load(sum + k * lanes<T>) : Packet<T>(Packet<T>::Zero());
  for (Index i = 0; i < rows; ++i) {
    DSMFAST_UNROLL
    for (int k = 0; k < count; ++k) total[k] += value(load(A + i * lda + k * lanes<T>), i);
  }
  DSMFAST_UNROLL
  for (int k = 0; k < count; ++k) store<T>(sum + k * lanes<T>, total[k]);
}

struct Itself {
  template <typename A>
  const A& operator()(const A& a, Index) const {
    return a;
  }
};

// sum (columns,) (+)= sum over rows i of value(A_i, i), A (rows, columns), in whole registers.
template <typename T, typename Value = Itself>
void column_sums(Index rows, Index columns, const T* A, Index lda, T* sum, bool accumulate,
                 const Value& value = {}) {
  Index j = 0;
  for (; j + 3 * lanes<T> < columns; j += 4 * lanes<T>)
    sum_registers<T, 4>(rows, A + j, lda, sum + j, accumulate, value);
  for (; j < columns; j += lanes<T>)
    sum_registers<T, 1>(rows, A + j, lda, sum + j, accumulate, value);
}

// The same of columns first ... of a matrix.
template <typename T, typename Value = Itself>
void column_sums(Index rows, Index columns, const Matrix<T>& A, Index first, T* sum,
                 bool accumulate, const Value& value = {}) {
  for (Index j = 0; j < columns; j += panel_width<T>)
    column_sums(rows, smaller(columns - j, panel_width<T>), A(0, first + j), A.row, sum + j,
                accumulate, value);
}

// sum (columns,) (+)= sum over rows of A, row i times factor(i) if `weighted`.
template <typename T, typename Factor>
void weighted_sums(Index rows, Index columns, const T* A, Index lda, bool weighted,
                   const Factor& factor, T* sum, bool accumulate) {
  if (!weighted) return column_sums(rows, columns, A, lda, sum, accumulate);
  column_sums(rows, columns, A, lda, sum, accumulate, [&](const Packet<T>& a, Index i) {
    return Packet<T>(static_cast<T>(factor(i)) * a);
  });
}

// The sum of `count` values.
inline double sum_of(const double* values, Index count) {
  double sum[8] = {};
  Index i = 0;
  for (; i + 8 <= count; i += 8) {
    DSMFAST_UNROLL
    for (int k = 0; k < 8; ++k) sum[k] += values[i + k];
  }
  for (; i < count; ++i) sum[0] += values[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// A sum of squares that is moved to double every few terms: losses are differences of it.
template <typename T>
class SquareSum {
 public:
  void add(const Packet<T>& value) {
    partial_ += value.square();
    if (++terms_ == 4) flush();
  }
  double value() { return flush(), sum_; }

 private:
  void flush() {
    sum_ += static_cast<double>(partial_.sum());
    partial_.setZero();
    terms_ = 0;
  }
  Packet<T> partial_ = Packet<T>::Zero();
  int terms_ = 0;
  double sum_ = 0;
};

}  // namespace dsmfast::DSMFAST_ISA
