// A batch, forward and backward, on either path: memory, and who does what.
#pragma once

#include "few_features.hpp"
#include "row_space_gradient.hpp"

namespace dsmfast::DSMFAST_ISA {

// Sizes that the memory of a call follows from.
struct Layout {
  Path path;
  Index d, h;
  Index visits;    // of a batch
  Index capacity;  // of a chunk: visits, on the row-space path rows
  bool chunks;     // whether a batch is more than one
  bool few;        // few features, on Path::explicit_
  Form form;
  Target target;
  RowSpaceForm row_space;
  Index draws;
  bool given_noise;
  int threads;

  // A number that only batches with the same use of memory have in common; not 0.
  std::uint64_t shape() const {
    std::uint64_t hash = 14695981039346656037u;  // FNV-1a, of words
    for (const Index value :
         {static_cast<Index>(path), d, h, visits, capacity, static_cast<Index>(form),
          static_cast<Index>(target), static_cast<Index>(row_space.noisy),
          static_cast<Index>(row_space.targets), static_cast<Index>(row_space.itself), draws,
          static_cast<Index>(threads)})
      hash = (hash ^ static_cast<std::uint64_t>(value)) * 1099511628211u;
    return hash | 1;
  }
};

template <typename T>
Layout layout(Index d, Index h, Index rows, const Regression<T>& data, int threads) {
  const Index draws = data.noise.draws, visits = rows * draws;
  Layout of{};
  of.path = data.path;
  of.d = d;
  of.h = h;
  of.visits = visits;
  of.target = data.target;
  of.draws = draws;
  of.given_noise = data.noise.given != nullptr;
  double operations = 0;
  if (data.path == Path::gram) {
    of.row_space = RowSpaceForm::of(data);
    of.form = of.row_space.curvature;
    of.capacity = RowSpace<T>::rows_for(rows, d, h);
    of.chunks = rows > of.capacity;
    operations = row_operations(2, d, h) * static_cast<double>(rows + h) +
                 row_operations(3, h, h) * static_cast<double>(visits);
  } else {
    of.few = FewFeatures<T>::serve(d, data);
    of.form = form_for(data.curvature, visits, d, h);
    of.capacity = Chunk<T>::rows_for(visits, d, h);
    of.chunks = visits > of.capacity;
    operations = row_operations(5, d, h);
    if (data.target == Target::posterior) operations += row_operations(2, d, data.sample.rows);
    operations *= static_cast<double>(visits);
  }
  // Each step W would travel between the caches of the threads. Where it fits in one, that takes
  // longer than a few rows do.
  const bool stay = visits < 16 && Weights<T>::bytes(d, h) < Index{1} << 20;
  of.threads = stay ? 1 : worthwhile(threads, operations);
  return of;
}

// Everything one batch needs.
template <typename T>
struct Workspace {
  Layout of;
  Weights<T> w;
  Curve<T> curve;
  GradientSum<T> total;
  Chunk<T> chunk;  // of Path::explicit_
  FewFeatures<T> few;
  Sample<T> sample;  // of Target::posterior, as are:
  T *centre, *centre_row;
  RowSpace<T> row_space;  // of Path::gram
  Arena scratch;          // of the threads, one after the other
  Index scratch_bytes;    // of each

  struct Scratch {  // one a thread
    GradientScratch<T> gradient;
    FewFeaturesScratch<T> few;
    RowScratch<T> rows;
    ParzenScratch<T> parzen;  // of Target::posterior
    RowSpaceScratch<T> row_space;
  };
  Scratch carve_scratch(Arena& mine) const {
    Scratch s{};
    if (of.path == Path::gram) {
      s.row_space = RowSpaceScratch<T>::carve(mine, row_space, of.h, of.given_noise);
      return s;
    }
    if (of.few) {
      s.few = FewFeaturesScratch<T>::carve(mine);
      return s;
    }
    s.gradient = GradientScratch<T>::carve(mine, of.h);
    s.rows = RowScratch<T>::carve(mine, of.d);
    if (of.target == Target::posterior) s.parzen = ParzenScratch<T>::carve(mine, of.d);
    return s;
  }
  Scratch scratch_of(int rank) const {
    Arena mine{scratch.next + rank * scratch_bytes};
    return carve_scratch(mine);
  }

  // Carved, not yet filled; what has no use stays null.
  static Workspace carve(Arena& arena, const Layout& of) {
    Workspace s{};
    s.of = of;
    s.w = Weights<T>::carve(arena, of.d, of.h);
    s.curve = Curve<T>::carve(arena, of.form, of.d, of.h);
    s.total = GradientSum<T>::carve(arena, of.d, of.h, of.chunks && !of.few);
    if (of.path == Path::gram)
      s.row_space = RowSpace<T>::carve(arena, of.row_space, of.capacity, of.d, of.h, of.draws);
    else if (of.few)
      s.few = FewFeatures<T>::carve(arena, of.capacity, of.h);
    else
      s.chunk = Chunk<T>::carve(arena, of.capacity, of.d, of.h, of.form, of.target);
    if (of.target == Target::posterior) {
      s.centre = arena.take<T>(leading_dimension<T>(of.d));
      s.centre_row = arena.take<T>(leading_dimension<T>(of.d));
    }
    s.scratch = arena;
    Arena scratch = arena;
    s.carve_scratch(scratch);
    s.scratch_bytes = scratch.used() - arena.used();
    arena.next += of.threads * s.scratch_bytes;
    return s;
  }
  static Index bytes(const Layout& of) {
    Arena arena = Arena::measuring();
    carve(arena, of);
    return arena.used();
  }

  // Fills in what the batches have in common.
  void prepare(const Regression<T>& data) {
    curve.prepare(data.curvature);
    if (of.path == Path::gram) row_space.queues->refill();
    if (of.target != Target::posterior) return;
    find_centre(data.sample, centre_row, centre);
    sample = {data.sample, centre, data.noise.sigma, T(1) / data.noise.sigma,
              leading_dimension<T>(of.d)};
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
    place_points_in_sample(w, batch, start + at, end - at, chunk, at, work.sample, scratch.rows,
                           scratch.parzen, team, watch);
  }
  for (Index t = share.begin; t < share.end && !watch.stopped(); ++t) {
    const Index at = t * tile;
    const Index count = rows - at < tile ? rows - at : tile;
    if (!posterior)
      place_points(w, batch, start + at, count, chunk.X.from(at), chunk.R.from(at), scratch.rows,
                   team);
    regression_tile(w, work.curve, count, backward, chunk, at, scratch.rows, team);
    watch.look();
  }
}

// The explicit path. For each chunk: tiles of rows, barrier, what the curvature sums over rows,
// barrier, tiles of the gradient, barrier. In the last chunk a tile of the gradient is handed over
// while it is in cache.
//
// The loss, summed over the batch. With `backward`, finish(...) is called on each tile of the
// gradient; all threads return the same Outcome, after a barrier.
template <typename T, typename Finish>
Outcome run_explicit(const Workspace<T>& work, const Batch<T>& batch, bool backward,
                     const Team& team, const Watch& watch, double* sum, const Finish& finish) {
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
    if (team.rank == 0) total += sum_of(chunk.loss, rows);
    if (team.rank == 0 && last) *sum = total;
    if (backward && curve.form == Form::hidden) {
      add_pairs(curve.hidden, rows, chunk.S64, first, team);
      team.lap(Region::pairs);
      team.barrier();
    }
    if (backward)
      gradient_tiles(work.w, curve, chunk, rows, first, last, work.total, scratch.gradient, team,
                     finish);
    team.lap(Region::gradient);
    team.barrier();
  }
  return Outcome::finished;
}

// Calls work(first, count) for tiles of rows from a queue, as long as nobody asked to stop.
template <typename Work>
void for_tiles(Queue& queue, Index rows, const Team& team, const Watch& watch, const Work& work) {
  while (!watch.stopped()) {
    const Range tile = queue.take_share(rows, team.size, block_rows, tile_rows);
    if (tile.begin >= rows) return;
    work(tile.begin, tile.end - tile.begin);
    watch.look();
  }
}

// The row-space path. K, barrier; its root beside the product P, barrier; for each group of draws
// the core by tiles of rows, barrier, sums over pairs of hidden units, barrier; panels of the
// gradient, each handed over while it is in cache, barrier.
template <typename T, typename Finish>
Outcome run_row_space(const Workspace<T>& work, const Batch<T>& batch, bool backward,
                      const Team& team, const Watch& watch, double* sum, const Finish& finish) {
  const Weights<T>& w = work.w;
  const RowSpace<T>& s = work.row_space;
  const Regression<T>& data = *batch.data;
  const Noise<T>& noise = data.noise;
  const RowSpaceScratch<T> scratch = work.scratch_of(team.rank).row_space;
  refresh(work.curve, w, team, watch);
  refresh(s.gram, w, team, watch);
  team.lap(Region::gram);
  team.barrier();
  if (team.rank == 0 && s.form.noisy && noise.given == nullptr) factorize(s.gram, watch);
  team.lap(Region::gram);
  double total = 0;
  for (Index start = 0; start < batch.rows; start += s.capacity) {
    const Index rows = batch.rows - start < s.capacity ? batch.rows - start : s.capacity;
    const bool first = start == 0, last = start + s.capacity >= batch.rows;
    for_tiles(s.queues->project, rows, team, watch, [&](Index at, Index count) {
      const Visits visits(batch, start + at, count);
      project(w, data.points, visits.row, count, at, s.ldx, s.ldh, s.Y, s.P, s.square, team);
      if (s.form.targets)
        project(w, data.targets, visits.row, count, at, s.ldx, s.ldh, s.Yt, s.Pt, s.square, team);
    });
    team.barrier();
    for (Index m = 0; m < noise.draws; m += s.group) {
      const Index draws = noise.draws - m < s.group ? noise.draws - m : s.group;
      for_tiles(s.queues->core, rows, team, watch, [&](Index at, Index count) {
        const Visits visits(batch, start + at, count);
        for (Index k = 0; k < draws; ++k)
          core_tile(w, work.curve, s, batch, m + k, visits.row, count, at, k * rows + at, backward,
                    scratch, team);
        team.lap(Region::core);
      });
      team.barrier();
      // All see the same: nobody raises the flag between this barrier and the next.
      if (watch.stopped()) return Outcome::interrupted;
      const bool ends = last && m + draws == noise.draws;
      if (team.rank == 0) {
        total += sum_of(s.loss, draws * rows);
        if (ends) *sum = total;
        s.queues->refill();
      }
      if (backward) {
        add_pairs(w, s, draws * rows, first && m == 0, team);
        if (s.form.curvature == Form::hidden)
          add_pairs(work.curve.hidden, draws * rows, s.S64, first && m == 0, team);
        if (ends) conclude_pairs(w, work.curve, s, noise.sigma, team);
      }
      team.lap(Region::pairs);
      team.barrier();
    }
    if (!backward) continue;
    for (Index p = s.queues->panels.take(); p < w.feature_panels(); p = s.queues->panels.take()) {
      T* dW = work.total.W == nullptr ? scratch.dW : work.total.W + p * w.h_pad * w.width;
      T* dc = work.total.c + p * w.width;
      // A narrow last panel leaves the rest of its rows alone: what stands there must be zero.
      if (first) std::memset(dW, 0, static_cast<std::size_t>(w.h_pad * w.width) * sizeof(T));
      add_rows(w, s, rows, p, first, scratch.packed, dW, dc);
      if (!last) continue;
      conclude_panel(w, work.curve, s, noise, batch.rows, p, scratch.E64, dW, dc);
      T* db = nullptr;
      if (p == 0) {
        // A copy: the other panels still read the sum.
        db = work.total.b;
        std::memcpy(db, s.sum_dA, static_cast<std::size_t>(w.h_pad) * sizeof(T));
      }
      finish(GradientTile{p, 0, w.h}, dW, db, dc);
    }
    team.lap(Region::gradient);
    team.barrier();
  }
  return Outcome::finished;
}

// The batch on its path.
template <typename T, typename Finish>
Outcome run_batch(const Workspace<T>& work, const Batch<T>& batch, bool backward, const Team& team,
                  const Watch& watch, double* sum, const Finish& finish) {
  if (work.of.path == Path::gram)
    return run_row_space(work, batch, backward, team, watch, sum, finish);
  if (work.of.few) {
    refresh(work.curve, work.w, team, watch);
    return run_few_features(work.w, work.curve, work.few, work.scratch_of(team.rank).few,
                            work.total, batch, backward, team, watch, sum, finish);
  }
  return run_explicit(work, batch, backward, team, watch, sum, finish);
}

}  // namespace dsmfast::DSMFAST_ISA
