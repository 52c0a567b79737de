// The gram path: from X W' and W W', in h dimensions.
#pragma once

#include "kernels/gram/gradient.hpp"

namespace dsmfast::DSMFAST_ISA::gram {

// Draws m ... m + draws of the rows of this chunk, and of the thread, through the core.
template <typename T>
void run_core(const Workspace<T>& s, const Batch<T>& batch, Index start, Index rows, Index m,
              Index draws, bool backward, const Scratch<T>& scratch, const Thread& thread) {
  for_tiles(s.queues->core, rows, thread, [&](Index at, Index count) {
    for (Index k = 0; k < draws; ++k) {
      const Visits<T> visits(batch, (m + k) * batch.rows + start + at, count);
      core_tile(s, batch, m + k, {count, at, k * rows + at}, visits, backward, scratch, thread);
    }
    thread.lap(Region::core);
  });
}

// Panels of the gradient, summed over the chunk and, in the last, handed over.
template <typename T, typename Finish>
void run_panels(const Workspace<T>& s, const Batch<T>& batch, Index rows, bool first, bool last,
                const Scratch<T>& scratch, const Finish& finish) {
  const Weights<T>& w = s.w;
  for (Index p = s.queues->panels.take(); p < w.feature_panels(); p = s.queues->panels.take()) {
    T* dW = s.total.W == nullptr ? scratch.dW : s.total.W + p * w.h_pad * w.width;
    T* dc = s.total.c + p * w.width;
    // A narrow last panel leaves the rest of its rows alone: what stands there must be zero.
    if (first) clear(dW, w.h_pad * w.width);
    add_rows(s, rows, p, first, scratch.packed, dW, dc);
    if (!last) continue;
    finish_panel(s, batch, p, scratch.E64, dW, dc);
    // A copy: the other panels still read the sum.
    T* db = p == 0 ? s.total.b : nullptr;
    if (db != nullptr) copy(s.sum_dA, w.h_pad, db);
    finish(WeightTile{p, 0, w.h}, dW, db, dc);
  }
}

// One batch, and its sum. With `backward`, finish(...) is called on each panel of the gradient, in the
// last chunk, while it is in cache. README.md has the phases and their barriers.
template <typename T, typename Finish>
Outcome run(const Workspace<T>& s, const Batch<T>& batch, bool backward, const Thread& thread,
            double* sum, const Finish& finish) {
  const Weights<T>& w = s.w;
  const Regression<T>& data = *batch.data;
  const Noise<T>& noise = data.noise;
  const Index capacity = s.sizes.capacity;
  const auto scratch = s.scratch.template of_thread<Scratch<T>>(thread.rank, s.sizes);
  curvature::refresh(s.curvature, w, thread);
  refresh(s.factors, w, thread);
  thread.lap(Region::gram);
  thread.barrier();
  if (thread.rank == 0 && s.sizes.noisy && !s.sizes.given) cholesky(s.factors, thread);
  thread.lap(Region::gram);
  double total = 0;
  for (Index start = 0; start < batch.rows; start += capacity) {
    const Index rows = smaller(batch.rows - start, capacity);
    const bool first = start == 0, last = start + capacity >= batch.rows;
    for_tiles(s.queues->project, rows, thread, [&](Index at, Index count) {
      const Visits<T> visits(batch, start + at, count);
      project(s, data.points, visits.row, count, at, s.Y, s.P, thread);
      if (s.sizes.targets) project(s, data.targets, visits.row, count, at, s.Yt, s.Pt, thread);
    });
    thread.barrier();
    for (Index m = 0; m < noise.draws; m += s.sizes.group) {
      const Index draws = smaller(noise.draws - m, s.sizes.group);
      const bool opens = first && m == 0, closes = last && m + draws == noise.draws;
      run_core(s, batch, start, rows, m, draws, backward, scratch, thread);
      thread.barrier();
      if (thread.stopped()) return Outcome::interrupted;
      if (thread.rank == 0) {
        total += sum_of(s.loss, draws * rows);
        if (closes) *sum = total;
        s.queues->refill();
      }
      if (backward) {
        add_pairs(s, draws * rows, opens, thread);
        if (s.sizes.form == curvature::Form::hidden)
          curvature::hidden_add_pairs(s.curvature.hidden, draws * rows, s.kept.S64, s.weight, opens,
                                      thread);
        if (closes) finish_pairs(s, noise.sigma, thread);
      }
      thread.lap(Region::pairs);
      thread.barrier();
    }
    if (!backward) continue;
    run_panels(s, batch, rows, first, last, scratch, finish);
    thread.lap(Region::gradient);
    thread.barrier();
  }
  return Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA::gram
