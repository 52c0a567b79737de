// The Parzen density of a sample at points: the posterior mean, the score and the log-density.
#pragma once

#include "kernels/parzen/sums.hpp"

namespace dsmfast::DSMFAST_ISA::parzen {

// Large samples are cut into segments, so that few points feed many threads; fixed by N alone.
constexpr Index most_segments = 16;

inline Index segments_for(Index N) {
  const Index segments = N / 16384;
  return segments < 1 ? 1 : segments > most_segments ? most_segments : segments;
}

// Points that are worked on together: their sums over all segments stay below 32 MB in float32.
inline Index points_for(Index n, Index segments, Index ld) {
  const Index fit = (Index{1} << 23) / (segments * ld);
  const Index most = fit < tile_rows ? tile_rows : fit;
  return n < most ? n : most;
}

// Adds up the sums of all segments for row i, in their order, and writes the row's output.
template <typename T>
void combine(const Sample<T>& sample, Index segments, const Sums<T>* sums, Index i, const T* q,
             double half_square, bool direct, Index row, const Posterior<T>& out) {
  const Index d = sample.data.columns, ld = sample.ld;
  const Sums<T>& first = sums[0];
  for (Index k = 1; k < segments; ++k) {
    const Sums<T>& other = sums[k];
    if (other.largest[i] > first.largest[i])
      first.rescale(i, other.largest[i], ld);
    else
      other.rescale(i, first.largest[i], ld);
    first.weight[i] += other.weight[i];
    first.exponent[i] += other.exponent[i];
    if (first.Y != nullptr)
      for (Index j = 0; j < ld; ++j) first.Y[i * ld + j] += other.Y[i * ld + j];
  }
  const double top = first.largest[i] - half_square;
  out.log_sum[row] = top + std::log(first.weight[i]);
  out.mean_exponent[row] = top + first.exponent[i] / first.weight[i];
  out.largest[row] = top;
  const T share = static_cast<T>(1 / first.weight[i]);
  for (Index j = 0; j < d && first.Y != nullptr; ++j) {
    const T y = first.Y[i * ld + j] * share;
    const bool from_point = direct && sample.from_points;
    if (out.mean != nullptr)
      out.mean[row * d + j] = (from_point ? q[j] : sample.centre[j]) + y * sample.sigma;
    if (out.score != nullptr) out.score[row * d + j] = (from_point ? y : y - q[j]) * sample.scale;
  }
}

// This thread's share of the tasks: a segment of the sample for a group of points each. There are as
// few groups as occupy all threads, because each packs the segment once.
template <typename T>
__attribute__((noinline)) void accumulate_segments(const Sample<T>& sample, Index segments,
                                                   Index points,
                                                   const T* Q,  // (points, ld)
                                                   const bool* direct, const Index* own,
                                                   const Sums<T>* sums, const Scratch<T>& s,
                                                   const Thread& thread) {
  const Index N = sample.rows, ld = sample.ld;
  Index groups = 1;
  while (segments * groups % thread.size != 0) ++groups;
  const Index group = ((points + groups - 1) / groups + block_rows - 1) / block_rows * block_rows;
  groups = (points + group - 1) / group;
  const Range share = thread.share(segments * groups);
  for (Index task = share.begin; task < share.end && !thread.stopped(); ++task) {
    const Index k = task / groups, first = task % groups * group;
    const Index count = smaller(points - first, group);
    const Sums<T> part = sums[k].from(first, ld);
    part.reset(count, ld);
    accumulate(sample, {k * N / segments, (k + 1) * N / segments}, count, Q + first * ld,
               own == nullptr ? nullptr : own + first, part, s, thread, direct + first);
  }
}

template <typename T>
Outcome evaluate(const View<const T>& x, const View<const T>& data, const T* weights,
                 const Index* own, double sigma, const Posterior<T>& out, Execution& run) {
  const Index d = x.columns, ld = leading_dimension<T>(d);
  const Index segments = segments_for(data.rows), most = points_for(x.rows, segments, ld);
  const int threads =
      worthwhile(run.threads, row_operations(2, d, data.rows) * static_cast<double>(x.rows));

  T *centre = nullptr, *Q = nullptr;  // (ld,), (most, ld)
  double* half_square = nullptr;      // (most,): |q|^2 / 2, and of direct points 0
  bool* direct = nullptr;             // (most,)
  Sums<T> sums[most_segments];
  ThreadArenas scratch;
  Memory memory;
  if (!memory.reserve([&](Arena& arena) {
        arena.take(ld, centre);
        arena.take(most * ld, Q);
        arena.take(most, half_square);
        arena.take(most, direct);
        for (Index k = 0; k < segments; ++k)
          sums[k] = Sums<T>::carve(arena, most, ld, out.mean != nullptr || out.score != nullptr);
        scratch = ThreadArenas::carve<Scratch<T>>(arena, threads, d, true);
      }))
    return Outcome::out_of_memory;
  find_centre(data, centre);
  Sample<T> sample = whole_sample(data, weights, centre, sigma, ld);
  sample.from_points = out.score != nullptr;

  return parallel(threads, run, [&](const Thread& thread) {
    const auto s = scratch.of_thread<Scratch<T>>(thread.rank, d, true);
    for (Index start = 0; start < x.rows; start += most) {
      const Index points = smaller(x.rows - start, most);
      const Range share = thread.share(points);
      for (Index i = share.begin; i < share.end; ++i) {
        copy_row(x, start + i, Q + i * ld);
        half_square[i] = standardize(sample, Q + i * ld);
        direct[i] = !(half_square[i] <= most_half_square<T>);
        if (!direct[i]) continue;
        copy_row(x, start + i, Q + i * ld);
        half_square[i] = 0;
      }
      thread.barrier();
      accumulate_segments(sample, segments, points, Q, direct,
                          own == nullptr ? nullptr : own + start, sums, s, thread);
      thread.barrier();
      if (thread.stopped()) break;
      for (Index i = share.begin; i < share.end; ++i)
        combine(sample, segments, sums, i, Q + i * ld, half_square[i], direct[i], start + i, out);
      thread.barrier();
    }
  });
}

}  // namespace dsmfast::DSMFAST_ISA::parzen
