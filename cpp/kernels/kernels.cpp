// The one unit that is compiled for each instruction set and precision:
//   DSMFAST_ISA   baseline, avx2 or avx512: the namespace of everything here
//   DSMFAST_REAL  float or double
//   Eigen         renamed to Eigen_<set>, so that no inline function of it is shared between sets
#include "train.hpp"

namespace dsmfast::DSMFAST_ISA {

template <typename T>
static Outcome normals(const Noise<T>& noise, Index draw, const Index* rows, Index n_rows,
                       Index columns, T* out, Execution& run) {
  const double values = static_cast<double>(n_rows) * static_cast<double>(columns);
  const Index block = 1 + 65536 / columns;  // rows between two looks at the signals
  Flag stop;
  parallel(worthwhile(run.threads, 10 * values), [&](const Team& team) {
    const Watch watch(run, team, stop);
    const Range share = team.share((n_rows + block - 1) / block);
    for (Index t = share.begin; t < share.end && !watch.stopped(); ++t) {
      const Index first = t * block;
      fill(
          noise, noise.step, n_rows - first < block ? n_rows - first : block, columns,
          [&](Index i) { return rows[first + i]; }, [&](Index) { return draw; }, ToNormals{},
          out + first * columns, columns);
      watch.look();
    }
  });
  return stop.raised() ? Outcome::interrupted : Outcome::finished;
}

template <typename T>
static Outcome root(const Model<T>& model, T* L, Execution& run) {
  const Index d = model.features, h = model.hidden;
  const auto carve = [&](Arena& arena, Weights<T>& w, Gram<T>& g) {
    w = Weights<T>::carve(arena, d, h);
    g = Gram<T>::carve(arena, d, h);
  };
  Weights<T> w{};
  Gram<T> g{};
  Arena measured = Arena::measuring();
  carve(measured, w, g);
  Memory memory;
  if (!memory.reserve(measured.used())) return Outcome::out_of_memory;
  Arena arena = memory.arena();
  carve(arena, w, g);
  Flag stop;
  parallel(run.threads, [&](const Team& team) {
    const Watch watch(run, team, stop);
    pack(w, model.W, model.b, model.c, team);
    team.barrier();
    refresh(g, w, team, watch);
    team.barrier();
    if (team.rank == 0) factorize(g, watch);
  });
  for (Index i = 0; i < h; ++i)
    for (Index j = 0; j < h; ++j) {
      const T* panel = g.root_panel(i / w.width).data;
      L[i * h + j] = j <= i ? panel[j * w.width + i % w.width] : T(0);
    }
  return stop.raised() ? Outcome::interrupted : Outcome::finished;
}

template <typename T>
static Outcome product(Index m, Index n, Index k, const T* A, const T* B, T* C, Execution& run) {
  constexpr Index width = panel_width<T>;
  const Index panels = padded<T>(n) / width;
  const int threads = worthwhile(
      run.threads, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  Memory memory;
  if (!memory.reserve(Arena::bytes<T>(panels * k * width) +
                      threads * Arena::bytes<T>(tile_rows * width)))
    return Outcome::out_of_memory;
  Arena arena = memory.arena();
  T* packed = arena.take<T>(panels * k * width);
  parallel(threads, [&](const Team& team) {
    T* tile = reinterpret_cast<T*>(arena.next + team.rank * Arena::bytes<T>(tile_rows * width));
    const Range mine = team.share(panels);
    for (Index p = mine.begin; p < mine.end; ++p) pack_panel(k, n, B, n, p, packed + p * k * width);
    team.barrier();
    const Range share = team.share((m + tile_rows - 1) / tile_rows);
    for (Index t = share.begin; t < share.end; ++t) {
      const Index first = t * tile_rows;
      const Index rows = m - first < tile_rows ? m - first : tile_rows;
      for (Index p = 0; p < panels; ++p) {
        const Index columns = n - p * width < width ? n - p * width : width;
        multiply(rows, columns, k, {A + first * k, k, 1}, {packed + p * k * width}, tile, width);
        for (Index i = 0; i < rows; ++i)
          std::memcpy(C + (first + i) * n + p * width, tile + i * width,
                      static_cast<std::size_t>(columns) * sizeof(T));
      }
    }
  });
  return Outcome::finished;
}

template <typename T>
static Outcome check_finite(const View<const T>& x, Execution& run) {
  const Index block = 1 + 65536 / x.columns;
  const Index blocks = (x.rows + block - 1) / block;
  const Index ld = leading_dimension<T>(x.columns);
  const int threads =
      worthwhile(run.threads, static_cast<double>(x.rows) * static_cast<double>(x.columns));
  Memory memory;
  if (!memory.reserve(threads * Arena::bytes<T>(ld) + Arena::bytes<Index>(threads)))
    return Outcome::out_of_memory;
  Arena arena = memory.arena();
  const BadRows bad(arena.take<Index>(threads), threads);
  Flag stop;
  parallel(threads, [&](const Team& team) {
    T* row = reinterpret_cast<T*>(arena.next + team.rank * Arena::bytes<T>(ld));
    const Watch watch(run, team, stop);
    const Range share = team.share(blocks);
    for (Index t = share.begin; t < share.end && !watch.stopped(); ++t) {
      const Index end = x.rows - t * block < block ? x.rows : (t + 1) * block;
      for (Index i = t * block; i < end; ++i) {
        const T* values = x.data + i * x.row_stride;
        if (x.column_stride != 1) {
          copy_row(x, i, row);
          values = row;
        }
        if (!is_finite(values, x.columns)) {
          bad.report(team.rank, i);
          return;
        }
      }
      watch.look();
    }
  });
  if (stop.raised()) return Outcome::interrupted;
  return bad.outcome(run);
}

// Fisher and Yates from the last row down: row i changes places with row floor(r (i + 1) / 2^64), r
// the first two words of counter i.
static void shuffle(std::uint64_t seed, std::uint32_t epoch, std::uint32_t window, Index rows,
                    Index* order) {
  std::uint32_t word[4][counters];
  for (Index i = 0; i < rows; ++i) order[i] = i;
  for (Index first = (rows - 1) / counters * counters; first >= 0; first -= counters) {
    for (int l = 0; l < counters; ++l) {
      const Counter c = counter(Stream::shuffle, epoch, 0, first + l, window);
      word[0][l] = c.group, word[1][l] = c.row, word[2][l] = c.step, word[3][l] = c.last;
    }
    philox(word, seed);
    const Index end = rows - first < counters ? rows : first + counters;
    for (Index i = end - 1; i >= first && i > 0; --i) {
      const std::uint64_t r = std::uint64_t{word[1][i - first]} << 32 | word[0][i - first];
      const auto bound = static_cast<std::uint64_t>(i) + 1;
      const auto j = static_cast<Index>((static_cast<unsigned __int128>(r) * bound) >> 64);
      const Index swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
  }
}

extern const Kernels<DSMFAST_REAL> DSMFAST_TABLE;
const Kernels<DSMFAST_REAL> DSMFAST_TABLE = {evaluate<DSMFAST_REAL>,     regression<DSMFAST_REAL>,
                                             train<DSMFAST_REAL>,        update<DSMFAST_REAL>,
                                             parzen<DSMFAST_REAL>,       normals<DSMFAST_REAL>,
                                             root<DSMFAST_REAL>,         product<DSMFAST_REAL>,
                                             check_finite<DSMFAST_REAL>, shuffle};

}  // namespace dsmfast::DSMFAST_ISA
