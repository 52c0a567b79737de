// The explicit path for a large W.
//
// Cut by rows, each thread would read all of W three times for each of its tiles: more than the rows
// themselves where these are few, or where W is larger than the caches. So each layer is cut by the
// panels of W instead, with a barrier after it: a panel is read by one thread, for all rows. The sums
// are the same in the same order, and so is every bit. A curvature without a penalty is a sum over the
// units of a row, and goes by rows.
#pragma once

#include "kernels/explicit/forward.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path::by_panels {

// Whether it serves: on several threads, for few rows, or for as many as there are where W would travel
// from memory. Each thread wants some panels of either kind.
template <typename T>
bool serves(const Workspace<T>& s, Index rows, const Thread& thread) {
  if (thread.size == 1 || s.panel_loss == nullptr) return false;
  if (rows <= few_rows) return true;
  const Index panels = smaller(s.w.hidden_panels(), s.w.feature_panels());
  return bytes_of_weights<T>(s.sizes) >= huge_weights && panels >= 2 * thread.size;
}

// Calls work(panel, first row, rows) for each tile of rows of the panels of this thread, until it is
// stopped.
template <typename Work>
void for_panels(Index panels, Index rows, const Thread& thread, const Work& work) {
  const Range mine = thread.share(panels);
  for (Index p = mine.begin; p < mine.end; ++p)
    for (Index i = 0; i < rows && !thread.stopped(); i += tile_rows) {
      work(p, i, smaller(rows - i, tile_rows));
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
  const Chunk<T> own = chunk.from(mine.begin);
  const Index own_rows = mine.end - mine.begin;
  if (s.sizes.posterior && own_rows > 0)
    place_points_in_sample(s, batch, start + mine.begin, own_rows, own, scratch, thread);
  else
    place_points(w, batch, start + mine.begin, own_rows, own, scratch, thread);
  thread.barrier();
  for_panels(w.hidden_panels(), rows, thread, [&](Index q, Index i, Index count) {
    encode_panel<T>(w, count, q, chunk.X.from(i), chunk.H.from(i));
  });
  thread.lap(Region::encode);
  thread.barrier();
  for_panels(w.feature_panels(), rows, thread, [&](Index p, Index i, Index count) {
    const Chunk<T> tile = chunk.from(i);
    double* loss = s.panel_loss + p * s.sizes.capacity + i;
    for (Index k = 0; k < count; ++k) loss[k] = 0;
    residual_panel(w, count, p, tile.H, tile.R, loss);
    if (chunk.weight != nullptr) weigh_panel(w, count, p, tile);
  });
  thread.lap(Region::decode);
  thread.barrier();
  for (Index i = mine.begin; i < mine.end; ++i) {
    chunk.loss[i] = 0;
    for (Index p = 0; p < w.feature_panels(); ++p)
      chunk.loss[i] += s.panel_loss[p * s.sizes.capacity + i];
  }
  const Matrix<T> slopes =
      curvature::forward(s.curvature, w, own_rows, own.H, {}, {}, nullptr, backward, own.loss);
  for (Index i = mine.begin; chunk.weight != nullptr && i < mine.end; ++i)
    chunk.loss[i] *= static_cast<double>(chunk.weight[i]);
  if (!backward) return;
  for_panels(w.hidden_panels(), rows, thread, [&](Index q, Index i, Index count) {
    const Chunk<T> tile = chunk.from(i);
    residual_backward_panel(w, count, q, tile.R, tile.H, slopes, tile.weight, scratch.panel,
                            tile.dA);
  });
  thread.lap(Region::backward);
}

}  // namespace dsmfast::DSMFAST_ISA::explicit_path::by_panels
