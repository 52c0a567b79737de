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
  std::optional<py::array> targets;
  std::optional<py::array> sample;
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
  return {static_cast<T>(noise.sigma),
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
  data.target = options.target;
  if ((data.target == Target::given) != options.targets.has_value())
    throw py::value_error("targets: expected for Target.given, and for no other");
  if ((data.target == Target::posterior) != options.sample.has_value())
    throw py::value_error("sample: expected for Target.posterior, and for no other");
  if (options.targets) {
    data.targets = matrix<T>(*options.targets, "targets", features);
    if (data.targets.rows != data.points.rows)
      throw py::value_error("targets: expected as many rows as points");
  }
  if (options.sample) data.sample = matrix<T>(*options.sample, "sample", features);
  data.curvature = {static_cast<T>(options.variance), static_cast<T>(options.penalty)};
  data.noise = noise_data<T>(options.noise, data.points.rows, features);
  data.path = options.path;
  if (data.path == Path::gram &&
      (data.target == Target::posterior || data.noise.replacement.chance != 0))
    throw py::value_error("path: expected Path.explicit for this target or noise");
  data.rows = data.points.rows;
  if (order) {
    data.rows = order->ndim() == 1 ? order->shape(0) : 0;
    if (data.rows < 1) throw py::value_error("order: expected at least one row");
    data.order = contiguous<Index>(*order, "order", {data.rows});
    for (Index i = 0; i < data.rows; ++i)
      if (data.order[i] < 0 || data.order[i] >= data.points.rows)
        throw py::value_error("order: row " + std::to_string(data.order[i]) + " is not in points");
  }
  return data;
}

// Multiplications, about, of a visit to all rows.
template <typename T>
double operations_of(const Regression<T>& data, Index hidden) {
  const double visits = product_of(data.rows, data.noise.draws);
  return visits * product_of(data.points.columns, 5 * hidden + data.sample.rows);
}

}  // namespace dsmfast::bindings
