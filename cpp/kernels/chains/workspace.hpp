// What a tile of chains works in.
#pragma once

#include "kernels/base/sums.hpp"
#include "kernels/model/layers.hpp"
#include "kernels/random/counts.hpp"

namespace dsmfast::DSMFAST_ISA::chains {

// Rows whose random numbers are drawn together: what they are drawn to stays near the core.
constexpr Index drawn_rows = 16;

// Which of the arrays are needed.
struct Sizes {
  Index d, h;
  bool corrected;  // a step may be refused
  bool drifting;   // a step goes by W' sigmoid(a) at its beginning, beside the counts

  template <typename T>
  static Sizes of(const Model<T>& model, const Chains<T>& run) {
    const bool gibbs = run.transition == Transition::gibbs;
    const bool shifted = run.transition == Transition::shifted;
    return {model.features, model.hidden,
            gibbs || shifted ? run.excess != 0 : run.transition == Transition::mala,
            gibbs     ? false
            : shifted ? run.excess != 0
                      : true};
  }
};

// Where chains are: a point, what the hidden units receive there, and what depends on it.
template <typename T>
struct Position {
  T* x;         // (tile_rows, ldx)
  Matrix<T> A;  // (tile_rows, h): W x, without biases
  T* drift;     // (tile_rows, ldx), if the transition has one
  double* log;  // (tile_rows,): sum softplus(a), and <c, x> - |x|^2 / 2 where that is needed

  static Position carve(Arena& arena, const Sizes& sizes) {
    const Index ldx = leading_dimension<T>(sizes.d);
    Position p{};
    p.x = arena.take<T>(tile_rows * ldx);
    p.A = Matrix<T>::carve(arena, tile_rows, sizes.h);
    if (sizes.drifting) p.drift = arena.take<T>(tile_rows * ldx);
    arena.take(tile_rows, p.log);
    return p;
  }
};

// One thread's.
template <typename T>
struct Scratch {
  Index ldx;
  Position<T> now, next;  // `next` where a step may be refused: its point, and all about it
  T* mean;                // (tile_rows, ldx): of a shifted step, without its shift
  Matrix<T> H;            // (tile_rows, h): chances, counts
  T* panel;               // (tile_rows, width)
  T* bias;     // (h_pad,): of the temperature; far below 0 beyond h, so that nothing is drawn there
  T* visible;  // (d_pad,): c of the temperature
  T* drawn;    // (drawn_rows, ldx): normals

  static Scratch carve(Arena& arena, const Sizes& sizes) {
    Scratch s{};
    s.ldx = leading_dimension<T>(sizes.d);
    s.now = Position<T>::carve(arena, sizes);
    s.next = sizes.corrected ? Position<T>::carve(arena, sizes) : s.now;
    if (sizes.corrected && sizes.drifting) arena.take(tile_rows * s.ldx, s.mean);
    s.H = Matrix<T>::carve(arena, tile_rows, sizes.h);
    arena.take(tile_rows * panel_width<T>, s.panel);
    arena.take(padded<T>(sizes.h), s.bias);
    arena.take(padded<T>(sizes.d), s.visible);
    arena.take(drawn_rows * s.ldx, s.drawn);
    return s;
  }
};

}  // namespace dsmfast::DSMFAST_ISA::chains
