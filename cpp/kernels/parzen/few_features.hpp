// Posterior means at points of few features, where distances take no product: lanes are rows of the
// sample, and a point goes through a tile of it twice, for the largest exponent and for the sums.
#pragma once

#include "kernels/parzen/sums.hpp"

namespace dsmfast::DSMFAST_ISA::parzen {

constexpr Index few_tile = 256;           // rows of a tile
constexpr Index most_few = 8;             // features
constexpr Index few_sums = 2 + most_few;  // of a point: m, sum p_t, sum p_t y_t

template <typename T>
struct FewScratch {  // one a thread
  T* Y;              // (most_few, few_tile): y_t, a feature a row
  T* bar;            // (few_tile,): 0, and for what is no row or has no weight infinity
  T* weight;         // (few_tile,): of the rows, if they have any
  T* E;              // (few_tile,): exponents

  static FewScratch carve(Arena& arena) {
    FewScratch s{};
    arena.take(most_few * few_tile, s.Y);
    arena.take(few_tile, s.bar, s.weight, s.E);
    return s;
  }
};

// Rows first ... + count of the sample, from its centre and in units of sigma.
template <typename T>
void pack_few(const Sample<T>& sample, Index first, Index count, const FewScratch<T>& s) {
  const View<const T>& data = sample.data;
  Index row[few_tile];
  for (Index t = 0; t < count; ++t) row[t] = sample.row(first + t);
  for (Index k = 0; k < data.columns; ++k) {
    const T* column = data.data + k * data.column_stride;
    T* y = s.Y + k * few_tile;
    for (Index t = 0; t < count; ++t)
      y[t] = (column[row[t] * data.row_stride] - sample.centre[k]) * sample.scale;
  }
  for (Index t = 0; t < few_tile; ++t) s.bar[t] = t < count ? T(0) : -minus_infinity<T>;
  for (Index t = 0; t < few_tile && sample.weights != nullptr; ++t) {
    s.weight[t] = t < count ? sample.weights[row[t]] : T(0);
    if (!(s.weight[t] > T(0))) s.bar[t] = -minus_infinity<T>;
  }
}

// Adds the tile to the sums of point q (d,). What is far below the largest exponent counts 1e-38, not 0.
template <typename T, int d, bool weighted>
void add_few(Index count, const FewScratch<T>& s, const T* q, double* sums) {
  Packet<T> top = Packet<T>::Constant(minus_infinity<T>);
  for (Index t = 0; t < count; t += lanes<T>) {
    Packet<T> square = Packet<T>::Zero();
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) square += (load(s.Y + k * few_tile + t) - q[k]).square();
    const Packet<T> exponent = T(-0.5) * square - load(s.bar + t);
    store<T>(s.E + t, exponent);
    top = top.max(exponent);
  }
  const T largest = top.maxCoeff(), before = static_cast<T>(sums[0]);
  if (largest > before) {
    const double shrink = std::exp(sums[0] - static_cast<double>(largest));
    for (Index k = 1; k < 2 + d; ++k) sums[k] *= shrink;
    sums[0] = static_cast<double>(largest);
  }
  const T m = static_cast<T>(sums[0]);
  const Packet<T> least = Packet<T>::Constant(least_exponent<T>);
  Packet<T> total = Packet<T>::Zero(), mean[d];
  DSMFAST_UNROLL
  for (int k = 0; k < d; ++k) mean[k].setZero();
  for (Index t = 0; t < count; t += lanes<T>) {
    Packet<T> p = (load(s.E + t) - m).max(least).exp();
    if constexpr (weighted) p *= load(s.weight + t);
    total += p;
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) mean[k] += p * load(s.Y + k * few_tile + t);
  }
  sums[1] += static_cast<double>(total.sum());
  DSMFAST_UNROLL
  for (int k = 0; k < d; ++k) sums[2 + k] += static_cast<double>(mean[k].sum());
}

// sums (points, few_sums) of points q (points, most_few) over the sample.
template <typename T, int d>
void accumulate_few(const Sample<T>& sample, Index points, const T* q, double* sums,
                    const FewScratch<T>& s, const Thread& thread) {
  for (Index i = 0; i < points; ++i) {
    for (Index k = 0; k < few_sums; ++k) sums[i * few_sums + k] = 0;
    sums[i * few_sums] = static_cast<double>(minus_infinity<T>);
  }
  for (Index first = 0; first < sample.rows && !thread.stopped(); first += few_tile) {
    const Index count = smaller(sample.rows - first, few_tile);
    pack_few(sample, first, count, s);
    for (Index i = 0; i < points; ++i) {
      if (sample.weights == nullptr)
        add_few<T, d, false>(count, s, q + i * most_few, sums + i * few_sums);
      else
        add_few<T, d, true>(count, s, q + i * most_few, sums + i * few_sums);
    }
    thread.poll();
  }
}

}  // namespace dsmfast::DSMFAST_ISA::parzen
