// Markov chains of a model.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "arrays.hpp"
#include "execution.hpp"

namespace dsmfast::bindings {

namespace {

using Array = std::optional<py::array>;

// Counts of one chain, and what they are drawn from.
template <typename T>
py::array counts(std::uint64_t seed, std::uint32_t step, Index row, Index trials,
                 const py::array& a, int threads) {
  const Index columns = a.ndim() == 1 ? a.shape(0) : 0;
  const T* received = contiguous<T>(a, "a", {columns});
  if (columns < 1 || trials < 1) throw py::value_error("a, trials: expected at least one");
  py::array_t<T> out(Shape{columns});
  T* data = out.mutable_data();
  Chains<T> chains{};
  chains.seed = seed;
  chains.first_step = step;
  chains.trials = trials;
  Call(threads, product_of(columns, 100)).run([&](Execution& execution) {
    return kernels<T>().counts(chains, row, received, columns, data, execution);
  });
  return out;
}

// x, log_weight and accepted are written to; (draws, energy) of what is kept.
py::tuple chains(const py::array& W, const py::array& b, const py::array& c, py::array& x,
                 Transition transition, Index trials, double excess, double step_size, bool lower,
                 std::uint64_t seed, Index first_row, std::uint32_t first_step, Index steps,
                 Index thin, const Array& beta, const Array& b0, const Array& c0,
                 std::optional<py::array> log_weight, const Array& observed, py::array& accepted,
                 int threads) {
  return for_precision_of(W, "W", [&](auto real) -> py::tuple {
    using T = decltype(real);
    const Model<T> parameters = model<T>(W, b, c, 1.0);
    const Index h = parameters.hidden, d = parameters.features;
    const Index n = x.ndim() == 2 ? x.shape(0) : 0;
    if (n < 1 || steps < 0 || thin < 0 || trials < 1 || first_row < 0)
      throw py::value_error(
          "x, steps, thin, trials, first_row: expected a chain, no numbers below 0");
    if (lower && d > h) throw py::value_error("lower: expected at most as many features as units");
    Chains<T> run{};
    run.x = writeable<T>(x, "x", {n, d});
    run.chains = n;
    run.first_row = first_row;
    run.seed = seed;
    run.first_step = first_step;
    run.steps = steps;
    run.transition = transition;
    run.trials = trials;
    run.excess = excess;
    run.step_size = step_size;
    run.lower = lower;
    if (beta) {
      if (!b0 || !c0) throw py::value_error("beta: needs b0 and c0");
      run.annealing = {contiguous<double>(*beta, "beta", {steps + 1}),
                       contiguous<T>(*b0, "b0", {h}), contiguous<T>(*c0, "c0", {d}),
                       log_weight ? writeable<double>(*log_weight, "log_weight", {n}) : nullptr};
    }
    run.observed = observed ? contiguous<bool>(*observed, "observed", {n, d}) : nullptr;
    run.accepted = writeable<double>(accepted, "accepted", {n});
    run.thin = thin;
    const Index kept = thin > 0 ? steps / thin : 0;
    py::array_t<T> draws(Shape{n, kept, d});
    py::array_t<double> energy(Shape{n, kept});
    run.draws = draws.mutable_data();
    run.energy = energy.mutable_data();
    Call(threads, 4 * product_of(n, steps, h, d)).run([&](Execution& execution) {
      return kernels<T>().chains(parameters, run, execution);
    });
    return py::make_tuple(draws, energy);
  });
}

// (x, beside) of y (n, r), Q (r, d).
py::tuple lift(const py::array& Q, const py::array& rest, const py::array& y, double sigma,
               std::uint64_t seed, Index draw, const py::array& rows, const py::array& steps,
               int threads) {
  return for_precision_of(Q, "Q", [&](auto real) -> py::tuple {
    using T = decltype(real);
    if (Q.ndim() != 2) throw py::value_error("Q: expected a matrix");
    const Index r = Q.shape(0), d = Q.shape(1), n = y.ndim() == 2 ? y.shape(0) : 0;
    if (n < 1) throw py::value_error("y: expected at least one row");
    const py::array_t<T> zeros(Shape{r});
    std::fill_n(const_cast<T*>(zeros.data()), r, T(0));
    const Model<T> basis = model<T>(Q, zeros, rest, 1.0);
    py::array_t<T> x(Shape{n, d});
    py::array_t<double> beside(Shape{n});
    const Lift<T> task{contiguous<T>(y, "y", {n, r}),
                       n,
                       static_cast<T>(sigma),
                       {seed, Stream::chain, 0},
                       contiguous<Index>(rows, "rows", {n}),
                       contiguous<std::uint32_t>(steps, "steps", {n}),
                       draw,
                       x.mutable_data(),
                       beside.mutable_data()};
    Call(threads, 4 * product_of(n, r, d)).run([&](Execution& execution) {
      return kernels<T>().lift(basis, task, execution);
    });
    return py::make_tuple(x, beside);
  });
}

}  // namespace

void register_chains(py::module_& m) {
  py::native_enum<Transition>(m, "Transition", "enum.Enum", "A step of a Markov chain.")
      .value("gibbs", Transition::gibbs)
      .value("shifted", Transition::shifted)
      .value("mala", Transition::mala)
      .value("langevin", Transition::langevin)
      .finalize();
  m.def("chains", &chains, py::arg("W"), py::arg("b"), py::arg("c"), py::arg("x"), py::kw_only(),
        py::arg("transition"), py::arg("trials"), py::arg("excess"), py::arg("step_size"),
        py::arg("lower"), py::arg("seed"), py::arg("first_row"), py::arg("first_step"),
        py::arg("steps"), py::arg("thin"), py::arg("beta"), py::arg("b0"), py::arg("c0"),
        py::arg("log_weight"), py::arg("observed"), py::arg("accepted"), py::arg("threads"));
  m.def("lift", &lift, py::arg("Q"), py::arg("rest"), py::arg("y"), py::arg("sigma"),
        py::arg("seed"), py::arg("draw"), py::arg("rows"), py::arg("steps"), py::arg("threads"));
  const auto define = [&](const char* name, auto function) {
    m.def(name, function, py::arg("seed"), py::arg("step"), py::arg("row"), py::arg("trials"),
          py::arg("a"), py::arg("threads"));
  };
  define("counts_float32", &counts<float>);
  define("counts_float64", &counts<double>);
}

}  // namespace dsmfast::bindings
