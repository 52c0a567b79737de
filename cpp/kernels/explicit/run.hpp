// The explicit path: at the points, in d dimensions.
#pragma once

#include "kernels/explicit/by_panels.hpp"
#include "kernels/explicit/few_features.hpp"
#include "kernels/explicit/gradient.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path {

// The rows of this thread, forward and backward to dA.
template <typename T>
void run_rows(const Workspace<T>& s, const Batch<T>& batch, Index start, Index rows, bool backward,
              const Scratch<T>& scratch, const Thread& thread) {
  const Index tile = tile_for(rows, thread.size);
  const bool posterior = s.sizes.posterior;
  const Range share = thread.share((rows + tile - 1) / tile);
  if (posterior && share.begin < share.end) {
    const Index at = share.begin * tile;
    const Index end = smaller(share.end * tile, rows);
    place_points_in_sample(s, batch, start + at, end - at, s.chunk.from(at), scratch, thread);
  }
  for_tiles(rows, tile, thread, [&](Index at, Index count) {
    const Chunk<T> chunk = s.chunk.from(at);
    if (!posterior) place_points(s.w, batch, start + at, count, chunk, scratch, thread);
    run_tile(s.w, s.curvature, count, backward, chunk, scratch, thread);
  });
}

// One batch, and its sum. With `backward`, finish(...) is called on each tile of the gradient, in the
// last chunk, while it is in cache. README.md has the phases and their barriers.
template <typename T, typename Finish>
Outcome run(const Workspace<T>& s, const Batch<T>& batch, bool backward, const Thread& thread,
            double* sum, const Finish& finish) {
  const auto scratch = s.scratch.template of_thread<Scratch<T>>(thread.rank, s.sizes);
  const Index visits = batch.visits(), capacity = s.sizes.capacity;
  curvature::refresh(s.curvature, s.w, thread);
  double total = 0;
  for (Index start = 0; start < visits; start += capacity) {
    const Index rows = smaller(visits - start, capacity);
    const bool first = start == 0, last = start + capacity >= visits;
    if (s.sizes.few)
      few_features::run_rows(s, batch, start, rows, backward, scratch, thread);
    else if (by_panels::serves(s, rows, thread))
      by_panels::run(s, batch, start, rows, backward, scratch, thread);
    else
      run_rows(s, batch, start, rows, backward, scratch, thread);
    thread.barrier();
    if (thread.stopped()) return Outcome::interrupted;
    if (thread.rank == 0) total += sum_of(s.sizes.few ? s.few.loss : s.chunk.loss, rows);
    if (thread.rank == 0 && last) *sum = total;
    if (backward && s.sizes.form == curvature::Form::hidden) {
      curvature::hidden_add_pairs(s.curvature.hidden, rows, s.chunk.curvature.S64, s.chunk.weight,
                                  first, thread);
      thread.lap(Region::pairs);
      thread.barrier();
    }
    if (backward && s.sizes.few)
      few_features::run_units(s, rows, first, last, scratch, thread, finish);
    else if (backward)
      gradient_tiles(s, rows, first, last, scratch, thread, finish);
    thread.lap(Region::gradient);
    thread.barrier();
  }
  return Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA::explicit_path
