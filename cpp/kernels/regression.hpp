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
  Index ldx, ldh;              // leading dimensions of (B, d) and (B, h)
  T *X, *R;                    // (B, ldx): corrupted points x~, residuals
  T *H, *dA;                   // (B, ldh)
  double* loss;                // (B,): of each row
  T* S;                        // (B, ldh): H o (1 - H)                    of Form::features
  T* dV;                       // (B, ldx)                                 of Form::features
  double* S64;                 // (B, ldh of double): H o (1 - H)          of Form::hidden
  T* Q;                        // (B, ldx): x~ in the sample's frame       of Target::posterior
  PosteriorSums<T> posterior;  // its Y is R, until the residual takes its place

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
    s.ldx = leading_dimension<T>(d);
    s.ldh = leading_dimension<T>(h);
    s.X = arena.take<T>(capacity * s.ldx);
    s.R = arena.take<T>(capacity * s.ldx);
    s.H = arena.take<T>(capacity * s.ldh);
    s.dA = arena.take<T>(capacity * s.ldh);
    s.loss = arena.take<double>(capacity);
    if (form == Form::features) s.S = arena.take<T>(capacity * s.ldh);
    if (form == Form::features) s.dV = arena.take<T>(capacity * s.ldx);
    if (form == Form::hidden) s.S64 = arena.take<double>(capacity * leading_dimension<double>(h));
    if (target == Target::posterior) {
      s.Q = arena.take<T>(capacity * s.ldx);
      s.posterior = PosteriorSums<T>::carve(arena, capacity, 0);
      s.posterior.Y = s.R;
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

// X~ of rows visit ... visit + rows, written at X; and the clean points, or targets that are given,
// at R.
template <typename T>
void corrupt(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows, T* X, T* R,
             Index ldx, const Team& team) {
  const Regression<T>& data = *batch.data;
  const Visits visits(batch, visit, rows);
  const Noise<T>& noise = data.noise;
  const auto row_of = [&](Index i) { return visits.row[i]; };
  // The second of an antithetic pair has the noise of the first, turned around.
  const Index pair = noise.antithetic ? 1 : 0;
  const auto draw_of = [&](Index i) { return visits.draw[i] & ~pair; };
  const std::size_t bytes = static_cast<std::size_t>(w.d) * sizeof(T);
  const bool overwrites = noise.replacement.chance != 0;
  if (overwrites)
    fill(noise, batch.step, rows, w.d, row_of, draw_of, ToMarks{noise.replacement.chance}, X, ldx);
  else if (noise.sigma != T(0) && noise.given == nullptr)
    fill(noise, batch.step, rows, w.d, row_of, draw_of, ToNormals{}, X, ldx);
  team.lap(Region::noise);
  for (Index i = 0; i < rows; ++i) {
    T* x = X + i * ldx;
    const T* r = R + i * ldx;
    copy_row(data.points, visits.row[i], R + i * ldx);
    if (overwrites) {
      for (Index k = 0; k < w.d; ++k)
        x[k] = x[k] == T(0) ? r[k] : x[k] < T(0) ? noise.replacement.low : noise.replacement.high;
    } else if (noise.sigma != T(0)) {
      if (noise.given != nullptr)
        std::memcpy(x, noise.given + (visits.draw[i] * data.points.rows + visits.row[i]) * w.d,
                    bytes);
      const T sigma = (visits.draw[i] & pair) != 0 ? -noise.sigma : noise.sigma;
      for (Index k = 0; k < w.d; k += lanes<T>) store<T>(x + k, load(r + k) + sigma * load(x + k));
    } else {
      std::memcpy(x, r, bytes);
    }
    if (data.target == Target::given) copy_row(data.targets, visits.row[i], R + i * ldx);
  }
  team.lap(Region::points);
}

// R = c - T from the targets that stand at R, or from another place.
template <typename T>
void subtract_target(const Weights<T>& w, const T* t, T* r) {
  for (Index k = 0; k < w.d; k += lanes<T>) store<T>(r + k, load(w.c + k) - load(t + k));
}

// X~ = X + sigma E and R = c - T, for all targets but the posterior mean.
template <typename T>
void place_points(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows, T* X, T* R,
                  Index ldx, const Team& team) {
  corrupt(w, batch, visit, rows, X, R, ldx, team);
  const T* targets = batch.data->target == Target::itself ? X : R;
  for (Index i = 0; i < rows; ++i) subtract_target(w, targets + i * ldx, R + i * ldx);
  team.lap(Region::points);
}

// The same for the posterior mean, for all rows of a thread at once: each pass over the sample
// serves them all.
template <typename T>
void place_points_in_sample(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
                            const Chunk<T>& chunk, Index at, const Sample<T>& sample,
                            const ParzenScratch<T>& scratch, const Team& team, const Watch& watch) {
  const Index ldx = chunk.ldx;
  T* X = chunk.X + at * ldx;
  T* R = chunk.R + at * ldx;
  T* Q = chunk.Q + at * ldx;
  for (Index i = 0; i < rows; i += tile_rows) {
    const Index count = rows - i < tile_rows ? rows - i : tile_rows;
    corrupt(w, batch, visit + i, count, X + i * ldx, R + i * ldx, ldx, team);
  }
  std::memcpy(Q, X, static_cast<std::size_t>(rows * ldx) * sizeof(T));
  for (Index i = 0; i < rows; ++i) standardize(sample, Q + i * ldx);
  const PosteriorSums<T> sums = chunk.posterior.from(at, ldx);
  sums.clear(rows, ldx);
  fold(sample, 0, sample.data.rows, rows, Q, static_cast<const Index*>(nullptr), sums, scratch,
       watch);
  for (Index i = 0; i < rows; ++i) {
    T* r = R + i * ldx;
    const T share = sample.sigma / static_cast<T>(sums.weight[i]);
    for (Index k = 0; k < w.d; k += lanes<T>)
      store<T>(r + k, load(sample.centre + k) + share * load(r + k));
    subtract_target(w, r, r);
  }
  team.lap(Region::points);
}

// R = H W + (c - T), which stands in R already; loss[i] = |R_i|^2
template <typename T>
void residual(const Weights<T>& w, Index rows, const T* H, Index ldh,  // (rows, h)
              T* R, Index ldx,                                         // (rows, d)
              double* loss) {                                          // (rows,)
  for (Index i = 0; i < rows; ++i) loss[i] = 0;
  for (Index p = 0; p < w.feature_panels(); ++p) {
    T* r = R + p * w.width;
    multiply(rows, w.features_in(p), w.h, {H, ldh, 1}, w.feature_panel(p), r, ldx, true);
    for (Index i = 0; i < rows; ++i) {
      Lanes<T> square = Lanes<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>)
        square += load(r + i * ldx + k).square();
      loss[i] += static_cast<double>(square.sum());
    }
  }
}

// The slopes of the curvature, K (rows, ld) with dA += K o S o (1 - 2 H); ld 0: the same in each row.
template <typename T>
struct Slopes {
  const T* K;  // null: none
  Index ld;
};

// R = H W + ...    ->  G  = R W'
// H = sigmoid(A)   ->  dA = G o H o (1 - H)
// S = H o (1 - H)  ->  dA += K o S o (1 - 2 H), from the curvature
template <typename T>
void residual_backward(const Weights<T>& w, Index rows, const T* R, Index ldx,  // (rows, d)
                       const T* H, Index ldh,                                   // (rows, h)
                       const Slopes<T>& slopes,
                       T* G,     // (rows, width): scratch for one panel
                       T* dA) {  // (rows, h); may be K
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const T* s = H + q * w.width;
    multiply(rows, w.hidden_in(q), w.d, {R, ldx, 1}, w.hidden_panel(q), G, w.width);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
        const Lanes<T> h = load(s + i * ldh + j);
        Lanes<T> g = load(G + i * w.width + j);
        if (slopes.K != nullptr)
          g += load(slopes.K + i * slopes.ld + q * w.width + j) * (T(1) - T(2) * h);
        store<T>(dA + i * ldh + q * w.width + j, g * h * (T(1) - h));
      }
  }
}

// Scratch of a tile of rows.
template <typename T>
struct RowScratch {  // one a thread
  T* panel;          // (tile_rows, width)
  double* panel64;   // (tile_rows, panel_width<double>): of Form::hidden

  static RowScratch carve(Arena& arena) {
    RowScratch s{};
    s.panel = arena.take<T>(tile_rows * panel_width<T>);
    s.panel64 = arena.take<double>(tile_rows * panel_width<double>);
    return s;
  }
};

// One tile of rows of the chunk, whose X~ and c - T are in place: forward and, if asked, backward to
// dA.
template <typename T>
void regression_tile(const Weights<T>& w, const Curve<T>& curve, Index rows, bool backward,
                     const Chunk<T>& chunk, Index at, const RowScratch<T>& s, const Team& team) {
  const Index ldx = chunk.ldx, ldh = chunk.ldh;
  T* X = chunk.X + at * ldx;
  T* R = chunk.R + at * ldx;
  T* H = chunk.H + at * ldh;
  T* dA = chunk.dA + at * ldh;
  double* loss = chunk.loss + at;
  encode(w, rows, X, ldx, H, ldh);
  team.lap(Region::encode);
  residual(w, rows, H, ldh, R, ldx, loss);
  Slopes<T> slopes{nullptr, 0};
  switch (curve.form) {
    case Form::none:
      break;
    case Form::trace:
      // loss += 2 v (sum S n - d)    ->  K = v n
      for (Index i = 0; i < rows; ++i)
        loss[i] += 2 * static_cast<double>(curve.variance) *
                   (trace(w.h, H + i * ldh, curve.n) - static_cast<double>(w.d));
      slopes = {curve.slope, 0};
      break;
    case Form::features:
      curvature_over_features(curve, w, rows, H, ldh, chunk.S + at * ldh, chunk.dV + at * ldx, ldx,
                              dA, backward, loss);
      slopes = {dA, ldh};
      break;
    case Form::hidden:
      curvature_over_hidden(curve.hidden, rows, H, ldh, chunk.S64 + at * curve.hidden.ldh, dA,
                            s.panel64, loss);
      slopes = {dA, ldh};
      break;
  }
  team.lap(Region::decode);
  if (backward) residual_backward(w, rows, R, ldx, H, ldh, slopes, s.panel, dA);
  team.lap(Region::backward);
}

}  // namespace dsmfast::DSMFAST_ISA
