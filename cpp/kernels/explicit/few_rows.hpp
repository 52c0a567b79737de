// The explicit path for few rows and a large W.
//
// Cut by rows, each thread would read all of W three times, for a few rows. So each layer is cut by the
// panels of W instead, with a barrier after it: a panel is read by one thread, for all rows. The sums
// are the same in the same order, and so is every bit.
#pragma once

#include "kernels/explicit/forward.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path::few_rows {

// Whether it serves: on several threads, where the rows are one tile and W stays in no core's cache.
template <typename T>
bool serves(const Workspace<T>& s, Index rows, const Thread& thread) {
  return thread.size > 1 && s.panel_loss != nullptr && rows <= tile_rows;
}

// Calls work(panel) for the panels of this thread, until it is stopped.
template <typename Work>
void for_panels(Index panels, const Thread& thread, const Work& work) {
  const Range mine = thread.share(panels);
  for (Index p = mine.begin; p < mine.end && !thread.stopped(); ++p) {
    work(p);
    thread.poll();
  }
}

// All rows of a chunk, forward and backward to dA; every thread takes part.
template <typename T>
void run(const Workspace<T>& s, const Batch<T>& batch, Index start, Index rows, bool backward,
         const Scratch<T>& scratch, const Thread& thread) {
  const Weights<T>& w = s.w;
  const Chunk<T>& chunk = s.chunk;
  const Range mine = thread.share(rows);
  place_points(w, batch, start + mine.begin, mine.end - mine.begin, chunk.from(mine.begin), scratch,
               thread);
  thread.barrier();
  for_panels(w.hidden_panels(), thread,
             [&](Index q) { encode_panel<T>(w, rows, q, chunk.X, chunk.H); });
  thread.lap(Region::encode);
  thread.barrier();
  for_panels(w.feature_panels(), thread, [&](Index p) {
    double* loss = s.panel_loss + p * tile_rows;
    for (Index i = 0; i < rows; ++i) loss[i] = 0;
    residual_panel(w, rows, p, chunk.H, chunk.R, loss);
    if (chunk.weight != nullptr) weigh_panel(w, rows, p, chunk);
  });
  thread.lap(Region::decode);
  thread.barrier();
  for (Index i = mine.begin; i < mine.end; ++i) {
    double sum = 0;
    for (Index p = 0; p < w.feature_panels(); ++p) sum += s.panel_loss[p * tile_rows + i];
    chunk.loss[i] = chunk.weight == nullptr ? sum : sum * static_cast<double>(chunk.weight[i]);
  }
  if (!backward) return;
  for_panels(w.hidden_panels(), thread, [&](Index q) {
    residual_backward_panel(w, rows, q, chunk.R, chunk.H, {}, chunk.weight, scratch.panel,
                            chunk.dA);
  });
  thread.lap(Region::backward);
}

}  // namespace dsmfast::DSMFAST_ISA::explicit_path::few_rows
