// The regression in h dimensions: two products around a core that never sees a feature.
//
// The encoder sees a point through W x, and the residual acts on it through W R. With rows counted
// from c, Y = X - c, everything is a function of P = Y W' and K = W W' (factor.hpp), of |y|^2, and of
// the noise through u = W e, which has the distribution of L z:
//
//   product   P = Y W'                                               (B, h)
//
// forward, for each draw                            backward, in the units of explicit/forward.hpp
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
//
// Where a visit has a weight w and a scale s, its dA, H and diagonal of stein are weighted by w, and
// its part of stein by (s / sigma)^2 too: in H' H and S' S by the roots of these, row by row.
#pragma once

#include "kernels/base/rows.hpp"
#include "kernels/gram/workspace.hpp"
#include "kernels/model/activation.hpp"
#include "kernels/random/normals.hpp"

namespace dsmfast::DSMFAST_ISA::gram {

// y = x - c of one row of the caller's array, into a padded buffer; |y|^2.
template <typename T>
double centre_row(const Weights<T>& w, const View<const T>& x, Index row, T* y) {
  SquareSum<T> square;
  const auto take = [&](const T* from, Index k) {
    const Packet<T> value = load(from) - load(w.c + k);
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
void project(const Workspace<T>& s, const View<const T>& x, const Index* row, Index rows, Index at,
             T* Y, T* P, const Thread& thread) {
  const Weights<T>& w = s.w;
  Y += at * s.ldx, P += at * s.ldh;
  for (Index i = 0; i < rows; ++i) {
    // Shuffled rows come from anywhere.
    if (i + 2 < rows)
      for (Index k = 0; k < w.d; k += cache_line<T>) {
        __builtin_prefetch(x.data + row[i + 2] * x.row_stride + k, 0, 2);
        __builtin_prefetch(Y + (i + 2) * s.ldx + k, 1, 2);
      }
    s.square[at + i] = centre_row(w, x, row[i], Y + i * s.ldx);
  }
  thread.lap(Region::points);
  for (Index q = 0; q < w.hidden_panels(); ++q)
    multiply(rows, w.hidden_in(q), w.d, {Y, s.ldx, 1}, w.hidden_panel(q), P + q * w.width, s.ldh);
  thread.lap(Region::project);
}

// U = E W' of noise that is given, or Z L' of normals Z: draw m of the rows.
template <typename T>
void draw_noise(const Workspace<T>& s, const Batch<T>& batch, Index m, const Index* row, Index rows,
                const Scratch<T>& scratch, const Thread& thread) {
  const Weights<T>& w = s.w;
  const Noise<T>& noise = batch.data->noise;
  if (noise.given == nullptr) {
    fill(
        noise, batch.step, rows, w.h, [&](Index i) { return row[i]; }, [&](Index) { return m; },
        ToNormals{}, scratch.Z, s.ldh);
    thread.lap(Region::noise);
    colour(s.factors, rows, scratch.Z, scratch.U, s.ldh);
    return;
  }
  for (Index i = 0; i < rows; ++i)
    copy(noise.given + (m * batch.data->points.rows + row[i]) * w.d, w.d, scratch.E + i * s.ldx);
  for (Index q = 0; q < w.hidden_panels(); ++q)
    multiply(rows, w.hidden_in(q), w.d, {scratch.E, s.ldx, 1}, w.hidden_panel(q),
             scratch.U + q * w.width, s.ldh);
}

// H = sigmoid(P + W c + b + sigma U) and S = H o (1 - H), sigma (rows,)
template <typename T>
void encode_projections(const Weights<T>& w, const Factors<T>& factors, Index rows, const T* P,
                        const T* sigma, const T* U, Index ldh, T* H, T* S) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < w.h; j += lanes<T>) {
      const Index at = i * ldh + j;
      Packet<T> a = load(P + at) + load(factors.offset + j);
      if (U != nullptr) a += sigma[i] * load(U + at);
      const Packet<T> h = sigmoid<T>(a);
      store<T>(H + at, h);
      store<T>(S + at, h * (T(1) - h));
    }
}

// What one draw of a tile of rows is: row i of it is row at + i of the chunk and visit + i of the group.
struct Tile {
  Index rows, at, visit;
};

// G = H K - P                          ->  dA = G o S + slope o S2,  S2 = S o (1 - 2 H)
// loss = sum H o (G - P)                   D += dA - H
//                                          stein: diag of d dA / dA, the terms in K and Q aside
//
// for panel q of a tile of rows, G = H K in place. U: the noise in the target, or null. first: whether
// D opens a sum.
template <typename T>
void core_panel(const Workspace<T>& s, const Tile& tile, const Visits<T>& visits, Index q,
                const T* G, const T* U, const Matrix<T>& slopes, bool first, bool backward,
                double* loss) {
  constexpr Index width = panel_width<T>;
  const Index columns = s.w.hidden_in(q);
  for (Index i = 0; i < tile.rows; ++i) {
    const Index row = (tile.at + i) * s.ldh + q * width;
    const Index place = (tile.visit + i) * s.ldh + q * width;
    Packet<T> sum = Packet<T>::Zero();
    for (Index j = 0; j < columns; j += lanes<T>) {
      Packet<T> h = load(s.H + place + j);
      Packet<T> target = load(s.Pt + row + j);
      if (U != nullptr) target += visits.sigma[i] * load(U + i * s.ldh + q * width + j);
      const Packet<T> g = load(G + i * width + j) - target;
      sum += h * (g - target);
      if (!backward) continue;
      const Packet<T> S = load(s.S + place + j);
      const Packet<T> bend = T(1) - T(2) * h;
      Packet<T> dA = g * S;
      Packet<T> stein = dA * bend;
      if (slopes.data != nullptr) {
        // S2' = S o (1 - 6 S)
        const Packet<T> slope = load(slopes(i, q * width + j));
        dA += slope * S * bend;
        stein += slope * S * (T(1) - T(6) * S);
      }
      if (U != nullptr) stein -= T(2) * S;
      if (s.weight != nullptr) {
        dA *= visits.weight[i];
        stein *= visits.weight[i] * visits.ratio[i] * visits.ratio[i];
        h *= visits.weight[i];
      }
      store<T>(s.dA + place + j, dA);
      store<T>(s.stein + place + j, stein);
      if (s.S2 != nullptr) store<T>(s.S2 + place + j, S * bend);
      Packet<T> D = dA;
      if (s.N == nullptr) D -= h;
      store<T>(s.D + row + j, first ? D : Packet<T>(load(s.D + row + j) + D));
      if (s.N != nullptr)
        store<T>(s.N + row + j, first ? Packet<T>(-h) : Packet<T>(load(s.N + row + j) - h));
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
      Packet<T> sum = Packet<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>)
        sum += (load(panel + i * w.width + k) - load(Y + i * ldx + p * w.width + k)).square();
      residual[i] += static_cast<double>(sum.sum());
    }
  }
}

// Adds |H W - Y|^2 to the loss, of rows for which `share` holds it. Below a share of |y|^2 it has lost
// 15 bits to rounding, and is measured; whether it is depends on the row alone. A NaN stays NaN.
template <typename T>
void add_residual(const Workspace<T>& s, const Tile& tile, double* share, const Scratch<T>& scratch,
                  double* loss) {
  const Weights<T>& w = s.w;
  constexpr T least_share = sizeof(T) == 4 ? T(0x1p-8) : T(0x1p-37);
  const auto is_lost = [&](Index i) {
    return share[i] <= static_cast<double>(least_share) * s.square[tile.at + i];
  };
  bool lost = false;
  for (Index i = 0; i < tile.rows; ++i) lost = lost || is_lost(i);
  if (lost) {
    double* residual = scratch.panel64;
    measure_residual(w, tile.rows, s.H + tile.visit * s.ldh, s.ldh, s.Yt + tile.at * s.ldx, s.ldx,
                     scratch.panel, residual);
    for (Index i = 0; i < tile.rows; ++i)
      if (is_lost(i)) share[i] = residual[i];
  }
  for (Index i = 0; i < tile.rows; ++i) loss[i] += share[i];
}

// The same of targets that are x~ itself: share holds |y|^2 where |y + sigma e|^2 belongs, or its
// expectation where the noise is drawn.
template <typename T>
void add_residual_of_itself(const Workspace<T>& s, const Tile& tile, const Visits<T>& visits,
                            const double* share, const Scratch<T>& scratch, double* loss) {
  const Weights<T>& w = s.w;
  for (Index i = 0; i < tile.rows; ++i) {
    const T sigma = visits.sigma[i];
    const double variance = static_cast<double>(sigma) * static_cast<double>(sigma);
    if (!s.sizes.given) {
      loss[i] += share[i] + variance * static_cast<double>(w.d);
      continue;
    }
    const T* e = scratch.E + i * s.ldx;
    SquareSum<T> square;
    for (Index k = 0; k < w.d; k += lanes<T>)
      square.add(load(s.Y + (tile.at + i) * s.ldx + k) + sigma * load(e + k));
    loss[i] += share[i] - s.square[tile.at + i] + square.value();
  }
}

// Rows of a tile by their weights, for the sums over rows: H by the root of w, S by that of w times
// s / sigma, which is 1 where there is curvature.
template <typename T>
void weigh(const Workspace<T>& s, const Tile& tile, const Visits<T>& visits, bool first,
           bool backward, double* loss) {
  for (Index i = 0; i < tile.rows; ++i) {
    const T weight = visits.weight[i], root = std::sqrt(weight), scaled = root * visits.ratio[i];
    const Index visit = tile.visit + i;
    loss[i] *= static_cast<double>(weight);
    if (!backward) continue;
    s.weight[visit] = weight;
    s.row_weight[tile.at + i] = weight + (first ? T(0) : s.row_weight[tile.at + i]);
    for (Index j = visit * s.ldh; j < visit * s.ldh + s.w.h; j += lanes<T>) {
      store<T>(s.H + j, root * load(s.H + j));
      store<T>(s.S + j, scaled * load(s.S + j));
      if (s.S2 != nullptr) store<T>(s.S2 + j, scaled * load(s.S2 + j));
    }
  }
  if (backward)
    curvature::weigh(s.curvature, tile.rows, s.w.d, s.w.h, visits.weight, s.kept.from(tile.visit));
}

// Draw m of a tile of rows: forward and, if asked, backward to dA.
template <typename T>
void core_tile(const Workspace<T>& s, const Batch<T>& batch, Index m, const Tile& tile,
               const Visits<T>& visits, bool backward, const Scratch<T>& scratch,
               const Thread& thread) {
  const Weights<T>& w = s.w;
  const Index rows = tile.rows;
  // The second of an antithetic pair finds the noise of the first.
  if (s.sizes.noisy && visits.draw[0] == m)
    draw_noise(s, batch, m, visits.row, rows, scratch, thread);

  T* H = s.H + tile.visit * s.ldh;
  encode_projections(w, s.factors, rows, s.P + tile.at * s.ldh, visits.sigma,
                     s.sizes.noisy ? scratch.U : nullptr, s.ldh, H, s.S + tile.visit * s.ldh);
  double* loss = s.loss + tile.visit;
  for (Index i = 0; i < rows; ++i) loss[i] = 0;
  const Matrix<T> slopes =
      curvature::forward<T>(s.curvature, w, rows, {H, s.ldh}, s.kept.from(tile.visit),
                            {s.dA + tile.visit * s.ldh, s.ldh}, scratch.panel64, backward, loss);

  const T* U = s.sizes.itself ? scratch.U : nullptr;
  double* share = scratch.residual;
  for (Index i = 0; i < rows; ++i) share[i] = s.square[tile.at + i];
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    multiply(rows, w.hidden_in(q), w.h, {H, s.ldh, 1}, s.factors.K_panel(q), scratch.panel,
             w.width);
    core_panel(s, tile, visits, q, scratch.panel, U, slopes, m == 0, backward, share);
  }
  if (s.sizes.itself)
    add_residual_of_itself(s, tile, visits, share, scratch, loss);
  else
    add_residual(s, tile, share, scratch, loss);
  if (s.weight != nullptr) weigh(s, tile, visits, m == 0, backward, loss);
}

}  // namespace dsmfast::DSMFAST_ISA::gram
