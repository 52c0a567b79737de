// The two ways to run a batch: once, for value and gradient, and as a run of steps. A tile of the
// gradient is written out by `regression` and taken by the optimizer in `train`, or, when all of it is
// known, in `update`.
#pragma once

#include "batch.hpp"
#include "update.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
Outcome regression(const Model<T>& model, const Regression<T>& data, double scale, double* sum,
                   const Triple<T>* gradient, Execution& run) {
  const Index d = model.features;
  const Batch<T> batch{&data, 0, data.rows, data.noise.step};
  const Layout of = layout(d, model.hidden, batch.rows, data, run.threads);
  Memory memory;
  if (!memory.reserve(Workspace<T>::bytes(of))) return Outcome::out_of_memory;
  Arena arena = memory.arena();
  Workspace<T> work = Workspace<T>::carve(arena, of);
  work.prepare(data);
  const auto scaled = [scale](T g) { return static_cast<T>(2 * scale * static_cast<double>(g)); };
  Outcome outcome = Outcome::finished;
  Flag stop;

  parallel(of.threads, [&](const Team& team) {
    pack(work.w, model.W, model.b, model.c, team);
    team.barrier();
    const Outcome mine =
        run_batch(work, batch, gradient != nullptr, team, Watch(run, team, stop), sum,
                  [&](const GradientTile& tile, const T* dW, const T* db, const T* dc) {
                    const Index columns = work.w.features_in(tile.p);
                    for (Index j = 0; j < tile.hidden; ++j)
                      for (Index i = 0; i < columns; ++i)
                        gradient->W[(tile.first_hidden + j) * d + tile.p * work.w.width + i] =
                            scaled(dW[j * work.w.width + i]);
                    if (db != nullptr)
                      for (Index j = 0; j < tile.hidden; ++j)
                        gradient->b[tile.first_hidden + j] = scaled(db[j]);
                    if (dc != nullptr)
                      for (Index i = 0; i < columns; ++i)
                        gradient->c[tile.p * work.w.width + i] = scaled(dc[i]);
                  });
    if (team.rank == 0) outcome = mine;
  });
  return outcome;
}

// What the optimizer remembers, packed like the parameters it belongs to; null where unused.
template <typename T>
Triple<T> carve_memory(Arena& arena, Index d, Index h, bool used) {
  if (!used) return {nullptr, nullptr, nullptr};
  T* W = arena.take<T>(padded<T>(d) * padded<T>(h));
  T* b = arena.take<T>(padded<T>(h));
  return {W, b, arena.take<T>(padded<T>(d))};
}

// Arrays of the caller into the packed layout; every thread of the team takes part.
template <typename T>
void pack_memory(const Weights<T>& w, const Triple<const T>& from, const Triple<T>& to,
                 const Team& team) {
  if (to.W == nullptr) return;
  const Range mine = team.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p) pack_by_feature(from.W, w.d, w.h, w.h_pad, p, to.W);
  if (team.rank == 0) {
    std::memcpy(to.b, from.b, static_cast<std::size_t>(w.h) * sizeof(T));
    std::memcpy(to.c, from.c, static_cast<std::size_t>(w.d) * sizeof(T));
  }
}

// And out of it.
template <typename T>
void unpack_memory(const Weights<T>& w, const Triple<T>& from, const Triple<T>& to,
                   const Team& team) {
  if (from.W == nullptr) return;
  const Range mine = team.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p)
    unpack_by_feature(from.W, w.d, w.h, w.h_pad, p, to.W);
  if (team.rank == 0) {
    std::memcpy(to.b, from.b, static_cast<std::size_t>(w.h) * sizeof(T));
    std::memcpy(to.c, from.c, static_cast<std::size_t>(w.d) * sizeof(T));
  }
}

// Whether this thread's share of the parameters is finite.
template <typename T>
bool is_finite(const Weights<T>& w, const Team& team) {
  const Range mine = team.share(w.feature_panels());
  const Index panel = w.h_pad * w.width;
  bool finite = team.rank != 0 || (is_finite(w.b, w.h) && is_finite(w.c, w.d));
  for (Index p = mine.begin; p < mine.end; ++p)
    finite = finite && is_finite(w.by_feature + p * panel, panel);
  return finite;
}

// Takes one finished tile of the gradient into the parameters, in both layouts of W.
template <typename T>
void update_tile(const Weights<T>& w, const Triple<T>& first, const Triple<T>& second,
                 const Update<T>& update, T k, const GradientTile& tile, T* dW, T* db, T* dc) {
  const auto at = [](T* base, Index offset) { return base == nullptr ? nullptr : base + offset; };
  const auto scale = [k](T* g, Index count) {
    for (Index i = 0; i < count; i += lanes<T>) store<T>(g + i, k * load(g + i));
  };
  const Index place = (tile.p * w.h_pad + tile.first_hidden) * w.width;
  const Index count = tile.hidden * w.width;
  scale(dW, count);
  update.apply(count, true, dW, w.by_feature + place, at(first.W, place), at(second.W, place));
  for (Index j = 0; j < tile.hidden; j += w.width)
    transpose_tile(w, (tile.first_hidden + j) / w.width, tile.p);
  if (db != nullptr) {
    const Index j = tile.first_hidden;
    scale(db, tile.hidden);
    update.apply(tile.hidden, false, db, w.b + j, at(first.b, j), at(second.b, j));
  }
  if (dc != nullptr) {
    const Index i = tile.p * w.width;
    scale(dc, w.features_in(tile.p));
    update.apply(w.features_in(tile.p), false, dc, w.c + i, at(first.c, i), at(second.c, i));
  }
}

// The values of one array, with what the optimizer remembers of each; null where unused.
template <typename T>
struct Values {
  T *w, *first, *second;

  Values from(Index i) const {
    return {w + i, first == nullptr ? nullptr : first + i,
            second == nullptr ? nullptr : second + i};
  }
};

template <typename T>
Values(T*, T*, T*) -> Values<T>;

// The update of `count` values by a gradient that is at hand; whether they are finite. They need not
// come in whole registers: each goes through one of its own.
template <typename T>
bool update_values(const Update<T>& update, bool decay, Index count, const T* gradient,
                   const Values<const T>& from, const Values<T>& to) {
  bool finite = true;
  for (Index i = 0; i < count; i += lanes<T>) {
    const Index n = count - i < lanes<T> ? count - i : lanes<T>;
    const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
    alignas(register_bytes) T g[lanes<T>] = {}, w[lanes<T>] = {}, m[lanes<T>] = {},
                              v[lanes<T>] = {};
    const Values<const T> source = from.from(i);
    const Values<T> target = to.from(i);
    const auto copy = [bytes](T* to_, const T* from_) {
      if (to_ != nullptr && from_ != nullptr) std::memcpy(to_, from_, bytes);
    };
    copy(g, gradient + i), copy(w, source.w), copy(m, source.first), copy(v, source.second);
    update.apply(lanes<T>, decay, g, w, source.first == nullptr ? nullptr : m,
                 source.second == nullptr ? nullptr : v);
    copy(target.w, w), copy(target.first, m), copy(target.second, v);
    finite = finite && is_finite(w, lanes<T>);
  }
  return finite;
}

// One step by a gradient from elsewhere: the sum over several machines, say.
template <typename T>
Outcome update(Index d, Index h, const TrainingState<const T>& from, const TrainingState<T>& to,
               const Optimizer& optimizer, const Triple<const T>& gradient, double rate,
               Execution& run) {
  const Update<T> rule(optimizer, rate, 0);
  const Index size = h * d, block = 64 * lanes<T>;
  Flag overflow;
  parallel(worthwhile(run.threads, 10.0 * static_cast<double>(size)), [&](const Team& team) {
    const Range share = team.share((size + block - 1) / block);
    const Index begin = share.begin * block;
    const Index end = share.end * block < size ? share.end * block : size;
    const auto W = [](const auto& state) {
      return Values{state.parameters.W, state.first.W, state.second.W};
    };
    const auto b = [](const auto& state) {
      return Values{state.parameters.b, state.first.b, state.second.b};
    };
    const auto c = [](const auto& state) {
      return Values{state.parameters.c, state.first.c, state.second.c};
    };
    bool finite = update_values(rule, true, end - begin, gradient.W + begin, W(from).from(begin),
                                W(to).from(begin));
    if (team.rank == 0) {
      finite &= update_values(rule, false, h, gradient.b, b(from), b(to));
      finite &= update_values(rule, false, d, gradient.c, c(from), c(to));
    }
    if (!finite) overflow.raise();
  });
  return overflow.raised() ? Outcome::diverged : Outcome::finished;
}

template <typename T>
Outcome train(Index d, Index h, const TrainingState<const T>& from, const TrainingState<T>& to,
              const Optimizer& optimizer, const Regression<T>& data, Index batch_rows,
              const double* rates, double* sums, Execution& run) {
  const Index steps = (data.rows + batch_rows - 1) / batch_rows;
  const Layout of =
      layout(d, h, data.rows < batch_rows ? data.rows : batch_rows, data, run.threads);
  Triple<T> first, second;
  const auto carve = [&](Arena& arena) {
    first = carve_memory<T>(arena, d, h, from.first.W != nullptr);
    second = carve_memory<T>(arena, d, h, from.second.W != nullptr);
    return Workspace<T>::carve(arena, of);
  };
  Arena measured = Arena::measuring();
  carve(measured);
  Memory memory;
  if (!memory.reserve(measured.used(), of.shape(), run.kept)) return Outcome::out_of_memory;
  Arena arena = memory.arena();
  Workspace<T> work = carve(arena);
  work.prepare(data);
  const Weights<T>& w = work.w;
  Outcome outcome = Outcome::finished;
  Flag stop, overflow;

  const auto body = [&](const Team& team) {
    const Watch watch(run, team, stop);
    pack(w, from.parameters.W, from.parameters.b, from.parameters.c, team);
    pack_memory(w, from.first, first, team);
    pack_memory(w, from.second, second, team);
    team.lap(Region::points);
    team.barrier();
    Outcome mine = Outcome::finished;
    for (Index step = 0; step < steps && mine == Outcome::finished; ++step) {
      const Index begin = step * batch_rows;
      const Index rows = data.rows - begin < batch_rows ? data.rows - begin : batch_rows;
      const Batch<T> batch{&data, begin, rows, data.noise.step + static_cast<std::uint32_t>(step)};
      const Update<T> update(optimizer, rates[step], step);
      const T k = static_cast<T>(2.0 / static_cast<double>(batch.visits()));
      mine = run_batch(work, batch, true, team, watch, sums + step,
                       [&](const GradientTile& tile, T* dW, T* db, T* dc) {
                         team.lap(Region::gradient);
                         update_tile(w, first, second, update, k, tile, dW, db, dc);
                         team.lap(Region::update);
                       });
      // x - x is 0 only for finite x
      if (mine == Outcome::finished && !(sums[step] - sums[step] == 0.0)) mine = Outcome::diverged;
    }
    unpack_memory(w, {w.by_feature, w.b, w.c}, to.parameters, team);
    unpack_memory(w, first, to.first, team);
    unpack_memory(w, second, to.second, team);
    if (!is_finite(w, team)) overflow.raise();
    team.lap(Region::points);
    if (team.rank == 0) outcome = mine;
  };
  parallel(of.threads, body, run.seconds);
  if (outcome == Outcome::finished && overflow.raised()) outcome = Outcome::diverged;
  if (outcome != Outcome::finished) memory.spoil();
  return outcome;
}

}  // namespace dsmfast::DSMFAST_ISA
