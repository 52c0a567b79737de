// The regression |D(x~) - t|^2 and its gradient, on a tile of rows and then over the batch.
//
// forward                                   backward, with k the scale of the loss
//   X~ = X + sigma E          (B, d)
//   A  = X~ W' + b            (B, h)          dA = G o H o (1 - H)
//   H  = sigmoid(A)           (B, h)          G  = R W'
//   R  = H W + c - T          (B, d)
//   loss = sum R o R                          dW = 2k (H' R + dA' X~)   (h, d)
//                                             db = 2k sum dA            (h,)
//                                             dc = 2k sum R             (d,)
//
// Everything up to dA belongs to a row and is done tile by tile; dW, db and dc sum over rows and are
// done panel by panel. Between the two stands a barrier, and X~, R, H and dA of one chunk of rows.
#pragma once

#include "model.hpp"
#include "noise.hpp"

namespace dsmfast::DSMFAST_ISA {

// A chunk keeps 2 (d + h) values a row: 8 MB in float32, near the cores, whatever the batch is.
constexpr Index chunk_values = Index{1} << 21;

template <typename T>
struct Chunk {
  Index capacity;  // rows
  Index ldx, ldh;  // leading dimensions of (B, d) and (B, h)
  T *X, *R;        // (B, ldx): corrupted points x~, residuals
  T *H, *dA;       // (B, ldh)
  double* loss;    // (B,): |R|^2 of each row

  // Rows of a chunk: as equal as can be, and fixed by the shape alone.
  static Index rows_for(Index rows, Index d, Index h) {
    const Index fit = chunk_values / (2 * (d + h));
    const Index most = fit < 32 ? 32 : fit > 2048 ? 2048 : fit;
    const Index chunks = (rows + most - 1) / most;
    return (rows + chunks - 1) / chunks;
  }

  static Index bytes(Index capacity, Index d, Index h) {
    return 2 * Arena::bytes<T>(capacity * leading_dimension<T>(d)) +
           2 * Arena::bytes<T>(capacity * leading_dimension<T>(h)) + Arena::bytes<double>(capacity);
  }

  static Chunk carve(Arena& arena, Index capacity, Index d, Index h) {
    Chunk s{capacity,
            leading_dimension<T>(d),
            leading_dimension<T>(h),
            nullptr,
            nullptr,
            nullptr,
            nullptr,
            nullptr};
    s.X = arena.take<T>(capacity * s.ldx);
    s.R = arena.take<T>(capacity * s.ldx);
    s.H = arena.take<T>(capacity * s.ldh);
    s.dA = arena.take<T>(capacity * s.ldh);
    s.loss = arena.take<double>(capacity);
    return s;
  }
};

// Which rows: visit v = draw * rows + i is row order[first + i] of the data, in its draw-th noise.
template <typename T>
struct Batch {
  const Regression<T>* data;
  Index first, rows;   // a slice of the order
  std::uint32_t step;  // of the noise

  Index visits() const { return rows * data->noise.draws; }
};

// The visits of a tile: rows of the data, and which of their draws.
struct Visits {
  Index row[tile_rows];
  Index draw[tile_rows];

  template <typename T>
  Visits(const Batch<T>& batch, Index first, Index count) {
    Index m = first / batch.rows, i = first % batch.rows;
    const Index* order = batch.data->order;
    for (Index v = 0; v < count; ++v) {
      row[v] = order != nullptr ? order[batch.first + i] : batch.first + i;
      draw[v] = m;
      if (++i == batch.rows) i = 0, ++m;
    }
  }
};

// X~ = X + sigma E and R = c - T for rows visit ... visit + rows, written at X and R.
template <typename T>
void corrupt(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows, T* X, T* R,
             Index ldx) {
  const Regression<T>& data = *batch.data;
  const Noise<T>& noise = data.noise;
  const Visits visits(batch, visit, rows);
  const bool drawn = noise.sigma != T(0) && noise.given == nullptr;
  if (drawn)
    fill_normals(
        noise, batch.step, rows, w.d, [&](Index i) { return visits.row[i]; },
        [&](Index i) { return visits.draw[i]; }, X, ldx);
  for (Index i = 0; i < rows; ++i) {
    const Index row = visits.row[i];
    T* x = X + i * ldx;
    T* r = R + i * ldx;
    copy_row(data.points, row, r);
    if (noise.sigma != T(0)) {
      if (!drawn)
        std::memcpy(x, noise.given + (visits.draw[i] * data.points.rows + row) * w.d,
                    static_cast<std::size_t>(w.d) * sizeof(T));
      for (Index k = 0; k < w.d; k += lanes<T>)
        store<T>(x + k, load(r + k) + noise.sigma * load(x + k));
    } else {
      std::memcpy(x, r, static_cast<std::size_t>(w.d) * sizeof(T));
    }
    if (data.targets.data != nullptr) copy_row(data.targets, row, r);
    for (Index k = 0; k < w.d; k += lanes<T>) store<T>(r + k, load(w.c + k) - load(r + k));
  }
}

// R = H W + (c - T), which stands in R already; loss[i] = |R_i|^2
template <typename T>
void residual(const Weights<T>& w, Index rows, const T* H, Index ldh,  // (rows, h)
              T* R, Index ldx,                                         // (rows, d)
              double* loss) {                                          // (rows,)
  for (Index i = 0; i < rows; ++i) loss[i] = 0;
  for (Index p = 0; p < w.feature_panels(); ++p) {
    T* r = R + p * w.width;
    multiply(rows, w.features_in(p), w.h, {H, ldh, 1}, w.feature_panel(p), r, ldx, true);
    for (Index i = 0; i < rows; ++i) {
      Lanes<T> square = Lanes<T>::Zero();
      for (Index k = 0; k < w.features_in(p); k += lanes<T>)
        square += load(r + i * ldx + k).square();
      loss[i] += static_cast<double>(square.sum());
    }
  }
}

// dA = (R W') o H o (1 - H)
template <typename T>
void residual_backward(const Weights<T>& w, Index rows, const T* R, Index ldx,  // (rows, d)
                       const T* H, Index ldh,                                   // (rows, h)
                       T* dA) {                                                 // (rows, h)
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    T* g = dA + q * w.width;
    const T* s = H + q * w.width;
    multiply(rows, w.hidden_in(q), w.d, {R, ldx, 1}, w.hidden_panel(q), g, ldh);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
        const Lanes<T> h = load(s + i * ldh + j);
        store<T>(g + i * ldh + j, load(g + i * ldh + j) * h * (T(1) - h));
      }
  }
}

// One tile of rows of the chunk, forward and, if asked, backward to dA.
template <typename T>
void regression_tile(const Weights<T>& w, const Batch<T>& batch, Index visit, Index rows,
                     bool backward, const Chunk<T>& chunk, Index at) {
  T* X = chunk.X + at * chunk.ldx;
  T* R = chunk.R + at * chunk.ldx;
  T* H = chunk.H + at * chunk.ldh;
  T* dA = chunk.dA + at * chunk.ldh;
  corrupt(w, batch, visit, rows, X, R, chunk.ldx);
  encode(w, rows, X, chunk.ldx, H, chunk.ldh);
  residual(w, rows, H, chunk.ldh, R, chunk.ldx, chunk.loss + at);
  if (backward) residual_backward(w, rows, R, chunk.ldx, H, chunk.ldh, dA);
}

}  // namespace dsmfast::DSMFAST_ISA
