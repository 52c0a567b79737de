// The points of a tile of rows, and their targets.
#pragma once

#include "kernels/explicit/workspace.hpp"

namespace dsmfast::DSMFAST_ISA::explicit_path {

// Calls place(k, to, columns) for the registers of row i of M (B, d): to is where columns k ... of it
// stand, and columns(row, k) are those of a row of d values.
template <typename T, typename Place>
DSMFAST_INLINE void for_columns(const Weights<T>& w, const Matrix<T>& M, Index i,
                                const Place& place) {
  const auto whole = [](const T* row, Index k) { return load(row + k); };
  const auto part = [d = w.d](const T* row, Index k) { return load_columns(row, k, d); };
  T* to = M(i, 0);
  Index k = 0;
  for (; k + w.width <= w.d; k += w.width, to += M.panel) {
    place(k, to, whole);
    place(k + lanes<T>, to + lanes<T>, whole);
  }
  if (k == w.d_pad) return;
  place(k, to, part);
  place(k + lanes<T>, to + lanes<T>, part);
}

// Rows visit ... visit + rows, s.group of them at most:  X~ = X + sigma E, and, but for posterior
// means, which come later, R = c - T.
template <typename T>
void corrupt(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
             const Chunk<T>& chunk, const Scratch<T>& s, const Thread& thread) {
  const Matrix<T>&X = chunk.X, &R = chunk.R;
  const Regression<T>& data = *batch.data;
  const Noise<T>& noise = data.noise;
  const Visits<T> visits(batch, visit, rows);
  const Corruption corruption(noise);
  // Shuffled rows come from anywhere: they arrive while noise is drawn, 0.8 of the time for both.
  for (Index i = 0; i < rows; ++i)
    for (Index k = 0; k < w.d; k += cache_line<T>) {
      __builtin_prefetch(data.points.data + visits.row[i] * data.points.row_stride + k, 0, 2);
      __builtin_prefetch(X(i, k), 1, 2);
      __builtin_prefetch(R(i, k), 1, 2);
    }
  draw_noise(noise, visits, [&](const auto&... from) {
    fill(noise, batch.step, rows, w.d, from..., s.drawn, s.ldx);
  });
  thread.lap(Region::noise);
  if (chunk.weight != nullptr) copy(visits.weight, rows, chunk.weight);

  for (Index i = 0; i < rows; ++i) {
    const Target aim = visits.target(data, i);
    if (chunk.asked != nullptr) chunk.asked[i] = aim == Target::posterior;
    const T* x = contiguous_row(data.points, visits.row[i], s.x + i * s.ldx);
    const T* t = x;
    if (aim == Target::given) t = contiguous_row(data.targets, visits.row[i], s.t + i * s.ldx);
    const bool given = corruption.adds && !corruption.draws;
    const T* e = given ? visits.given(data, i) : s.drawn + i * s.ldx;
    const T sigma = visits.sigma[i];
    if (corruption.overwrites)
      for_columns(w, X, i, [&](Index k, T* to, const auto& columns) {
        const Packet<T> clean = columns(x, k), mark = columns(e, k);
        const Packet<T> low = (mark < T(0)).select(noise.replacement.low, clean);
        store<T>(to, (mark > T(0)).select(noise.replacement.high, low));
      });
    else if (corruption.adds)
      for_columns(w, X, i, [&](Index k, T* to, const auto& columns) {
        store<T>(to, columns(x, k) + sigma * columns(e, k));
      });
    else
      for_columns(w, X, i,
                  [&](Index k, T* to, const auto& columns) { store<T>(to, columns(x, k)); });
    if (aim == Target::itself)
      for (Index k = 0; k < w.d_pad; k += lanes<T>)
        store<T>(R(i, k), load(w.c + k) - load(X(i, k)));
    else if (aim != Target::posterior)
      for_columns(w, R, i, [&](Index k, T* to, const auto& columns) {
        store<T>(to, load(w.c + k) - columns(t, k));
      });
  }
  thread.lap(Region::points);
}

// X~ and c - T of rows visit ... visit + rows, but for posterior means.
template <typename T>
void place_points(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
                  const Chunk<T>& chunk, const Scratch<T>& s, const Thread& thread) {
  for (Index i = 0; i < rows; i += s.group)
    corrupt(w, batch, visit + i, smaller(rows - i, s.group), chunk.from(i), s, thread);
}

// The same with them, for all rows of a thread at once: each pass over the sample serves them all.
template <typename T>
void place_points_in_sample(const Workspace<T>& s, const Batch<T>& batch, Index visit, Index rows,
                            const Chunk<T>& chunk, const Scratch<T>& scratch,
                            const Thread& thread) {
  const Weights<T>& w = s.w;
  const parzen::Sample<T> sample = s.sample_of(batch);
  const Index ldx = chunk.ldx;
  place_points(w, batch, visit, rows, chunk, scratch, thread);
  Index asked = 0;
  for (Index i = 0; i < rows; ++i)
    if (chunk.asked[i]) chunk.asked[asked++] = i;
  for (Index q = 0; q < asked; ++q) {
    T* to = chunk.Q + q * ldx;
    for (Index k = 0; k < w.d_pad; k += lanes<T>)
      store<T>(to + k, load(chunk.X(chunk.asked[q], k)));
    parzen::standardize(sample, to);
  }
  const parzen::Sums<T>& sums = chunk.posterior;
  sums.reset(asked, ldx);
  parzen::accumulate<T>(sample, {0, sample.rows}, asked, chunk.Q, nullptr, sums, scratch.parzen,
                        thread);
  for (Index q = 0; q < asked; ++q) {
    // A row that does not count may be among others like it, which have no mean.
    const bool counts = chunk.weight == nullptr || chunk.weight[chunk.asked[q]] != T(0);
    const T share = counts ? sample.sigma / static_cast<T>(sums.weight[q]) : T(0);
    const T* y = sums.Y + q * ldx;
    for (Index k = 0; k < w.d_pad; k += lanes<T>)
      store<T>(chunk.R(chunk.asked[q], k),
               load(w.c + k) - (load(sample.centre + k) + share * load(y + k)));
  }
  thread.lap(Region::points);
}

}  // namespace dsmfast::DSMFAST_ISA::explicit_path
