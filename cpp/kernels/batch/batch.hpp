// What the paths share of a batch: which rows, in which noise, and where its gradient goes.
#pragma once

#include "kernels/random/scales.hpp"

namespace dsmfast::DSMFAST_ISA {

// Which rows: visit v = draw * rows + i is row order[first + i] of the data, in its draw-th noise.
template <typename T>
struct Batch {
  const Regression<T>* data;
  Index first, rows;   // a slice of the order
  std::uint32_t step;  // of the noise

  Index visits() const { return rows * data->noise.draws; }
  // The row at a place of the order.
  Index row(Index place) const { return data->order != nullptr ? data->order[place] : place; }
};

// Whether visits count differently.
template <typename T>
bool is_weighted(const Regression<T>& data) {
  return data.weights != nullptr || data.noise.scales.chance != 0;
}

// Whether any of them has the posterior mean as its target.
template <typename T>
bool has_posterior(const Regression<T>& data) {
  return data.target == Target::posterior ||
         (data.noise.scales.chance != 0 && data.coarse_target == Target::posterior);
}

// The visits of a tile. What belongs to one visit alone stands here.
template <typename T>
struct Visits {
  Index row[tile_rows];   // of the data
  Index draw[tile_rows];  // of the noise
  T sigma[tile_rows];     // of the noise, turned around for the second of an antithetic pair
  bool coarse[tile_rows];
  // If the visits are weighted:
  T weight[tile_rows];  // of the row, times (sigma / s)^exponent
  T ratio[tile_rows];   // s / sigma

  Visits(const Batch<T>& batch, Index first, Index count) {
    const Regression<T>& data = *batch.data;
    const Noise<T>& noise = data.noise;
    Index m = first / batch.rows, i = first % batch.rows;
    for (Index v = 0; v < count; ++v) {
      const bool mirrored = noise.antithetic && m % 2 == 1;
      row[v] = batch.row(batch.first + i);
      draw[v] = mirrored ? m - 1 : m;
      sigma[v] = mirrored ? -noise.sigma : noise.sigma;
      coarse[v] = false;
      if (++i == batch.rows) i = 0, ++m;
    }
    if (!is_weighted(data)) return;
    for (Index v = 0; v < count; ++v) {
      weight[v] = data.weights != nullptr ? data.weights[row[v]] : T(1);
      ratio[v] = T(1);
    }
    if (noise.scales.chance != 0) rescale(batch, count);
  }

  void rescale(const Batch<T>& batch, Index count) {
    const Noise<T>& noise = batch.data->noise;
    T log_scale[tile_rows];
    draw_scales(
        noise, batch.step, count, [&](Index v) { return row[v]; }, [&](Index v) { return draw[v]; },
        log_scale);
    for (Index v = 0; v < count; ++v) coarse[v] = log_scale[v] > T(0);
    for (Index v = 0; v < count; v += lanes<T>) {
      const Packet<T> scale = load(log_scale + v).exp();
      store<T>(ratio + v, scale);
      store<T>(sigma + v, load(sigma + v) * scale);
      store<T>(weight + v, load(weight + v) * (-noise.scales.exponent * load(log_scale + v)).exp());
    }
  }

  // What visit v is regressed on.
  Target target(const Regression<T>& data, Index v) const {
    return coarse[v] ? data.coarse_target : data.target;
  }

  // The noise of visit v, where it is given: (d,).
  const T* given(const Regression<T>& data, Index v) const {
    return data.noise.given + (draw[v] * data.points.rows + row[v]) * data.points.columns;
  }
};

// What noise does to the points.
struct Corruption {
  bool overwrites;  // features
  bool adds;        // sigma E
  bool draws;       // either, by the noise stream

  template <typename T>
  explicit Corruption(const Noise<T>& noise)
      : overwrites(noise.replacement.chance != 0),
        adds(noise.sigma != T(0) && !overwrites),
        draws(overwrites || (adds && noise.given == nullptr)) {}
};

// Rows of a chunk, which keeps so many values a row near the cores (8 MB in float32), whatever the
// batch is: as equal as can be, and fixed by the shape alone. More than one needs the gradient to be
// kept between them, so there may be as many values as that has.
inline Index chunk_rows(Index rows, Index values, Index gradient) {
  const Index near = Index{1} << 21;
  const Index fit = (gradient > near ? gradient : near) / values;
  const Index most = fit < 32 ? 32 : fit > 2048 ? 2048 : fit;
  const Index chunks = (rows + most - 1) / most;
  return (rows + chunks - 1) / chunks;
}

// Hidden units of a tile of the gradient: long enough that packing R and X~ disappears, short enough
// to balance.
template <typename T>
constexpr Index hidden_block = 2 * panel_width<T>;

// Draws what corrupts the visits: fill(row_of, draw_of, transform) takes it from the stream.
template <typename T, typename Fill>
DSMFAST_INLINE void draw_noise(const Noise<T>& noise, const Visits<T>& visits, const Fill& fill) {
  const Corruption corruption(noise);
  const auto row_of = [&](Index v) { return visits.row[v]; };
  const auto draw_of = [&](Index v) { return visits.draw[v]; };
  if (corruption.overwrites)
    fill(row_of, draw_of, ToMarks{noise.replacement.chance});
  else if (corruption.draws)
    fill(row_of, draw_of, ToNormals{});
}

}  // namespace dsmfast::DSMFAST_ISA
