// The curvature of the model's log-density, which implicit score matching adds to the regression.
//
// forward                                          backward, in the units of explicit/forward.hpp
//   S  = H o (1 - H)                 (B, h)
//   V  = S (W o W) - 1               (B, d)          dV  = v + 2 l V                    (B, d)
//   loss += 2 v sum V + 2 l sum V o V                dA += dV (W o W)' o S o (1 - 2 H)  (B, h)
//                                                    dW += 2 W o (S' dV)                (h, d)
//
// (' is the transposed.) V is sigma^2 times the diagonal of the score's Jacobian, v the variance
// sigma^2 and l the penalty. W stands in V twice, hence the two terms. It is worked out in one of
// three forms: over features without a penalty, where it takes no product; with one over features or
// over hidden units, whichever has fewer operations.
#pragma once

#include "kernels/curvature/over_features.hpp"
#include "kernels/curvature/over_hidden.hpp"

namespace dsmfast::DSMFAST_ISA::curvature {

enum class Form : Index { none, trace, features, hidden };

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

// What a batch has to know of W; shared by all threads. Only that of the form is carved.
template <typename T>
struct Terms {
  Form form;
  OverFeatures<T> features;  // of Form::trace and Form::features
  OverHidden hidden;

  static Terms carve(Arena& arena, Form form, Index d, Index h) {
    Terms c{};
    c.form = form;
    if (form == Form::trace) c.features = OverFeatures<T>::carve(arena, d, h, false);
    if (form == Form::features) c.features = OverFeatures<T>::carve(arena, d, h, true);
    if (form == Form::hidden) c.hidden = OverHidden::carve(arena, d, h);
    return c;
  }

  void prepare(const Curvature<T>& curvature) {
    features.variance = curvature.variance;
    features.penalty = curvature.penalty;
    hidden.variance = static_cast<double>(curvature.variance);
    hidden.penalty = static_cast<double>(curvature.penalty);
    for (Index i = 0; form == Form::features && i < features.squares.d; ++i)
      features.ones[i] = T(1);
  }
};

// What is kept of each row until the sums over rows.
template <typename T>
struct Rows {
  Matrix<T> S, dV;  // (B, h), (B, d), in panels           of Form::features
  double* S64;      // (B, ld64)                           of Form::hidden
  Index ld64;

  static Rows carve(Arena& arena, Form form, Index capacity, Index d, Index h) {
    Rows r{{nullptr, 0}, {nullptr, 0}, nullptr, leading_dimension<double>(h)};
    if (form == Form::features) {
      r.S = Matrix<T>::carve(arena, capacity, h);
      r.dV = Matrix<T>::carve(arena, capacity, d);
    }
    if (form == Form::hidden) arena.take(capacity * r.ld64, r.S64);
    return r;
  }

  Rows from(Index i) const {
    return {S.from(i), dV.from(i), S64 == nullptr ? nullptr : S64 + i * ld64, ld64};
  }
};

// Brings what is known of W up to date; every thread of the team takes part. Ends with a barrier.
template <typename T>
void refresh(const Terms<T>& c, const Weights<T>& w, const Thread& thread) {
  if (c.form == Form::none) return;
  if (c.form == Form::trace) refresh_trace(c.features, w, thread);
  if (c.form == Form::features) refresh_features(c.features, w, thread);
  if (c.form == Form::hidden) refresh_hidden(c.hidden, w, thread);
  thread.barrier();
}

// loss[i] += what row i adds. The slopes, with dA += slopes o S o (1 - 2 H): (rows, h), which K may
// take; (h,) where all rows have the same; or null. panel64 (rows, panel_width<double>) is scratch.
template <typename T>
Matrix<T> forward(const Terms<T>& c, const Weights<T>& w, Index rows, const Matrix<T>& H,
                  const Rows<T>& r, const Matrix<T>& K, double* panel64, bool backward,
                  double* loss) {
  if (c.form == Form::none) return {nullptr, 0};
  if (c.form == Form::trace) {
    trace_forward(c.features, w, rows, H, loss);
    return {c.features.slope, 0};
  }
  if (c.form == Form::features)
    features_forward(c.features, w, rows, H, r.S, r.dV, K, backward, loss);
  else
    hidden_forward(c.hidden, rows, H, r.S64, K, panel64, loss);
  return K;
}

// What is kept of each row, so that row i counts weight[i] times in the sums over rows: dV by the weight,
// and S of Form::hidden, which is summed in products with itself, by its root.
template <typename T>
void weigh(const Terms<T>& c, Index rows, Index d, Index h, const T* weight, const Rows<T>& r) {
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < d && c.form == Form::features; k += lanes<T>)
      store<T>(r.dV(i, k), weight[i] * load(r.dV(i, k)));
    const double root = std::sqrt(static_cast<double>(weight[i]));
    for (Index j = 0; j < h && c.form == Form::hidden; ++j) r.S64[i * r.ld64 + j] *= root;
  }
}

}  // namespace dsmfast::DSMFAST_ISA::curvature
