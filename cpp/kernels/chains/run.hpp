// Chains of a model, on tiles of rows that never wait for each other.
//
// The random numbers of chain i at a step are those of row first_row + i and that step in the stream
// `chain`, in draws of their own: 0 for the normals of x, 1 for the word that decides whether a step
// is taken, from 2 on for counts (counts.hpp). So a chain is the same alone and among a million.
#pragma once

#include "kernels/chains/step.hpp"

namespace dsmfast::DSMFAST_ISA::chains {

// Copies x, and notes its energy at beta = 1.
template <typename T>
void keep(const Tile<T>& tile, Index kept, Index of) {
  const Weights<T>& w = *tile.w;
  const Scratch<T>& s = *tile.s;
  double log[tile_rows];
  annealed_energy(tile, s.now, log);
  for (Index i = 0; i < tile.rows; ++i) {
    const Index to = (tile.first + i) * of + kept;
    copy(s.now.x + i * s.ldx, w.d, tile.run->draws + to * w.d);
    tile.run->energy[to] = -tile.precision * log[i];
  }
}

// Goes over to the temperature of a step; what log p gains by it is added to the weights.
template <typename T>
void change_temperature(Tile<T>& tile, double beta) {
  double before[tile_rows], after[tile_rows];
  annealed_energy(tile, tile.s->now, before);
  set_temperature(tile, beta);
  annealed_energy(tile, tile.s->now, after);
  for (Index i = 0; i < tile.rows; ++i)
    tile.run->annealing.log_weight[tile.first + i] += tile.precision * (after[i] - before[i]);
}

// All steps of a tile. Where steps may be refused, A and what else is known of a point goes with it;
// where not, A is worked out when it is asked for.
template <typename T>
void run_tile(Tile<T>& tile, const Sizes& sizes, const Thread& thread) {
  const Chains<T>& run = *tile.run;
  const Scratch<T>& s = *tile.s;
  const double* beta = run.annealing.beta;
  const Index of = run.thin > 0 ? run.steps / run.thin : 0;
  const auto receive_at = [&](const Position<T>& at) {
    receive<T>(*tile.w, run.lower, tile.rows, Matrix<const T>{at.x, s.ldx}, at.A);
  };
  for (Index i = 0; i < tile.rows; ++i)
    copy(run.x + (tile.first + i) * tile.w->d, tile.w->d, s.now.x + i * s.ldx);
  set_temperature(tile, beta == nullptr ? 1 : beta[0]);
  receive_at(s.now);
  bool is_received = true, is_described = false;
  for (Index step = 0; step < run.steps && !thread.stopped(); ++step) {
    tile.step = run.first_step + static_cast<std::uint32_t>(step);
    if (!is_received) receive_at(s.now);
    if (beta != nullptr) change_temperature(tile, beta[step + 1]);
    if (beta != nullptr || !is_described) describe(tile, sizes, s.now);
    propose(tile, sizes);
    is_received = is_described = sizes.corrected;
    if (sizes.corrected) {
      receive_at(s.next);
      describe(tile, sizes, s.next);
      decide(tile, sizes);
    }
    if (of > 0 && (step + 1) % run.thin == 0) {
      if (!is_received) receive_at(s.now), is_received = true;
      keep(tile, step / run.thin, of);
    }
    thread.poll();
  }
  for (Index i = 0; i < tile.rows; ++i)
    copy(s.now.x + i * s.ldx, tile.w->d, run.x + (tile.first + i) * tile.w->d);
}

template <typename T>
Outcome run(const Model<T>& model, const Chains<T>& chains, Execution& execution) {
  const Sizes sizes = Sizes::of(model, chains);
  const Index d = sizes.d, h = sizes.h;
  const int threads =
      worthwhile(execution.threads, row_operations(2, d, h) * static_cast<double>(chains.chains) *
                                        static_cast<double>(chains.steps));
  Weights<T> w{};
  ThreadArenas scratch;
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        w = Weights<T>::carve(arena, d, h);
        scratch = ThreadArenas::carve<Scratch<T>>(arena, threads, sizes);
      }))
    return Outcome::out_of_memory;
  // Few chains are shared out whatever a tile costs.
  const Index share = (chains.chains + threads - 1) / threads;
  const Index size = share < block_rows ? share : tile_for(chains.chains, threads);
  return parallel(threads, execution, [&](const Thread& thread) {
    auto s = scratch.template of_thread<Scratch<T>>(thread.rank, sizes);
    pack(w, {model.W, model.b, model.c}, thread);
    thread.barrier();
    for_tiles(chains.chains, size, thread, [&](Index first, Index rows) {
      Tile<T> tile{&w,    &chains, &s, static_cast<double>(chains.trials) + chains.excess,
                   first, rows,    0,  1};
      run_tile(tile, sizes, thread);
    });
  });
}

// out (columns,): counts of one chain at first_step.
template <typename T>
Outcome counts(const Chains<T>& chains, Index row, const T* a, Index columns, T* out,
               Execution& execution) {
  T* chance = nullptr;
  Weights<T> w{};
  Scratch<T> s{};
  const Sizes sizes{1, columns, false, false};
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        w = Weights<T>::carve(arena, 1, columns);
        s = Scratch<T>::carve(arena, sizes);
        chance = arena.take<T>(padded<T>(columns));
      }))
    return Outcome::out_of_memory;
  copy(a, columns, chance);
  for (Index j = 0; j < columns; j += lanes<T>)
    store<T>(s.H(0, j), signed_chance<T>(load(chance + j)));
  Tile<T> tile{&w, &chains, &s, 1, row, 1, chains.first_step, 1};
  draw_counts(tile, T(1));
  for (Index j = 0; j < columns; ++j) out[j] = *s.H(0, j);
  (void)execution;
  return Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA::chains
