// One step of a tile of chains: what is proposed, and whether it is taken.
//
//   gibbs, shifted   k ~ Binomial(n, sigmoid(a)),   y ~ N(mu_k + g(x), sigma^2 I)
//                    mu_k = c + (beta / N) W'k,  g(x) = (beta excess / N) W'sigmoid(a), or 0 for gibbs
//   mala, langevin   y ~ N(x + g(x), 2 eta sigma^2 I),   g(x) = eta (c + beta W'sigmoid(a) - x)
//
// with N = n + excess = 1 / sigma^2. Metropolis' ratio, F = sum softplus(a):
//
//   gibbs     excess (F(y) - F(x))
//   shifted   the same, + N (<x - mu, g(y)> - <y - mu, g(x)> - |g(y)|^2 / 2 + |g(x)|^2 / 2)
//   mala      -E(y) + E(x) - N (|x - y - g(y)|^2 - |y - x - g(x)|^2) / (4 eta)
#pragma once

#include "kernels/chains/layers.hpp"

namespace dsmfast::DSMFAST_ISA::chains {

// What random numbers of a step are for, as their draw in the stream.
constexpr Index normals_draw = 0, acceptance_draw = 1, counts_draw = 2;

// A tile at a step.
template <typename T>
struct Tile {
  const Weights<T>* w;
  const Chains<T>* run;
  Scratch<T>* s;
  double precision;  // N
  Index first, rows;
  std::uint32_t step;
  double beta;
  double fixed;  // |c|^2 / 2 of the temperature, which gaussian_part leaves out

  bool is_langevin() const {
    return run->transition == Transition::mala || run->transition == Transition::langevin;
  }
  // Features of row i that stay as they are, or null.
  const bool* observed(Index i) const {
    return run->observed == nullptr ? nullptr : run->observed + (first + i) * w->d;
  }
  Place place(Index i, Index draw) const {
    return {run->seed, Stream::chain, run->first_row, step, first + i, draw};
  }
};

// Biases of a temperature.
template <typename T>
void set_temperature(Tile<T>& tile, double beta) {
  const Weights<T>& w = *tile.w;
  const Annealing<T>& path = tile.run->annealing;
  tile.beta = beta;
  const auto on = static_cast<T>(beta), off = static_cast<T>(1 - beta);
  for (Index j = 0; j < w.h; ++j)
    tile.s->bias[j] = path.beta == nullptr ? w.b[j] : on * w.b[j] + off * path.b0[j];
  for (Index j = w.h; j < w.h_pad; ++j) tile.s->bias[j] = T(-1e30);
  for (Index k = 0; k < w.d; ++k)
    tile.s->visible[k] = path.beta == nullptr ? w.c[k] : on * w.c[k] + off * path.c0[k];
  tile.fixed = dot(tile.s->visible, tile.s->visible, w.d) / 2;
}

// log (rows,): what log p_beta is, but for |x|^2 / 2, over N.
template <typename T>
void annealed_energy(const Tile<T>& tile, const Position<T>& at, double* log) {
  const Scratch<T>& s = *tile.s;
  softplus_sums(*tile.w, tile.rows, at.A, static_cast<T>(tile.beta), s.bias, log);
  for (Index i = 0; i < tile.rows; ++i)
    log[i] += gaussian_part(s.visible, tile.w->d, at.x + i * s.ldx) + tile.fixed;
}

// What a step from a point, or back to it, goes by.
template <typename T>
void describe(const Tile<T>& tile, const Sizes& sizes, const Position<T>& at) {
  const Weights<T>& w = *tile.w;
  const Scratch<T>& s = *tile.s;
  const auto beta = static_cast<T>(tile.beta);
  if (sizes.corrected && tile.is_langevin())
    annealed_energy(tile, at, at.log);
  else if (sizes.corrected)
    softplus_sums(w, tile.rows, at.A, beta, s.bias, at.log);
  if (!sizes.drifting) return;
  activations(w, tile.rows, at.A, beta, s.bias, s.H);
  const bool langevin = tile.is_langevin();
  const auto share = static_cast<T>(langevin ? tile.run->step_size
                                             : tile.beta * tile.run->excess / tile.precision);
  feed(w, tile.run->lower, tile.rows, s.H, s.panel,
       [&](Index i, Index first, Index count, const T* D) {
         T* drift = at.drift + i * s.ldx + first;
         const T* x = at.x + i * s.ldx + first;
         const T* c = s.visible + first;
         for (Index k = 0; k < count; ++k)
           drift[k] = langevin ? share * (c[k] + beta * D[k] - x[k]) : share * D[k];
         if (const bool* fixed = tile.observed(i))
           for (Index k = 0; k < count; ++k)
             if (fixed[first + k]) drift[k] = T(0);
       });
}

// Calls work(block (size,)) on the values of row i of H, `size` at a time, and puts them back.
template <int size, typename T, typename Work>
DSMFAST_INLINE void by_blocks(const Weights<T>& w, const Matrix<T>& H, Index i, const Work& work) {
  constexpr int piece = size < panel_width<T> ? size : static_cast<int>(panel_width<T>);
  for (Index first = 0; first < w.h; first += size) {
    T block[size];
    const Index end = smaller(size, w.h_pad - first);
    for (Index j = end; j < size; ++j) block[j] = T(0);
    for (Index j = 0; j < end; j += piece) copy(H(i, first + j), piece, block + j);
    work(first, block);
    for (Index j = 0; j < end; j += piece) copy(block + j, piece, H(i, first + j));
  }
}

// H: counts of the chances in H, times `factor`.
template <typename T>
void draw_counts(const Tile<T>& tile, T factor) {
  const Weights<T>& w = *tile.w;
  const Index n = tile.run->trials;
  for (Index i = 0; i < tile.rows; ++i) {
    const Place at = tile.place(i, counts_draw);
    if (n <= few_trials)
      by_blocks<units>(w, tile.s->H, i, [&](Index first, T(&chance)[units]) {
        draw_few(at, n, first, factor, chance);
      });
    else
      by_blocks<counters>(w, tile.s->H, i, [&](Index first, T(&chance)[counters]) {
        draw_many(at, n, first, smaller(counters, w.h - first), factor, chance);
      });
  }
}

// y += scale * standard normals.
template <typename T>
void add_noise(const Tile<T>& tile, T scale, T* y) {
  const Scratch<T>& s = *tile.s;
  const Index d = tile.w->d;
  for (Index at = 0; at < tile.rows; at += drawn_rows) {
    const Index rows = smaller(tile.rows - at, drawn_rows);
    fill(
        tile.place(0, 0), tile.step, rows, d, [&](Index i) { return tile.first + at + i; },
        [&](Index) { return normals_draw; }, ToNormals{}, s.drawn, s.ldx);
    for (Index i = 0; i < rows; ++i) {
      T* to = y + (at + i) * s.ldx;
      const T* z = s.drawn + i * s.ldx;
      if (const bool* fixed = tile.observed(at + i)) {
        for (Index k = 0; k < d; ++k) to[k] += fixed[k] ? T(0) : scale * z[k];
      } else {
        for (Index k = 0; k < d; ++k) to[k] += scale * z[k];
      }
    }
  }
}

// The next point, at s.next.x; of a shifted step also its mean without the shift. Of a Gibbs step, `sums`
// becomes sum softplus(a) of the point it goes from, if it is not null.
template <typename T>
void propose(const Tile<T>& tile, const Sizes& sizes, double* sums) {
  const Weights<T>& w = *tile.w;
  const Scratch<T>& s = *tile.s;
  const auto sigma = static_cast<T>(1 / std::sqrt(tile.precision));
  T* y = s.next.x;
  if (tile.is_langevin()) {
    for (Index i = 0; i < tile.rows; ++i)
      for (Index k = i * s.ldx; k < i * s.ldx + w.d; ++k) y[k] = s.now.x[k] + s.now.drift[k];
    return add_noise(tile, static_cast<T>(std::sqrt(2 * tile.run->step_size)) * sigma, y);
  }
  const auto beta = static_cast<T>(tile.beta);
  chances(w, tile.rows, s.now.A, beta, s.bias, s.H, sums);
  draw_counts(tile, static_cast<T>(tile.beta / tile.precision));
  feed(w, tile.run->lower, tile.rows, s.H, s.panel,
       [&](Index i, Index first, Index count, const T* D) {
         const Index at = i * s.ldx + first;
         const T* c = s.visible + first;
         const bool* fixed = tile.observed(i);
         if (!sizes.drifting && fixed == nullptr) {
           for (Index k = 0; k < count; ++k) y[at + k] = c[k] + D[k];
           return;
         }
         for (Index k = 0; k < count; ++k) {
           const T mean = c[k] + D[k];
           if (sizes.drifting) s.mean[at + k] = mean;
           const T shift = sizes.drifting ? s.now.drift[at + k] : T(0);
           y[at + k] = fixed != nullptr && fixed[first + k] ? s.now.x[at + k] : mean + shift;
         }
       });
  add_noise(tile, sigma, y);
}

template <typename T>
double log_ratio(const Tile<T>& tile, Index i) {
  const Scratch<T>& s = *tile.s;
  const Transition kind = tile.run->transition;
  const double rise = s.next.log[i] - s.now.log[i];
  if (kind == Transition::gibbs) return tile.run->excess * rise;
  double sum = 0;
  for (Index k = i * s.ldx; k < i * s.ldx + tile.w->d; ++k) {
    const double x = s.now.x[k], y = s.next.x[k], g = s.now.drift[k], v = s.next.drift[k];
    if (kind == Transition::shifted) {
      const double mean = s.mean[k];
      sum += (x - mean) * v - (y - mean) * g - (v * v - g * g) / 2;
    } else {
      const double back = x - y - v, there = y - x - g;
      sum -= (back * back - there * there) / (4 * tile.run->step_size);
    }
  }
  return (kind == Transition::shifted ? tile.run->excess : tile.precision) * rise +
         tile.precision * sum;
}

template <typename T>
void take(const Tile<T>& tile, const Sizes& sizes, Index i) {
  const Scratch<T>& s = *tile.s;
  copy(s.next.x + i * s.ldx, tile.w->d, s.now.x + i * s.ldx);
  if (sizes.drifting) copy(s.next.drift + i * s.ldx, tile.w->d, s.now.drift + i * s.ldx);
  for (Index j = 0; j < tile.w->h_pad; j += panel_width<T>)
    copy(s.next.A(i, j), panel_width<T>, s.now.A(i, j));
  s.now.log[i] = s.next.log[i];
}

// Takes the proposals, each with the chance of its ratio.
template <typename T>
void decide(const Tile<T>& tile, const Sizes& sizes) {
  for (Index at = 0; at < tile.rows; at += counters) {
    const Index rows = smaller(tile.rows - at, counters);
    std::uint32_t word[4][counters];
    for (Index l = 0; l < counters; ++l) {
      const Place p = tile.place(at + smaller(l, rows - 1), acceptance_draw);
      const Counter c = counter(p.stream, p.step, p.first_draw, p.first_row + p.row, 0);
      word[0][l] = c.group, word[1][l] = c.row, word[2][l] = c.step, word[3][l] = c.last;
    }
    philox(word, tile.run->seed);
    for (Index l = 0; l < rows; ++l) {
      if (!(std::log(uniform(word[0][l], word[1][l])) < log_ratio(tile, at + l))) continue;
      take(tile, sizes, at + l);
      tile.run->accepted[tile.first + at + l] += 1;
    }
  }
}

}  // namespace dsmfast::DSMFAST_ISA::chains
