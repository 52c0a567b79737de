// The explicit path for points of few features, where products have nothing to fill registers with.
//
// A row's sigmoids cost more than all of its products, and what stands between them is what counts:
// H is the one array of size (B, h). It is written once by rows, whose decoder is summed up while H
// is in registers, and read once by hidden units, whose dA, dW and db need no array at all. Arrays of
// size (B, d) have a feature a row.
//
//   by rows     H = sigmoid(X~ W' + b),   R = H W + c - T
//   barrier
//   by units    dA = (R W') o H o (1 - H),   dW = H' R + dA' X~,   db = sum dA;   dc = sum R
#pragma once

#include "gradient.hpp"

namespace dsmfast::DSMFAST_ISA {

constexpr Index few_features = 8;

// Rows between two barriers; features in rows, padded with zeros to 2, 4 or 8.
template <typename T>
struct FewFeatures {
  Index capacity;  // rows
  Index ldx;       // leading dimension of (d, B)
  T *X, *R;        // (few_features, ldx): corrupted points x~, residuals
  Matrix<T> H;     // (B, h), in panels
  double* loss;    // (B,): of each row
  T* sum;          // (few_features + 2, h_pad): dW', db and the sum of S = H o (1 - H)

  // Whether it serves the regression: W is then one panel of features.
  static bool serve(Index d, const Regression<T>& data) {
    return d <= few_features && d <= panel_width<T> && data.target != Target::posterior &&
           data.curvature.penalty == T(0);
  }

  static FewFeatures carve(Arena& arena, Index capacity, Index h) {
    FewFeatures s{};
    s.capacity = capacity;
    s.ldx = (capacity / counters + 1) * counters;
    s.X = arena.take<T>(few_features * s.ldx);
    s.R = arena.take<T>(few_features * s.ldx);
    s.H = Matrix<T>::in_panels(arena.take<T>(Matrix<T>::stored(capacity, h)), capacity);
    s.loss = arena.take<double>(s.ldx);
    s.sum = arena.take<T>((few_features + 2) * padded<T>(h));
    return s;
  }
};

template <typename T>
struct FewFeaturesScratch {  // one a thread
  T* partial;                // (few_features, lanes, lanes)
  T* dW;                     // (width, width)

  static FewFeaturesScratch carve(Arena& arena) {
    return {arena.take<T>(few_features * lanes<T> * lanes<T>),
            arena.take<T>(panel_width<T> * panel_width<T>)};
  }
};

// X~ = X + sigma E and R = c - T of rows at ... at + rows of the chunk; beyond them, to whole
// registers, R = 0.
template <typename T>
void place_points(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
                  const FewFeatures<T>& s, Index at, const Team& team) {
  const Regression<T>& data = *batch.data;
  const Noise<T>& noise = data.noise;
  const Visits visits(batch, visit, rows);
  T* X = s.X + at;
  T* R = s.R + at;
  const Index pair = noise.antithetic ? 1 : 0;
  const auto row_of = [&](Index i) { return visits.row[i]; };
  const auto draw_of = [&](Index i) { return visits.draw[i] & ~pair; };
  const bool overwrites = noise.replacement.chance != 0;
  if (overwrites)
    fill_columns(noise, batch.step, rows, w.d, row_of, draw_of, ToMarks{noise.replacement.chance},
                 X, s.ldx);
  else if (noise.sigma != T(0) && noise.given == nullptr)
    fill_columns(noise, batch.step, rows, w.d, row_of, draw_of, ToNormals{}, X, s.ldx);
  team.lap(Region::noise);

  T sigma[tile_rows];  // turned around for the second of an antithetic pair
  for (Index i = 0; i < rows; ++i)
    sigma[i] = (visits.draw[i] & pair) != 0 ? -noise.sigma : noise.sigma;
  const auto gather = [&](const View<const T>& from, Index k, T* to) {
    const T* column = from.data + k * from.column_stride;
    for (Index i = 0; i < rows; ++i) to[i] = column[visits.row[i] * from.row_stride];
  };
  for (Index k = 0; k < w.d; ++k) {
    T* x = X + k * s.ldx;
    T* r = R + k * s.ldx;
    gather(data.points, k, r);
    if (noise.given != nullptr)
      for (Index i = 0; i < rows; ++i)
        x[i] = noise.given[(visits.draw[i] * data.points.rows + visits.row[i]) * w.d + k];
    for (Index i = 0; i < rows; ++i) {
      if (overwrites)
        x[i] = x[i] == T(0) ? r[i] : x[i] < T(0) ? noise.replacement.low : noise.replacement.high;
      else
        x[i] = noise.sigma != T(0) ? r[i] + sigma[i] * x[i] : r[i];
    }
    if (data.target == Target::given) gather(data.targets, k, r);
    const T* target = data.target == Target::itself ? x : r;
    for (Index i = 0; i < rows; ++i) r[i] = w.c[k] - target[i];
    for (Index i = rows; i % lanes<T> != 0; ++i) r[i] = T(0);
  }
  team.lap(Region::points);
}

// The sum of each row of M (lanes, lanes), which is overwritten.
template <typename T>
DSMFAST_INLINE Lanes<T> sum_rows(T* M) {
  transpose_square<T, lanes<T>, lanes<T>>(M, M);
  Lanes<T> even = load(M), odd = load(M + lanes<T>);
  DSMFAST_UNROLL
  for (int i = 2; i < lanes<T>; i += 2) {
    even += load(M + i * lanes<T>);
    odd += load(M + (i + 1) * lanes<T>);
  }
  return even + odd;
}

// H = sigmoid(X~ W' + b)
// R = H W + (c - T), which stands in R already
// loss[i] = |R_i|^2, and what the trace adds: 2 v (sum S n - d)
//
// for rows at ... at + rows of the chunk.
template <typename T, int d>
void forward(const Weights<T>& w, const Curve<T>& curve, const FewFeatures<T>& s, Index at,
             Index rows, T* partial) {
  const bool curved = curve.form == Form::trace;
  const T* X = s.X + at;
  T* R = s.R + at;
  double* loss = s.loss + at;
  for (Index first = 0; first < rows; first += lanes<T>) {
    const Index count = rows - first < lanes<T> ? rows - first : lanes<T>;
    for (Index i = 0; i < count; ++i) {
      Lanes<T> r[d], trace = Lanes<T>::Zero();
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) r[k].setZero();
      for (Index j = 0; j < w.h; j += lanes<T>) {
        const T* W = w.by_hidden + j / w.width * w.d_pad * w.width + j % w.width;
        Lanes<T> a = load(w.b + j);
        DSMFAST_UNROLL
        for (int k = 0; k < d; ++k) a += X[k * s.ldx + first + i] * load(W + k * w.width);
        const Lanes<T> h = sigmoid<T>(a);
        store<T>(s.H(at + first + i, j), h);
        DSMFAST_UNROLL
        for (int k = 0; k < d; ++k) r[k] += h * load(W + k * w.width);
        if (curved) trace += h * (T(1) - h) * load(curve.n + j);
      }
      loss[first + i] = 0;
      if (curved)
        loss[first + i] = 2 * static_cast<double>(curve.variance) *
                          (static_cast<double>(trace.sum()) - static_cast<double>(w.d));
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) store<T>(partial + (k * lanes<T> + i) * lanes<T>, r[k]);
    }
    Lanes<T> square = Lanes<T>::Zero();
    for (Index k = 0; k < w.d; ++k) {
      for (Index i = count; i < lanes<T>; ++i)
        store<T>(partial + (k * lanes<T> + i) * lanes<T>, Lanes<T>::Zero());
      T* r = R + k * s.ldx + first;
      const Lanes<T> residual = load(r) + sum_rows(partial + k * lanes<T> * lanes<T>);
      store<T>(r, residual);
      square += residual.square();
    }
    for (Index i = 0; i < count; ++i) loss[first + i] += static_cast<double>(square[i]);
  }
}

// R = H W + c - T      ->  G  = R W',   dc = sum R
// H = sigmoid(A)       ->  dA = G o S,  S = H o (1 - H)
// S                    ->  dA += slope o S o (1 - 2 H), from the curvature
// R, A = X~ W' + b     ->  dW = H' R + dA' X~,   db = sum dA
//
// dW', db and sum S of the units of one register, added to what stands in `sum`.
template <typename T, int d>
void backward(const Weights<T>& w, const Curve<T>& curve, const FewFeatures<T>& s, Index j,
              Index rows) {
  const T* W = w.by_hidden + j / w.width * w.d_pad * w.width + j % w.width;
  const T* H = s.H(0, j);
  Lanes<T> weight[d];
  DSMFAST_UNROLL
  for (int k = 0; k < d; ++k) weight[k] = load(W + k * w.width);
  Lanes<T> slope = Lanes<T>::Zero();
  if (curve.form == Form::trace) slope = load(curve.slope + j);
  for (Index first = 0; first < rows; first += depth_block) {
    const Index end = rows - first < depth_block ? rows : first + depth_block;
    Lanes<T> dW[d], db = Lanes<T>::Zero(), dS = Lanes<T>::Zero();
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) dW[k].setZero();
    for (Index i = first; i < end; ++i) {
      const Lanes<T> h = load(H + i * s.H.row);
      const Lanes<T> S = h * (T(1) - h);
      Lanes<T> g = slope * (T(1) - T(2) * h);
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) g += s.R[k * s.ldx + i] * weight[k];
      const Lanes<T> dA = g * S;
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) dW[k] += h * s.R[k * s.ldx + i] + dA * s.X[k * s.ldx + i];
      db += dA;
      dS += S;
    }
    const auto add = [&](Index row, const Lanes<T>& value) {
      T* to = s.sum + row * w.h_pad + j;
      store<T>(to, load(to) + value);
    };
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) add(k, dW[k]);
    add(few_features, db);
    add(few_features + 1, dS);
  }
}

template <int n>
struct Constant {
  static constexpr int value = n;
};

// Calls work with the number of features, padded, as a constant.
template <typename Work>
void for_few(Index d, const Work& work) {
  if (d <= 2)
    work(Constant<2>{});
  else if (d <= 4)
    work(Constant<4>{});
  else
    work(Constant<8>{});
}

// The rows of this thread, forward.
template <typename T>
void run_rows(const Weights<T>& w, const Curve<T>& curve, const Batch<T>& batch, Index start,
              Index rows, const FewFeatures<T>& s, const FewFeaturesScratch<T>& scratch,
              const Team& team, const Watch& watch) {
  const Index share_of = tile_for(rows, team.size) + counters - 1;
  const Index tile = share_of / counters * counters;
  const Range share = team.share((rows + tile - 1) / tile);
  for (Index t = share.begin; t < share.end && !watch.stopped(); ++t) {
    const Index at = t * tile;
    const Index count = rows - at < tile ? rows - at : tile;
    place_points(w, batch, start + at, count, s, at, team);
    for_few(w.d, [&](auto d) {
      forward<T, decltype(d)::value>(w, curve, s, at, count, scratch.partial);
    });
    team.lap(Region::encode);
    watch.look();
  }
}

// The hidden units of this thread, backward; in the last chunk their tiles are finished.
template <typename T, typename Finish>
void run_units(const Weights<T>& w, const Curve<T>& curve, Index rows, bool first, bool last,
               const FewFeatures<T>& s, const FewFeaturesScratch<T>& scratch,
               const GradientSum<T>& total, const Team& team, const Finish& finish) {
  const Range share = team.share(w.hidden_panels());
  for (Index q = share.begin; q < share.end; ++q) {
    const GradientTile tile{0, q * w.width, w.hidden_in(q)};
    T* sum = s.sum + tile.first_hidden;
    if (first)
      for (Index k = 0; k < few_features + 2; ++k)
        for (Index j = 0; j < w.width; j += lanes<T>)
          store<T>(sum + k * w.h_pad + j, Lanes<T>::Zero());
    for_few(w.d, [&](auto d) {
      for (Index j = 0; j < tile.hidden; j += lanes<T>)
        backward<T, decltype(d)::value>(w, curve, s, tile.first_hidden + j, rows);
    });
    T* dc = q == 0 ? total.c : nullptr;
    for (Index k = 0; k < w.d && dc != nullptr; ++k) {
      Lanes<T> column = Lanes<T>::Zero();
      for (Index i = 0; i < rows; i += lanes<T>) column += load(s.R + k * s.ldx + i);
      dc[k] = (first ? T(0) : dc[k]) + column.sum();
    }
    if (!last) continue;
    for (Index j = 0; j < tile.hidden; ++j)
      for (Index k = 0; k < w.d; ++k) scratch.dW[j * w.width + k] = sum[k * w.h_pad + j];
    if (curve.form == Form::trace)
      add_trace(curve, w, 0, tile.first_hidden, tile.hidden, sum + (few_features + 1) * w.h_pad,
                scratch.dW);
    finish(tile, scratch.dW, sum + few_features * w.h_pad, dc);
  }
  team.lap(Region::gradient);
}

// As run_explicit, for few features.
template <typename T, typename Finish>
Outcome run_few_features(const Weights<T>& w, const Curve<T>& curve, const FewFeatures<T>& s,
                         const FewFeaturesScratch<T>& scratch, const GradientSum<T>& total,
                         const Batch<T>& batch, bool backward, const Team& team, const Watch& watch,
                         double* sum, const Finish& finish) {
  const Index visits = batch.visits();
  double loss = 0;
  for (Index start = 0; start < visits; start += s.capacity) {
    const Index rows = visits - start < s.capacity ? visits - start : s.capacity;
    const bool first = start == 0, last = start + s.capacity >= visits;
    run_rows(w, curve, batch, start, rows, s, scratch, team, watch);
    team.barrier();
    // All see the same: nobody raises the flag between this barrier and the next.
    if (watch.stopped()) return Outcome::interrupted;
    if (team.rank == 0) loss += sum_of(s.loss, rows);
    if (team.rank == 0 && last) *sum = loss;
    if (backward) run_units(w, curve, rows, first, last, s, scratch, total, team, finish);
    team.barrier();
  }
  return Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA
