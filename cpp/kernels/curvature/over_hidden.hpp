// The curvature with a penalty, without V (curvature.hpp), in sums over pairs of hidden units: two
// products of h^2 d and two of B h^2.
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

#include "kernels/base/sums.hpp"
#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA::curvature {

struct OverHidden {
  double variance, penalty;
  Index ldh;                // leading dimension of (B, h)
  Weights<double> squares;  // W o W
  double* n;                // (h_pad,)
  double* sum;              // (h_pad,): S' 1
  double* Q;                // (h_pad / width, h_pad, width)
  double* C;                // (h_pad, ldh)

  static constexpr Index width = panel_width<double>;

  static OverHidden carve(Arena& arena, Index d, Index h) {
    const Index h_pad = padded<double>(h);
    OverHidden c{};
    c.ldh = leading_dimension<double>(h);
    c.squares = Weights<double>::carve(arena, d, h);
    arena.take(h_pad, c.n, c.sum);
    arena.take(h_pad * h_pad, c.Q);
    arena.take(h_pad * c.ldh, c.C);
    return c;
  }

  double product(Index i, Index j) const {  // Q_ij
    return Q[(j / width * squares.h_pad + i) * width + j % width];
  }

  // Calls work(q, r) for the pairs of panels that are this thread's.
  template <typename Work>
  void for_pairs(const Thread& thread, const Work& work) const {
    const Index panels = squares.hidden_panels();
    const Range mine = thread.share(panels * panels);
    for (Index t = mine.begin; t < mine.end; ++t) work(t / panels, t % panels);
  }
};

// Brings W o W, n and Q up to date with W; every thread of the team takes part.
template <typename T>
void refresh_hidden(const OverHidden& c, const Weights<T>& w, const Thread& thread) {
  constexpr Index width = OverHidden::width, ratio = panel_width<T> / width;
  const Weights<double>& squares = c.squares;
  const Range mine = thread.share(squares.feature_panels());
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
  thread.barrier();
  c.for_pairs(thread, [&](Index q, Index r) {
    if (thread.stopped()) return;
    const double* rows = squares.by_hidden + r * squares.d_pad * width;
    multiply(squares.hidden_in(r), squares.hidden_in(q), w.d, {rows, 1, width},
             squares.hidden_panel(q), c.Q + (q * squares.h_pad + r * width) * width, width);
    if (q == r) column_sums(w.d, squares.hidden_in(r), rows, width, c.n + r * width, false);
    thread.poll();
  });
}

// loss[i] += what row i adds. S (rows, ldh) is filled, and the slope K (rows, h) with
// dA += K o S o (1 - 2 H).
template <typename T>
void hidden_forward(const OverHidden& c, Index rows, const Matrix<T>& H, double* S,
                    const Matrix<T>& K, double* panel, double* loss) {
  constexpr Index width = OverHidden::width;
  constexpr int size = lanes<double>;
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
      Packet<double> first = Packet<double>::Zero(), second = Packet<double>::Zero();
      for (Index j = 0; j < w.hidden_in(q); j += size) {
        const Packet<double> n = load(c.n + q * width + j);
        const Packet<double> s = load(S + i * c.ldh + q * width + j);
        const Packet<double> above = load(panel + i * width + j) - n;
        first += s * n;
        second += s * above;
        const Packet<double> slope = v * n + 2 * l * above;
        Eigen::Map<Eigen::Array<T, size, 1>>{K(i, q * width + j)} = slope.template cast<T>();
      }
      // sum V = S n - d, sum V o V = S (S Q - n) - sum V
      loss[i] += 2 * (v - l) * first.sum() + 2 * l * second.sum();
    }
  }
  for (Index i = 0; i < rows; ++i) loss[i] -= 2 * (v - l) * static_cast<double>(w.d);
}

// C (+)= S' S and S' 1 over rows of a chunk; every thread of the team takes part. weight: of the rows,
// by whose roots those of S are multiplied; or null. first: whether the chunk is the batch's first.
// Needs a barrier after it.
template <typename T>
void hidden_add_pairs(const OverHidden& c, Index rows, const double* S, const T* weight, bool first,
                      const Thread& thread) {
  constexpr Index width = OverHidden::width;
  const Weights<double>& w = c.squares;
  c.for_pairs(thread, [&](Index q, Index r) {
    multiply(w.hidden_in(r), w.hidden_in(q), rows, {S + r * width, 1, c.ldh},
             {S + q * width, c.ldh}, c.C + r * width * c.ldh + q * width, c.ldh, !first);
    if (q != r) return;
    const auto root = [&](Index i) { return std::sqrt(static_cast<double>(weight[i])); };
    weighted_sums(rows, w.hidden_in(r), S + r * width, c.ldh, weight != nullptr, root,
                  c.sum + r * width, !first);
  });
}

// V = S (W o W) - 1    ->  dW += 2 W o (2 l C (W o W) + (v - 2 l)(S' 1) 1')
template <typename T>
void hidden_backward(const OverHidden& c, const Weights<T>& w, const WeightTile& tile,
                     double* E,  // (hidden, width): scratch
                     T* dW) {    // (hidden, panel_width<T>)
  constexpr Index width = OverHidden::width, ratio = panel_width<T> / width;
  const T* W = w.rows_of(tile);
  for (Index part = 0; part < ratio && tile.p * ratio + part < c.squares.feature_panels(); ++part) {
    const Index columns = c.squares.features_in(tile.p * ratio + part);
    multiply(tile.hidden, columns, w.h, {c.C + tile.first_hidden * c.ldh, c.ldh, 1},
             c.squares.feature_panel(tile.p * ratio + part), E, width);
    for (Index j = 0; j < tile.hidden; ++j) {
      const double sum = c.sum[tile.first_hidden + j];
      for (Index i = 0; i < columns; ++i) {
        // S' dV = 2 l C (W o W) + (v - 2 l)(S' 1) 1'
        const double twice = 2 * (2 * c.penalty * (E[j * width + i] - sum) + c.variance * sum);
        const Index at = j * w.width + part * width + i;
        dW[at] += W[at] * static_cast<T>(twice);
      }
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA::curvature
