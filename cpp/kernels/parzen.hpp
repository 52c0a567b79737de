// The Parzen density (1/N) sum_t N(x; x_t, sigma^2 I) of a sample: the posterior mean at a point,
// the score and the log-density.
//
// In coordinates from the centre of the sample, in units of sigma, with q for x and y_t for x_t:
//
//   e_t   = <q, y_t> - |y_t|^2 / 2         exponents, up to -|q|^2 / 2, which all have in common
//   p_t   = exp(e_t - m)                   m the largest exponent so far: one weight is always 1
//   mean  = centre + sigma sum_t p_t y_t / sum_t p_t
//   score = (sum_t p_t y_t / sum_t p_t - q) / sigma
//
// The sample streams by in tiles, each two products around an exponential. Where a tile has a
// larger exponent, what was summed before shrinks by exp(m - m').
#pragma once

#include <cmath>

#include "model.hpp"

namespace dsmfast::DSMFAST_ISA {

// Stands for minus infinity, and can be subtracted from itself.
template <typename T>
constexpr T excluded = sizeof(T) == 4 ? T(-1e37) : T(-1e307);

// exp(x) for x <= 0, and 0 where it would come near the smallest normal number, at which Eigen's
// stops.
template <typename T>
DSMFAST_INLINE Lanes<T> vanishing_exp(const Lanes<T>& x) {
  const Lanes<T> least = Lanes<T>::Constant(sizeof(T) == 4 ? T(-87) : T(-708));
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
struct PosteriorSums {
  T* Y;              // (B, ld): sum_t p_t y_t; null: not wanted
  T* largest;        // (B,): m
  double* weight;    // (B,): sum_t p_t
  double* exponent;  // (B,): sum_t p_t (e_t - m)

  PosteriorSums from(Index row, Index ld) const {
    return {Y == nullptr ? nullptr : Y + row * ld, largest + row, weight + row, exponent + row};
  }

  static Index bytes(Index rows, Index ld) {
    return Arena::bytes<T>(rows * ld) + Arena::bytes<T>(rows) + 2 * Arena::bytes<double>(rows);
  }
  static PosteriorSums carve(Arena& arena, Index rows, Index ld) {
    PosteriorSums s{};
    s.Y = arena.take<T>(rows * ld);
    s.largest = arena.take<T>(rows);
    s.weight = arena.take<double>(rows);
    s.exponent = arena.take<double>(rows);
    return s;
  }

  void clear(Index rows, Index ld) const {
    if (Y != nullptr) std::memset(Y, 0, static_cast<std::size_t>(rows * ld) * sizeof(T));
    for (Index i = 0; i < rows; ++i) {
      largest[i] = excluded<T>;
      weight[i] = 0;
      exponent[i] = 0;
    }
  }

  // Moves the largest exponent of row i up to `top`.
  void raise(Index i, T top, Index ld) const {
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
struct ParzenScratch {  // one a thread
  Index tile, lde;
  T* Y;            // (tile, ld): y_t
  T* by_unit;      // (tile / width, d, width): the same, packed as the right factor of Q Y'
  T* half_square;  // (tile,): |y_t|^2 / 2
  T* E;            // (tile_rows, lde): exponents, then weights

  static Index bytes(Index d) {
    const Index ld = leading_dimension<T>(d), tile = Sample<T>::tile_for(ld);
    return Arena::bytes<T>(tile * ld) + Arena::bytes<T>(tile * padded<T>(d)) +
           Arena::bytes<T>(tile) + Arena::bytes<T>(tile_rows * leading_dimension<T>(tile));
  }
  static ParzenScratch carve(Arena& arena, Index d) {
    const Index ld = leading_dimension<T>(d), tile = Sample<T>::tile_for(ld);
    ParzenScratch s{tile, leading_dimension<T>(tile), nullptr, nullptr, nullptr, nullptr};
    s.Y = arena.take<T>(tile * ld);
    s.by_unit = arena.take<T>(tile * padded<T>(d));
    s.half_square = arena.take<T>(tile);
    s.E = arena.take<T>(tile_rows * s.lde);
    return s;
  }
};

// q = (x - centre) / sigma, in place; returns |q|^2 / 2.
template <typename T>
double standardize(const Sample<T>& sample, T* x) {
  double square = 0;
  for (Index k = 0; k < sample.data.columns; k += lanes<T>) {
    const Lanes<T> q = (load(x + k) - load(sample.centre + k)) * sample.scale;
    store<T>(x + k, q);
    square += static_cast<double>(q.square().sum());
  }
  return square / 2;
}

// Rows first ... + count of the sample in both layouts. Rows beyond it have no weight.
template <typename T>
void pack_tile(const Sample<T>& sample, Index first, Index count, const ParzenScratch<T>& s) {
  constexpr Index width = panel_width<T>;
  const Index d_pad = padded<T>(sample.data.columns);
  for (Index t = 0; t < s.tile; ++t) {
    s.half_square[t] = -excluded<T>;
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

// One row of exponents becomes weights; the sums of its point take them in. Whether any is not 0.
template <typename T>
bool take_weights(Index count, const T* half_square, T* e, Index i, const PosteriorSums<T>& sums,
                  Index ld) {
  Lanes<T> top = Lanes<T>::Constant(excluded<T>);
  for (Index t = 0; t < count; t += lanes<T>) {
    const Lanes<T> exponent = load(e + t) - load(half_square + t);
    store<T>(e + t, exponent);
    top = top.max(exponent);
  }
  const T largest = top.maxCoeff();
  if (largest > sums.largest[i]) sums.raise(i, largest, ld);
  Lanes<T> weight = Lanes<T>::Zero(), moment = Lanes<T>::Zero();
  for (Index t = 0; t < count; t += lanes<T>) {
    const Lanes<T> below = load(e + t) - sums.largest[i];
    const Lanes<T> p = vanishing_exp<T>(below);
    store<T>(e + t, p);
    weight += p;
    moment += p * below;
  }
  const T total = weight.sum();
  sums.weight[i] += static_cast<double>(total);
  sums.exponent[i] += static_cast<double>(moment.sum());
  return total > T(0);
}

// Rows begin ... end of the sample into the sums of the points Q. own: see Kernels::parzen.
template <typename T>
void fold(const Sample<T>& sample, Index begin, Index end, Index points,
          const T* Q,  // (points, ld)
          const Index* own, const PosteriorSums<T>& sums, const ParzenScratch<T>& s,
          const Watch& watch) {
  constexpr Index width = panel_width<T>;
  const Index d = sample.data.columns, ld = sample.ld;
  for (Index first = begin; first < end && !watch.stopped(); first += s.tile) {
    const Index count = end - first < s.tile ? end - first : s.tile;
    pack_tile(sample, first, count, s);
    for (Index i = 0; i < points; i += tile_rows) {
      const Index rows = points - i < tile_rows ? points - i : tile_rows;
      for (Index t = 0; t < count; t += width)
        multiply(rows, count - t < width ? count - t : width, d, {Q + i * ld, ld, 1},
                 {s.by_unit + t * padded<T>(d)}, s.E + t, s.lde);
      bool any = false;
      for (Index r = 0; r < rows; ++r) {
        T* e = s.E + r * s.lde;
        if (own != nullptr && own[i + r] >= first && own[i + r] < first + count)
          e[own[i + r] - first] = excluded<T>;
        any = take_weights(count, s.half_square, e, i + r, sums, ld) || any;
      }
      // Where all weights are 0, so is what they would add.
      if (any && sums.Y != nullptr)
        for (Index k = 0; k < d; k += width)
          multiply(rows, d - k < width ? d - k : width, count, {s.E, s.lde, 1}, {s.Y + k, ld},
                   sums.Y + i * ld + k, ld, true);
      watch.look();
    }
  }
}

// Large samples are cut into segments, so that few points feed many threads; fixed by N alone.
constexpr Index most_segments = 16;

inline Index segments_of(Index N) {
  const Index segments = N / 16384;
  return segments < 1 ? 1 : segments > most_segments ? most_segments : segments;
}

// Points that are worked on together: their sums over all segments stay below 32 MB in float32.
inline Index points_for(Index n, Index segments, Index ld) {
  const Index fit = (Index{1} << 23) / (segments * ld);
  const Index most = fit < tile_rows ? tile_rows : fit;
  return n < most ? n : most;
}

// The sums of all segments for row i, in their order, and from them the row's output.
template <typename T>
void conclude(const Sample<T>& sample, Index segments, const PosteriorSums<T>* of, Index i,
              const T* q, double half_square, Index row, const Posterior<T>& out) {
  const Index d = sample.data.columns, ld = sample.ld;
  const PosteriorSums<T>& first = of[0];
  for (Index k = 1; k < segments; ++k) {
    const PosteriorSums<T>& other = of[k];
    if (other.largest[i] > first.largest[i])
      first.raise(i, other.largest[i], ld);
    else
      other.raise(i, first.largest[i], ld);
    first.weight[i] += other.weight[i];
    first.exponent[i] += other.exponent[i];
    if (first.Y != nullptr)
      for (Index j = 0; j < ld; ++j) first.Y[i * ld + j] += other.Y[i * ld + j];
  }
  const double top = static_cast<double>(first.largest[i]) - half_square;
  out.log_sum[row] = top + std::log(first.weight[i]);
  out.mean_exponent[row] = top + first.exponent[i] / first.weight[i];
  out.largest[row] = top;
  const T share = static_cast<T>(1 / first.weight[i]);
  for (Index j = 0; j < d && first.Y != nullptr; ++j) {
    const T y = first.Y[i * ld + j] * share;
    if (out.mean != nullptr) out.mean[row * d + j] = sample.centre[j] + y * sample.sigma;
    if (out.score != nullptr) out.score[row * d + j] = (y - q[j]) * sample.scale;
  }
}

template <typename T>
Outcome parzen(const View<const T>& x, const View<const T>& data, const Index* own, double sigma,
               const Posterior<T>& out, Execution& run) {
  const Index d = x.columns, ld = leading_dimension<T>(d), N = data.rows;
  const Index segments = segments_of(N), most = points_for(x.rows, segments, ld);
  const int threads =
      worthwhile(run.threads, row_operations(2, d, N) * static_cast<double>(x.rows));
  Memory memory;
  if (!memory.reserve(2 * Arena::bytes<T>(ld) + Arena::bytes<T>(most * ld) +
                      Arena::bytes<double>(most) + segments * PosteriorSums<T>::bytes(most, ld) +
                      threads * ParzenScratch<T>::bytes(d)))
    return Outcome::out_of_memory;
  Arena arena = memory.arena();
  T* row = arena.take<T>(ld);
  T* centre = arena.take<T>(ld);
  T* Q = arena.take<T>(most * ld);
  double* half_square = arena.take<double>(most);
  PosteriorSums<T> sums[most_segments];
  for (Index k = 0; k < segments; ++k) {
    sums[k] = PosteriorSums<T>::carve(arena, most, ld);
    if (out.mean == nullptr && out.score == nullptr) sums[k].Y = nullptr;
  }
  find_centre(data, row, centre);
  const Sample<T> sample{data, centre, static_cast<T>(sigma), static_cast<T>(1 / sigma), ld};
  Flag stop;

  parallel(threads, [&](const Team& team) {
    Arena mine{arena.next + team.rank * ParzenScratch<T>::bytes(d)};
    const ParzenScratch<T> s = ParzenScratch<T>::carve(mine, d);
    const Watch watch(run, team, stop);
    for (Index start = 0; start < x.rows; start += most) {
      const Index points = x.rows - start < most ? x.rows - start : most;
      const Range own_rows = team.share(points);
      for (Index i = own_rows.begin; i < own_rows.end; ++i) {
        copy_row(x, start + i, Q + i * ld);
        half_square[i] = standardize(sample, Q + i * ld);
      }
      team.barrier();
      // As few groups of points as occupy all threads: each group packs the segment once.
      Index groups = 1;
      while (segments * groups % team.size != 0) ++groups;
      const Index group =
          ((points + groups - 1) / groups + block_rows - 1) / block_rows * block_rows;
      groups = (points + group - 1) / group;
      const Range share = team.share(segments * groups);
      for (Index task = share.begin; task < share.end && !watch.stopped(); ++task) {
        const Index k = task / groups, first = task % groups * group;
        const Index count = points - first < group ? points - first : group;
        const PosteriorSums<T> part = sums[k].from(first, ld);
        part.clear(count, ld);
        fold(sample, k * N / segments, (k + 1) * N / segments, count, Q + first * ld,
             own == nullptr ? nullptr : own + start + first, part, s, watch);
      }
      team.barrier();
      if (watch.stopped()) break;
      for (Index i = own_rows.begin; i < own_rows.end; ++i)
        conclude(sample, segments, sums, i, Q + i * ld, half_square[i], start + i, out);
      team.barrier();
    }
  });
  return stop.raised() ? Outcome::interrupted : Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA
