// The curvature of the model's log-density, which implicit score matching adds to the regression.
//
// forward                                          backward, in the units of regression.hpp
//   S  = H o (1 - H)                 (B, h)
//   V  = S (W o W) - 1               (B, d)          dV  = v + 2 l V                    (B, d)
//   loss += 2 v sum V + 2 l sum V o V                dA += dV (W o W)' o S o (1 - 2 H)  (B, h)
//                                                    dW += 2 W o (S' dV)                (h, d)
//
// (' is the transposed.) V is sigma^2 times the diagonal of the score's Jacobian, v the variance sigma^2 and l the penalty.
// W stands in V twice, hence the two terms. Without a penalty dV = v, and V is needed only in sums:
//
//   loss += 2 v (sum S n - B d)         dA += v n o S o (1 - 2 H)         dW += 2 v W o (S' 1) 1'
//
// with n = diag(W W'): no product. With a penalty there are three of B d h here, and in
// curvature_hidden.hpp, without V, two of h^2 d and two of B h^2 in double: the cheaper is taken.
#pragma once

#include "curvature_hidden.hpp"

namespace dsmfast::DSMFAST_ISA {

enum class Form { none, trace, features, hidden };

template <typename T>
Form form_for(const Curvature<T>& curvature, Index visits, Index d, Index h) {
  if (curvature.variance == T(0)) return Form::none;
  if (curvature.penalty == T(0)) return Form::trace;
  const double B = static_cast<double>(visits), features = static_cast<double>(d),
               hidden = static_cast<double>(h);
  constexpr double price = sizeof(double) / sizeof(T);  // of an operation in double
  const bool fewer = 2 * price * hidden * (features + B) < 3 * B * features;
  return fewer ? Form::hidden : Form::features;
}

// What a batch has to know of W; shared by all threads.
template <typename T>
struct Curve {
  Form form;
  T variance, penalty;
  Weights<T> squares;  // W o W                                       features
  T* ones;             // (d_pad,): 1 for each feature, then 0        features
  T* n;                // (h_pad,)                                    trace
  T* slope;            // (h_pad,): v n                               trace
  HiddenCurvature hidden;

  static Curve carve(Arena& arena, Form form, Index d, Index h) {
    Curve c{};
    c.form = form;
    switch (form) {
      case Form::none:
        break;
      case Form::trace:
        c.n = arena.take<T>(padded<T>(h));
        c.slope = arena.take<T>(padded<T>(h));
        break;
      case Form::features:
        c.squares = Weights<T>::carve(arena, d, h);
        c.ones = arena.take<T>(padded<T>(d));
        break;
      case Form::hidden:
        c.hidden = HiddenCurvature::carve(arena, d, h);
        break;
    }
    return c;
  }
  void prepare(const Curvature<T>& curvature) {
    variance = curvature.variance;
    penalty = curvature.penalty;
    hidden.variance = static_cast<double>(variance);
    hidden.penalty = static_cast<double>(penalty);
    for (Index i = 0; form == Form::features && i < squares.d; ++i) ones[i] = T(1);
  }
};

// Squares of the rows of a panel, of so many columns.
template <typename T>
void square(Index rows, Index columns, const T* from, T* to) {
  for (Index j = 0; j < rows * panel_width<T>; j += panel_width<T>)
    for (Index i = j; i < j + columns; i += lanes<T>) store<T>(to + i, load(from + i).square());
}

// Brings what is known of W up to date; every thread of the team takes part.
template <typename T>
void refresh(const Curve<T>& c, const Weights<T>& w, const Team& team, const Watch& watch) {
  constexpr Index width = panel_width<T>;
  if (c.form == Form::none) return;
  if (c.form == Form::hidden) return refresh(c.hidden, w, team, watch);
  const Range mine = team.share(w.hidden_panels());
  for (Index q = mine.begin; q < mine.end; ++q) {
    const T* rows = w.by_hidden + q * w.d_pad * width;
    if (c.form == Form::features) {
      square(w.d, w.hidden_in(q), rows, c.squares.by_hidden + q * w.d_pad * width);
      continue;
    }
    for (Index j = q * width; j < (q + 1) * width; j += lanes<T>, rows += lanes<T>) {
      Lanes<T> n = Lanes<T>::Zero();
      for (Index i = 0; i < w.d; ++i) n += load(rows + i * width).square();
      store<T>(c.n + j, n);
      store<T>(c.slope + j, c.variance * n);
    }
  }
  if (c.form == Form::features) {
    const Range panels = team.share(w.feature_panels());
    for (Index p = panels.begin; p < panels.end; ++p)
      square(w.h, w.features_in(p), w.by_feature + p * w.h_pad * width,
             c.squares.by_feature + p * w.h_pad * width);
  }
  team.barrier();
}

// sum_j S_j n_j, S = H o (1 - H), of row i; of h rounded up to whole panels: n is 0 there.
template <typename T>
double trace(Index h, const Matrix<T>& H, Index i, const T* n) {
  Lanes<T> even = Lanes<T>::Zero(), odd = Lanes<T>::Zero();
  for (Index j = 0; j < h; j += panel_width<T>) {
    const Lanes<T> s = load(H(i, j)), t = load(H(i, j) + lanes<T>);
    even += s * (T(1) - s) * load(n + j);
    odd += t * (T(1) - t) * load(n + j + lanes<T>);
  }
  return static_cast<double>((even + odd).sum());
}

// The form over features: loss[i] += what row i adds; S (rows, h) and dV (rows, d) are filled; and,
// for the way back, K (rows, h) with dA += K o S o (1 - 2 H).
template <typename T>
void curvature_over_features(const Curve<T>& c, const Weights<T>& w, Index rows, const Matrix<T>& H,
                             const Matrix<T>& S, const Matrix<T>& dV, const Matrix<T>& K,
                             bool backward, double* loss) {
  for (Index j = 0; j < w.h; j += lanes<T>)
    for (Index i = 0; i < rows; ++i) {
      const Lanes<T> s = load(H(i, j));
      store<T>(S(i, j), s * (T(1) - s));
    }
  for (Index p = 0; p < w.feature_panels(); ++p) {
    T* V = dV(0, p * w.width);
    multiply<T>(rows, w.features_in(p), w.h, S, c.squares.feature_panel(p), V, dV.row);
    for (Index i = 0; i < rows; ++i) {
      Lanes<T> sum = Lanes<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>) {
        T* v = V + i * dV.row + k;
        const Lanes<T> value = load(v) - load(c.ones + p * w.width + k);
        sum += value * (c.variance + c.penalty * value);
        store<T>(v, c.variance + T(2) * c.penalty * value);
      }
      loss[i] += 2 * static_cast<double>(sum.sum());
    }
  }
  // V = S (W o W) - 1    ->  K = dV (W o W)'
  for (Index q = 0; q < w.hidden_panels() && backward; ++q)
    multiply<T>(rows, w.hidden_in(q), w.d, dV, c.squares.hidden_panel(q), K(0, q * w.width), K.row);
}

// V = S (W o W) - 1    ->  dW += 2 W o E,  E = S' dV (hidden, width), for rows first_hidden ... of
// feature panel p.
template <typename T>
void add_curvature(const Weights<T>& w, Index p, Index first_hidden, Index hidden, const T* E,
                   T* dW) {
  const T* W = w.by_feature + (p * w.h_pad + first_hidden) * w.width;
  for (Index j = 0; j < hidden * w.width; j += w.width)
    for (Index i = j; i < j + w.features_in(p); i += lanes<T>)
      store<T>(dW + i, load(dW + i) + T(2) * load(W + i) * load(E + i));
}

// The same where dV = v: E = v (S' 1) 1', sum (hidden,) = S' 1.
template <typename T>
void add_trace(const Curve<T>& c, const Weights<T>& w, Index p, Index first_hidden, Index hidden,
               const T* sum, T* dW) {
  const T* W = w.by_feature + (p * w.h_pad + first_hidden) * w.width;
  for (Index j = 0; j < hidden; ++j) {
    const T twice = T(2) * c.variance * sum[j];
    for (Index i = j * w.width; i < j * w.width + w.features_in(p); i += lanes<T>)
      store<T>(dW + i, load(dW + i) + twice * load(W + i));
  }
}

}  // namespace dsmfast::DSMFAST_ISA
