// The explicit path for points of few features, where products have nothing to fill registers with.
//
// A row's sigmoids cost more than all of its products, and what stands between them is what counts.
// H of a tile of rows stays in the first-level cache: it is written by rows, whose decoder is summed up
// while H is in registers, and read by hidden units, whose dA, dW and db need no array at all. What a
// tile adds to the gradient is kept, and summed up over tiles in their order. Arrays of size (B, d) have
// a feature a row.
#pragma once

#include <type_traits>

#include "kernels/explicit/workspace.hpp"
#include "kernels/model/activation.hpp"

namespace dsmfast::DSMFAST_ISA::few_features {

using explicit_path::few_rows_of_tile;
using explicit_path::FewFeatures;
using explicit_path::most_features;
using explicit_path::Scratch;
using explicit_path::Workspace;

// X~ = X + sigma E and R = c - T of rows at ... at + rows of the chunk; beyond them, to whole
// registers, R = 0.
template <typename T>
void place_points(const Workspace<T>& s, const Batch<T>& batch, Index visit, Index rows, Index at,
                  const Thread& thread) {
  const Weights<T>& w = s.w;
  const Regression<T>& data = *batch.data;
  const Replacement<T>& replacement = data.noise.replacement;
  const Visits<T> visits(batch, visit, rows);
  const Corruption corruption(data.noise);
  draw_noise(data.noise, visits, [&](const auto&... from) {
    fill_columns(data.noise, batch.step, rows, w.d, from..., s.few.X + at, s.few.ldx);
  });
  thread.lap(Region::noise);
  if (s.few.weight != nullptr) {
    copy(visits.weight, rows, s.few.weight + at);
    for (Index i = rows; i % lanes<T> != 0; ++i) s.few.weight[at + i] = T(0);
  }
  for (Index i = 0; i < rows && s.few.asked != nullptr; ++i)
    s.few.asked[at + i] = visits.target(data, i) == Target::posterior;

  const auto gather = [&](const View<const T>& from, Index k, T* to) {
    const T* column = from.data + k * from.column_stride;
    for (Index i = 0; i < rows; ++i) to[i] = column[visits.row[i] * from.row_stride];
  };
  for (Index k = 0; k < w.d; ++k) {
    T* x = s.few.X + at + k * s.few.ldx;
    T* r = s.few.R + at + k * s.few.ldx;
    gather(data.points, k, r);
    if (data.noise.given != nullptr)
      for (Index i = 0; i < rows; ++i) x[i] = visits.given(data, i)[k];
    for (Index i = 0; i < rows; ++i) {
      if (corruption.overwrites)
        x[i] = x[i] == T(0) ? r[i] : x[i] < T(0) ? replacement.low : replacement.high;
      else
        x[i] = corruption.adds ? r[i] + visits.sigma[i] * x[i] : r[i];
    }
    if (data.target == Target::given) gather(data.targets, k, r);
    const T* target = data.target == Target::itself ? x : r;
    for (Index i = 0; i < rows; ++i) r[i] = w.c[k] - target[i];
    for (Index i = rows; i % lanes<T> != 0; ++i) r[i] = T(0);
  }
  thread.lap(Region::points);
}

// The posterior means among the targets of rows at ... at + rows, in place of those that are there.
template <typename T, int d>
void place_posterior_means(const Workspace<T>& s, const Batch<T>& batch, Index at, Index rows,
                           const Scratch<T>& scratch, const Thread& thread) {
  const parzen::Sample<T> sample = s.sample_of(batch);
  const FewFeatures<T>& few = s.few;
  Index* which = few.asked + at;
  T* Q = few.Q + at * most_features;
  double* sums = few.sums + at * parzen::few_sums;
  Index asked = 0;
  for (Index i = 0; i < rows; ++i)
    if (which[i]) which[asked++] = at + i;
  for (Index q = 0; q < asked; ++q)
    for (Index k = 0; k < d; ++k)
      Q[q * most_features + k] =
          k < s.w.d ? (few.X[k * few.ldx + which[q]] - sample.centre[k]) * sample.scale : T(0);
  parzen::accumulate_few<T, d>(sample, asked, Q, sums, scratch.few, thread);
  for (Index q = 0; q < asked; ++q) {
    const double* sum = sums + q * parzen::few_sums;
    // A row that does not count may be among others like it, which have no mean.
    const bool counts = few.weight[which[q]] != T(0);
    const double share = counts ? static_cast<double>(sample.sigma) / sum[1] : 0;
    for (Index k = 0; k < s.w.d; ++k)
      few.R[k * few.ldx + which[q]] =
          s.w.c[k] - (sample.centre[k] + static_cast<T>(share * sum[2 + k]));
  }
  thread.lap(Region::points);
}

// The sum of each row of M (lanes, lanes), which is overwritten.
template <typename T>
DSMFAST_INLINE Packet<T> sum_rows(T* M) {
  transpose_square<T, lanes<T>, lanes<T>>(M, M);
  Packet<T> even = load(M), odd = load(M + lanes<T>);
  DSMFAST_UNROLL
  for (int i = 2; i < lanes<T>; i += 2) {
    even += load(M + i * lanes<T>);
    odd += load(M + (i + 1) * lanes<T>);
  }
  return even + odd;
}

// H = sigmoid(X~ W' + b)
// R = H W + (c - T), which stands in R already
// loss[i] = |R_i|^2, and what the trace adds: 2 v (sum S n - d)
//
// for rows at ... at + rows of the chunk, which are a tile; R and the loss then times the weight of the
// row.
template <typename T, int d, bool curved>
void forward(const Workspace<T>& s, Index at, Index rows, const Scratch<T>& scratch) {
  const Weights<T>& w = s.w;
  const curvature::OverFeatures<T>& curve = s.curvature.features;
  const Index h = w.h, ldx = s.few.ldx;
  const T* const X = s.few.X + at;
  const Matrix<T> H = scratch.H;
  T* const partial = scratch.partial;
  T* R = s.few.R + at;
  double* loss = s.few.loss + at;
  const T* weight = s.few.weight == nullptr ? nullptr : s.few.weight + at;
  for (Index first = 0; first < rows; first += lanes<T>) {
    const Index count = smaller(rows - first, lanes<T>);
    for (Index i = 0; i < count; ++i) {
      Packet<T> x[d], r[d], trace = Packet<T>::Zero();
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) {
        x[k].setConstant(X[k * ldx + first + i]);
        r[k].setZero();
      }
      // A panel at a time, so that what is between registers of units is little.
      const T* W = w.by_hidden;
      T* hidden = H(first + i, 0);
      for (Index j = 0; j < h; j += w.width, W += w.d_pad * w.width, hidden += H.panel) {
        DSMFAST_UNROLL
        for (int half = 0; half < w.width; half += lanes<T>) {
          if (j + half >= h) continue;
          Packet<T> a = load(w.b + j + half);
          DSMFAST_UNROLL
          for (int k = 0; k < d; ++k) a += x[k] * load(W + k * w.width + half);
          const Packet<T> unit = sigmoid<T>(a);
          store<T>(hidden + half, unit);
          DSMFAST_UNROLL
          for (int k = 0; k < d; ++k) r[k] += unit * load(W + k * w.width + half);
          if constexpr (curved) trace += unit * (T(1) - unit) * load(curve.n + j + half);
        }
      }
      loss[first + i] = 0;
      if constexpr (curved)
        loss[first + i] = 2 * static_cast<double>(curve.variance) *
                          (static_cast<double>(trace.sum()) - static_cast<double>(w.d));
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) store<T>(partial + (k * lanes<T> + i) * lanes<T>, r[k]);
    }
    Packet<T> square = Packet<T>::Zero();
    for (Index k = 0; k < w.d; ++k) {
      for (Index i = count; i < lanes<T>; ++i)
        store<T>(partial + (k * lanes<T> + i) * lanes<T>, Packet<T>::Zero());
      T* r = R + k * ldx + first;
      const Packet<T> residual = load(r) + sum_rows(partial + k * lanes<T> * lanes<T>);
      store<T>(r, weight == nullptr ? residual : Packet<T>(load(weight + first) * residual));
      square += residual.square();
    }
    if (weight != nullptr) square *= load(weight + first);
    for (Index i = 0; i < count; ++i) {
      if (weight != nullptr && curved) loss[first + i] *= static_cast<double>(weight[first + i]);
      loss[first + i] += static_cast<double>(square[i]);
    }
  }
}

// R = H W + c - T      ->  G  = R W',   dc = sum R
// H = sigmoid(A)       ->  dA = G o S,  S = H o (1 - H)
// S                    ->  dA += slope o S o (1 - 2 H), from the curvature, times the row's weight
// R, A = X~ W' + b     ->  dW = H' R + dA' X~,   db = sum dA
//
// of rows at ... at + rows, a tile, to `sum` (most_features + 2, h_pad): dW', db and sum S.
template <typename T, int d, bool curved>
void backward(const Workspace<T>& s, Index at, Index rows, const Scratch<T>& scratch, T* sum) {
  const Weights<T>& w = s.w;
  const Index h = w.h, h_pad = w.h_pad, ldx = s.few.ldx, row = scratch.H.row;
  const T *const R = s.few.R + at, *const X = s.few.X + at;
  // Weights are in R, and in the curvature's terms here.
  const T* weight = s.few.weight == nullptr ? nullptr : s.few.weight + at;
  for (Index j = 0; j < h; j += lanes<T>) {
    const T* W = w.by_hidden + j / w.width * w.d_pad * w.width + j % w.width;
    const T* H = scratch.H(0, j);
    Packet<T> unit[d], dW[d], db = Packet<T>::Zero(), dS = Packet<T>::Zero();
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) {
      unit[k] = load(W + k * w.width);
      dW[k].setZero();
    }
    Packet<T> slope = Packet<T>::Zero();
    if constexpr (curved) slope = load(s.curvature.features.slope + j);
    for (Index i = 0; i < rows; ++i) {
      const Packet<T> hidden = load(H + i * row);
      const Packet<T> S = hidden * (T(1) - hidden);
      Packet<T> g = Packet<T>::Zero();
      if constexpr (curved) {
        const T counts = weight == nullptr ? T(1) : weight[i];
        g = slope * (T(1) - T(2) * hidden) * counts;
        dS += counts * S;
      }
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) g += R[k * ldx + i] * unit[k];
      const Packet<T> dA = g * S;
      DSMFAST_UNROLL
      for (int k = 0; k < d; ++k) dW[k] += hidden * R[k * ldx + i] + dA * X[k * ldx + i];
      db += dA;
    }
    DSMFAST_UNROLL
    for (int k = 0; k < d; ++k) store<T>(sum + k * h_pad + j, dW[k]);
    store<T>(sum + most_features * h_pad + j, db);
    if constexpr (curved) store<T>(sum + (most_features + 1) * h_pad + j, dS);
  }
}

template <int size>
struct Features {
  static constexpr int value = size;
};

// Calls work(Features) with the number of features, padded, as a constant.
template <typename Work>
void with_features(Index d, const Work& work) {
  if (d <= 2) return work(Features<2>{});
  if (d <= 4) return work(Features<4>{});
  work(Features<8>{});
}

// The rows of this thread, forward and backward to the sums of tiles.
template <typename T>
void run_rows(const Workspace<T>& s, const Batch<T>& batch, Index start, Index rows,
              bool with_gradient, const Scratch<T>& scratch, const Thread& thread) {
  constexpr Index tile = few_rows_of_tile;
  const bool posterior = s.sizes.posterior;
  const Range share = thread.share((rows + tile - 1) / tile);
  const auto place = [&](Index at, Index count) {
    place_points(s, batch, start + at, count, at, thread);
  };
  const auto run = [&](auto size, auto curved) {
    constexpr int d = decltype(size)::value;
    constexpr bool curves = decltype(curved)::value;
    if (posterior && share.begin < share.end) {
      for_tiles(rows, tile, thread, place);
      const Index at = share.begin * tile;
      place_posterior_means<T, d>(s, batch, at, smaller(share.end * tile, rows) - at, scratch,
                                  thread);
    }
    for_tiles(rows, tile, thread, [&](Index at, Index count) {
      if (!posterior) place(at, count);
      forward<T, d, curves>(s, at, count, scratch);
      thread.lap(Region::encode);
      if (!with_gradient) return;
      backward<T, d, curves>(s, at, count, scratch, s.few.sum_of_tile(s.w, at / tile));
      thread.lap(Region::backward);
    });
  };
  with_features(s.w.d, [&](auto size) {
    if (s.sizes.form == curvature::Form::trace)
      run(size, std::true_type{});
    else
      run(size, std::false_type{});
  });
}

// The hidden units of this thread: their sums over tiles; in the last chunk they are finished.
template <typename T, typename Finish>
void run_units(const Workspace<T>& s, Index rows, bool first, bool last, const Scratch<T>& scratch,
               const Thread& thread, const Finish& finish) {
  const Weights<T>& w = s.w;
  const Index tiles = (rows + few_rows_of_tile - 1) / few_rows_of_tile;
  const bool curved = s.sizes.form == curvature::Form::trace;
  const Range share = thread.share(w.hidden_panels());
  for (Index q = share.begin; q < share.end; ++q) {
    const WeightTile unit{0, q * w.width, w.hidden_in(q)};
    T* total = s.few.total + unit.first_hidden;
    const auto sum_up = [&](Index k) {
      for (Index j = k * w.h_pad; j < k * w.h_pad + unit.hidden; j += lanes<T>) {
        Packet<T> sum = Packet<T>::Zero();
        for (Index t = 0; t < tiles; ++t)
          sum += load(s.few.sum_of_tile(w, t) + unit.first_hidden + j);
        store<T>(total + j, first ? sum : Packet<T>(load(total + j) + sum));
      }
    };
    for (Index k = 0; k < w.d; ++k) sum_up(k);
    sum_up(most_features);
    if (curved) sum_up(most_features + 1);
    T* dc = q == 0 ? s.total.c : nullptr;
    for (Index k = 0; k < w.d && dc != nullptr; ++k) {
      Packet<T> column = Packet<T>::Zero();
      for (Index i = 0; i < rows; i += lanes<T>) column += load(s.few.R + k * s.few.ldx + i);
      dc[k] = (first ? T(0) : dc[k]) + column.sum();
    }
    if (!last) continue;
    T *db = total + most_features * w.h_pad, *dS = db + w.h_pad;
    for (Index j = 0; j < unit.hidden; ++j)
      for (Index k = 0; k < w.d; ++k) scratch.dW[j * w.width + k] = total[k * w.h_pad + j];
    if (curved) curvature::trace_backward(s.curvature.features, w, unit, dS, scratch.dW);
    finish(unit, scratch.dW, db, dc);
  }
  thread.lap(Region::gradient);
}

}  // namespace dsmfast::DSMFAST_ISA::few_features
