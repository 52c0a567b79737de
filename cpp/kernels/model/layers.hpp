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

// What free_energy works in: a tile of rows, a register wide.
template <typename T>
struct FreeEnergyScratch {
  T* A;              // (rows, width)
  T* excess;         // (rows, lanes): products of 1 + exp(-|A_j|), less 1
  double* positive;  // (rows, lanes): sums of max(A_j, 0)
  double* total;     // (rows, in whole registers): excess of all lanes, then its logarithm

  static FreeEnergyScratch carve(Arena& arena) {
    FreeEnergyScratch s{};
    arena.take(tile_rows * panel_width<T>, s.A);
    arena.take(tile_rows * lanes<T>, s.excess);
    arena.take(tile_rows * lanes<T>, s.positive);
    arena.take(padded<double>(tile_rows), s.total);
    return s;
  }
};

// prod (1 + q) - 1, which of small q is their sum to rounding.
template <int count>
DSMFAST_INLINE double joint_excess(const Eigen::Array<double, count, 1>& q) {
  if constexpr (count == 1) {
    return q[0];
  } else {
    const Eigen::Array<double, count / 2, 1> a = q.template head<count / 2>();
    const Eigen::Array<double, count / 2, 1> b = q.template tail<count / 2>();
    return joint_excess<count / 2>(a + b + a * b);
  }
}

// sum_j softplus(A_j) = sum_j max(A_j, 0) + log prod_j (1 + exp(-|A_j|)) for each row: no quotient, and one
// logarithm for 16 panels, whose product double holds (2^512 in float32 with AVX-512). What the product
// has beyond 1 is kept, so that units that are far from active count. Summed in double: the energy is
// a difference of large sums.
template <typename T>
void free_energy(const Weights<T>& w, Index rows, const Matrix<const T>& X,  // (rows, d)
                 const FreeEnergyScratch<T>& s, double* sum) {               // (rows,)
  constexpr Index width = panel_width<T>, panels = 16;
  constexpr int parts = Wide<T>::parts;
  for (Index i = 0; i < rows; ++i) sum[i] = 0;
  clear(s.positive, rows * lanes<T>);
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const Index columns = w.hidden_in(q);
    multiply<T>(rows, columns, w.d, X, w.hidden_panel(q), s.A, width);
    for (Index i = 0; i < rows; ++i) {
      T* row = s.A + i * width;
      for (Index j = columns; j < width; ++j) row[j] = T(-1000);  // no unit: exp(-1000) is 0
      double* positive = s.positive + i * lanes<T>;
      Packet<T> excess = Packet<T>::Zero();
      if (q % panels > 0) excess = load(s.excess + i * lanes<T>);
      for (Index j = 0; j < columns; j += lanes<T>) {
        const Packet<T> a = load(row + j) + load(w.b + q * width + j);
        excess += (T(1) + excess) * falling_exponential<T>(a);
        const Wide<T> above(a.max(T(0)));
        for (int l = 0; l < parts; ++l)
          store<double>(positive + l * lanes<double>,
                        load(positive + l * lanes<double>) + above.part[l]);
      }
      store<T>(s.excess + i * lanes<T>, excess);
    }
    if (q % panels < panels - 1 && q < w.hidden_panels() - 1) continue;
    for (Index i = 0; i < rows; ++i) {
      const Wide<T> excess(load(s.excess + i * lanes<T>));
      Packet<double> all = excess.part[0];
      for (int l = 1; l < parts; ++l) all += excess.part[l] + all * excess.part[l];
      s.total[i] = joint_excess<lanes<double>>(all);
    }
    for (Index i = 0; i < rows; i += lanes<double>)
      store<double>(s.total + i, load(s.total + i).log1p());
    for (Index i = 0; i < rows; ++i) sum[i] += s.total[i];
  }
  for (Index i = 0; i < rows; ++i)
    sum[i] += Eigen::Map<Eigen::Array<double, lanes<T>, 1>>(s.positive + i * lanes<T>).sum();
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
