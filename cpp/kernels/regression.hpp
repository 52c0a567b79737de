// The regression |D(x~) - t|^2 and its gradient, on a tile of rows and then over the batch.
//
// forward                                   backward, with k twice the scale of the loss
//   X~ = X + sigma E          (B, d)
//   A  = X~ W' + b            (B, h)          dA = G o H o (1 - H)
//   H  = sigmoid(A)           (B, h)          G  = R W'
//   R  = H W + c - T          (B, d)
//   loss = sum R o R                          dW = k (H' R + dA' X~)   (h, d)
//                                             db = k sum dA             (h,)
//                                             dc = k sum R              (d,)
//
// Everything up to dA belongs to a row and is done tile by tile; dW, db and dc sum over rows and are
// done panel by panel. Between the two stands a barrier, and X~, R, H and dA of one chunk of rows.
// What implicit score matching adds to loss, dA and dW stands in curvature.hpp.
#pragma once

#include "curvature.hpp"
#include "noise.hpp"
#include "parzen.hpp"

namespace dsmfast::DSMFAST_ISA {

// A chunk keeps 2 (d + h) values a row, 8 MB in float32, near the cores, whatever the batch is; a
// penalty or a sample's posterior half as much again.
constexpr Index chunk_values = Index{1} << 21;

template <typename T>
struct Chunk {
  Index capacity;              // rows
  Matrix<T> X, R;              // (B, d), in panels: corrupted points x~, residuals
  Matrix<T> H, dA;             // (B, h), in panels
  double* loss;                // (B,): of each row
  Matrix<T> S;                 // (B, h), in panels: H o (1 - H)           of Form::features
  Matrix<T> dV;                // (B, d), in panels                        of Form::features
  double* S64;                 // (B, ldh of double): H o (1 - H)          of Form::hidden
  Index ldx;                   // leading dimension                        of Target::posterior, as:
  T* Q;                        // (B, ldx): x~ in the sample's frame
  PosteriorSums<T> posterior;  // Y (B, ldx)

  // Rows of a chunk: as equal as can be, and fixed by the shape alone.
  static Index rows_for(Index rows, Index d, Index h) {
    const Index fit = chunk_values / (2 * (d + h));
    const Index most = fit < 32 ? 32 : fit > 2048 ? 2048 : fit;
    const Index chunks = (rows + most - 1) / most;
    return (rows + chunks - 1) / chunks;
  }

  static Chunk carve(Arena& arena, Index capacity, Index d, Index h, Form form, Target target) {
    Chunk s{};
    s.capacity = capacity;
    const auto in_panels = [&](Index columns) {
      return Matrix<T>::in_panels(arena.take<T>(Matrix<T>::stored(capacity, columns)), capacity);
    };
    s.X = in_panels(d);
    s.R = in_panels(d);
    s.H = in_panels(h);
    s.dA = in_panels(h);
    s.loss = arena.take<double>(capacity);
    if (form == Form::features) {
      s.S = in_panels(h);
      s.dV = in_panels(d);
    }
    if (form == Form::hidden) s.S64 = arena.take<double>(capacity * leading_dimension<double>(h));
    if (target == Target::posterior) {
      s.ldx = leading_dimension<T>(d);
      s.Q = arena.take<T>(capacity * s.ldx);
      s.posterior = PosteriorSums<T>::carve(arena, capacity, s.ldx);
    }
    return s;
  }
};

// Which rows: visit v = draw * rows + i is row order[first + i] of the data, in its draw-th noise.
template <typename T>
struct Batch {
  const Regression<T>* data;
  Index first, rows;   // a slice of the order
  std::uint32_t step;  // of the noise

  Index visits() const { return rows * data->noise.draws; }
};

// The visits of a tile: rows of the data, and which of their draws.
struct Visits {
  Index row[tile_rows];
  Index draw[tile_rows];

  template <typename T>
  Visits(const Batch<T>& batch, Index first, Index count) {
    Index m = first / batch.rows, i = first % batch.rows;
    const Index* order = batch.data->order;
    for (Index v = 0; v < count; ++v) {
      row[v] = order != nullptr ? order[batch.first + i] : batch.first + i;
      draw[v] = m;
      if (++i == batch.rows) i = 0, ++m;
    }
  }
};

// Scratch of a tile of rows.
template <typename T>
struct RowScratch {  // one a thread
  Index ldx, group;  // leading dimension; rows that are corrupted at a time, as fit in the cache
  T *drawn, *x, *t;  // (group, ldx): noise; points and targets whose columns are not adjacent
  T* panel;          // (tile_rows, width)
  double* panel64;   // (tile_rows, panel_width<double>): of Form::hidden

  static RowScratch carve(Arena& arena, Index d) {
    RowScratch s{};
    s.ldx = leading_dimension<T>(d);
    const Index fit = 1280 / s.ldx;
    s.group = fit < 4 ? 4 : fit < tile_rows ? fit : tile_rows;
    s.drawn = arena.take<T>(s.group * s.ldx);
    s.x = arena.take<T>(s.group * s.ldx);
    s.t = arena.take<T>(s.group * s.ldx);
    s.panel = arena.take<T>(tile_rows * panel_width<T>);
    s.panel64 = arena.take<double>(tile_rows * panel_width<double>);
    return s;
  }
};

// Rows visit ... visit + rows, `group` of them at most:  X~ = X + sigma E, and, but for the posterior
// mean, whose targets come later, R = c - T.
template <typename T>
void corrupt(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
             const Matrix<T>& X, const Matrix<T>& R, const RowScratch<T>& s, const Team& team) {
  const Regression<T>& data = *batch.data;
  const Visits visits(batch, visit, rows);
  const Noise<T>& noise = data.noise;
  const auto row_of = [&](Index i) { return visits.row[i]; };
  // The second of an antithetic pair has the noise of the first, turned around.
  const Index pair = noise.antithetic ? 1 : 0;
  const auto draw_of = [&](Index i) { return visits.draw[i] & ~pair; };
  const bool overwrites = noise.replacement.chance != 0;
  const bool noisy = noise.sigma != T(0) && !overwrites, draws = noisy && noise.given == nullptr;
  // Shuffled rows come from anywhere: they arrive while noise is drawn, 0.8 of the time for both.
  for (Index i = 0; i < rows; ++i)
    for (Index k = 0; k < w.d; k += line<T>) {
      __builtin_prefetch(data.points.data + visits.row[i] * data.points.row_stride + k, 0, 2);
      __builtin_prefetch(X(i, k), 1, 2);
      __builtin_prefetch(R(i, k), 1, 2);
    }
  if (overwrites)
    fill(noise, batch.step, rows, w.d, row_of, draw_of, ToMarks{noise.replacement.chance}, s.drawn,
         s.ldx);
  else if (draws)
    fill(noise, batch.step, rows, w.d, row_of, draw_of, ToNormals{}, s.drawn, s.ldx);
  team.lap(Region::noise);

  const T *x[tile_rows], *e[tile_rows], *t[tile_rows];
  T sigma[tile_rows];
  for (Index i = 0; i < rows; ++i) {
    x[i] = contiguous_row(data.points, visits.row[i], s.x + i * s.ldx);
    t[i] = data.target == Target::given
               ? contiguous_row(data.targets, visits.row[i], s.t + i * s.ldx)
               : x[i];
    e[i] = noisy && !draws ? noise.given + (visits.draw[i] * data.points.rows + visits.row[i]) * w.d
                           : s.drawn + i * s.ldx;
    sigma[i] = (visits.draw[i] & pair) != 0 ? -noise.sigma : noise.sigma;
  }
  const auto place = [&](Index i, Index k, const auto& columns) {
    const Lanes<T> clean = columns(x[i], k);
    Lanes<T> point = clean;
    if (noisy) point += sigma[i] * columns(e[i], k);
    if (overwrites) {
      const Lanes<T> mark = columns(e[i], k);
      point = (mark < T(0)).select(noise.replacement.low, point);
      point = (mark > T(0)).select(noise.replacement.high, point);
    }
    store<T>(X(i, k), point);
    if (data.target == Target::posterior) return;
    Lanes<T> target = clean;
    if (data.target == Target::itself) target = point;
    if (data.target == Target::given) target = columns(t[i], k);
    store<T>(R(i, k), load(w.c + k) - target);
  };
  for (Index i = 0; i < rows; ++i) {
    Index k = 0;
    for (; k + lanes<T> <= w.d; k += lanes<T>)
      place(i, k, [](const T* row, Index at) { return load(row + at); });
    for (; k < w.d_pad; k += lanes<T>)
      place(i, k, [&](const T* row, Index at) { return load_columns(row, at, w.d); });
  }
  team.lap(Region::points);
}

// X~ and c - T of rows visit ... visit + rows, for all targets but the posterior mean.
template <typename T>
void place_points(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
                  const Matrix<T>& X, const Matrix<T>& R, const RowScratch<T>& s,
                  const Team& team) {
  for (Index i = 0; i < rows; i += s.group)
    corrupt(w, batch, visit + i, rows - i < s.group ? rows - i : s.group, X.from(i), R.from(i), s,
            team);
}

// The same for the posterior mean, for all rows of a thread at once: each pass over the sample
// serves them all.
template <typename T>
void place_points_in_sample(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
                            const Chunk<T>& chunk, Index at, const Sample<T>& sample,
                            const RowScratch<T>& s, const ParzenScratch<T>& scratch,
                            const Team& team, const Watch& watch) {
  const Index ldx = chunk.ldx;
  const Matrix<T> X = chunk.X.from(at), R = chunk.R.from(at);
  T* Q = chunk.Q + at * ldx;
  place_points(w, batch, visit, rows, X, R, s, team);
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < w.d_pad; k += lanes<T>) store<T>(Q + i * ldx + k, load(X(i, k)));
    standardize(sample, Q + i * ldx);
  }
  const PosteriorSums<T> sums = chunk.posterior.from(at, ldx);
  sums.clear(rows, ldx);
  fold(sample, 0, sample.data.rows, rows, Q, static_cast<const Index*>(nullptr), sums, scratch,
       watch);
  for (Index i = 0; i < rows; ++i) {
    const T share = sample.sigma / static_cast<T>(sums.weight[i]);
    const T* y = sums.Y + i * ldx;
    for (Index k = 0; k < w.d_pad; k += lanes<T>)
      store<T>(R(i, k), load(w.c + k) - (load(sample.centre + k) + share * load(y + k)));
  }
  team.lap(Region::points);
}

// R = H W + (c - T), which stands in R already; loss[i] = |R_i|^2
template <typename T>
void residual(const Weights<T>& w, Index rows, const Matrix<T>& H,  // (rows, h)
              const Matrix<T>& R,                                   // (rows, d)
              double* loss) {                                       // (rows,)
  for (Index i = 0; i < rows; ++i) loss[i] = 0;
  for (Index p = 0; p < w.feature_panels(); ++p) {
    T* r = R(0, p * w.width);
    multiply<T>(rows, w.features_in(p), w.h, H, w.feature_panel(p), r, R.row, true);
    for (Index i = 0; i < rows; ++i) {
      Lanes<T> square = Lanes<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>)
        square += load(r + i * R.row + k).square();
      loss[i] += static_cast<double>(square.sum());
    }
  }
}

// The slopes of the curvature, K (rows, h) with dA += K o S o (1 - 2 H), or (h,): the same in each row.
template <typename T>
struct Slopes {
  Matrix<T> K{nullptr, 0};

  bool any() const { return K.data != nullptr; }
};

// R = H W + ...    ->  G  = R W'
// H = sigmoid(A)   ->  dA = G o H o (1 - H)
// S = H o (1 - H)  ->  dA += K o S o (1 - 2 H), from the curvature
template <typename T>
void residual_backward(const Weights<T>& w, Index rows, const Matrix<T>& R,  // (rows, d)
                       const Matrix<T>& H,                                   // (rows, h)
                       const Slopes<T>& slopes,
                       T* G,                   // (rows, width): scratch for one panel
                       const Matrix<T>& dA) {  // (rows, h); may be K
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const Index first = q * w.width;
    multiply<T>(rows, w.hidden_in(q), w.d, R, w.hidden_panel(q), G, w.width);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
        const Lanes<T> h = load(H(i, first + j));
        Lanes<T> g = load(G + i * w.width + j);
        if (slopes.any()) g += load(slopes.K(i, first + j)) * (T(1) - T(2) * h);
        store<T>(dA(i, first + j), g * h * (T(1) - h));
      }
  }
}

// One tile of rows of the chunk, whose X~ and c - T are in place: forward and, if asked, backward to
// dA.
template <typename T>
void regression_tile(const Weights<T>& w, const Curve<T>& curve, Index rows, bool backward,
                     const Chunk<T>& chunk, Index at, const RowScratch<T>& s, const Team& team) {
  const Matrix<T> X = chunk.X.from(at), R = chunk.R.from(at), H = chunk.H.from(at),
                  dA = chunk.dA.from(at);
  double* loss = chunk.loss + at;
  encode<T>(w, rows, X, H, [] {});
  team.lap(Region::encode);
  residual(w, rows, H, R, loss);
  Slopes<T> slopes{};
  switch (curve.form) {
    case Form::none:
      break;
    case Form::trace:
      // loss += 2 v (sum S n - d)    ->  K = v n
      for (Index i = 0; i < rows; ++i)
        loss[i] += 2 * static_cast<double>(curve.variance) *
                   (trace(w.h, H, i, curve.n) - static_cast<double>(w.d));
      slopes = {{curve.slope, 0}};
      break;
    case Form::features:
      curvature_over_features(curve, w, rows, H, chunk.S.from(at), chunk.dV.from(at), dA, backward,
                              loss);
      slopes = {dA};
      break;
    case Form::hidden:
      curvature_over_hidden(curve.hidden, rows, H, chunk.S64 + at * curve.hidden.ldh, dA, s.panel64,
                            loss);
      slopes = {dA};
      break;
  }
  team.lap(Region::decode);
  if (backward) residual_backward(w, rows, R, H, slopes, s.panel, dA);
  team.lap(Region::backward);
}

}  // namespace dsmfast::DSMFAST_ISA
