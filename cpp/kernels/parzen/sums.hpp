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
// larger exponent, what was summed before shrinks by exp(m - m'), as in a streaming softmax. Where
// rows of the sample have weights, p_t is multiplied by that of its row; rows without weight are left
// out, from m too.
//
// Rounding of e_t is that of |q|^2, which a tiny sigma, or a point far out, makes larger than any difference
// of exponents: beside a row of the sample, the density would be whatever rounding says. The exponents of
// such points are their distances, -|x - x_t|^2 / (2 sigma^2), summed up in double, and their scores are
// means of x_t - x: "direct" points.
#pragma once

#include <cmath>

#include "kernels/base/product.hpp"
#include "kernels/base/rows.hpp"

namespace dsmfast::DSMFAST_ISA::parzen {

// Stands for minus infinity, and can be subtracted from itself.
template <typename T>
constexpr T minus_infinity = sizeof(T) == 4 ? T(-1e37) : T(-1e307);

// Of a normal number: at the smallest Eigen's exp stops.
template <typename T>
constexpr T least_exponent = sizeof(T) == 4 ? T(-87) : T(-708);

// exp(x) for x <= 0, and 0 where it would come near the smallest normal number.
template <typename T>
DSMFAST_INLINE Packet<T> exp_of_negative(const Packet<T>& x) {
  const Packet<T> least = Packet<T>::Constant(least_exponent<T>);
  return (x.max(least).exp() - least.exp()).max(T(0));
}

// |q|^2 / 2 up to which its rounding leaves exponents two digits after the point.
template <typename T>
constexpr double most_half_square = sizeof(T) == 4 ? 0.01 / 1.2e-7 : 0.01 / 2.2e-16;

template <typename T>
struct Sample {
  View<const T> data;  // (N, d)
  const T* weights;    // (N,), or null: 1
  const T* centre;     // (d_pad,): the same whatever points are asked for
  T sigma;
  T scale;             // 1 / sigma
  Index ld;            // leading dimension of (B, d)
  Index rows;          // of the sample: N, or those at the places first ... of a round of rows:
  const Index* round;  // (around,), or null: 0, 1, 2, ...
  Index around, first;
  double precision;  // 1 / sigma^2
  bool from_points;  // of direct points, y_t - q is summed up, not y_t

  // The place in the data of row t of the sample.
  Index row(Index t) const {
    if (around == 0) return t;
    const Index ahead = first + t, place = ahead < around ? ahead : ahead - around;
    return round != nullptr ? round[place] : place;
  }

  // Rows of a tile: packed twice, it stays in the second-level cache.
  static Index tile_for(Index ld) {
    const Index fit = (Index{1} << 16) / ld / panel_width<T> * panel_width<T>;
    return fit < panel_width<T> ? panel_width<T> : fit > depth_block ? depth_block : fit;
  }
};

// Median of the means of groups, of up to 1024 rows, evenly spaced: any point amid the data will do, but a
// few rows far out shall not move it away from the others.
template <typename T>
void find_centre(const View<const T>& data, T* centre) {  // (d_pad,)
  constexpr Index most_groups = 9, block = 64;
  const Index count = smaller(data.rows, 1024);
  const Index groups = count < 2 * most_groups ? 1 : most_groups;
  for (Index first = 0; first < data.columns; first += block) {
    const Index columns = smaller(data.columns - first, block);
    T mean[most_groups][block] = {};
    for (Index g = 0; g < groups; ++g) {
      const T share = T(1) / static_cast<T>((count - g + groups - 1) / groups);
      for (Index i = g; i < count; i += groups) {
        const T* row = data.data + i * data.rows / count * data.row_stride;
        for (Index k = 0; k < columns; ++k)
          mean[g][k] += row[(first + k) * data.column_stride] * share;
      }
    }
    for (Index k = 0; k < columns; ++k) {
      for (Index g = 1; g < groups; ++g)  // sorted in place
        for (Index l = g; l > 0 && mean[l][k] < mean[l - 1][k]; --l) {
          const T above = mean[l][k];
          mean[l][k] = mean[l - 1][k], mean[l - 1][k] = above;
        }
      centre[first + k] = mean[groups / 2][k];
    }
  }
}

// All rows of the data.
template <typename T>
Sample<T> whole_sample(const View<const T>& data, const T* weights, const T* centre, double sigma,
                       Index ld) {
  return {data,
          weights,
          centre,
          static_cast<T>(sigma),
          static_cast<T>(1 / sigma),
          ld,
          data.rows,
          nullptr,
          0,
          0,
          1 / (sigma * sigma),
          false};
}

// What has been summed over the sample for a block of points.
template <typename T>
struct Sums {
  T* Y;             // (B, ld): sum_t p_t y_t, of direct points perhaps of y_t - q; null: not wanted
  double* largest;  // (B,): m
  double* weight;   // (B,): sum_t p_t
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
      largest[i] = static_cast<double>(minus_infinity<T>);
      weight[i] = 0;
      exponent[i] = 0;
    }
  }

  // Moves the largest exponent of row i up to `top`.
  void rescale(Index i, double top, Index ld) const {
    const double above = top - largest[i];
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
  T* Y;                // (tile, ld): y_t
  T* by_unit;          // (tile / width, d, width): the same, packed as the right factor of Q Y'
  T* half_square;      // (tile,): |y_t|^2 / 2
  T* weight;           // (tile,): of the rows, if they have any
  T* E;                // (tile_rows, lde): exponents, then weights
  T* most;             // (tile,): the largest weight of each row of the sample
  T *Y_left, *E_left;  // Y and E of those that have any
  T* raw;              // (tile / width, d, width): x_t, packed; null: there are no direct points
  double* exact;       // (tile,): their exponents
  double* total;       // (d,): sum_t p_t x_t over a tile

  static Scratch carve(Arena& arena, Index d, bool direct = false) {
    const Index ld = leading_dimension<T>(d), tile = Sample<T>::tile_for(ld);
    Scratch s{};
    s.tile = tile;
    s.lde = leading_dimension<T>(tile);
    arena.take(tile * ld, s.Y, s.Y_left);
    arena.take(tile * padded<T>(d), s.by_unit);
    arena.take(tile, s.half_square, s.weight, s.most);
    arena.take(tile_rows * s.lde, s.E, s.E_left);
    if (direct) {
      arena.take(tile * padded<T>(d), s.raw);
      arena.take(tile, s.exact);
      arena.take(ld, s.total);
    }
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

// The rows of s.Y, packed by features.
template <typename T>
void pack_features(Index count, Index d, Index ld, const Scratch<T>& s, T* to) {
  constexpr Index width = panel_width<T>;
  const Index d_pad = padded<T>(d);
  for (Index t = 0; t < count; t += lanes<T>)
    for (Index k = 0; k < d; k += lanes<T>) {
      T square[lanes<T> * lanes<T>];
      for (Index i = 0; i < lanes<T>; ++i)
        store<T>(square + i * lanes<T>, load(s.Y + (t + i) * ld + k));
      transpose_square<T, lanes<T>, width>(square,
                                           to + (t / width * d_pad + k) * width + t % width);
    }
}

// Rows first ... + count of the sample in both layouts, and as they are if there are direct points. Rows
// beyond it have no weight.
template <typename T>
void pack_tile(const Sample<T>& sample, Index first, Index count, const Scratch<T>& s,
               bool direct) {
  const Index d = sample.data.columns;
  if (direct) {
    for (Index t = 0; t < count; ++t)
      copy_row(sample.data, sample.row(first + t), s.Y + t * sample.ld);
    pack_features(count, d, sample.ld, s, s.raw);
  }
  for (Index t = 0; t < s.tile; ++t) {
    s.half_square[t] = -minus_infinity<T>;
    s.weight[t] = T(0);
    if (t >= count) continue;
    const Index row = sample.row(first + t);
    copy_row(sample.data, row, s.Y + t * sample.ld);
    const double half_square = standardize(sample, s.Y + t * sample.ld);
    if (sample.weights != nullptr) s.weight[t] = sample.weights[row];
    if (sample.weights == nullptr || s.weight[t] > T(0))
      s.half_square[t] = static_cast<T>(half_square);
  }
  pack_features(count, d, sample.ld, s, s.by_unit);
}

// Turns one row of exponents into weights and adds them to the sums of its point.
template <typename T, bool weighted>
void add_weights(Index count, const Scratch<T>& s, T* e, Index i, const Sums<T>& sums, Index ld) {
  Packet<T> top = Packet<T>::Constant(minus_infinity<T>);
  for (Index t = 0; t < count; t += lanes<T>) {
    const Packet<T> exponent = load(e + t) - load(s.half_square + t);
    store<T>(e + t, exponent);
    top = top.max(exponent);
  }
  const auto highest = static_cast<double>(top.maxCoeff());
  if (highest > sums.largest[i]) sums.rescale(i, highest, ld);
  const auto largest = static_cast<T>(sums.largest[i]);
  Packet<T> weight = Packet<T>::Zero(), moment = Packet<T>::Zero();
  for (Index t = 0; t < count; t += lanes<T>) {
    const Packet<T> below = load(e + t) - largest;
    Packet<T> p = exp_of_negative<T>(below);
    if constexpr (weighted) p *= load(s.weight + t);
    store<T>(e + t, p);
    store<T>(s.most + t, load(s.most + t).max(p));
    weight += p;
    moment += p * below;
  }
  sums.weight[i] += static_cast<double>(weight.sum());
  sums.exponent[i] += static_cast<double>(moment.sum());
}

// s.exact: the exponents of a direct point x.
template <typename T>
void measure(const Sample<T>& sample, const T* x, Index count, const Scratch<T>& s) {
  using Doubles = Eigen::Array<double, lanes<T>, 1>;
  constexpr Index width = panel_width<T>;
  const Index d = sample.data.columns;
  for (Index t = 0; t < count; t += width) {
    const T* panel = s.raw + t * padded<T>(d);
    Doubles low = Doubles::Zero(), high = Doubles::Zero();
    for (Index k = 0; k < d; ++k) {
      const auto at = static_cast<double>(x[k]);
      low += (load(panel + k * width).template cast<double>() - at).square();
      high += (load(panel + k * width + lanes<T>).template cast<double>() - at).square();
    }
    Eigen::Map<Doubles>(s.exact + t) = low * (-0.5 * sample.precision);
    Eigen::Map<Doubles>(s.exact + t + lanes<T>) = high * (-0.5 * sample.precision);
  }
}

// Adds a tile to the sums of a direct point x; own: the row of it that is left out, or -1.
template <typename T>
void add_direct(const Sample<T>& sample, Index first, Index count, const T* x, Index own,
                const Scratch<T>& s, Index i, const Sums<T>& sums) {
  constexpr auto least = static_cast<double>(least_exponent<T>);
  measure(sample, x, count, s);
  double top = minus_infinity<double>;
  for (Index t = 0; t < count; ++t) {
    const bool counts = sample.weights == nullptr || s.weight[t] > T(0);
    if (!counts || t == own) s.exact[t] = minus_infinity<double>;
    if (s.exact[t] > top) top = s.exact[t];
  }
  if (top > sums.largest[i]) sums.rescale(i, top, sample.ld);
  const View<const T>& data = sample.data;
  const T* origin = sample.from_points ? x : sample.centre;
  clear(s.total, data.columns);
  for (Index t = 0; t < count; ++t) {
    const double below = s.exact[t] - sums.largest[i];
    if (!(below > least)) continue;
    double p = std::exp(below);
    if (sample.weights != nullptr) p *= static_cast<double>(s.weight[t]);
    sums.weight[i] += p;
    sums.exponent[i] += p * below;
    if (sums.Y == nullptr) continue;
    const T* row = data.data + sample.row(first + t) * data.row_stride;
    for (Index k = 0; k < data.columns; ++k)
      s.total[k] += p * static_cast<double>(row[k * data.column_stride] - origin[k]);
  }
  for (Index k = 0; k < data.columns && sums.Y != nullptr; ++k)
    sums.Y[i * sample.ld + k] += static_cast<T>(s.total[k] / static_cast<double>(sample.sigma));
}

// Y (rows, ld) += E Y_t, over the rows of the sample that have any weight: at many features these are
// few. The others would add zeros.
template <typename T>
void add_means(Index rows, Index count, Index d, const Scratch<T>& s, T* Y, Index ld) {
  constexpr Index width = panel_width<T>;
  Index left = 0;
  for (Index t = 0; t < count; ++t) left += s.most[t] > T(0);
  const T *E = s.E, *from = s.Y;
  if (2 * left < count) {
    Index to = 0;
    for (Index t = 0; t < count; ++t) {
      if (!(s.most[t] > T(0))) continue;
      for (Index i = 0; i < rows; ++i) s.E_left[i * s.lde + to] = s.E[i * s.lde + t];
      copy(s.Y + t * ld, ld, s.Y_left + to * ld);
      ++to;
    }
    E = s.E_left, from = s.Y_left;
  } else {
    left = count;
  }
  for (Index k = 0; k < d && left > 0; k += width)
    multiply(rows, smaller(d - k, width), left, {E, s.lde, 1}, {from + k, ld}, Y + k, ld, true);
}

// Adds a part of the sample to the sums of the points Q. own: see Kernels::parzen. direct: which points
// are, null for none; their rows of Q are x, not q.
template <typename T>
void accumulate(const Sample<T>& sample, Range part, Index points,
                const T* Q,  // (points, ld)
                const Index* own, const Sums<T>& sums, const Scratch<T>& s, const Thread& thread,
                const bool* direct = nullptr) {
  constexpr Index width = panel_width<T>;
  const auto is_direct = [&](Index i) { return direct != nullptr && direct[i]; };
  bool any_direct = false;
  for (Index i = 0; i < points; ++i) any_direct = any_direct || is_direct(i);
  const Index d = sample.data.columns, ld = sample.ld;
  for (Index first = part.begin; first < part.end && !thread.stopped(); first += s.tile) {
    const Index count = smaller(part.end - first, s.tile);
    pack_tile(sample, first, count, s, any_direct);
    for (Index i = 0; i < points; i += tile_rows) {
      const Index rows = smaller(points - i, tile_rows);
      bool any_product = false;
      for (Index r = 0; r < rows; ++r) any_product = any_product || !is_direct(i + r);
      for (Index t = 0; t < count && any_product; t += width)
        multiply(rows, smaller(count - t, width), d, {Q + i * ld, ld, 1},
                 {s.by_unit + t * padded<T>(d)}, s.E + t, s.lde);
      clear(s.most, s.tile);
      for (Index r = 0; r < rows; ++r) {
        T* e = s.E + r * s.lde;
        Index left_out = own == nullptr ? -1 : own[i + r] - first;
        if (left_out >= count) left_out = -1;
        if (is_direct(i + r)) {
          clear(e, s.lde);
          add_direct(sample, first, count, Q + (i + r) * ld, left_out, s, i + r, sums);
          continue;
        }
        if (left_out >= 0) e[left_out] = minus_infinity<T>;
        if (sample.weights == nullptr)
          add_weights<T, false>(count, s, e, i + r, sums, ld);
        else
          add_weights<T, true>(count, s, e, i + r, sums, ld);
      }
      if (sums.Y != nullptr) add_means(rows, count, d, s, sums.Y + i * ld, ld);
      thread.poll();
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA::parzen
