// The memory of a batch on its path, and the one place that knows which paths there are.
//
// A path is a namespace with Sizes, which its memory follows from; sizes_for and operations; a
// Workspace, carved from memory by the sizes, with `prepare`; and run, which takes a batch forward and
// backward and hands over the gradient.
#pragma once

#include "kernels/explicit/run.hpp"
#include "kernels/gram/run.hpp"

namespace dsmfast::DSMFAST_ISA {

// What the memory of a batch follows from. The sizes of the other path are zero.
struct Sizes {
  Path path;
  int threads;
  Index moments;           // that the optimizer keeps, each as large as the parameters
  Index shared;            // whether several ranks take the steps
  Index value, register_;  // bytes: a caller may change precision or instruction set
  explicit_path::Sizes explicit_;
  gram::Sizes gram;
};

template <typename T>
Sizes sizes_for(Index d, Index h, Index rows, const Regression<T>& data, int threads) {
  Sizes s{};
  s.path = data.path;
  s.value = sizeof(T);
  s.register_ = register_bytes;
  double operations = 0;
  if (s.path == Path::gram) {
    s.gram = gram::sizes_for(d, h, rows, data);
    operations = gram::operations(d, h, rows, data);
  } else {
    s.explicit_ = explicit_path::sizes_for(d, h, rows, data);
    operations = explicit_path::operations(d, h, rows, data);
  }
  // Each step W would travel between the caches of the threads. Where it fits in one, that takes
  // longer than a few rows do.
  Arena W;
  Weights<T>::carve(W, d, h);
  const bool stay = rows * data.noise.draws < 16 && W.used < Index{1} << 20;
  s.threads = stay ? 1 : worthwhile(threads, operations);
  return s;
}

// Everything one batch needs: the workspace of its path. The other stays null.
template <typename T>
struct Workspace {
  Path path;
  explicit_path::Workspace<T> explicit_;
  gram::Workspace<T> gram;

  static Workspace carve(Arena& arena, const Sizes& sizes) {
    Workspace s{};
    s.path = sizes.path;
    if (s.path == Path::gram)
      s.gram = gram::Workspace<T>::carve(arena, sizes.gram, sizes.threads);
    else
      s.explicit_ = explicit_path::Workspace<T>::carve(arena, sizes.explicit_, sizes.threads);
    return s;
  }

  void prepare(const Regression<T>& data) {
    path == Path::gram ? gram.prepare(data) : explicit_.prepare(data);
  }

  // The packed parameters.
  const Weights<T>& weights() const { return path == Path::gram ? gram.w : explicit_.w; }
};

// One batch and its sum, with the packed parameters. With `backward`, finish(tile, dW, db or null, dc
// or null) is called on each tile of the gradient; all threads return the same Outcome, after a
// barrier.
template <typename T, typename Finish>
Outcome run_batch(const Workspace<T>& work, const Batch<T>& batch, bool backward,
                  const Thread& thread, double* sum, const Finish& finish) {
  if (work.path == Path::gram) return gram::run(work.gram, batch, backward, thread, sum, finish);
  return explicit_path::run(work.explicit_, batch, backward, thread, sum, finish);
}

}  // namespace dsmfast::DSMFAST_ISA
