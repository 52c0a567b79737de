// The points, targets and noise of a regression, as Python hands them over.
#pragma once

#include <optional>

#include "arrays.hpp"

namespace dsmfast::bindings {

// Mirrors dsmfast::Noise; `given` is (draws, n, d) or absent.
struct NoiseOptions {
  double sigma;
  std::optional<py::array> given;
  std::uint64_t seed;
  std::uint32_t step;
  Stream stream;
  Index draws;
};

template <typename T>
Regression<T> regression_data(const py::array& points, const std::optional<py::array>& targets,
                              const std::optional<py::array>& order, const NoiseOptions& noise,
                              Index features) {
  if (noise.draws < 1) throw py::value_error("draws: expected at least 1");
  Regression<T> data{};
  data.points = matrix<T>(points, "points", features);
  if (targets) {
    data.targets = matrix<T>(*targets, "targets", features);
    if (data.targets.rows != data.points.rows)
      throw py::value_error("targets: expected as many rows as points");
  }
  data.rows = data.points.rows;
  if (order) {
    data.rows = order->ndim() == 1 ? order->shape(0) : 0;
    if (data.rows < 1) throw py::value_error("order: expected at least one row");
    data.order = contiguous<Index>(*order, "order", {data.rows});
    for (Index i = 0; i < data.rows; ++i)
      if (data.order[i] < 0 || data.order[i] >= data.points.rows)
        throw py::value_error("order: row " + std::to_string(data.order[i]) + " is not in points");
  }
  data.noise = {
      static_cast<T>(noise.sigma), nullptr, noise.seed, noise.step, noise.stream, noise.draws};
  if (noise.given)
    data.noise.given =
        contiguous<T>(*noise.given, "noise", {noise.draws, data.points.rows, features});
  return data;
}

}  // namespace dsmfast::bindings
