// Sums over a sample for the Parzen density (1/N) sum_t N(x; x_t, sigma^2 I) at many points.
//
// In coordinates from the centre of the sample, in units of sigma, with q for x and y_t for x_t:
//
//   e_t   = <q, y_t> - |y_t|^2 / 2         exponents, up to -|q|^2 / 2, which all have in common
//   p_t   = exp(e_t - m)                   m the largest exponent so far: one weight is always 1
//   mean  = centre + sigma sum_t p_t y_t / sum_t p_t
//   score = (sum_t p_t y_t / sum_t p_t - q) / sigma
//
// The sample streams by in tiles, each two products around an exponential. Where a tile has a
// larger exponent, what was summed before shrinks by exp(m - m'), as in a streaming softmax.
#pragma once

#include <cmath>

#include "kernels/base/product.hpp"
#include "kernels/base/rows.hpp"

namespace dsmfast::DSMFAST_ISA::parzen {

// Stands for minus infinity, and can be subtracted from itself.
template <typename T>
constexpr T minus_infinity = sizeof(T) == 4 ? T(-1e37) : T(-1e307);

// exp(x) for x <= 0, and 0 where it would come near the smallest normal number, at which Eigen's
// stops.
template <typename T>
DSMFAST_INLINE Packet<T> exp_of_negative(const Packet<T>& x) {
  const Packet<T> least = Packet<T>::Constant(sizeof(T) == 4 ? T(-87) : T(-708));
  return (x.max(least).exp() - least.exp()).max(T(0));
}

template <typename T>
struct Sample {
  View<const T> data;  // (N, d)
  const T* centre;     // (d_pad,): the same whatever points are asked for
  T sigma;
  T scale;   // 1 / sigma
  Index ld;  // leading dimension of (B, d)

  // Rows of a tile: packed twice, it stays in the second-level cache.
  static Index tile_for(Index ld) {
    const Index fit = (Index{1} << 16) / ld / panel_width<T> * panel_width<T>;
    return fit < panel_width<T> ? panel_width<T> : fit > depth_block ? depth_block : fit;
  }
};

// Mean of up to 1024 rows, evenly spaced: any point amid the data will do.
template <typename T>
void find_centre(const View<const T>& data, T* row, T* centre) {  // (d_pad,)
  const Index count = data.rows < 1024 ? data.rows : 1024;
  for (Index k = 0; k < data.columns; ++k) centre[k] = T(0);
  for (Index i = 0; i < count; ++i) {
    copy_row(data, i * data.rows / count, row);
    for (Index k = 0; k < data.columns; ++k) centre[k] += row[k] / static_cast<T>(count);
  }
}

// What has been summed over the sample for a block of points.
template <typename T>
struct Sums {
  T* Y;              // (B, ld): sum_t p_t y_t; null: not wanted
  T* largest;        // (B,): m
  double* weight;    // (B,): sum_t p_t
  double* exponent;  // (B,): sum_t p_t (e_t - m)

  Sums from(Index row, Index ld) const {
    return {Y == nullptr ? nullptr : Y + row * ld, largest + row, weight + row, exponent + row};
  }

  static Sums carve(Arena& arena, Index rows, Index ld, bool means) {
    Sums s{};
    if (means) s.Y = arena.take<T>(rows * ld);
    arena.take(rows, s.largest, s.weight, s.exponent);
    return s;
  }

  void reset(Index rows, Index ld) const {
    if (Y != nullptr) clear(Y, rows * ld);
    for (Index i = 0; i < rows; ++i) {
      largest[i] = minus_infinity<T>;
      weight[i] = 0;
      exponent[i] = 0;
    }
  }

  // Moves the largest exponent of row i up to `top`.
  void rescale(Index i, T top, Index ld) const {
    const double above = static_cast<double>(top) - static_cast<double>(largest[i]);
    const double shrink = std::exp(-above);
    exponent[i] = shrink * (exponent[i] - above * weight[i]);
    weight[i] *= shrink;
    if (Y != nullptr)
      for (Index k = 0; k < ld; k += lanes<T>)
        store<T>(Y + i * ld + k, static_cast<T>(shrink) * load(Y + i * ld + k));
    largest[i] = top;
  }
};

template <typename T>
struct Scratch {  // one a thread
  Index tile, lde;
  T* Y;            // (tile, ld): y_t
  T* by_unit;      // (tile / width, d, width): the same, packed as the right factor of Q Y'
  T* half_square;  // (tile,): |y_t|^2 / 2
  T* E;            // (tile_rows, lde): exponents, then weights

  static Scratch carve(Arena& arena, Index d) {
    const Index ld = leading_dimension<T>(d), tile = Sample<T>::tile_for(ld);
    Scratch s{tile, leading_dimension<T>(tile), nullptr, nullptr, nullptr, nullptr};
    arena.take(tile * ld, s.Y);
    arena.take(tile * padded<T>(d), s.by_unit);
    arena.take(tile, s.half_square);
    arena.take(tile_rows * s.lde, s.E);
    return s;
  }
};

// q = (x - centre) / sigma, in place; returns |q|^2 / 2.
template <typename T>
double standardize(const Sample<T>& sample, T* x) {
  double square = 0;
  for (Index k = 0; k < sample.data.columns; k += lanes<T>) {
    const Packet<T> q = (load(x + k) - load(sample.centre + k)) * sample.scale;
    store<T>(x + k, q);
    square += static_cast<double>(q.square().sum());
  }
  return square / 2;
}

// Rows first ... + count of the sample in both layouts. Rows beyond it have no weight.
template <typename T>
void pack_tile(const Sample<T>& sample, Index first, Index count, const Scratch<T>& s) {
  constexpr Index width = panel_width<T>;
  const Index d_pad = padded<T>(sample.data.columns);
  for (Index t = 0; t < s.tile; ++t) {
    s.half_square[t] = -minus_infinity<T>;
    if (t >= count) continue;
    copy_row(sample.data, first + t, s.Y + t * sample.ld);
    s.half_square[t] = static_cast<T>(standardize(sample, s.Y + t * sample.ld));
  }
  for (Index t = 0; t < count; t += lanes<T>)
    for (Index k = 0; k < sample.data.columns; k += lanes<T>) {
      T square[lanes<T> * lanes<T>];
      for (Index i = 0; i < lanes<T>; ++i)
        store<T>(square + i * lanes<T>, load(s.Y + (t + i) * sample.ld + k));
      transpose_square<T, lanes<T>, width>(square,
                                           s.by_unit + (t / width * d_pad + k) * width + t % width);
    }
}

// Turns one row of exponents into weights and adds them to the sums of its point. Whether any is not
// 0.
template <typename T>
bool add_weights(Index count, const T* half_square, T* e, Index i, const Sums<T>& sums, Index ld) {
  Packet<T> top = Packet<T>::Constant(minus_infinity<T>);
  for (Index t = 0; t < count; t += lanes<T>) {
    const Packet<T> exponent = load(e + t) - load(half_square + t);
    store<T>(e + t, exponent);
    top = top.max(exponent);
  }
  const T largest = top.maxCoeff();
  if (largest > sums.largest[i]) sums.rescale(i, largest, ld);
  Packet<T> weight = Packet<T>::Zero(), moment = Packet<T>::Zero();
  for (Index t = 0; t < count; t += lanes<T>) {
    const Packet<T> below = load(e + t) - sums.largest[i];
    const Packet<T> p = exp_of_negative<T>(below);
    store<T>(e + t, p);
    weight += p;
    moment += p * below;
  }
  const T total = weight.sum();
  sums.weight[i] += static_cast<double>(total);
  sums.exponent[i] += static_cast<double>(moment.sum());
  return total > T(0);
}

// Adds a part of the sample to the sums of the points Q. own: see Kernels::parzen.
template <typename T>
void accumulate(const Sample<T>& sample, Range part, Index points,
                const T* Q,  // (points, ld)
                const Index* own, const Sums<T>& sums, const Scratch<T>& s, const Thread& thread) {
  constexpr Index width = panel_width<T>;
  const Index d = sample.data.columns, ld = sample.ld;
  for (Index first = part.begin; first < part.end && !thread.stopped(); first += s.tile) {
    const Index count = smaller(part.end - first, s.tile);
    pack_tile(sample, first, count, s);
    for (Index i = 0; i < points; i += tile_rows) {
      const Index rows = smaller(points - i, tile_rows);
      for (Index t = 0; t < count; t += width)
        multiply(rows, smaller(count - t, width), d, {Q + i * ld, ld, 1},
                 {s.by_unit + t * padded<T>(d)}, s.E + t, s.lde);
      bool any = false;
      for (Index r = 0; r < rows; ++r) {
        T* e = s.E + r * s.lde;
        if (own != nullptr && own[i + r] >= first && own[i + r] < first + count)
          e[own[i + r] - first] = minus_infinity<T>;
        any = add_weights(count, s.half_square, e, i + r, sums, ld) || any;
      }
      // Where all weights are 0, so is what they would add.
      if (any && sums.Y != nullptr)
        for (Index k = 0; k < d; k += width)
          multiply(rows, smaller(d - k, width), count, {s.E, s.lde, 1}, {s.Y + k, ld},
                   sums.Y + i * ld + k, ld, true);
      thread.poll();
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA::parzen
