// The curvature without V (curvature.hpp), in sums over pairs of hidden units:
//
//   n = diag(W W'),   Q = (W o W)(W o W)',   C = S' S
//
//   loss += 2 (v - l) (sum S n - B d) + 2 l sum S o (S Q - n)
//   dA   += (v n + 2 l (S Q - n)) o S o (1 - 2 H)
//   dW   += 2 W o (2 l C (W o W) + (v - 2 l)(S' 1) 1')
//
// All of it in double, whatever the precision of the model: a penalty makes V small, and then these
// are small differences of large sums. (In float32, digits after training with a penalty of 10: the
// gradient off by 3e-4, in double by 3e-6, which is what rounding S and W costs.)
#pragma once

#include "weights.hpp"

namespace dsmfast::DSMFAST_ISA {

struct HiddenCurvature {
  double variance, penalty;
  Index ldh;                // leading dimension of (B, h)
  Weights<double> squares;  // W o W
  double* n;                // (h_pad,)
  double* sum;              // (h_pad,): S' 1
  double* Q;                // (h_pad / width, h_pad, width)
  double* C;                // (h_pad, ldh)

  static constexpr Index width = panel_width<double>;

  static HiddenCurvature carve(Arena& arena, Index d, Index h) {
    const Index h_pad = padded<double>(h);
    HiddenCurvature c{};
    c.ldh = leading_dimension<double>(h);
    c.squares = Weights<double>::carve(arena, d, h);
    c.n = arena.take<double>(h_pad);
    c.sum = arena.take<double>(h_pad);
    c.Q = arena.take<double>(h_pad * h_pad);
    c.C = arena.take<double>(h_pad * c.ldh);
    return c;
  }

  double product(Index i, Index j) const {  // Q_ij
    return Q[(j / width * squares.h_pad + i) * width + j % width];
  }

  // Calls work(q, r) for the pairs of panels that are this thread's.
  template <typename Work>
  void for_pairs(const Team& team, const Work& work) const {
    const Index panels = squares.hidden_panels();
    const Range mine = team.share(panels * panels);
    for (Index t = mine.begin; t < mine.end; ++t) work(t / panels, t % panels);
  }
};

// Brings W o W, n and Q up to date with W; every thread of the team takes part.
template <typename T>
void refresh(const HiddenCurvature& c, const Weights<T>& w, const Team& team, const Watch& watch) {
  constexpr Index width = HiddenCurvature::width, ratio = panel_width<T> / width;
  const Weights<double>& squares = c.squares;
  const Range mine = team.share(squares.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p) {
    const T* from = w.by_feature + p / ratio * w.h_pad * w.width + p % ratio * width;
    double* to = squares.by_feature + p * squares.h_pad * width;
    for (Index j = 0; j < w.h; ++j)
      for (Index i = 0; i < width; ++i) {
        const double value = static_cast<double>(from[j * w.width + i]);
        to[j * width + i] = value * value;
      }
    for (Index q = 0; q < squares.hidden_panels(); ++q) transpose_tile(squares, q, p);
  }
  team.barrier();
  c.for_pairs(team, [&](Index q, Index r) {
    if (watch.stopped()) return;
    const double* rows = squares.by_hidden + r * squares.d_pad * width;
    multiply(squares.hidden_in(r), squares.hidden_in(q), w.d, {rows, 1, width},
             squares.hidden_panel(q), c.Q + (q * squares.h_pad + r * width) * width, width);
    if (q == r) column_sums(w.d, squares.hidden_in(r), rows, width, c.n + r * width, false);
    watch.look();
  });
  team.barrier();
}

// loss[i] += what row i adds. S (rows, ldh) is filled, and K (rows, h): dA += K o S o (1 - 2 H).
template <typename T>
void curvature_over_hidden(const HiddenCurvature& c, Index rows, const Matrix<T>& H, double* S,
                           const Matrix<T>& K, double* panel, double* loss) {
  constexpr Index width = HiddenCurvature::width;
  constexpr int n_lanes = lanes<double>;
  const Weights<double>& w = c.squares;
  const double v = c.variance, l = c.penalty;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < w.h; ++j) {
      const double s = static_cast<double>(*H(i, j));
      S[i * c.ldh + j] = s * (1 - s);
    }
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    multiply(rows, w.hidden_in(q), w.h, {S, c.ldh, 1}, {c.Q + q * w.h_pad * width}, panel, width);
    for (Index i = 0; i < rows; ++i) {
      Lanes<double> first = Lanes<double>::Zero(), second = Lanes<double>::Zero();
      for (Index j = 0; j < w.hidden_in(q); j += n_lanes) {
        const Lanes<double> n = load(c.n + q * width + j);
        const Lanes<double> s = load(S + i * c.ldh + q * width + j);
        const Lanes<double> above = load(panel + i * width + j) - n;
        first += s * n;
        second += s * above;
        const Lanes<double> slope = v * n + 2 * l * above;
        Eigen::Map<Eigen::Array<T, n_lanes, 1>>{K(i, q * width + j)} = slope.template cast<T>();
      }
      // sum V = S n - d, sum V o V = S (S Q - n) - sum V
      loss[i] += 2 * (v - l) * first.sum() + 2 * l * second.sum();
    }
  }
  for (Index i = 0; i < rows; ++i) loss[i] -= 2 * (v - l) * static_cast<double>(w.d);
}

// C (+)= S' S and S' 1 over rows of a chunk; every thread of the team takes part. first: whether
// the chunk is the batch's first. Needs a barrier after it.
inline void add_pairs(const HiddenCurvature& c, Index rows, const double* S, bool first,
                      const Team& team) {
  constexpr Index width = HiddenCurvature::width;
  const Weights<double>& w = c.squares;
  c.for_pairs(team, [&](Index q, Index r) {
    multiply(w.hidden_in(r), w.hidden_in(q), rows, {S + r * width, 1, c.ldh},
             {S + q * width, c.ldh}, c.C + r * width * c.ldh + q * width, c.ldh, !first);
    if (q == r) column_sums(rows, w.hidden_in(r), S + r * width, c.ldh, c.sum + r * width, !first);
  });
}

// What the curvature adds to dW (hidden, panel_width<T>): rows first_hidden ... of feature panel p.
template <typename T>
void add_curvature(const HiddenCurvature& c, const Weights<T>& w, Index p, Index first_hidden,
                   Index hidden, double* E, T* dW) {  // E (hidden, width): scratch
  constexpr Index width = HiddenCurvature::width, ratio = panel_width<T> / width;
  const T* W = w.by_feature + (p * w.h_pad + first_hidden) * w.width;
  for (Index part = 0; part < ratio && p * ratio + part < c.squares.feature_panels(); ++part) {
    const Index columns = c.squares.features_in(p * ratio + part);
    multiply(hidden, columns, w.h, {c.C + first_hidden * c.ldh, c.ldh, 1},
             c.squares.feature_panel(p * ratio + part), E, width);
    for (Index j = 0; j < hidden; ++j) {
      const double sum = c.sum[first_hidden + j];
      for (Index i = 0; i < columns; ++i) {
        // S' dV = 2 l C (W o W) + (v - 2 l)(S' 1) 1'
        const double twice = 2 * (2 * c.penalty * (E[j * width + i] - sum) + c.variance * sum);
        const Index at = j * w.width + part * width + i;
        dW[at] += W[at] * static_cast<T>(twice);
      }
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA
