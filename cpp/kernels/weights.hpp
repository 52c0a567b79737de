// W packed for the products, once a step, and shared by all threads.
//
//   by_feature   panels of features, (d / width) of (h, width):   the right factor of H W
//   by_hidden    panels of units,    (h / width) of (d, width):   the right factor of X W'
//
// Seen as width x width tiles, one is the other with each tile transposed.
#pragma once

#include <cstring>

#include "product.hpp"
#include "team.hpp"

namespace dsmfast::DSMFAST_ISA {

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

  // Real columns of a panel.
  Index features_in(Index p) const { return d - p * width < width ? d - p * width : width; }
  Index hidden_in(Index q) const { return h - q * width < width ? h - q * width : width; }

  static Index bytes(Index d, Index h) {
    const Index d_pad = padded<T>(d), h_pad = padded<T>(h);
    return 2 * Arena::bytes<T>(d_pad * h_pad) + Arena::bytes<T>(h_pad) + Arena::bytes<T>(d_pad);
  }

  static Weights carve(Arena& arena, Index d, Index h) {
    Weights w{d, h, padded<T>(d), padded<T>(h), nullptr, nullptr, nullptr, nullptr};
    w.by_feature = arena.take<T>(w.d_pad * w.h_pad);
    w.by_hidden = arena.take<T>(w.d_pad * w.h_pad);
    w.b = arena.take<T>(w.h_pad);
    w.c = arena.take<T>(w.d_pad);
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

// Asks for units first_hidden ... of feature panel p, in both layouts: they are written to once their
// gradient is summed up, and would be waited for (a sixth of the update).
template <typename T>
void prefetch(const Weights<T>& w, Index p, Index first_hidden, Index hidden) {
  constexpr Index width = panel_width<T>;
  const T* units = w.by_feature + (p * w.h_pad + first_hidden) * width;
  for (Index i = 0; i < hidden * width; i += line<T>) __builtin_prefetch(units + i, 1, 2);
  for (Index j = first_hidden; j < first_hidden + hidden; j += width) {
    const T* tile = w.by_hidden + (j / width * w.d_pad + p * width) * width;
    for (Index i = 0; i < width * width; i += line<T>) __builtin_prefetch(tile + i, 1, 2);
  }
}

// Rows (h, d) of an array laid out like W, into and out of the layout of by_feature.
template <typename T>
void pack_by_feature(const T* W, Index d, Index h, Index h_pad, Index p, T* packed) {
  pack_panel<T>(h, d, W, d, p, packed + p * h_pad * panel_width<T>);
}

template <typename T>
void unpack_by_feature(const T* packed, Index d, Index h, Index h_pad, Index p, T* W) {
  constexpr Index width = panel_width<T>;
  const Index columns = d - p * width < width ? d - p * width : width;
  for (Index j = 0; j < h; ++j)
    std::memcpy(W + j * d + p * width, packed + (p * h_pad + j) * width,
                static_cast<std::size_t>(columns) * sizeof(T));
}

// Packs (W, b, c); every thread of the team takes part. Needs a barrier after it.
template <typename T>
void pack(const Weights<T>& w, const T* W, const T* b, const T* c, const Team& team) {
  const Range mine = team.share(w.feature_panels());
  for (Index p = mine.begin; p < mine.end; ++p) {
    pack_by_feature(W, w.d, w.h, w.h_pad, p, w.by_feature);
    for (Index q = 0; q < w.hidden_panels(); ++q) transpose_tile(w, q, p);
  }
  if (team.rank == 0) {
    std::memcpy(w.b, b, static_cast<std::size_t>(w.h) * sizeof(T));
    std::memcpy(w.c, c, static_cast<std::size_t>(w.d) * sizeof(T));
  }
}

}  // namespace dsmfast::DSMFAST_ISA
