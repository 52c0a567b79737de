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
// three forms: trace.hpp without a penalty, where no product is needed; with one, over_features.hpp or
// over_hidden.hpp, whichever has fewer operations.
#pragma once

#include "kernels/curvature/over_features.hpp"
#include "kernels/curvature/over_hidden.hpp"
#include "kernels/curvature/trace.hpp"

namespace dsmfast::DSMFAST_ISA::curvature {

enum class Form : int { none, trace, features, hidden };

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
  Trace<T> trace;
  OverFeatures<T> features;
  OverHidden hidden;

  static Terms carve(Arena& arena, Form form, Index d, Index h) {
    Terms c{};
    c.form = form;
    if (form == Form::trace) c.trace = Trace<T>::carve(arena, h);
    if (form == Form::features) c.features = OverFeatures<T>::carve(arena, d, h);
    if (form == Form::hidden) c.hidden = OverHidden::carve(arena, d, h);
    return c;
  }

  void prepare(const Curvature<T>& curvature) {
    trace.variance = features.variance = curvature.variance;
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
    Rows r = *this;
    if (S.data != nullptr) r.S = S.from(i), r.dV = dV.from(i);
    if (S64 != nullptr) r.S64 = S64 + i * ld64;
    return r;
  }
};

// The slopes of the curvature: dA += K o S o (1 - 2 H), K (rows, h), or (h,) where all rows have the
// same.
template <typename T>
struct Slopes {
  Matrix<T> K{nullptr, 0};

  bool any() const { return K.data != nullptr; }
};

// Brings what is known of W up to date; every thread of the team takes part. Ends with a barrier.
template <typename T>
void refresh(const Terms<T>& c, const Weights<T>& w, const Thread& thread) {
  switch (c.form) {
    case Form::none:
      return;
    case Form::trace:
      refresh_trace(c.trace, w, thread);
      break;
    case Form::features:
      refresh_features(c.features, w, thread);
      break;
    case Form::hidden:
      refresh_hidden(c.hidden, w, thread);
      break;
  }
  thread.barrier();
}

// loss[i] += what row i adds; K (rows, h) may take the slopes, and panel64 (rows,
// panel_width<double>) is scratch.
template <typename T>
Slopes<T> forward(const Terms<T>& c, const Weights<T>& w, Index rows, const Matrix<T>& H,
                  const Rows<T>& r, const Matrix<T>& K, double* panel64, bool backward,
                  double* loss) {
  switch (c.form) {
    case Form::none:
      break;
    case Form::trace:
      trace_forward(c.trace, w, rows, H, loss);
      return {{c.trace.slope, 0}};
    case Form::features:
      features_forward(c.features, w, rows, H, r.S, r.dV, K, backward, loss);
      return {K};
    case Form::hidden:
      hidden_forward(c.hidden, rows, H, r.S64, K, panel64, loss);
      return {K};
  }
  return {};
}

}  // namespace dsmfast::DSMFAST_ISA::curvature
