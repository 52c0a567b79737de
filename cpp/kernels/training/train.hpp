// The two ways to run a batch. A tile of the gradient is written out by `regression`, and taken by the
// optimizer in a run of steps.
#pragma once

#include "kernels/training/optimizer.hpp"
#include "kernels/training/workspace.hpp"

namespace dsmfast::DSMFAST_ISA {

// Once, for the sum and the gradient of scale times it.
template <typename T>
Outcome regression(const Model<T>& model, const Regression<T>& data, double scale, double* sum,
                   const Triple<T>* gradient, Execution& run) {
  const Index d = model.features;
  const Batch<T> batch{&data, data.first, data.rows, data.noise.step};
  const Sizes sizes = sizes_for(d, model.hidden, batch.rows, data, run.threads);
  Workspace<T> work{};
  Memory memory;
  if (!memory.reserve([&](Arena& arena) { work = Workspace<T>::carve(arena, sizes); }))
    return Outcome::out_of_memory;
  work.prepare(data);
  const Weights<T>& w = work.weights();
  const auto scaled = [scale](T g) { return static_cast<T>(2 * scale * static_cast<double>(g)); };
  const auto write = [&](const WeightTile& tile, const T* dW, const T* db, const T* dc) {
    const Index columns = w.features_in(tile.p);
    for (Index j = 0; j < tile.hidden; ++j)
      for (Index i = 0; i < columns; ++i)
        gradient->W[(tile.first_hidden + j) * d + tile.p * w.width + i] =
            scaled(dW[j * w.width + i]);
    for (Index j = 0; db != nullptr && j < tile.hidden; ++j)
      gradient->b[tile.first_hidden + j] = scaled(db[j]);
    for (Index i = 0; dc != nullptr && i < columns; ++i)
      gradient->c[tile.p * w.width + i] = scaled(dc[i]);
  };
  return parallel(sizes.threads, run, [&](const Thread& thread) {
    pack(w, {model.W, model.b, model.c}, thread);
    thread.barrier();
    run_batch(work, batch, gradient != nullptr, thread, sum, write);
  });
}

// Arrays of the caller into the packed layout of `to`, if it has a place; every thread takes part.
template <typename T>
void pack_moments(const Weights<T>& w, const Triple<const T>& from, const Triple<T>& to,
                  const Thread& thread) {
  if (to.W == nullptr) return;
  const Range mine = thread.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p)
    pack_panel(w.h, w.d, from.W, w.d, p, to.W + p * w.h_pad * w.width);
  if (thread.rank == 0) copy(from.b, w.h, to.b), copy(from.c, w.d, to.c);
}

// And parameters or moments out of it.
template <typename T>
void unpack(const Weights<T>& w, const Triple<T>& from, const Triple<T>& to, const Thread& thread) {
  if (from.W == nullptr) return;
  const Range mine = thread.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p)
    for (Index j = 0; j < w.h; ++j)
      copy(from.W + (p * w.h_pad + j) * w.width, w.features_in(p), to.W + j * w.d + p * w.width);
  if (thread.rank == 0) copy(from.b, w.h, to.b), copy(from.c, w.d, to.c);
}

// Whether this thread's share of the parameters is finite.
template <typename T>
bool is_finite(const Weights<T>& w, const Thread& thread) {
  const Range mine = thread.share(w.feature_panels());
  const Index panel = w.h_pad * w.width;
  return is_finite(w.by_feature + mine.begin * panel, (mine.end - mine.begin) * panel) &&
         (thread.rank != 0 || (is_finite(w.b, w.h) && is_finite(w.c, w.d)));
}

// A run of steps.
template <typename T>
Outcome train(Index d, Index h, const TrainingState<const T>& from, const TrainingState<T>& to,
              const Optimizer& optimizer, const Regression<T>& data, Index batch_rows,
              const double* rates, double* sums, Execution& run) {
  const Index steps = (data.rows + batch_rows - 1) / batch_rows;
  const Index most = smaller(data.rows, batch_rows);
  Sizes sizes = sizes_for(d, h, most, data, run.threads);
  sizes.moments = (from.first.W != nullptr) + (from.second.W != nullptr);
  TrainingState<T> packed{};
  Workspace<T> work{};
  Memory memory;
  if (!memory.reserve(sizes, run.kept, [&](Arena& arena) {
        work = Workspace<T>::carve(arena, sizes);
        if (from.first.W != nullptr) packed.first = carve_triple<T>(arena, d, h);
        if (from.second.W != nullptr) packed.second = carve_triple<T>(arena, d, h);
      }))
    return Outcome::out_of_memory;
  work.prepare(data);
  const Weights<T>& w = work.weights();
  packed.parameters = {w.by_feature, w.b, w.c};
  Outcome outcome = Outcome::finished;
  Flag overflow;

  const auto run_step = [&](Index step, const Thread& thread) {
    const Index begin = step * batch_rows;
    const Index rows = smaller(data.rows - begin, batch_rows);
    const Batch<T> batch{&data, data.first + begin, rows,
                         data.noise.step + static_cast<std::uint32_t>(step)};
    const Update<T> update(optimizer, rates[step], step);
    const T k = static_cast<T>(2.0 / static_cast<double>(batch.visits()));
    const Outcome mine = run_batch(work, batch, true, thread, sums + step,
                                   [&](const WeightTile& tile, T* dW, T* db, T* dc) {
                                     thread.lap(Region::gradient);
                                     update_tile(w, packed, update, k, tile, dW, db, dc);
                                     thread.lap(Region::update);
                                   });
    // x - x is 0 only for finite x
    const bool finite = mine != Outcome::finished || sums[step] - sums[step] == 0.0;
    return finite ? mine : Outcome::diverged;
  };
  parallel(sizes.threads, run, [&](const Thread& thread) {
    pack(w, from.parameters, thread);
    pack_moments(w, from.first, packed.first, thread);
    pack_moments(w, from.second, packed.second, thread);
    thread.lap(Region::points);
    thread.barrier();
    Outcome mine = Outcome::finished;
    for (Index step = 0; step < steps && mine == Outcome::finished; ++step)
      mine = run_step(step, thread);
    unpack(w, packed.parameters, to.parameters, thread);
    unpack(w, packed.first, to.first, thread);
    unpack(w, packed.second, to.second, thread);
    if (!is_finite(w, thread)) overflow.raise();
    thread.lap(Region::points);
    if (thread.rank == 0) outcome = mine;
  });
  if (outcome == Outcome::finished && overflow.raised()) outcome = Outcome::diverged;
  if (outcome != Outcome::finished) memory.spoil();
  return outcome;
}

}  // namespace dsmfast::DSMFAST_ISA
