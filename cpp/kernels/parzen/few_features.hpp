// Posterior means at points of few features, where distances take no product: lanes are rows of the
// sample, and a point goes through a tile of it twice, for the largest exponent and for the sums.
#pragma once

#include "kernels/parzen/sums.hpp"

namespace dsmfast::DSMFAST_ISA::parzen {

constexpr Index few_tile = 256;           // rows of a tile
constexpr int most_points = 4;            // at a time
constexpr Index most_few = 8;             // features
constexpr Index few_sums = 2 + most_few;  // of a point: m, sum p_t, sum p_t y_t

template <typename T>
struct FewScratch {  // one a thread
  T* Y;              // (most_few, few_tile): y_t, a feature a row
  T* bar;            // (few_tile,): 0, and for what is no row or has no weight infinity
  T* weight;         // (few_tile,): of the rows, if they have any
  T* E;              // (most_points, few_tile): exponents

  static FewScratch carve(Arena& arena) {
    FewScratch s{};
    arena.take(most_few * few_tile, s.Y);
    arena.take(few_tile, s.bar, s.weight);
    arena.take(most_points * few_tile, s.E);
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

// Adds the tile to the sums of some points q (points, most_few), which share the loads of it. What is far
// below the largest exponent counts 1e-38, not 0.
template <typename T, int d, int points, bool weighted>
void add_few(Index count, const FewScratch<T>& s, const T* q, double* sums) {
  Packet<T> top[points];
  DSMFAST_UNROLL
  for (int i = 0; i < points; ++i) top[i].setConstant(minus_infinity<T>);
  for (Index t = 0; t < count; t += lanes<T>) {
    Packet<T> y[d];
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) y[k] = load(s.Y + k * few_tile + t);
    const Packet<T> bar = load(s.bar + t);
    DSMFAST_UNROLL
    for (int i = 0; i < points; ++i) {
      Packet<T> square = Packet<T>::Zero();
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) square += (y[k] - q[i * most_few + k]).square();
      const Packet<T> exponent = T(-0.5) * square - bar;
      store<T>(s.E + i * few_tile + t, exponent);
      top[i] = top[i].max(exponent);
    }
  }
  T m[points];
  DSMFAST_UNROLL
  for (int i = 0; i < points; ++i) {
    double* sum = sums + i * few_sums;
    const T largest = top[i].maxCoeff();
    if (largest > static_cast<T>(sum[0])) {
      const double above = static_cast<double>(largest) - sum[0];
      for (Index k = 1; k < 2 + d && sum[1] > 0; ++k) sum[k] *= std::exp(-above);
      sum[0] = static_cast<double>(largest);
    }
    m[i] = static_cast<T>(sum[0]);
  }
  const Packet<T> least = Packet<T>::Constant(least_exponent<T>);
  Packet<T> total[points], mean[points][d];
  DSMFAST_UNROLL
  for (int i = 0; i < points; ++i) {
    total[i].setZero();
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) mean[i][k].setZero();
  }
  for (Index t = 0; t < count; t += lanes<T>) {
    DSMFAST_UNROLL
    for (int i = 0; i < points; ++i) {
      Packet<T> p = (load(s.E + i * few_tile + t) - m[i]).max(least).exp();
      if constexpr (weighted) p *= load(s.weight + t);
      total[i] += p;
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) mean[i][k] += p * load(s.Y + k * few_tile + t);
    }
  }
  DSMFAST_UNROLL
  for (int i = 0; i < points; ++i) {
    double* sum = sums + i * few_sums;
    sum[1] += static_cast<double>(total[i].sum());
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) sum[2 + k] += static_cast<double>(mean[i][k].sum());
  }
}

// Adds the tile to the sums of all points, as many at a time as there are registers for.
template <typename T, int d, bool weighted>
void add_few_to_all(Index count, const FewScratch<T>& s, Index points, const T* q, double* sums) {
  constexpr int group = d <= 2 ? most_points : 2;
  Index i = 0;
  for (; i + group <= points; i += group)
    add_few<T, d, group, weighted>(count, s, q + i * most_few, sums + i * few_sums);
  for (; i < points; ++i)
    add_few<T, d, 1, weighted>(count, s, q + i * most_few, sums + i * few_sums);
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
    if (sample.weights == nullptr)
      add_few_to_all<T, d, false>(count, s, points, q, sums);
    else
      add_few_to_all<T, d, true>(count, s, points, q, sums);
    thread.poll();
  }
}

}  // namespace dsmfast::DSMFAST_ISA::parzen
