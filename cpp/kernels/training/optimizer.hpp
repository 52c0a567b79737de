// Parameter updates, elementwise and fused: one pass over parameter, gradient and moments.
//
//   SGD    v = momentum v + g,   w -= rate (v, or g + momentum v with Nesterov)
//   Adam   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,
//          w -= rate m^ / (sqrt(v^) + epsilon),   m^ = m / (1 - beta1^t),   v^ = v / (1 - beta2^t)
//   both   w -= rate * weight_decay * w first (decoupled), for W alone
#pragma once

#include <cmath>

#include "kernels/base/rows.hpp"
#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA {

// The values of one array with their moments, which are null where the rule has none.
template <typename T>
struct Values {
  T *w, *first, *second;

  static Values of_array(const TrainingState<T>& state, T* Triple<T>::*array) {
    return {state.parameters.*array, state.first.*array, state.second.*array};
  }
  Values from(Index i) const {
    return {w + i, first == nullptr ? nullptr : first + i,
            second == nullptr ? nullptr : second + i};
  }
};

// The constants of one step, rounded to T once.
template <typename T>
struct Update {
  Rule rule;
  bool nesterov;
  T rate, momentum, keep;                             // keep = 1 - rate * weight_decay
  T beta1, beta2, epsilon, correction1, correction2;  // corrections: 1 / (1 - beta^t)

  Update(const Optimizer& o, double learning_rate, Index step)
      : rule(o.rule), nesterov(o.nesterov) {
    const double t = static_cast<double>(o.steps_taken + step + 1);
    const auto correction = [&](double beta) {
      return rule == Rule::adam ? static_cast<T>(1.0 / (1.0 - std::pow(beta, t))) : T(1);
    };
    rate = static_cast<T>(learning_rate);
    momentum = static_cast<T>(o.momentum);
    keep = static_cast<T>(1.0 - learning_rate * o.weight_decay);
    beta1 = static_cast<T>(o.beta1), beta2 = static_cast<T>(o.beta2);
    epsilon = static_cast<T>(o.epsilon);
    correction1 = correction(o.beta1), correction2 = correction(o.beta2);
  }

  // In whole registers. decay: whether the values shrink by themselves.
  void apply(Index count, bool decay, const T* g, const Values<T>& values) const {
    const T kept = decay ? keep : T(1);
    T *w = values.w, *first = values.first, *second = values.second;
    for (Index i = 0; i < count; i += lanes<T>) {
      const Packet<T> gradient = load(g + i);
      Packet<T> direction = gradient;
      if (rule == Rule::adam) {
        const Packet<T> m = beta1 * load(first + i) + (T(1) - beta1) * gradient;
        const Packet<T> v = beta2 * load(second + i) + (T(1) - beta2) * gradient.square();
        store<T>(first + i, m);
        store<T>(second + i, v);
        direction = (correction1 * m) / ((correction2 * v).sqrt() + epsilon);
      } else if (first != nullptr) {
        const Packet<T> velocity = momentum * load(first + i) + gradient;
        store<T>(first + i, velocity);
        direction = nesterov ? Packet<T>(gradient + momentum * velocity) : velocity;
      }
      store<T>(w + i, kept * load(w + i) - rate * direction);
    }
  }
};

// Takes one finished tile of the gradient, times k, into the packed state and both layouts of W.
template <typename T>
void update_tile(const Weights<T>& w, const TrainingState<T>& state, const Update<T>& update, T k,
                 const WeightTile& tile, T* dW, T* db, T* dc) {
  const auto take = [&](T* Triple<T>::*array, Index first, Index count, bool decay, T* g) {
    for (Index i = 0; i < count; i += lanes<T>) store<T>(g + i, k * load(g + i));
    update.apply(count, decay, g, Values<T>::of_array(state, array).from(first));
  };
  take(&Triple<T>::W, w.rows_of(tile) - w.by_feature, tile.hidden * w.width, true, dW);
  for (Index j = 0; j < tile.hidden; j += w.width)
    transpose_tile(w, (tile.first_hidden + j) / w.width, tile.p);
  if (db != nullptr) take(&Triple<T>::b, tile.first_hidden, tile.hidden, false, db);
  if (dc != nullptr) take(&Triple<T>::c, tile.p * w.width, w.features_in(tile.p), false, dc);
}

}  // namespace dsmfast::DSMFAST_ISA
