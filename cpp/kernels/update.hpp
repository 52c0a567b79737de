// Parameter updates, elementwise and fused: one pass over parameter, gradient and memory.
//
//   SGD    v = momentum v + g,   w -= rate (v, or g + momentum v with Nesterov)
//   Adam   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2,
//          w -= rate m^ / (sqrt(v^) + epsilon),   m^ = m / (1 - beta1^t),   v^ = v / (1 - beta2^t)
//   both   w -= rate * weight_decay * w first (decoupled), for W alone
#pragma once

#include <cmath>

#include "lanes.hpp"

namespace dsmfast::DSMFAST_ISA {

// The constants of one step, rounded to T once.
template <typename T>
struct Update {
  Rule rule;
  bool nesterov;
  T rate, momentum, keep;                             // keep = 1 - rate * weight_decay
  T beta1, beta2, epsilon, correction1, correction2;  // corrections: 1 / (1 - beta^t)

  Update(const Optimizer& o, double learning_rate, Index step)
      : rule(o.rule),
        nesterov(o.nesterov),
        rate(static_cast<T>(learning_rate)),
        momentum(static_cast<T>(o.momentum)),
        keep(static_cast<T>(1.0 - learning_rate * o.weight_decay)),
        beta1(static_cast<T>(o.beta1)),
        beta2(static_cast<T>(o.beta2)),
        epsilon(static_cast<T>(o.epsilon)),
        correction1(1),
        correction2(1) {
    const double t = static_cast<double>(o.steps_taken + step + 1);
    if (rule == Rule::adam) {
      correction1 = static_cast<T>(1.0 / (1.0 - std::pow(o.beta1, t)));
      correction2 = static_cast<T>(1.0 / (1.0 - std::pow(o.beta2, t)));
    }
  }

  // w, g and the memories in whole registers; first and second are null where the rule has none.
  void apply(Index count, bool decay, const T* g, T* w, T* first, T* second) const {
    const T kept = decay ? keep : T(1);
    for (Index i = 0; i < count; i += lanes<T>) {
      const Lanes<T> gradient = load(g + i);
      Lanes<T> direction = gradient;
      if (rule == Rule::adam) {
        const Lanes<T> m = beta1 * load(first + i) + (T(1) - beta1) * gradient;
        const Lanes<T> v = beta2 * load(second + i) + (T(1) - beta2) * gradient.square();
        store<T>(first + i, m);
        store<T>(second + i, v);
        direction = (correction1 * m) / ((correction2 * v).sqrt() + epsilon);
      } else if (first != nullptr) {
        const Lanes<T> velocity = momentum * load(first + i) + gradient;
        store<T>(first + i, velocity);
        direction = nesterov ? Lanes<T>(gradient + momentum * velocity) : velocity;
      }
      store<T>(w + i, kept * load(w + i) - rate * direction);
    }
  }
};

}  // namespace dsmfast::DSMFAST_ISA
