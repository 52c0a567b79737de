// The regression in h dimensions: two products around a core that never sees a feature.
//
// The encoder sees a point through W x, and the residual acts on it through W R. With rows counted
// from c, Y = X - c, everything is a function of P = Y W' and K = W W' (gram.hpp), of |y|^2, and of
// the noise through u = W e, which has the distribution of L z:
//
//   product   P = Y W'                                               (B, h)
//
// forward, for each draw                            backward, in the units of regression.hpp
//   A = P + W c + b + sigma U       (B, h)
//   H = sigmoid(A)                  (B, h)          S  = H o (1 - H)
//   G = H K - P                     (B, h)          dA = G o S                      (B, h)
//   loss = sum H o (G - P) + |Y|^2                  D += dA - H                     (B, h)
//                                                   C += H' H + sigma^2 stein       (h, h)
//                                                   stein = K o S' S + diag sum dA o (1 - 2 H)
//
//   product   dW = D' Y + C W + (sum dA) c',   dc = (sum H) W - sum Y,   db = sum dA
//
// G is R W' of the residual R = H W - Y. What the explicit path adds as dA' (sigma e) is here its
// expectation sigma^2 stein W, by E[f(W e) e'] = E[df / du] W. Of a regression on x~ itself, or on
// targets that are given, comments below say what changes.
#pragma once

#include "gradient.hpp"
#include "gram.hpp"

namespace dsmfast::DSMFAST_ISA {

// What a batch is, on this path.
struct RowSpaceForm {
  bool noisy;    // x~ = x + sigma e
  bool targets;  // the target t is given: where Y and P stand for it, T - c and (T - c) W'
  bool itself;   // the target is x~:      where Y and P stand for it, Y + sigma E and P + sigma U
  Form curvature;

  template <typename T>
  static RowSpaceForm of(const Regression<T>& data) {
    const bool noisy = data.noise.sigma != T(0);
    const Form curvature = data.curvature.variance == T(0)  ? Form::none
                           : data.curvature.penalty == T(0) ? Form::trace
                                                            : Form::hidden;
    return {noisy, data.target == Target::given, noisy && data.target == Target::itself, curvature};
  }

  // Whether the penalty has noise in its slopes, and a term in stein.
  bool noisy_penalty() const { return noisy && curvature == Form::hidden; }
};

template <typename T>
struct RowSpace {
  // Cache lines apart.
  struct Queues {
    alignas(64) Queue project;
    alignas(64) Queue core;
    alignas(64) Queue panels;

    void refill() {
      for (Queue* queue : {&project, &core, &panels}) queue->refill();
    }
  };

  RowSpaceForm form;
  Index capacity, group;  // rows, and draws at a time
  Index ldx, ldh;
  Gram<T> gram;
  // Of rows:
  T *Y, *P;        // (B, ldx), (B, ldh)
  T *Yt, *Pt;      // the same of the targets: Y and P again unless they are given
  T *D, *N;        // (B, ldh): sums over draws of dA - H; if targets are given of dA, and of -H
  double* square;  // (B,): |y|^2 of the targets
  // Of rows and draws:
  T *H, *S, *dA;  // (group B, ldh)
  T* stein;       // (group B, ldh): the diagonal
  T* S2;          // (group B, ldh): S o (1 - 2 H)     if noisy_penalty
  double* S64;    // (group B, ldh of double): S       of Form::hidden
  double* loss;   // (group B,)
  // Sums over the batch:
  T *HH, *SS, *SS2;  // (h_pad, ldh), on and above the diagonal: H' H, in the end C; S' S; S2' S2
  T *sum_H, *sum_S, *sum_dA, *sum_stein;  // (h_pad,)
  Queues* queues;

  static Index rows_for(Index rows, Index d, Index h) {
    const Index fit = chunk_values / (d + 2 * h);
    const Index most = fit < 32 ? 32 : fit > 2048 ? 2048 : fit;
    const Index chunks = (rows + most - 1) / most;
    return (rows + chunks - 1) / chunks;
  }
  // Draws at a time, so that their four arrays stay near the cores, 2 MB in float32. An even number:
  // antithetic pairs stay together.
  static Index group_for(Index capacity, Index h, Index draws) {
    const Index fit = (Index{1} << 17) / (h * capacity) / 2 * 2;
    const Index group = fit < 2 ? 2 : fit;
    return group < draws ? group : draws;
  }

  static RowSpace carve(Arena& arena, const RowSpaceForm& form, Index capacity, Index d, Index h,
                        Index draws) {
    RowSpace s{};
    s.form = form;
    s.capacity = capacity;
    s.group = group_for(capacity, h, draws);
    s.ldx = leading_dimension<T>(d);
    s.ldh = leading_dimension<T>(h);
    const Index h_pad = padded<T>(h), of_hidden = capacity * s.ldh, visits = s.group * capacity;
    s.gram = Gram<T>::carve(arena, d, h);
    s.Y = s.Yt = arena.take<T>(capacity * s.ldx);
    s.P = s.Pt = arena.take<T>(of_hidden);
    s.D = arena.take<T>(of_hidden);
    if (form.targets) {
      s.Yt = arena.take<T>(capacity * s.ldx);
      s.Pt = arena.take<T>(of_hidden);
      s.N = arena.take<T>(of_hidden);
    }
    s.square = arena.take<double>(capacity);
    for (T** array : {&s.H, &s.S, &s.dA, &s.stein}) *array = arena.take<T>(s.group * of_hidden);
    if (form.noisy_penalty()) s.S2 = arena.take<T>(s.group * of_hidden);
    if (form.curvature == Form::hidden)
      s.S64 = arena.take<double>(visits * leading_dimension<double>(h));
    s.loss = arena.take<double>(visits);
    for (T** array : {&s.HH, &s.SS}) *array = arena.take<T>(h_pad * s.ldh);
    if (form.noisy_penalty()) s.SS2 = arena.take<T>(h_pad * s.ldh);
    for (T** array : {&s.sum_H, &s.sum_S, &s.sum_dA, &s.sum_stein}) *array = arena.take<T>(h_pad);
    s.queues = arena.take<Queues>(1);
    return s;
  }
};

template <typename T>
struct RowSpaceScratch {  // one a thread
  T *Z, *U;               // (tile_rows, ldh): normals, and their images
  T* E;                   // (tile_rows, ldx): noise that is given; else null
  T* panel;               // (tile_rows, width)
  double* panel64;        // (tile_rows, panel_width<double>)           of Form::hidden
  double* residual;       // (tile_rows,)
  T* packed;              // (capacity, width): a panel of Y
  T* dW;                  // (h_pad, width)
  double* E64;            // (hidden_block, panel_width<double>)        of Form::hidden

  static RowSpaceScratch carve(Arena& arena, const RowSpace<T>& of, Index h, bool given) {
    constexpr Index width = panel_width<T>;
    RowSpaceScratch s{};
    s.Z = arena.take<T>(tile_rows * of.ldh);
    s.U = arena.take<T>(tile_rows * of.ldh);
    if (given) s.E = arena.take<T>(tile_rows * of.ldx);
    s.panel = arena.take<T>(tile_rows * width);
    s.panel64 = arena.take<double>(tile_rows * panel_width<double>);
    s.residual = arena.take<double>(tile_rows);
    s.packed = arena.take<T>(of.capacity * width);
    s.dW = arena.take<T>(padded<T>(h) * width);
    s.E64 = arena.take<double>(hidden_block<T> * panel_width<double>);
    return s;
  }
};

// A sum of squares that is moved to double every few terms: losses are differences of it.
template <typename T>
class SquareSum {
 public:
  void add(const Lanes<T>& value) {
    partial_ += value.square();
    if (++terms_ == 4) flush();
  }
  double value() {
    flush();
    return sum_;
  }

 private:
  void flush() {
    sum_ += static_cast<double>(partial_.sum());
    partial_.setZero();
    terms_ = 0;
  }
  Lanes<T> partial_ = Lanes<T>::Zero();
  int terms_ = 0;
  double sum_ = 0;
};

// y = x - c of one row of the caller's array, into a padded buffer; |y|^2.
template <typename T>
double centre_row(const Weights<T>& w, const View<const T>& x, Index row, T* y) {
  SquareSum<T> square;
  const auto take = [&](const T* from, Index k) {
    const Lanes<T> value = load(from) - load(w.c + k);
    store<T>(y + k, value);
    square.add(value);
  };
  const T* from = x.data + row * x.row_stride;
  Index k = 0;
  for (; x.column_stride == 1 && k + lanes<T> <= w.d; k += lanes<T>) take(from + k, k);
  if (k < w.d) {
    for (Index rest = k; rest < w.d; ++rest) y[rest] = from[rest * x.column_stride];
    for (; k < w.d; k += lanes<T>) take(y + k, k);
  }
  return square.value();
}

// Y = X - c,  P = Y W',  and |y|^2, of rows at ... at + rows.
template <typename T>
void project(const Weights<T>& w, const View<const T>& x, const Index* row, Index rows, Index at,
             Index ldx, Index ldh, T* Y, T* P, double* square, const Team& team) {
  Y += at * ldx, P += at * ldh;
  for (Index i = 0; i < rows; ++i) {
    // Shuffled rows come from anywhere.
    if (i + 2 < rows)
      for (Index k = 0; k < w.d; k += line<T>) {
        __builtin_prefetch(x.data + row[i + 2] * x.row_stride + k, 0, 2);
        __builtin_prefetch(Y + (i + 2) * ldx + k, 1, 2);
      }
    square[at + i] = centre_row(w, x, row[i], Y + i * ldx);
  }
  team.lap(Region::points);
  for (Index q = 0; q < w.hidden_panels(); ++q)
    multiply(rows, w.hidden_in(q), w.d, {Y, ldx, 1}, w.hidden_panel(q), P + q * w.width, ldh);
  team.lap(Region::project);
}

// U = E W' of noise that is given, or Z L' of normals Z: draw m of the rows.
template <typename T>
void draw_noise(const Weights<T>& w, const RowSpace<T>& s, const Batch<T>& batch, Index m,
                const Index* row, Index rows, const RowSpaceScratch<T>& scratch, const Team& team) {
  const Noise<T>& noise = batch.data->noise;
  if (noise.given == nullptr) {
    fill(
        noise, batch.step, rows, w.h, [&](Index i) { return row[i]; }, [&](Index) { return m; },
        ToNormals{}, scratch.Z, s.ldh);
    team.lap(Region::noise);
    colour(s.gram, rows, scratch.Z, scratch.U, s.ldh);
    return;
  }
  for (Index i = 0; i < rows; ++i)
    std::memcpy(scratch.E + i * s.ldx, noise.given + (m * batch.data->points.rows + row[i]) * w.d,
                static_cast<std::size_t>(w.d) * sizeof(T));
  for (Index q = 0; q < w.hidden_panels(); ++q)
    multiply(rows, w.hidden_in(q), w.d, {scratch.E, s.ldx, 1}, w.hidden_panel(q),
             scratch.U + q * w.width, s.ldh);
}

// H = sigmoid(P + W c + b + sigma U) and S = H o (1 - H)
template <typename T>
void encode_projections(const Weights<T>& w, const Gram<T>& gram, Index rows, const T* P, T sigma,
                        const T* U, Index ldh, T* H, T* S) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < w.h; j += lanes<T>) {
      const Index at = i * ldh + j;
      Lanes<T> a = load(P + at) + load(gram.offset + j);
      if (sigma != T(0)) a += sigma * load(U + at);
      const Lanes<T> h = sigmoid<T>(a);
      store<T>(H + at, h);
      store<T>(S + at, h * (T(1) - h));
    }
}

// G = H K - P                          ->  dA = G o S + slope o S2,  S2 = S o (1 - 2 H)
// loss = sum H o (G - P)                   D += dA - H
//                                          stein: diag of d dA / dA, the terms in K and Q aside
//
// for one panel of a tile of rows, G = H K in place. U: the noise in the target, or null. first:
// whether D opens a sum.
template <typename T>
void core_panel(const RowSpace<T>& s, Index rows, Index q, Index columns, const T* G, T sigma,
                const T* U, Index at, Index visit, const Slopes<T>& slopes, bool first,
                bool backward, double* loss) {
  constexpr Index width = panel_width<T>;
  for (Index i = 0; i < rows; ++i) {
    const Index row = (at + i) * s.ldh + q * width, place = (visit + i) * s.ldh + q * width;
    Lanes<T> sum = Lanes<T>::Zero();
    for (Index j = 0; j < columns; j += lanes<T>) {
      const Lanes<T> h = load(s.H + place + j);
      Lanes<T> target = load(s.Pt + row + j);
      if (U != nullptr) target += sigma * load(U + i * s.ldh + q * width + j);
      const Lanes<T> g = load(G + i * width + j) - target;
      sum += h * (g - target);
      if (!backward) continue;
      const Lanes<T> S = load(s.S + place + j);
      const Lanes<T> bend = T(1) - T(2) * h;
      Lanes<T> dA = g * S;
      Lanes<T> stein = dA * bend;
      if (slopes.any()) {
        // S2' = S o (1 - 6 S)
        const Lanes<T> slope = load(slopes.K(visit + i, q * width + j));
        dA += slope * S * bend;
        stein += slope * S * (T(1) - T(6) * S);
      }
      if (U != nullptr) stein -= T(2) * S;
      store<T>(s.dA + place + j, dA);
      store<T>(s.stein + place + j, stein);
      if (s.S2 != nullptr) store<T>(s.S2 + place + j, S * bend);
      Lanes<T> D = dA;
      if (s.N == nullptr) D -= h;
      store<T>(s.D + row + j, first ? D : Lanes<T>(load(s.D + row + j) + D));
      if (s.N != nullptr)
        store<T>(s.N + row + j, first ? Lanes<T>(-h) : Lanes<T>(load(s.N + row + j) - h));
    }
    loss[i] += static_cast<double>(sum.sum());
  }
}

// |H W - Y|^2 from the residual itself, for the rows of a tile in which it is a small difference of
// large numbers.
template <typename T>
void measure_residual(const Weights<T>& w, Index rows, const T* H, Index ldh, const T* Y, Index ldx,
                      T* panel, double* residual) {
  for (Index i = 0; i < rows; ++i) residual[i] = 0;
  for (Index p = 0; p < w.feature_panels(); ++p) {
    multiply(rows, w.features_in(p), w.h, {H, ldh, 1}, w.feature_panel(p), panel, w.width);
    for (Index i = 0; i < rows; ++i) {
      Lanes<T> sum = Lanes<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>)
        sum += (load(panel + i * w.width + k) - load(Y + i * ldx + p * w.width + k)).square();
      residual[i] += static_cast<double>(sum.sum());
    }
  }
}

// Below this share of |y|^2 a loss has lost 15 bits to rounding, and is measured.
template <typename T>
constexpr T least_share = sizeof(T) == 4 ? T(0x1p-8) : T(0x1p-37);

// One draw of a tile of rows: forward and, if asked, backward to dA. Row i of the tile is row
// at + i of the chunk and visit + i of the group.
template <typename T>
void core_tile(const Weights<T>& w, const Curve<T>& curve, const RowSpace<T>& s,
               const Batch<T>& batch, Index m, const Index* row, Index rows, Index at, Index visit,
               bool backward, const RowSpaceScratch<T>& scratch, const Team& team) {
  const Noise<T>& noise = batch.data->noise;
  const bool mirrored = noise.antithetic && m % 2 == 1;
  const T sigma = !s.form.noisy ? T(0) : mirrored ? -noise.sigma : noise.sigma;
  // The second of an antithetic pair finds the noise of the first.
  if (s.form.noisy && !mirrored) draw_noise(w, s, batch, m, row, rows, scratch, team);

  T* H = s.H + visit * s.ldh;
  encode_projections(w, s.gram, rows, s.P + at * s.ldh, sigma, scratch.U, s.ldh, H,
                     s.S + visit * s.ldh);
  double* loss = s.loss + visit;
  for (Index i = 0; i < rows; ++i) loss[i] = 0;
  const T* U = s.form.itself ? scratch.U : nullptr;
  Slopes<T> slopes{};
  if (s.form.curvature == Form::trace) slopes = {{curve.slope, 0}};
  if (s.form.curvature == Form::hidden) {
    curvature_over_hidden<T>(curve.hidden, rows, {H, s.ldh}, s.S64 + visit * curve.hidden.ldh,
                             {s.dA + visit * s.ldh, s.ldh}, scratch.panel64, loss);
    slopes = {{s.dA, s.ldh}};
  }
  if (s.form.curvature == Form::trace)
    for (Index i = 0; i < rows; ++i)
      loss[i] += 2 * static_cast<double>(curve.variance) *
                 (trace<T>(w.h, {H, s.ldh}, i, curve.n) - static_cast<double>(w.d));

  double* share = scratch.residual;
  for (Index i = 0; i < rows; ++i) share[i] = s.square[at + i];
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    multiply(rows, w.hidden_in(q), w.h, {H, s.ldh, 1}, s.gram.product_panel(q), scratch.panel,
             w.width);
    core_panel(s, rows, q, w.hidden_in(q), scratch.panel, sigma, U, at, visit, slopes, m == 0,
               backward, share);
  }
  if (s.form.itself) {
    // |y + sigma e|^2, or its expectation
    const double variance = static_cast<double>(sigma) * static_cast<double>(sigma);
    for (Index i = 0; i < rows; ++i) {
      if (noise.given == nullptr) {
        loss[i] += share[i] + variance * static_cast<double>(w.d);
        continue;
      }
      const T* e = scratch.E + i * s.ldx;
      SquareSum<T> square;
      for (Index k = 0; k < w.d; k += lanes<T>)
        square.add(load(s.Y + (at + i) * s.ldx + k) + sigma * load(e + k));
      loss[i] += share[i] - s.square[at + i] + square.value();
    }
    return;
  }
  // Whether a row is measured depends on that row alone; one that is NaN stays NaN.
  const auto is_lost = [&](Index i) {
    return share[i] <= static_cast<double>(least_share<T>) * s.square[at + i];
  };
  bool lost = false;
  for (Index i = 0; i < rows; ++i) lost = lost || is_lost(i);
  if (lost) {
    double* residual = scratch.panel64;
    measure_residual(w, rows, H, s.ldh, s.Yt + at * s.ldx, s.ldx, scratch.panel, residual);
    for (Index i = 0; i < rows; ++i)
      if (is_lost(i)) share[i] = residual[i];
  }
  for (Index i = 0; i < rows; ++i) loss[i] += share[i];
}

}  // namespace dsmfast::DSMFAST_ISA
