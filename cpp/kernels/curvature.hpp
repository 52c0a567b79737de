// The curvature of the model's log-density, which implicit score matching adds to the regression.
//
// forward                                          backward, in the units of regression.hpp
//   S' = H o (1 - H)                 (B, h)          S'' = S' o (1 - 2 H)
//   V  = S' (W o W) - 1              (B, d)          dV  = v + 2 l V              (B, d)
//   loss += 2 v sum V + 2 l sum V o V                dA += dV (W o W)' o S''      (B, h)
//                                                    dW += 2 W o (S'' dV)         (h, d)
//
// V is sigma^2 times the diagonal of the score's Jacobian, v the variance sigma^2 and l the penalty.
// W stands in V twice, hence the two terms. With n = diag(W W'), Q = (W o W)(W o W)', C = S'' S' and
// 1 a column of ones, the same without V:
//
//   loss += 2 v (sum S' n - B d) + 2 l (sum S' o (S' Q - 2 n) + B d)
//   dA   += (v n + 2 l (S' Q - n)) o S''
//   dW   += 2 W o (2 l C (W o W) + (v - 2 l)(S'' 1) 1')
//
// Without a penalty only n is left, and no product. With one, the first form costs three products of
// B d h, the second two of h^2 d and two of B h^2: the cheaper is taken.
#pragma once

#include "weights.hpp"

namespace dsmfast::DSMFAST_ISA {

enum class Form { none, trace, features, hidden };

template <typename T>
Form form_for(const Curvature<T>& curvature, Index visits, Index d, Index h) {
  if (curvature.variance == T(0)) return Form::none;
  if (curvature.penalty == T(0)) return Form::trace;
  const double B = static_cast<double>(visits), features = static_cast<double>(d),
               hidden = static_cast<double>(h);
  const bool fewer = 2 * hidden * (features + B) < 3 * B * features;
  return fewer ? Form::hidden : Form::features;
}

// What a batch has to know of W, and what it sums over its rows; shared by all threads.
template <typename T>
struct Curve {
  Form form;
  T variance, penalty;
  Index ldh;
  Weights<T> squares;  // W o W                                       features, hidden
  T* ones;             // (d_pad,): 1 for each feature, then 0        features
  T* n;                // (h_pad,)                                    trace, hidden
  T* slope;            // (h_pad,): v n                               trace
  T* Q;                // (h_pad / width, h_pad, width)               hidden
  T* C;                // (h_pad, ldh)                                hidden

  static constexpr Index width = panel_width<T>;

  static Index bytes(Form form, Index d, Index h) {
    const Index h_pad = padded<T>(h), ldh = leading_dimension<T>(h);
    Index total = Arena::bytes<T>(padded<T>(d)) + 2 * Arena::bytes<T>(h_pad);
    if (form == Form::features || form == Form::hidden) total += Weights<T>::bytes(d, h);
    if (form == Form::hidden)
      total += Arena::bytes<T>(h_pad * h_pad) + Arena::bytes<T>(h_pad * ldh);
    return total;
  }
  static Curve carve(Arena& arena, Form form, const Curvature<T>& curvature, Index d, Index h) {
    const Index h_pad = padded<T>(h);
    Curve c{};
    c.form = form;
    c.variance = curvature.variance;
    c.penalty = curvature.penalty;
    c.ldh = leading_dimension<T>(h);
    if (form == Form::none) return c;
    c.ones = arena.take<T>(padded<T>(d));
    for (Index i = 0; i < d; ++i) c.ones[i] = T(1);
    c.n = arena.take<T>(h_pad);
    c.slope = arena.take<T>(h_pad);
    if (form == Form::trace) return c;
    c.squares = Weights<T>::carve(arena, d, h);
    if (form == Form::features) return c;
    c.Q = arena.take<T>(h_pad * h_pad);
    c.C = arena.take<T>(h_pad * c.ldh);
    return c;
  }

  bool has_penalty() const { return form == Form::features || form == Form::hidden; }
  // Whether S'' 1 is needed: the first form has it in S'' dV.
  bool has_sums() const { return form == Form::trace || form == Form::hidden; }
};

template <typename T>
void square(const T* from, Index count, T* to) {
  for (Index i = 0; i < count; i += lanes<T>) store<T>(to + i, load(from + i).square());
}

// Brings W o W, n and Q up to date with W; every thread of the team takes part.
template <typename T>
void refresh(const Curve<T>& c, const Weights<T>& w, const Team& team, const Watch& watch) {
  constexpr Index width = panel_width<T>;
  const Range mine = team.share(w.hidden_panels());
  for (Index q = mine.begin; q < mine.end; ++q) {
    const T* rows = w.by_hidden + q * w.d_pad * width;
    for (Index j = 0; j < width; j += lanes<T>) {
      Lanes<T> n = Lanes<T>::Zero();
      for (Index i = 0; i < w.d; ++i) n += load(rows + i * width + j).square();
      store<T>(c.n + q * width + j, n);
      store<T>(c.slope + q * width + j, c.variance * n);
    }
    if (c.has_penalty()) square(rows, w.d_pad * width, c.squares.by_hidden + q * w.d_pad * width);
  }
  if (c.has_penalty()) {
    const Range panels = team.share(w.feature_panels());
    for (Index p = panels.begin; p < panels.end; ++p)
      square(w.by_feature + p * w.h_pad * width, w.h_pad * width,
             c.squares.by_feature + p * w.h_pad * width);
  }
  team.barrier();
  if (c.form != Form::hidden) return;
  const Index panels = w.hidden_panels();
  const Range tiles = team.share(panels * panels);
  for (Index t = tiles.begin; t < tiles.end && !watch.stopped(); ++t) {
    const Index q = t / panels, r = t % panels;
    multiply(w.hidden_in(r), w.hidden_in(q), w.d,
             {c.squares.by_hidden + r * w.d_pad * width, 1, width}, c.squares.hidden_panel(q),
             c.Q + (q * w.h_pad + r * width) * width, width);
    watch.look();
  }
  team.barrier();
}

// sum_j S'_j n_j, S' = H o (1 - H)
template <typename T>
double trace(Index h, const T* H, const T* n) {
  Lanes<T> sum = Lanes<T>::Zero();
  for (Index j = 0; j < h; j += lanes<T>) {
    const Lanes<T> s = load(H + j);
    sum += s * (T(1) - s) * load(n + j);
  }
  return static_cast<double>(sum.sum());
}

// loss[i] += what row i adds; and, for the way back, the slopes K (B, h) with dA += K o S''. With a
// penalty, K and S (B, h) are filled; in the form over features dV (B, d) too.
template <typename T>
void curvature(const Curve<T>& c, const Weights<T>& w, Index rows, const T* H, Index ldh, T* S,
               T* dV, Index ldx, T* K, bool backward, double* loss) {
  const double v = static_cast<double>(c.variance), l = static_cast<double>(c.penalty);
  const double d = static_cast<double>(w.d);
  if (c.has_penalty())
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < w.h; j += lanes<T>) {
        const Lanes<T> s = load(H + i * ldh + j);
        store<T>(S + i * ldh + j, s * (T(1) - s));
      }
  switch (c.form) {
    case Form::none:
      return;
    case Form::trace:
      for (Index i = 0; i < rows; ++i) loss[i] += 2 * v * (trace(w.h, H + i * ldh, c.n) - d);
      return;
    case Form::features:
      for (Index p = 0; p < w.feature_panels(); ++p) {
        T* V = dV + p * w.width;
        multiply(rows, w.features_in(p), w.h, {S, ldh, 1}, c.squares.feature_panel(p), V, ldx);
        for (Index i = 0; i < rows; ++i) {
          Lanes<T> sum = Lanes<T>::Zero();
          for (Index k = 0; k < w.features_in(p); k += lanes<T>) {
            const Lanes<T> value = load(V + i * ldx + k) - load(c.ones + p * w.width + k);
            sum += value * (c.variance + c.penalty * value);
            store<T>(V + i * ldx + k, c.variance + T(2) * c.penalty * value);
          }
          loss[i] += 2 * static_cast<double>(sum.sum());
        }
      }
      for (Index q = 0; q < w.hidden_panels() && backward; ++q)
        multiply(rows, w.hidden_in(q), w.d, {dV, ldx, 1}, c.squares.hidden_panel(q),
                 K + q * w.width, ldh);
      return;
    case Form::hidden:
      for (Index q = 0; q < w.hidden_panels(); ++q) {
        T* k = K + q * w.width;
        multiply(rows, w.hidden_in(q), w.h, {S, ldh, 1}, {c.Q + q * w.h_pad * w.width}, k, ldh);
        for (Index i = 0; i < rows; ++i) {
          Lanes<T> sum = Lanes<T>::Zero(), square_sum = Lanes<T>::Zero();
          for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
            const Lanes<T> n = load(c.n + q * w.width + j);
            const Lanes<T> s = load(S + i * ldh + q * w.width + j);
            const Lanes<T> above = load(k + i * ldh + j) - n;
            sum += s * n;
            square_sum += s * (above - n);
            store<T>(k + i * ldh + j, c.variance * n + T(2) * c.penalty * above);
          }
          loss[i] += 2 * v * static_cast<double>(sum.sum()) +
                     2 * l * static_cast<double>(square_sum.sum());
        }
      }
      for (Index i = 0; i < rows; ++i) loss[i] += 2 * (l - v) * d;
      return;
  }
}

// C (+)= S'' S' over rows of a chunk; every thread of the team takes part. first: whether the chunk is
// the batch's first. Needs a barrier after it.
template <typename T>
void add_slopes_product(const Curve<T>& c, const Weights<T>& w, Index rows, const T* S, Index ldh,
                        bool first, const Team& team) {
  const Index panels = w.hidden_panels();
  const Range tiles = team.share(panels * panels);
  for (Index t = tiles.begin; t < tiles.end; ++t) {
    const Index q = t / panels, r = t % panels;
    multiply(w.hidden_in(r), w.hidden_in(q), rows, {S + r * w.width, 1, ldh},
             {S + q * w.width, ldh}, c.C + r * w.width * c.ldh + q * w.width, c.ldh, !first);
  }
}

// sum (hidden,) (+)= S'' 1 over rows of H (rows, hidden).
template <typename T>
void sum_slopes(Index rows, Index hidden, const T* H, Index ldh, bool accumulate, T* sum) {
  for (Index j = 0; j < hidden; j += lanes<T>) {
    Lanes<T> total = accumulate ? load(sum + j) : Lanes<T>(Lanes<T>::Zero());
    for (Index i = 0; i < rows; ++i) {
      const Lanes<T> s = load(H + i * ldh + j);
      total += s * (T(1) - s);
    }
    store<T>(sum + j, total);
  }
}

// What the curvature adds to dW (hidden, width): rows first_hidden ... of feature panel p. In the
// form over features E (hidden, width) holds S'' dV, otherwise it is scratch and sum (hidden,) holds
// S'' 1.
template <typename T>
void curvature_gradient(const Curve<T>& c, const Weights<T>& w, Index p, Index first_hidden,
                        Index hidden, const T* sum, T* E, T* dW) {
  const Index columns = w.features_in(p);
  if (c.form == Form::hidden)
    multiply(hidden, columns, w.h, {c.C + first_hidden * c.ldh, c.ldh, 1},
             c.squares.feature_panel(p), E, w.width);
  const T* W = w.by_feature + (p * w.h_pad + first_hidden) * w.width;
  for (Index j = 0; j < hidden; ++j) {
    // V = S' (W o W) - 1              ->  dW += 2 W o (S'' dV)
    // and without V: S'' dV            =  2 l C (W o W) + (v - 2 l)(S'' 1) 1'
    const T of_E = c.form == Form::features ? T(2) : T(4) * c.penalty;
    const T of_sum = c.has_sums() ? T(2) * (c.variance - T(2) * c.penalty) * sum[j] : T(0);
    for (Index i = j * w.width; i < j * w.width + columns; i += lanes<T>) {
      Lanes<T> twice = Lanes<T>::Constant(of_sum);
      if (c.has_penalty()) twice += of_E * load(E + i);
      store<T>(dW + i, load(dW + i) + load(W + i) * twice);
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA
