// W packed for the products, once a step, and shared by all threads.
//
//   by_feature   panels of features, (d / width) of (h, width):   the right factor of H W
//   by_hidden    panels of units,    (h / width) of (d, width):   the right factor of X W'
//
// Seen as width x width tiles, one is the other with each tile transposed.
#pragma once

#include "kernels/base/memory.hpp"
#include "kernels/base/product.hpp"
#include "kernels/base/threads.hpp"

namespace dsmfast::DSMFAST_ISA {

// Hidden units first_hidden ... + hidden of feature panel p.
struct WeightTile {
  Index p, first_hidden, hidden;
};

template <typename T>
struct Weights {
  Index d, h;          // features, hidden units
  Index d_pad, h_pad;  // padded to whole panels, with zeros
  T* by_feature;       // (d_pad / width, h_pad, width)
  T* by_hidden;        // (h_pad / width, d_pad, width)
  T* b;                // (h_pad,)
  T* c;                // (d_pad,)

  static constexpr Index width = panel_width<T>;

  Index feature_panels() const { return d_pad / width; }
  Index hidden_panels() const { return h_pad / width; }
  Panel<T> feature_panel(Index p) const { return {by_feature + p * h_pad * width}; }
  Panel<T> hidden_panel(Index q) const { return {by_hidden + q * d_pad * width}; }

  T* rows_of(const WeightTile& tile) const {  // (hidden, width)
    return by_feature + (tile.p * h_pad + tile.first_hidden) * width;
  }

  // Real columns of a panel.
  Index features_in(Index p) const { return smaller(d - p * width, width); }
  Index hidden_in(Index q) const { return smaller(h - q * width, width); }

  static Weights carve(Arena& arena, Index d, Index h) {
    Weights w{d, h, padded<T>(d), padded<T>(h), nullptr, nullptr, nullptr, nullptr};
    arena.take(w.d_pad * w.h_pad, w.by_feature, w.by_hidden);
    arena.take(w.h_pad, w.b);
    arena.take(w.d_pad, w.c);
    return w;
  }
};

// Tile (q, p) of by_hidden from the same tile of by_feature.
template <typename T>
void transpose_tile(const Weights<T>& w, Index q, Index p) {
  constexpr Index width = panel_width<T>;
  const T* from = w.by_feature + (p * w.h_pad + q * width) * width;
  T* to = w.by_hidden + (q * w.d_pad + p * width) * width;
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 2; ++j)
      transpose_square<T, width, width>(from + (i * width + j) * lanes<T>,
                                        to + (j * width + i) * lanes<T>);
}

// Asks for a tile in both layouts: it is written to once its gradient is summed up, and would be
// waited for (a sixth of the update).
template <typename T>
void prefetch(const Weights<T>& w, const WeightTile& tile) {
  constexpr Index width = panel_width<T>;
  const T* units = w.rows_of(tile);
  for (Index i = 0; i < tile.hidden * width; i += cache_line<T>)
    __builtin_prefetch(units + i, 1, 2);
  for (Index j = tile.first_hidden; j < tile.first_hidden + tile.hidden; j += width) {
    const T* square = w.by_hidden + (j / width * w.d_pad + tile.p * width) * width;
    for (Index i = 0; i < width * width; i += cache_line<T>) __builtin_prefetch(square + i, 1, 2);
  }
}

// What is laid out like the parameters, W as by_feature; it is null where it is not wanted.
template <typename T>
Triple<T> carve_triple(Arena& arena, Index d, Index h, bool with_W = true) {
  Triple<T> t{};
  if (with_W) arena.take(padded<T>(d) * padded<T>(h), t.W);
  arena.take(padded<T>(h), t.b);
  arena.take(padded<T>(d), t.c);
  return t;
}

// Packs the parameters; every thread of the team takes part. Needs a barrier after it.
template <typename T>
void pack(const Weights<T>& w, const Triple<const T>& from, const Thread& thread) {
  const Range mine = thread.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p) {
    pack_panel(w.h, w.d, from.W, w.d, p, w.by_feature + p * w.h_pad * w.width);
    for (Index q = 0; q < w.hidden_panels(); ++q) transpose_tile(w, q, p);
  }
  if (thread.rank == 0) copy(from.b, w.h, w.b), copy(from.c, w.d, w.c);
}

}  // namespace dsmfast::DSMFAST_ISA
