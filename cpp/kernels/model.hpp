// The model on a tile of rows: encode, decode, and the four quantities built from them.
//
//   H = sigmoid(X W' + b)      D = H W + c      score = (D - X) / sigma^2
//   energy = -(<c, x> - |x|^2 / 2 + sum softplus(W x + b)) / sigma^2
#pragma once

#include <cstring>

#include "activation.hpp"
#include "weights.hpp"

namespace dsmfast::DSMFAST_ISA {

constexpr Index tile_rows = 96;  // at most; a multiple of 6 and 8

// Rows of a tile. Nothing about a row depends on its tile, so that tiles of rows may follow the
// number of threads: as large as can be, because each reads all of W.
inline Index tile_for(Index rows, int threads) {
  const Index share = (rows + threads - 1) / threads;
  const Index tiles = (share + tile_rows - 1) / tile_rows;
  return ((share + tiles - 1) / tiles + block_rows - 1) / block_rows * block_rows;
}

// H = sigmoid(X W' + b). meanwhile() is called once, when X has been read for the first time.
template <typename T, typename Meanwhile>
void encode(const Weights<T>& w, Index rows, const Matrix<const T>& X,  // (rows, d)
            const Matrix<T>& H,                                         // (rows, h)
            const Meanwhile& meanwhile) {
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    T* h = H(0, q * w.width);
    multiply<T>(rows, w.hidden_in(q), w.d, X, w.hidden_panel(q), h, H.row);
    if (q == 0) meanwhile();
    for (Index j = 0; j < w.hidden_in(q); j += lanes<T>) {
      const Lanes<T> b = load(w.b + q * w.width + j);
      for (Index i = 0; i < rows; ++i)
        store<T>(h + i * H.row + j, sigmoid<T>(load(h + i * H.row + j) + b));
    }
  }
}

// The register at column k of a row of d columns, zero beyond them.
template <typename T>
DSMFAST_INLINE Lanes<T> load_columns(const T* row, Index k, Index d) {
  if (k + lanes<T> <= d) return load(row + k);
  Lanes<T> value = Lanes<T>::Zero();
  for (Index i = k; i < d; ++i) value[i - k] = row[i];
  return value;
}

// sum_j softplus(A_j) for each row. Summed in double: the energy is a difference of large sums.
template <typename T, typename Meanwhile>
void free_energy(const Weights<T>& w, Index rows, const Matrix<const T>& X,  // (rows, d)
                 T* A,         // (rows, width): scratch
                 double* sum,  // (rows,)
                 const Meanwhile& meanwhile) {
  for (Index i = 0; i < rows; ++i) sum[i] = 0;
  for (Index q = 0; q < w.hidden_panels(); ++q) {
    const Index columns = w.hidden_in(q);
    multiply<T>(rows, columns, w.d, X, w.hidden_panel(q), A, w.width);
    if (q == 0) meanwhile();
    for (Index i = 0; i < rows; ++i) {
      Eigen::Array<double, lanes<T>, 1> total = Eigen::Array<double, lanes<T>, 1>::Zero();
      for (Index j = 0; j < columns; j += lanes<T>) {
        T* a = A + i * w.width + j;
        store<T>(a, softplus<T>(load(a) + load(w.b + q * w.width + j)));
        total += load_columns(A + i * w.width, j, columns).template cast<double>();
      }
      sum[i] += total.sum();
    }
  }
}

// <c, x> - |x|^2 / 2 = sum x (c - x / 2), moved to double once a block so that nothing is lost in
// long rows.
template <typename T>
double gaussian_part(const Weights<T>& w, const T* x) {
  constexpr Index block = 64 * lanes<T>;
  double sum = 0;
  for (Index first = 0; first < w.d; first += block) {
    const Index end = w.d - first < block ? w.d : first + block;
    Lanes<T> partial = Lanes<T>::Zero();
    for (Index k = first; k < end; k += lanes<T>) {
      const Lanes<T> value = load_columns(x, k, w.d);
      partial += value * (load(w.c + k) - T(0.5) * value);
    }
    sum += partial.template cast<double>().sum();
  }
  return sum;
}

// D = H W + c, handed over panel by panel: finish(i, first feature, count, values).
template <typename T, typename Finish>
void decode(const Weights<T>& w, Index rows, const Matrix<const T>& H,  // (rows, h)
            T* D,                                                       // (rows, width): scratch
            const Finish& finish) {
  for (Index p = 0; p < w.feature_panels(); ++p) {
    multiply<T>(rows, w.features_in(p), w.h, H, w.feature_panel(p), D, w.width);
    for (Index i = 0; i < rows; ++i) {
      T* row = D + i * w.width;
      for (Index j = 0; j < w.features_in(p); j += lanes<T>)
        store<T>(row + j, load(row + j) + load(w.c + p * w.width + j));
      finish(i, p * w.width, w.features_in(p), row);
    }
  }
}

// Whether a row holds no NaN and no infinity: x - x is 0 only for finite x.
template <typename T>
bool is_finite(const T* x, Index columns) {
  Lanes<T> check = Lanes<T>::Zero();
  Index k = 0;
  for (; k + lanes<T> <= columns; k += lanes<T>) check += load(x + k) - load(x + k);
  T rest = 0;
  for (; k < columns; ++k) rest += x[k] - x[k];
  return check.sum() + rest == T(0);
}

// One row of the user's array into a padded buffer.
template <typename T>
void copy_row(const View<const T>& x, Index row, T* to) {
  const T* from = x.data + row * x.row_stride;
  if (x.column_stride == 1 && x.columns >= 16) {
    std::memcpy(to, from, static_cast<std::size_t>(x.columns) * sizeof(T));
  } else {
    for (Index k = 0; k < x.columns; ++k) to[k] = from[k * x.column_stride];
  }
}

// The same row where it lies, if its columns are adjacent, else copied.
template <typename T>
const T* contiguous_row(const View<const T>& x, Index row, T* copy) {
  if (x.column_stride == 1) return x.data + row * x.row_stride;
  copy_row(x, row, copy);
  return copy;
}

template <typename T>
struct EvaluationScratch {  // one a thread
  T* x;                     // (tile_rows, ldx): points whose columns are not adjacent
  Matrix<T> H;              // (tile_rows, h), in panels
  T* panel;                 // (tile_rows, width)
  double* sum;              // (tile_rows,)

  static EvaluationScratch carve(Arena& arena, Index ldx, Index h) {
    EvaluationScratch s{};
    s.x = arena.take<T>(tile_rows * ldx);
    s.H = Matrix<T>::in_panels(arena.take<T>(Matrix<T>::stored(tile_rows, h)), tile_rows);
    s.panel = arena.take<T>(tile_rows * panel_width<T>);
    s.sum = arena.take<double>(tile_rows);
    return s;
  }
};

// One tile of rows X, (rows, d) or, to decode, (rows, h), to the user's output.
template <typename T, typename Meanwhile>
void evaluate_tile(const Weights<T>& w, Quantity quantity, T sigma, Index rows,
                   const Matrix<const T>& X, const EvaluationScratch<T>& s, T* out,
                   const Meanwhile& meanwhile) {
  const T precision = T(1) / (sigma * sigma);
  const auto write = [&](Index i, Index first, Index count, const T* values) {
    std::memcpy(out + i * w.d + first, values, static_cast<std::size_t>(count) * sizeof(T));
  };
  switch (quantity) {
    case Quantity::hidden:
      encode<T>(w, rows, X, s.H, meanwhile);
      for (Index i = 0; i < rows; ++i)
        for (Index q = 0; q < w.hidden_panels(); ++q)
          std::memcpy(out + i * w.h + q * w.width, s.H(i, q * w.width),
                      static_cast<std::size_t>(w.hidden_in(q)) * sizeof(T));
      return;
    case Quantity::energy: {
      free_energy<T>(w, rows, X, s.panel, s.sum, meanwhile);
      const double variance = static_cast<double>(sigma) * static_cast<double>(sigma);
      for (Index i = 0; i < rows; ++i)
        out[i] = static_cast<T>(-(gaussian_part(w, X(i, 0)) + s.sum[i]) / variance);
      return;
    }
    case Quantity::score:
      encode<T>(w, rows, X, s.H, meanwhile);
      decode<T>(w, rows, s.H, s.panel, [&](Index i, Index first, Index count, const T* D) {
        const T* x = X(i, first);
        T* to = out + i * w.d + first;
        for (Index k = 0; k < count; ++k) to[k] = (D[k] - x[k]) * precision;
      });
      return;
    case Quantity::denoise:
      encode<T>(w, rows, X, s.H, meanwhile);
      decode<T>(w, rows, s.H, s.panel, write);
      return;
    case Quantity::decode:
      meanwhile();
      decode<T>(w, rows, X, s.panel, write);
      return;
  }
}

template <typename T>
Outcome evaluate(const Model<T>& model, Quantity quantity, const View<const T>& x, T* out,
                 Execution& run) {
  const Index d = model.features, h = model.hidden;
  const Index ldx = leading_dimension<T>(x.columns);
  const Index width = quantity == Quantity::hidden ? h : quantity == Quantity::energy ? 1 : d;
  const int threads =
      worthwhile(run.threads, row_operations(2, d, h) * static_cast<double>(x.rows));
  const Index tile = tile_for(x.rows, threads);

  Arena measured = Arena::measuring();
  EvaluationScratch<T>::carve(measured, ldx, h);
  Memory memory;
  if (!memory.reserve(Weights<T>::bytes(d, h) + Arena::bytes<Index>(threads) +
                      threads * measured.used()))
    return Outcome::out_of_memory;
  Arena arena = memory.arena();
  const Weights<T> w = Weights<T>::carve(arena, d, h);
  const BadRows bad(arena.take<Index>(threads), threads);
  Flag stop;

  parallel(threads, [&](const Team& team) {
    Arena mine{arena.next + team.rank * measured.used()};
    const EvaluationScratch<T> s = EvaluationScratch<T>::carve(mine, ldx, h);
    pack(w, model.W, model.b, model.c, team);
    team.barrier();
    const Watch watch(run, team, stop);
    const Range share = team.share((x.rows + tile - 1) / tile);
    for (Index t = share.begin; t < share.end && !watch.stopped() && !bad.any(team.rank); ++t) {
      const Index first = t * tile;
      const Index rows = x.rows - first < tile ? x.rows - first : tile;
      Matrix<const T> X{x.data + first * x.row_stride, x.row_stride};
      if (x.column_stride != 1) {
        for (Index i = 0; i < rows; ++i) copy_row(x, first + i, s.x + i * ldx);
        X = {s.x, ldx};
      }
      // The product, busy and reading ahead, fetches rows from memory for nothing; checked before
      // it, they would be waited for.
      evaluate_tile(w, quantity, model.sigma, rows, X, s, out + first * width, [&] {
        for (Index i = 0; i < rows; ++i)
          if (!is_finite(X(i, 0), x.columns)) bad.report(team.rank, first + i);
      });
      watch.look();
    }
  });
  if (stop.raised()) return Outcome::interrupted;
  return bad.outcome(run);
}

}  // namespace dsmfast::DSMFAST_ISA
