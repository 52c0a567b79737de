// The gradient of a step that several machines take together.
#pragma once

#include "kernels/model/weights.hpp"

namespace dsmfast::DSMFAST_ISA {

// [dW | db | dc | sum] in one array, dW in the layout of W by features, so that one sum over ranks
// does for all of it.
template <typename T>
struct SharedGradient {
  T* values;
  Index count;
  T *dW, *db, *dc, *last;
  Flag* failed;

  static SharedGradient carve(Arena& arena, Index d, Index h) {
    const Index d_pad = padded<T>(d), h_pad = padded<T>(h);
    SharedGradient s{};
    s.count = d_pad * h_pad + h_pad + d_pad + 1;
    s.values = arena.take<T>(s.count);
    s.dW = s.values;
    s.db = s.dW + d_pad * h_pad;
    s.dc = s.db + h_pad;
    s.last = s.dc + d_pad;
    s.failed = arena.make<Flag>();
    return s;
  }

  // One finished tile of this rank.
  void take(const Weights<T>& w, const WeightTile& tile, const T* dW_, const T* db_,
            const T* dc_) const {
    copy(dW_, tile.hidden * w.width, dW + (w.rows_of(tile) - w.by_feature));
    if (db_ != nullptr) copy(db_, tile.hidden, db + tile.first_hidden);
    if (dc_ != nullptr) copy(dc_, w.features_in(tile.p), dc + tile.p * w.width);
  }

  // That of a rank without rows; every thread takes part.
  Outcome clear(double* sum, const Thread& thread) const {
    if (thread.rank == 0) {
      dsmfast::DSMFAST_ISA::clear(values, count);
      *sum = 0;
    }
    thread.barrier();
    return Outcome::finished;
  }

  // Over all ranks, by the thread that the caller called from; whether it came about.
  bool sum_over(const Ranks<T>& ranks, double* sum, const Thread& thread) const {
    if (thread.rank == 0) {
      *last = static_cast<T>(*sum);
      if (!ranks.sum(ranks.context, values, count)) failed->raise();
      *sum = static_cast<double>(*last);
    }
    thread.barrier();
    return !failed->raised();
  }

  // Panel p of the sum: finish(tile, dW, db or null, dc).
  template <typename Finish>
  void hand_over(const Weights<T>& w, Index p, const Finish& finish) const {
    finish(WeightTile{p, 0, w.h}, dW + p * w.h_pad * w.width, p == 0 ? db : nullptr,
           dc + p * w.width);
  }
};

}  // namespace dsmfast::DSMFAST_ISA
