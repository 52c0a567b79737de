// Chains of a model, on tiles of rows that never wait for each other.
//
// The random numbers of chain i at a step are those of row first_row + i and that step in the stream
// `chain`, in draws of their own: 0 for the normals of x, 1 for the word that decides whether a step
// is taken, from 2 on for counts (counts.hpp). So a chain is the same alone and among a million.
#pragma once

#include "kernels/chains/step.hpp"

namespace dsmfast::DSMFAST_ISA::chains {

// Copies x to the draws.
template <typename T>
void keep(const Tile<T>& tile, Index kept, Index of) {
  const Scratch<T>& s = *tile.s;
  const Index d = tile.w->d;
  for (Index i = 0; i < tile.rows; ++i)
    copy(s.now.x + i * s.ldx, d, tile.run->draws + ((tile.first + i) * of + kept) * d);
}

// What log p_beta is, over N, at the points where a step begins, is wanted for the weights of chains and
// for the energies of draws. A Gibbs step that is exact works it out on its way, from the exponentials
// that its chances are made of: `begin` before the step, `end` after it.
template <typename T>
struct Heights {
  Index kept = -1;           // the draw whose energy is wanted
  bool of_weights = false;   // whether log p of a new temperature is
  bool are_whole = false;    // else s.now.log is to be added
  double height[tile_rows];  // (rows,)

  bool wanted() const { return kept >= 0 || of_weights; }

  void begin(const Tile<T>& tile, const Sizes& sizes) {
    const Scratch<T>& s = *tile.s;
    are_whole = sizes.corrected || sizes.drifting;
    for (Index i = 0; i < tile.rows; ++i)
      height[i] = gaussian_part(s.visible, tile.w->d, s.now.x + i * s.ldx) + tile.fixed;
    if (!are_whole) return;
    if (!sizes.corrected) return annealed_energy(tile, s.now, height);
    for (Index i = 0; i < tile.rows; ++i)
      height[i] = s.now.log[i] + (tile.is_langevin() ? 0.0 : height[i]);
  }

  void end(const Tile<T>& tile, Index of) {
    for (Index i = 0; i < tile.rows; ++i) {
      const double all = tile.precision * (height[i] + (are_whole ? 0.0 : tile.s->now.log[i]));
      if (of_weights) tile.run->annealing.log_weight[tile.first + i] += all;
      if (kept >= 0) tile.run->energy[(tile.first + i) * of + kept] = -all;
    }
    kept = -1;
    of_weights = false;
  }
};

// Goes over to the temperature of a step: what log p is there, less what it was, is for the weights, if
// there are any.
template <typename T>
void change_temperature(Tile<T>& tile, double beta) {
  if (tile.run->annealing.log_weight == nullptr) return set_temperature(tile, beta);
  double before[tile_rows];
  annealed_energy(tile, tile.s->now, before);
  set_temperature(tile, beta);
  for (Index i = 0; i < tile.rows; ++i)
    tile.run->annealing.log_weight[tile.first + i] -= tile.precision * before[i];
}

// All steps of a tile. Where steps may be refused, A and what else is known of a point goes with it;
// where not, A is worked out when a step begins.
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
  Heights<T> heights;
  for (Index step = 0; step < run.steps && !thread.stopped(); ++step) {
    tile.step = run.first_step + static_cast<std::uint32_t>(step);
    if (!is_received) receive_at(s.now);
    if (beta != nullptr) {
      change_temperature(tile, beta[step + 1]);
      heights.of_weights = run.annealing.log_weight != nullptr;
    }
    if (beta != nullptr || !is_described) describe(tile, sizes, s.now);
    const bool wanted = heights.wanted();
    if (wanted) heights.begin(tile, sizes);
    propose(tile, sizes, wanted && !heights.are_whole ? s.now.log : nullptr);
    if (wanted) heights.end(tile, of);
    is_received = is_described = sizes.corrected;
    if (sizes.corrected) {
      receive_at(s.next);
      describe(tile, sizes, s.next);
      decide(tile, sizes);
    }
    if (of > 0 && (step + 1) % run.thin == 0) {
      keep(tile, step / run.thin, of);
      heights.kept = step / run.thin;
      if (beta != nullptr || step + 1 == run.steps) {  // the next step is none, or at another beta
        if (!is_received) receive_at(s.now), is_received = true;
        if (!sizes.corrected && !sizes.drifting)
          softplus_sums(*tile.w, tile.rows, s.now.A, static_cast<T>(tile.beta), s.bias, s.now.log);
        heights.begin(tile, sizes);
        heights.end(tile, of);
      }
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
      Tile<T> tile{&w, &chains, &s, static_cast<double>(chains.trials) + chains.excess, first, rows,
                   0,  1,       0};
      run_tile(tile, sizes, thread);
    });
  });
}

// out (columns,): counts of one chain at first_step.
template <typename T>
Outcome counts(const Chains<T>& chains, Index row, const T* a, Index columns, T* out, Execution&) {
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
  for (Index j = 0; j < columns; j += lanes<T>) {
    const Packet<T> value = load(chance + j);
    store<T>(s.H(0, j), signed_chance<T>(value, falling_exponential<T>(value)));
  }
  Tile<T> tile{&w, &chains, &s, 1, row, 1, chains.first_step, 1, 0};
  draw_counts(tile, T(1));
  for (Index j = 0; j < columns; ++j) out[j] = *s.H(0, j);
  return Outcome::finished;
}

}  // namespace dsmfast::DSMFAST_ISA::chains
