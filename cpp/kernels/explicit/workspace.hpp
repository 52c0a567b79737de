// The memory of the explicit path.
#pragma once

#include "kernels/batch/batch.hpp"
#include "kernels/curvature/curvature.hpp"
#include "kernels/parzen/few_features.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path {

// What the memory of a batch follows from.
struct Sizes {
  Index d, h;
  Index capacity, chunks;  // visits of a chunk, and how many there are of these
  Index few;               // whether few_features.hpp does it
  curvature::Form form;
  Index posterior;  // whether any visit has the posterior mean as its target
  Index weighted;
};

constexpr Index most_features = parzen::most_few;  // of few, which are one panel

// Rows of a tile of few features, whatever the number of threads: what a tile adds to the gradient is
// summed up on its own. Whole blocks of noise.
constexpr Index few_rows_of_tile = 2 * counters;

// Where by_panels.hpp serves: W stays in no core's cache beside its rows, or not in all caches together.
constexpr Index few_rows = 128;
constexpr Index large_weights = Index{1} << 18, huge_weights = Index{1} << 22;  // bytes

template <typename T>
Index bytes_of_weights(const Sizes& sizes) {
  return sizes.d * sizes.h * static_cast<Index>(sizeof(T));
}

template <typename T>
Sizes sizes_for(Index d, Index h, Index rows, const Regression<T>& data) {
  const Index visits = rows * data.noise.draws, capacity = chunk_rows(visits, 2 * (d + h), d * h);
  const Index chunks = (visits + capacity - 1) / capacity;
  const bool few = d <= most_features && d <= panel_width<T> && data.target != Target::posterior &&
                   data.curvature.penalty == T(0);
  const curvature::Form form = curvature::form_for(data.curvature, visits, d, h);
  return {d, h, capacity, chunks, few, form, has_posterior(data), is_weighted(data)};
}

template <typename T>
double operations(Index d, Index h, Index rows, const Regression<T>& data) {
  double visit = row_operations(5, d, h);
  const Reference<T>& reference = data.reference;
  if (has_posterior(data))
    visit += row_operations(2, d, reference.points > 0 ? reference.points : reference.sample.rows);
  return visit * static_cast<double>(rows * data.noise.draws);
}

// A chunk of rows, or a tile of it: 2 (d + h) values a row; with a penalty, or a sample's posterior,
// half as many again.
template <typename T>
struct Chunk {
  Matrix<T> X, R;   // (B, d), in panels: corrupted points x~, residuals
  Matrix<T> H, dA;  // (B, h), in panels
  double* loss;     // (B,): of each row
  T* weight;        // (B,): of each row; null: 1
  curvature::Rows<T> curvature;
  // Of the posterior mean:
  Index ldx;                  // leading dimension
  Index* asked;               // (B,): whether a row has it as its target; then, which ones have
  T* Q;                       // (B, ldx): x~ of these in the sample's frame
  parzen::Sums<T> posterior;  // Y (B, ldx)

  static Chunk carve(Arena& arena, const Sizes& sizes) {
    const Index capacity = sizes.capacity;
    Chunk s{};
    for (Matrix<T>* matrix : {&s.X, &s.R}) *matrix = Matrix<T>::carve(arena, capacity, sizes.d);
    for (Matrix<T>* matrix : {&s.H, &s.dA}) *matrix = Matrix<T>::carve(arena, capacity, sizes.h);
    arena.take(capacity, s.loss);
    if (sizes.weighted) arena.take(capacity, s.weight);
    s.curvature = curvature::Rows<T>::carve(arena, sizes.form, capacity, sizes.d, sizes.h);
    if (sizes.posterior) {
      s.ldx = leading_dimension<T>(sizes.d);
      arena.take(capacity, s.asked);
      arena.take(capacity * s.ldx, s.Q);
      s.posterior = parzen::Sums<T>::carve(arena, capacity, s.ldx, true);
    }
    return s;
  }

  Chunk from(Index i) const {
    Chunk s = *this;
    s.X = X.from(i), s.R = R.from(i), s.H = H.from(i), s.dA = dA.from(i);
    s.loss = loss + i;
    if (weight != nullptr) s.weight = weight + i;
    s.curvature = curvature.from(i);
    if (Q != nullptr) s.asked = asked + i, s.Q = Q + i * ldx, s.posterior = posterior.from(i, ldx);
    return s;
  }
};

// A chunk of points of few features, which are in rows, padded with zeros to 2, 4 or 8 of them.
template <typename T>
struct FewFeatures {
  Index ldx;     // leading dimension of (d, B)
  T *X, *R;      // (most_features, ldx): corrupted points x~, residuals
  double* loss;  // (B,): of each row
  T* weight;     // (B,): of each row; null: 1
  T* total;      // (most_features + 2, h_pad): dW', db and the sum of S = H o (1 - H)
  T* sum;        // (tiles, most_features + 2, h_pad): the same of each tile
  // Of the posterior mean:
  // (B,): whether a row has it as its target; then, of a thread's rows, which ones have
  Index* asked;
  T* Q;          // (B, most_features): x~ of these in the sample's frame
  double* sums;  // (B, few_sums)

  static FewFeatures carve(Arena& arena, const Sizes& sizes) {
    FewFeatures s{};
    s.ldx = (sizes.capacity / counters + 1) * counters;
    arena.take(most_features * s.ldx, s.X, s.R);
    arena.take(s.ldx, s.loss);
    if (sizes.weighted) arena.take(s.ldx, s.weight);
    if (sizes.posterior) {
      arena.take(s.ldx, s.asked);
      arena.take(s.ldx * most_features, s.Q);
      arena.take(s.ldx * parzen::few_sums, s.sums);
    }
    const Index tiles = (sizes.capacity + few_rows_of_tile - 1) / few_rows_of_tile;
    const Index sums = (most_features + 2) * padded<T>(sizes.h);
    arena.take(sums, s.total);
    arena.take(tiles * sums, s.sum);
    return s;
  }

  T* sum_of_tile(const Weights<T>& w, Index t) const {
    return sum + t * (most_features + 2) * w.h_pad;
  }
};

template <typename T>
struct Scratch {     // one a thread
  Index ldx, group;  // leading dimension; rows that are corrupted at a time, as fit in the cache
  T *drawn, *x, *t;  // (group, ldx): noise; points and targets whose columns are not adjacent
  T* panel;          // (tile_rows, width)
  double* panel64;   // (tile_rows, panel_width<double>)
  T *dW, *E;         // (hidden_block, width): dW, and S' dV of Form::features
  double* E64;       // (hidden_block, panel_width<double>): of Form::hidden
  T* sum;            // (h_pad,): S' 1, in the blocks of this thread; of Form::trace
  // Of few features:
  Matrix<T> H;  // (few_rows_of_tile, h), in panels
  T* partial;   // (most_features, lanes, lanes)
  // Of the posterior mean:
  parzen::Scratch<T> parzen;
  parzen::FewScratch<T> few;  // the same of few features

  static Scratch carve(Arena& arena, const Sizes& sizes) {
    Scratch s{};
    s.ldx = leading_dimension<T>(sizes.d);
    const Index fit = 1280 / s.ldx;
    s.group = fit < 4 ? 4 : smaller(fit, tile_rows);
    arena.take(s.group * s.ldx, s.drawn, s.x, s.t);
    arena.take(tile_rows * panel_width<T>, s.panel);
    arena.take(tile_rows * panel_width<double>, s.panel64);
    arena.take(hidden_block<T> * panel_width<T>, s.dW, s.E);
    arena.take(hidden_block<T> * panel_width<double>, s.E64);
    arena.take(padded<T>(sizes.h), s.sum);
    if (sizes.few) {
      s.H = Matrix<T>::carve(arena, few_rows_of_tile, sizes.h);
      arena.take(most_features * lanes<T> * lanes<T>, s.partial);
    }
    if (sizes.posterior && sizes.few) s.few = parzen::FewScratch<T>::carve(arena);
    if (sizes.posterior && !sizes.few) s.parzen = parzen::Scratch<T>::carve(arena, sizes.d);
    return s;
  }
};

template <typename T>
struct Workspace {
  Sizes sizes;
  Weights<T> w;
  curvature::Terms<T> curvature;
  Triple<T> total;  // the gradient: of batches of more than one chunk, else of b and c alone
  Chunk<T> chunk;
  FewFeatures<T> few;        // instead of the chunk
  double* panel_loss;        // (d / width, B): of by_panels; null where it does not serve
  parzen::Sample<T> sample;  // of the posterior mean, as are:
  T* centre;                 // (leading dimension,)
  ThreadArenas scratch;

  static Workspace carve(Arena& arena, const Sizes& sizes, int threads) {
    Workspace s{};
    s.sizes = sizes;
    s.w = Weights<T>::carve(arena, sizes.d, sizes.h);
    s.curvature = curvature::Terms<T>::carve(arena, sizes.form, sizes.d, sizes.h);
    s.total = carve_triple<T>(arena, sizes.d, sizes.h, sizes.chunks > 1 && !sizes.few);
    if (sizes.few)
      s.few = FewFeatures<T>::carve(arena, sizes);
    else
      s.chunk = Chunk<T>::carve(arena, sizes);
    const bool large = bytes_of_weights<T>(sizes) >= large_weights;
    const bool products =
        sizes.form == curvature::Form::features || sizes.form == curvature::Form::hidden;
    if (large && !products && !sizes.few)
      arena.take(s.w.feature_panels() * sizes.capacity, s.panel_loss);
    if (sizes.posterior) arena.take(leading_dimension<T>(sizes.d), s.centre);
    s.scratch = ThreadArenas::carve<Scratch<T>>(arena, threads, sizes);
    return s;
  }

  // Fills in what the batches have in common.
  void prepare(const Regression<T>& data) {
    curvature.prepare(data.curvature);
    if (!sizes.posterior) return;
    const Reference<T>& reference = data.reference;
    const bool around = reference.points > 0;
    const View<const T>& rows = around ? data.points : reference.sample;
    parzen::find_centre(rows, centre);
    sample =
        parzen::whole_sample(rows, around ? data.weights : reference.weights, centre,
                             static_cast<double>(data.noise.sigma), leading_dimension<T>(sizes.d));
    if (!around) return;
    sample.rows = smaller(reference.points, data.order_rows);
    sample.round = data.order;
    sample.around = data.order_rows;
  }

  // The rows that the posterior means of a batch are taken over.
  parzen::Sample<T> sample_of(const Batch<T>& batch) const {
    parzen::Sample<T> s = sample;
    s.first = batch.first;
    return s;
  }
};

}  // namespace dsmfast::DSMFAST_ISA::explicit_path
