// The regression and its noise, as Python hands them over.
#pragma once

#include <optional>

#include "arrays.hpp"
#include "execution.hpp"

namespace dsmfast::bindings {

// Noise in double, and in place of what is given its array, (draws, n, d).
struct NoiseOptions : Noise<double> {
  std::optional<py::array> array;
};

// Mirrors dsmfast::Regression without the order.
struct RegressionOptions {
  py::array points;
  NoiseOptions noise;
  Target target;
  Target coarse_target;
  std::optional<py::array> targets;
  std::optional<py::array> sample, sample_weights;
  Index reference;
  std::optional<py::array> weights;
  double variance, penalty;
  Path path;
};

template <typename T>
Noise<T> noise_data(const NoiseOptions& noise, Index rows, Index features) {
  if (noise.draws < 1) throw py::value_error("draws: expected at least 1");
  if (noise.antithetic && noise.array)
    throw py::value_error("antithetic: expected noise that is drawn");
  const std::vector<Index> shape{noise.draws, rows, features};
  const T* given = noise.array ? contiguous<T>(*noise.array, "noise", shape) : nullptr;
  const Replacement<T> replacement{noise.replacement.chance, static_cast<T>(noise.replacement.low),
                                   static_cast<T>(noise.replacement.high)};
  const Scales<T> scales{noise.scales.chance, static_cast<T>(noise.scales.log_ratio),
                         static_cast<T>(noise.scales.exponent)};
  return {static_cast<T>(noise.sigma),
          scales,
          replacement,
          given,
          noise.seed,
          noise.step,
          noise.stream,
          noise.first_row,
          noise.draws,
          noise.antithetic};
}

template <typename T>
Regression<T> regression_data(const RegressionOptions& options,
                              const std::optional<py::array>& order, Index features) {
  Regression<T> data{};
  data.points = matrix<T>(options.points, "points", features);
  const Index n = data.points.rows;
  data.target = options.target;
  data.coarse_target = options.coarse_target;
  data.noise = noise_data<T>(options.noise, n, features);
  if ((data.target == Target::given) != options.targets.has_value())
    throw py::value_error("targets: expected for Target.given, and for no other");
  const bool coarse = data.noise.scales.chance != 0;
  const bool posterior =
      data.target == Target::posterior || (coarse && data.coarse_target == Target::posterior);
  if (posterior != (options.sample.has_value() || options.reference > 0))
    throw py::value_error("sample, reference: expected for Target.posterior, and for no other");
  if (coarse && (data.noise.sigma == T(0) || options.variance != 0))
    throw py::value_error("sigma_max: expected Gaussian noise, and no curvature");
  if (options.targets) {
    data.targets = matrix<T>(*options.targets, "targets", features);
    if (data.targets.rows != data.points.rows)
      throw py::value_error("targets: expected as many rows as points");
  }
  if (options.sample) {
    data.reference.sample = matrix<T>(*options.sample, "sample", features);
    if (options.sample_weights)
      data.reference.weights =
          contiguous<T>(*options.sample_weights, "sample_weights", {data.reference.sample.rows});
  }
  data.reference.points = options.reference;
  if (options.weights) data.weights = contiguous<T>(*options.weights, "weights", {n});
  data.curvature = {static_cast<T>(options.variance), static_cast<T>(options.penalty)};
  data.path = options.path;
  if (data.path == Path::gram && (posterior || data.noise.replacement.chance != 0))
    throw py::value_error("path: expected Path.explicit for this target or noise");
  data.order_rows = data.rows = n;
  if (order) {
    data.order_rows = data.rows = order->ndim() == 1 ? order->shape(0) : 0;
    if (data.rows < 1) throw py::value_error("order: expected at least one row");
    data.order = contiguous<Index>(*order, "order", {data.rows});
    for (Index i = 0; i < data.rows; ++i)
      if (data.order[i] < 0 || data.order[i] >= n)
        throw py::value_error("order: row " + std::to_string(data.order[i]) + " is not in points");
  }
  return data;
}

// The part of the order that is visited.
template <typename T>
void visit_part(Regression<T>& data, Index first, std::optional<Index> rows) {
  if (first < 0 || first >= data.order_rows)
    throw py::value_error("first: expected a place in the order");
  data.first = first;
  data.rows = rows.value_or(data.order_rows - first);
  if (data.rows < 1 || data.rows > data.order_rows - first)
    throw py::value_error("rows: expected at least one, and as many as the order has");
}

// Multiplications, about, of a visit to all rows.
template <typename T>
double operations_of(const Regression<T>& data, Index hidden) {
  const double visits = product_of(data.rows, data.noise.draws);
  const Reference<T>& reference = data.reference;
  return visits *
         product_of(data.points.columns, 5 * hidden + reference.sample.rows + reference.points);
}

}  // namespace dsmfast::bindings
