// The memory of the gram path.
#pragma once

#include "kernels/batch/batch.hpp"
#include "kernels/curvature/curvature.hpp"
#include "kernels/gram/factor.hpp"

namespace dsmfast::DSMFAST_ISA::gram {

// What a batch is on this path, and what its memory follows from.
struct Sizes {
  Index d, h;
  Index capacity, group;  // rows of a chunk, and draws at a time
  Index chunks;
  curvature::Form form;  // none, trace or hidden
  Index noisy;           // x~ = x + sigma e
  Index given;           // where the noise is given
  Index targets;         // the target t is given: where Y and P stand for it, T - c and (T - c) W'
  Index itself;  // the target is x~:      where Y and P stand for it, Y + sigma E and P + sigma U
  Index weighted;

  // Whether the penalty has noise in its slopes, and a term in stein.
  bool noisy_penalty() const { return noisy && form == curvature::Form::hidden; }
};

// Draws at a time, so that their four arrays stay near the cores, 2 MB in float32. An even number:
// antithetic pairs stay together.
inline Index group_for(Index capacity, Index h, Index draws) {
  const Index fit = (Index{1} << 17) / (h * capacity) / 2 * 2;
  return smaller(fit < 2 ? 2 : fit, draws);
}

template <typename T>
Sizes sizes_for(Index d, Index h, Index rows, const Regression<T>& data) {
  const Index capacity = chunk_rows(rows, d + 2 * h, d * h);
  const Index chunks = (rows + capacity - 1) / capacity;
  const bool noisy = data.noise.sigma != T(0), itself = noisy && data.target == Target::itself;
  const curvature::Form form = data.curvature.variance == T(0)  ? curvature::Form::none
                               : data.curvature.penalty == T(0) ? curvature::Form::trace
                                                                : curvature::Form::hidden;
  const bool given = data.noise.given != nullptr, targets = data.target == Target::given;
  const Index group = group_for(capacity, h, data.noise.draws);
  return {d, h, capacity, group, chunks, form, noisy, given, targets, itself, is_weighted(data)};
}

template <typename T>
double operations(Index d, Index h, Index rows, const Regression<T>& data) {
  return row_operations(2, d, h) * static_cast<double>(rows + h) +
         row_operations(3, h, h) * static_cast<double>(rows * data.noise.draws);
}

template <typename T>
struct Scratch {     // one a thread
  T *Z, *U;          // (tile_rows, ldh): normals, and their images
  T* E;              // (tile_rows, ldx): noise that is given; else null
  T* panel;          // (tile_rows, width)
  double* panel64;   // (tile_rows, panel_width<double>)
  double* residual;  // (tile_rows,)
  T* packed;         // (capacity, width): a panel of Y
  T* dW;             // (h_pad, width)
  double* E64;       // (hidden_block, panel_width<double>)        of Form::hidden

  static Scratch carve(Arena& arena, const Sizes& sizes) {
    constexpr Index width = panel_width<T>;
    const Index ldx = leading_dimension<T>(sizes.d), ldh = leading_dimension<T>(sizes.h);
    Scratch s{};
    arena.take(tile_rows * ldh, s.Z, s.U);
    if (sizes.given) arena.take(tile_rows * ldx, s.E);
    arena.take(tile_rows * width, s.panel);
    arena.take(tile_rows * panel_width<double>, s.panel64);
    arena.take(tile_rows, s.residual);
    arena.take(sizes.capacity * width, s.packed);
    arena.take(padded<T>(sizes.h) * width, s.dW);
    arena.take(hidden_block<T> * panel_width<double>, s.E64);
    return s;
  }
};

struct Queues {  // cache lines apart
  alignas(64) TaskQueue project;
  alignas(64) TaskQueue core;
  alignas(64) TaskQueue panels;

  void refill() {
    for (TaskQueue* queue : {&project, &core, &panels}) queue->refill();
  }
};

template <typename T>
struct Workspace {
  Sizes sizes;
  Index ldx, ldh;
  Weights<T> w;
  Factors<T> factors;
  curvature::Terms<T> curvature;
  Triple<T> total;  // the gradient: of batches of more than one chunk, else of b and c alone
  // Of rows:
  T *Y, *P;        // (B, ldx), (B, ldh)
  T *Yt, *Pt;      // the same of the targets: Y and P again unless they are given
  T *D, *N;        // (B, ldh): sums over draws of dA - H; if targets are given of dA, and of -H
  double* square;  // (B,): |y|^2 of the targets
  T* row_weight;   // (B,): summed over draws; null: as many as there are
  // Of rows and draws:
  T *H, *S, *dA;            // (group B, ldh)
  T* stein;                 // (group B, ldh): the diagonal
  T* S2;                    // (group B, ldh): S o (1 - 2 H)     if noisy_penalty
  curvature::Rows<T> kept;  // (group B rows)
  double* loss;             // (group B,)
  T* weight;                // (group B,); null: 1
  // Sums over the batch:
  T *HH, *SS, *SS2;  // (h_pad, ldh), on and above the diagonal: H' H, in the end C; S' S; S2' S2
  T *sum_H, *sum_S, *sum_dA, *sum_stein;  // (h_pad,)
  Queues* queues;
  ThreadArenas scratch;

  static Workspace carve(Arena& arena, const Sizes& sizes, int threads) {
    const Index d = sizes.d, h = sizes.h, h_pad = padded<T>(h), capacity = sizes.capacity;
    const Index visits = sizes.group * capacity;
    Workspace s{};
    s.sizes = sizes;
    s.ldx = leading_dimension<T>(d);
    s.ldh = leading_dimension<T>(h);
    s.w = Weights<T>::carve(arena, d, h);
    s.factors = Factors<T>::carve(arena, d, h);
    s.curvature = curvature::Terms<T>::carve(arena, sizes.form, d, h);
    s.total = carve_triple<T>(arena, d, h, sizes.chunks > 1);
    arena.take(capacity * s.ldx, s.Y);
    arena.take(capacity * s.ldh, s.P, s.D);
    s.Yt = s.Y, s.Pt = s.P;
    if (sizes.targets) {
      arena.take(capacity * s.ldx, s.Yt);
      arena.take(capacity * s.ldh, s.Pt, s.N);
    }
    arena.take(capacity, s.square);
    arena.take(visits * s.ldh, s.H, s.S, s.dA, s.stein);
    arena.take(visits, s.loss);
    if (sizes.weighted) {
      arena.take(visits, s.weight);
      arena.take(capacity, s.row_weight);
    }
    s.kept = curvature::Rows<T>::carve(arena, sizes.form, visits, d, h);
    arena.take(h_pad * s.ldh, s.HH, s.SS);
    if (sizes.noisy_penalty()) {
      arena.take(visits * s.ldh, s.S2);
      arena.take(h_pad * s.ldh, s.SS2);
    }
    arena.take(h_pad, s.sum_H, s.sum_S, s.sum_dA, s.sum_stein);
    s.queues = arena.make<Queues>();
    s.scratch = ThreadArenas::carve<Scratch<T>>(arena, threads, sizes);
    return s;
  }

  void prepare(const Regression<T>& data) { curvature.prepare(data.curvature); }
};

}  // namespace dsmfast::DSMFAST_ISA::gram
