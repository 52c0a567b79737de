// What the gram path sums over rows: C and its kin over pairs of hidden units, then dW, db and dc
// over panels of features, each handed over while it is hot.
#pragma once

#include "kernels/base/sums.hpp"
#include "kernels/gram/forward.hpp"

namespace dsmfast::DSMFAST_ISA::gram {

// H' H, S' S and the sums over the rows and draws of a group; every thread of the team takes part.
template <typename T>
void add_pairs(const Workspace<T>& s, Index visits, bool first, const Thread& thread) {
  const Weights<T>& w = s.w;
  constexpr Index width = panel_width<T>;
  for_pairs(w.hidden_panels(), thread, [&](Index q, Index r) {
    const auto add = [&](const T* A, T* sum) {
      pair_product(visits, A, s.ldh, r, q, sum, s.ldh, !first);
    };
    add(s.H, s.HH);
    if (s.sizes.noisy) add(s.S, s.SS);
    if (s.sizes.noisy_penalty()) add(s.S2, s.SS2);
    if (q != r) return;
    // H and S have the root of their weight in them.
    const auto sum_up = [&](const T* A, bool rooted, T* sum) {
      const auto root = [&](Index i) { return std::sqrt(s.weight[i]); };
      weighted_sums(visits, w.hidden_in(q), A + q * width, s.ldh, rooted && s.weight != nullptr,
                    root, sum + q * width, !first);
    };
    sum_up(s.H, true, s.sum_H);
    sum_up(s.dA, false, s.sum_dA);
    if (s.sizes.noisy) sum_up(s.stein, false, s.sum_stein);
    if (s.sizes.form == curvature::Form::trace) sum_up(s.S, true, s.sum_S);
  });
}

// C = H' H + sigma^2 stein, and 2 v diag(sum S) of the trace, whole, in the place of HH. The tiles
// are those that the thread has added up.
template <typename T>
void finish_pairs(const Workspace<T>& s, T sigma, const Thread& thread) {
  const Weights<T>& w = s.w;
  constexpr Index width = panel_width<T>;
  const T variance = s.sizes.noisy ? sigma * sigma : T(0);
  for_pairs(w.hidden_panels(), thread, [&](Index q, Index r) {
    const T* K = s.factors.K_panel(q).data;
    const Index rows = r * width + w.hidden_in(r), columns = q * width + w.hidden_in(q);
    for (Index i = r * width; i < rows; ++i)
      for (Index j = q == r ? i : q * width; j < columns; ++j) {
        const Index place = i * s.ldh + j;
        T stein = 0;
        if (s.sizes.noisy) stein = K[i * width + j - q * width] * s.SS[place];
        if (s.sizes.noisy_penalty())
          stein += T(2) * static_cast<T>(s.curvature.hidden.penalty) *
                   static_cast<T>(s.curvature.hidden.product(i, j)) * s.SS2[place];
        if (i == j && s.sizes.noisy) stein += s.sum_stein[j];
        T C = s.HH[place] + variance * stein;
        if (i == j && s.sizes.form == curvature::Form::trace)
          C += T(2) * s.curvature.features.variance * s.sum_S[j];
        s.HH[place] = C;
        s.HH[j * s.ldh + i] = C;
      }
  });
}

// Panel p of Y, packed, and of its sum over rows, by their weights.
template <typename T>
void pack_and_sum(const Weights<T>& w, Index rows, const T* Y, Index ldx, const T* weight, Index p,
                  bool accumulate, T* packed, T* sum) {
  Y += p * w.width;
  Packet<T> left = Packet<T>::Zero(), right = Packet<T>::Zero();
  if (accumulate) left = load(sum), right = load(sum + lanes<T>);
  for (Index i = 0; i < rows; ++i) {
    const Packet<T> a = load(Y + i * ldx), b = load(Y + i * ldx + lanes<T>);
    store<T>(packed + i * w.width, a);
    store<T>(packed + i * w.width + lanes<T>, b);
    const T factor = weight == nullptr ? T(1) : weight[i];
    left += factor * a;
    right += factor * b;
  }
  store<T>(sum, left);
  store<T>(sum + lanes<T>, right);
}

// Panel p of the sums over a chunk:  dW (+)= D' Y,  dc (+)= sum Y, of the targets.
template <typename T>
void add_rows(const Workspace<T>& s, Index rows, Index p, bool first, T* packed, T* dW, T* dc) {
  const Weights<T>& w = s.w;
  const auto add = [&](const T* A, const T* Y, bool accumulate) {
    pack_and_sum(w, rows, Y, s.ldx, s.row_weight, p, !first, packed, dc);
    multiply(w.h, w.features_in(p), rows, {A, 1, s.ldh}, {packed}, dW, w.width, accumulate);
  };
  if (!s.sizes.targets) return add(s.D, s.Y, !first);
  add(s.N, s.Yt, !first);
  pack_panel(rows, w.d_pad, s.Y, s.ldx, p, packed);
  multiply(w.h, w.features_in(p), rows, {s.D, 1, s.ldh}, {packed}, dW, w.width, true);
}

// dW = D' Y + C W + (sum dA) c',   dc = (sum H) W - draws sum Y - sigma sum E, the last of targets
// with noise that is given. Weighted rows count by their weights, and have the draws in them.
template <typename T>
void finish_panel(const Workspace<T>& s, const Batch<T>& batch, Index p, double* E64, T* dW,
                  T* dc) {
  const Noise<T>& noise = batch.data->noise;
  const Weights<T>& w = s.w;
  const T* W = w.feature_panel(p).data;
  const T draws = s.row_weight == nullptr ? static_cast<T>(noise.draws) : T(1);
  for (Index v = 0; v < batch.visits() && s.sizes.itself && noise.given != nullptr; ++v) {
    const T weight =
        s.row_weight == nullptr ? T(1) : batch.data->weights[batch.row(v % batch.rows)];
    for (Index i = 0; i < w.features_in(p); ++i)
      dc[i] += weight * noise.sigma / draws * noise.given[v * w.d + p * w.width + i];
  }
  multiply(w.h, w.features_in(p), w.h, {s.HH, s.ldh, 1}, w.feature_panel(p), dW, w.width, true);
  for (Index i = 0; i < w.features_in(p); i += lanes<T>) {
    const Packet<T> c = load(w.c + p * w.width + i);
    Packet<T> sum = -draws * load(dc + i);
    for (Index j = 0; j < w.h; ++j) {
      T* row = dW + j * w.width + i;
      store<T>(row, load(row) + s.sum_dA[j] * c);
      sum += s.sum_H[j] * load(W + j * w.width + i);
    }
    store<T>(dc + i, sum);
  }
  if (s.sizes.form != curvature::Form::hidden) return;
  for (Index j = 0; j < w.h; j += hidden_block<T>)
    curvature::hidden_backward(s.curvature.hidden, w, {p, j, smaller(w.h - j, hidden_block<T>)},
                               E64, dW + j * w.width);
}

}  // namespace dsmfast::DSMFAST_ISA::gram
