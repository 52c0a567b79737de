// A batch, forward and backward: memory, and who does what.
//
// For each chunk: tiles of rows, barrier, what the curvature sums over rows, barrier, tiles of the
// gradient, barrier. In the last chunk a tile of the gradient is handed over while it is in cache.
#pragma once

#include "gradient.hpp"

namespace dsmfast::DSMFAST_ISA {

// Sizes that the memory of a call follows from.
struct Layout {
  Index d, h;
  Index visits;    // of a batch
  Index capacity;  // of a chunk
  Form form;
  Target target;
  int threads;
};

template <typename T>
Layout layout(Index d, Index h, Index visits, const Regression<T>& data, int threads) {
  double operations = row_operations(5, d, h);
  if (data.target == Target::posterior) operations += row_operations(2, d, data.sample.rows);
  return {d,
          h,
          visits,
          Chunk<T>::rows_for(visits, d, h),
          form_for(data.curvature, visits, d, h),
          data.target,
          worthwhile(threads, operations * static_cast<double>(visits))};
}

// Everything one batch needs.
template <typename T>
struct Workspace {
  Layout of;
  Weights<T> w;
  Curve<T> curve;
  Chunk<T> chunk;
  GradientSum<T> total;
  Sample<T> sample;  // of Target::posterior
  Arena scratch;     // of the threads, one after the other

  static Index scratch_bytes(const Layout& of) {
    return GradientScratch<T>::bytes(of.capacity, of.h, of.form) + RowScratch<T>::bytes() +
           (of.target == Target::posterior ? ParzenScratch<T>::bytes(of.d) : 0);
  }
  static Index bytes(const Layout& of) {
    return Weights<T>::bytes(of.d, of.h) + Curve<T>::bytes(of.form, of.d, of.h) +
           Chunk<T>::bytes(of.capacity, of.d, of.h, of.form, of.target) +
           GradientSum<T>::bytes(of.d, of.h, of.visits > of.capacity) +
           2 * Arena::bytes<T>(leading_dimension<T>(of.d)) + of.threads * scratch_bytes(of);
  }
  static Workspace carve(Arena& arena, const Layout& of, const Regression<T>& data) {
    Workspace s{};
    s.of = of;
    s.w = Weights<T>::carve(arena, of.d, of.h);
    s.curve = Curve<T>::carve(arena, of.form, data.curvature, of.d, of.h);
    s.chunk = Chunk<T>::carve(arena, of.capacity, of.d, of.h, of.form, of.target);
    s.total = GradientSum<T>::carve(arena, of.d, of.h, of.visits > of.capacity);
    if (of.target == Target::posterior) {
      const Index ld = leading_dimension<T>(of.d);
      T* row = arena.take<T>(ld);
      T* centre = arena.take<T>(ld);
      find_centre(data.sample, row, centre);
      s.sample = {data.sample, centre, data.noise.sigma, T(1) / data.noise.sigma, ld};
    }
    s.scratch = arena;
    return s;
  }

  struct Scratch {  // one a thread
    GradientScratch<T> gradient;
    RowScratch<T> rows;
    ParzenScratch<T> parzen;  // of Target::posterior
  };
  Scratch scratch_of(int rank) const {
    Arena mine{scratch.next + rank * scratch_bytes(of)};
    Scratch s{};
    s.gradient = GradientScratch<T>::carve(mine, of.capacity, of.h, of.form);
    s.rows = RowScratch<T>::carve(mine);
    if (of.target == Target::posterior) s.parzen = ParzenScratch<T>::carve(mine, of.d);
    return s;
  }
};

// The rows of this thread, forward and backward to dA.
template <typename T>
void run_rows(const Workspace<T>& work, const Batch<T>& batch, Index start, Index rows,
              bool backward, const typename Workspace<T>::Scratch& scratch, const Team& team,
              const Watch& watch) {
  const Weights<T>& w = work.w;
  const Chunk<T>& chunk = work.chunk;
  const Index tile = tile_for(rows, team.size);
  const Range share = team.share((rows + tile - 1) / tile);
  const bool posterior = work.of.target == Target::posterior;
  if (posterior && share.begin < share.end) {
    const Index at = share.begin * tile;
    const Index end = share.end * tile < rows ? share.end * tile : rows;
    place_points_in_sample(w, batch, start + at, end - at, chunk, at, work.sample, scratch.parzen,
                           watch);
  }
  for (Index t = share.begin; t < share.end && !watch.stopped(); ++t) {
    const Index at = t * tile;
    const Index count = rows - at < tile ? rows - at : tile;
    if (!posterior)
      place_points(w, batch, start + at, count, chunk.X + at * chunk.ldx, chunk.R + at * chunk.ldx,
                   chunk.ldx);
    regression_tile(w, work.curve, count, backward, chunk, at, scratch.rows);
    watch.look();
  }
}

// The loss, summed over the batch. With `backward`, finish(...) is called on each tile of the
// gradient; all threads return the same Outcome, after a barrier.
template <typename T, typename Finish>
Outcome run_batch(const Workspace<T>& work, const Batch<T>& batch, bool backward, const Team& team,
                  const Watch& watch, double* sum, const Finish& finish) {
  const typename Workspace<T>::Scratch scratch = work.scratch_of(team.rank);
  const Index visits = batch.visits(), capacity = work.of.capacity;
  const Curve<T>& curve = work.curve;
  const Chunk<T>& chunk = work.chunk;
  refresh(curve, work.w, team, watch);
  double total = 0;
  for (Index start = 0; start < visits; start += capacity) {
    const Index rows = visits - start < capacity ? visits - start : capacity;
    const bool first = start == 0, last = start + capacity >= visits;
    run_rows(work, batch, start, rows, backward, scratch, team, watch);
    team.barrier();
    // All see the same: nobody raises the flag between this barrier and the next.
    if (watch.stopped()) return Outcome::interrupted;
    if (team.rank == 0)
      for (Index i = 0; i < rows; ++i) total += chunk.loss[i];
    if (team.rank == 0 && last) *sum = total;
    if (backward && curve.form == Form::hidden) {
      add_pairs(curve.hidden, rows, chunk.S64, first, team);
      team.barrier();
    }
    if (backward)
      gradient_tiles(work.w, curve, chunk, rows, first, last, work.total, scratch.gradient, team,
                     finish);
    team.barrier();
  }
  return Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA
