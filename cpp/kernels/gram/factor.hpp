// What the gram path (forward.hpp) knows of W, brought up to date once a step:
//
//   K = W W'                      (h, h)
//   L L' = K                      (h, h)    u = L z has the distribution of W e
//   offset = W c + b              (h,)
//
// K is summed and factored in double, whatever the precision of the model. It is singular wherever
// units repeat each other, are zero, or outnumber the features, and its Cholesky factor must not
// notice: a K summed in float32 has eigenvalues of -1e-5, and no factor; one summed in double has
// one, of all but 2e-10 of it. Rounded to the model's precision, both are right factors of products.
#pragma once

#include <cmath>

#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA::gram {

template <typename T>
struct Factors {
  Index h, h_pad;
  Index ld;       // leading dimension of K and of W'
  double* Wt;     // (d, ld): W'
  double* K;      // (h_pad, ld), its tiles on and above the diagonal
  double* scale;  // (h_pad,): sqrt(K_jj)
  double* R;      // (h_pad / width, h_pad, width): of `cholesky`
  T* K_panels;    // K by panels of columns, (h_pad / panel_width<T>, h_pad, panel_width<T>)
  T* L_panels;    // L' by panels of columns, the same
  T* offset;      // (h_pad,)

  static constexpr Index width = panel_width<double>;

  Panel<T> K_panel(Index q) const { return {K_panels + q * h_pad * panel_width<T>}; }
  Panel<T> L_panel(Index q) const { return {L_panels + q * h_pad * panel_width<T>}; }

  static Factors carve(Arena& arena, Index d, Index h) {
    Factors g{};
    g.h = h;
    g.h_pad = padded<T>(h);
    g.ld = leading_dimension<double>(g.h_pad);
    arena.take(d * g.ld, g.Wt);
    arena.take(g.h_pad * g.ld, g.K);
    arena.take(g.h_pad, g.scale, g.offset);
    arena.take(g.h_pad * g.h_pad, g.R, g.K_panels, g.L_panels);
    return g;
  }
};

// K = W W' and W c + b; every thread of the team takes part. Needs a barrier after it.
template <typename T>
void refresh(const Factors<T>& g, const Weights<T>& w, const Thread& thread) {
  constexpr Index width = Factors<T>::width;
  const Range mine = thread.share(w.hidden_panels());
  for (Index q = mine.begin; q < mine.end; ++q) {
    const T* from = w.by_hidden + q * w.d_pad * w.width;
    double* to = g.Wt + q * w.width;
    for (Index i = 0; i < w.d; ++i)
      for (Index j = 0; j < w.width; ++j)
        to[i * g.ld + j] = static_cast<double>(from[i * w.width + j]);
    T* offset = g.offset + q * w.width;
    multiply(1, w.width, w.d, {w.c, 0, 1}, w.hidden_panel(q), offset, w.width);
    for (Index j = 0; j < w.width; ++j) offset[j] += w.b[q * w.width + j];
  }
  thread.barrier();

  const Index panels = g.h_pad / width;
  for (Index first = 0; first < w.d && !thread.stopped(); first += depth_block) {
    const double* block = g.Wt + first * g.ld;
    const Index depth = smaller(w.d - first, depth_block);
    for_pairs(panels, thread, [&](Index q, Index r) {
      pair_product(depth, block, g.ld, r, q, g.K, g.ld, first > 0);
    });
    thread.poll();
  }
  const auto place = [&](Index i, Index j) {
    return (j / w.width * g.h_pad + i) * w.width + j % w.width;
  };
  for_pairs(panels, thread, [&](Index q, Index r) {
    for (Index i = r * width; i < (r + 1) * width; ++i)
      for (Index j = q == r ? i : q * width; j < (q + 1) * width; ++j) {
        const T value = static_cast<T>(g.K[i * g.ld + j]);
        g.K_panels[place(i, j)] = value;
        g.K_panels[place(j, i)] = value;
        if (i == j) g.scale[j] = std::sqrt(g.K[j * g.ld + j]);
      }
  });
}

// What is added to the diagonal of the correlations: more than rounding can take away, so that the
// factorization is stable however dependent the units are, and 1e-10 of a unit's deviation.
constexpr double jitter = 0x1p-32;

// R (width, width), upper triangular, with R' R = M, in the place of M.
inline void cholesky_diagonal(double* M) {
  constexpr Index width = panel_width<double>;
  for (Index i = 0; i < width; ++i) {
    double* row = M + i * width;
    const double pivot = std::sqrt(row[i] > jitter / 2 ? row[i] : jitter / 2);
    for (Index j = 0; j < width; ++j) row[j] = j < i ? 0 : j == i ? pivot : row[j] / pivot;
    for (Index l = i + 1; l < width; ++l)
      for (Index j = l; j < width; ++j) M[l * width + j] -= row[l] * row[j];
  }
}

// R^-T M in the place of M (width, width).
inline void solve_transposed(const double* R, double* M) {
  constexpr Index width = panel_width<double>;
  for (Index i = 0; i < width; ++i) {
    Packet<double> left = load(M + i * width), right = load(M + i * width + lanes<double>);
    for (Index l = 0; l < i; ++l) {
      left -= R[l * width + i] * load(M + l * width);
      right -= R[l * width + i] * load(M + l * width + lanes<double>);
    }
    const double inverse = 1 / R[i * width + i];
    store<double>(M + i * width, left * inverse);
    store<double>(M + i * width + lanes<double>, right * inverse);
  }
}

// The Cholesky factor of K, by one thread:  L' = R D,  R' R = D^-1 K D^-1 + jitter,  D = diag(scale).
//
// It goes panel of columns by panel of columns. What is factored are correlations: units of any scale
// are treated alike, and a unit of W = 0 gets no noise.
template <typename T>
void cholesky(const Factors<T>& g, const Thread& thread) {
  constexpr Index width = Factors<T>::width, ratio = panel_width<T> / width;
  const auto inverse = [&](Index j) { return g.scale[j] > 0 ? 1 / g.scale[j] : 0.0; };
  for (Index q = 0; q < g.h_pad / width && !thread.stopped(); ++q) {
    double* column = g.R + q * g.h_pad * width;
    double columns_inverse[width];
    for (Index j = 0; j < width; ++j) columns_inverse[j] = inverse(q * width + j);
    for (Index k = 0; k <= q; ++k) {
      const double* above = g.R + k * g.h_pad * width;
      double* M = column + k * width * width;
      // M = (D^-1 K D^-1)(k, q) - sum over l < k of R(l, k)' R(l, q)
      std::memset(M, 0, sizeof(double) * width * width);
      multiply(width, width, k * width, {above, 1, width}, {column}, M, width, true);
      for (Index i = 0; i < width; ++i) {
        const double row_inverse = inverse(k * width + i);
        const double* row = g.K + (k * width + i) * g.ld + q * width;
        for (Index j = 0; j < width; ++j)
          M[i * width + j] = row[j] * row_inverse * columns_inverse[j] - M[i * width + j];
      }
      if (k < q) {
        solve_transposed(above + k * width * width, M);
      } else {
        for (Index i = 0; i < width; ++i) M[i * width + i] += jitter;
        cholesky_diagonal(M);
      }
    }
    T* L = g.L_panels + q / ratio * g.h_pad * panel_width<T> + q % ratio * width;
    for (Index i = 0; i < (q + 1) * width; ++i)
      for (Index j = 0; j < width; ++j)
        L[i * panel_width<T> + j] = static_cast<T>(column[i * width + j] * g.scale[q * width + j]);
    thread.poll();
  }
}

// U = Z L', Z (rows, h), which colours white noise: of each panel of columns, what stands on and above the diagonal.
template <typename T>
void colour(const Factors<T>& g, Index rows, const T* Z, T* U, Index ldh) {
  constexpr Index width = panel_width<T>;
  for (Index q = 0; q < g.h_pad / width; ++q) {
    const Index columns = smaller(g.h - q * width, width);
    multiply(rows, columns, q * width + columns, {Z, ldh, 1}, g.L_panel(q), U + q * width, ldh);
  }
}

// L (h, h) of the model's W, for tests.
template <typename T>
Outcome cholesky_factor(const Model<T>& model, T* L, Execution& run) {
  const Index d = model.features, h = model.hidden;
  Weights<T> w{};
  Factors<T> g{};
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        w = Weights<T>::carve(arena, d, h);
        g = Factors<T>::carve(arena, d, h);
      }))
    return Outcome::out_of_memory;
  const Outcome outcome = parallel(run.threads, run, [&](const Thread& thread) {
    pack(w, {model.W, model.b, model.c}, thread);
    thread.barrier();
    refresh(g, w, thread);
    thread.barrier();
    if (thread.rank == 0) cholesky(g, thread);
  });
  for (Index i = 0; i < h; ++i)
    for (Index j = 0; j < h; ++j) {
      const T* panel = g.L_panel(i / w.width).data;
      L[i * h + j] = j <= i ? panel[j * w.width + i % w.width] : T(0);
    }
  return outcome;
}

}  // namespace dsmfast::DSMFAST_ISA::gram
