// The two ways to run a batch. A tile of the gradient is written out by `regression`, and taken by the
// optimizer in a run of steps.
#pragma once

#include "kernels/training/optimizer.hpp"
#include "kernels/training/ranks.hpp"
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
void pack_moments(const Weights<T>& w, const Triple<T>& from, const Triple<T>& to,
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

// What a run of steps works in.
template <typename T>
struct Training {
  Workspace<T> work;
  TrainingState<T> packed;   // what the optimizer keeps, in the layout of W
  SharedGradient<T> shared;  // of several ranks

  static Training carve(Arena& arena, const Sizes& sizes, Index d, Index h) {
    Training s{};
    s.work = Workspace<T>::carve(arena, sizes);
    const Weights<T>& w = s.work.weights();
    s.packed.parameters = {w.by_feature, w.b, w.c};
    if (sizes.moments > 0) s.packed.first = carve_triple<T>(arena, d, h);
    if (sizes.moments > 1) s.packed.second = carve_triple<T>(arena, d, h);
    if (sizes.shared) s.shared = SharedGradient<T>::carve(arena, d, h);
    return s;
  }
};

// One step; every thread of the team returns the same, after a barrier.
template <typename T>
Outcome run_step(const Training<T>& s, const Batch<T>& batch, const Update<T>& update, T k,
                 const Ranks<T>& ranks, double* sum, const Thread& thread) {
  const Weights<T>& w = s.work.weights();
  if (ranks.sum == nullptr)
    return run_batch(s.work, batch, true, thread, sum,
                     [&](const WeightTile& tile, T* dW, T* db, T* dc) {
                       thread.lap(Region::gradient);
                       update_tile(w, s.packed, update, k, tile, dW, db, dc);
                       thread.lap(Region::update);
                     });
  const Outcome outcome = batch.rows == 0
                              ? s.shared.clear(sum, thread)
                              : run_batch(s.work, batch, true, thread, sum,
                                          [&](const WeightTile& tile, const T* dW, const T* db,
                                              const T* dc) { s.shared.take(w, tile, dW, db, dc); });
  if (outcome != Outcome::finished) return outcome;
  if (!s.shared.sum_over(ranks, sum, thread)) return Outcome::interrupted;
  const Range mine = thread.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p)
    s.shared.hand_over(w, p, [&](const WeightTile& tile, T* dW, T* db, T* dc) {
      update_tile(w, s.packed, update, k, tile, dW, db, dc);
    });
  thread.lap(Region::update);
  thread.barrier();
  return Outcome::finished;
}

// A run of steps. They are taken in packed memory, and the caller's arrays are where a run that
// diverges is taken up from again.
template <typename T>
Outcome train(Index d, Index h, const TrainingState<T>& state, const Optimizer& optimizer,
              const Regression<T>& data, const Steps<T>& steps, Execution& run) {
  const Ranks<T>& ranks = steps.ranks;
  const bool is_shared = ranks.sum != nullptr;
  Sizes sizes = sizes_for(d, h, smaller(data.rows, steps.batch), data, run.threads);
  sizes.moments = (state.first.W != nullptr) + (state.second.W != nullptr);
  sizes.shared = is_shared;
  Training<T> s{};
  Memory memory;
  if (!memory.reserve(sizes, run.kept,
                      [&](Arena& arena) { s = Training<T>::carve(arena, sizes, d, h); }))
    return Outcome::out_of_memory;
  s.work.prepare(data);
  const Weights<T>& w = s.work.weights();
  Outcome outcome = Outcome::finished;
  Flag overflow;

  const auto take = [&](Index step, const Thread& thread) {
    const Index begin = is_shared ? ranks.begins[step] : step * steps.batch;
    const Index all = smaller(steps.rows - step * steps.batch, steps.batch);
    const Index rows = is_shared ? ranks.begins[step + 1] - begin : all;
    const Batch<T> batch{&data, data.first + begin, rows,
                         data.noise.step + static_cast<std::uint32_t>(step)};
    const Update<T> update(optimizer, steps.rates[step], step);
    const T k = static_cast<T>(2.0 / static_cast<double>(all * data.noise.draws));
    double* sum = steps.sums + step;
    const Outcome mine = run_step(s, batch, update, k, ranks, sum, thread);
    // x - x is 0 only for finite x
    return mine != Outcome::finished || *sum - *sum == 0.0 ? mine : Outcome::diverged;
  };
  parallel(sizes.threads, run, [&](const Thread& thread) {
    pack(w, {state.parameters.W, state.parameters.b, state.parameters.c}, thread);
    pack_moments(w, state.first, s.packed.first, thread);
    pack_moments(w, state.second, s.packed.second, thread);
    thread.lap(Region::points);
    thread.barrier();
    Outcome mine = Outcome::finished;
    Index done = 0;
    for (; done < steps.count; ++done)
      if ((mine = take(done, thread)) != Outcome::finished) break;
    if (!is_finite(w, thread)) overflow.raise();
    thread.barrier();
    if (thread.rank == 0)
      outcome = overflow.raised() && mine == Outcome::finished ? Outcome::diverged : mine;
    if (done == 0 || mine == Outcome::diverged || overflow.raised()) return;
    unpack(w, s.packed.parameters, state.parameters, thread);
    unpack(w, s.packed.first, state.first, thread);
    unpack(w, s.packed.second, state.second, thread);
    if (thread.rank == 0) *steps.landed = done;
    thread.lap(Region::points);
  });
  if (outcome != Outcome::finished) memory.spoil();
  return outcome;
}

}  // namespace dsmfast::DSMFAST_ISA
