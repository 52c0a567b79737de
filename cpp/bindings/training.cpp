// A run of minibatch steps, in place.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>

#include "execution.hpp"
#include "regression_data.hpp"

namespace dsmfast::bindings {

namespace {

using Arrays = std::array<py::array, 3>;  // laid out like (W, b, c)
using States = std::vector<Arrays>;       // parameters, and their moments

// The memory of one training, freed with it; and, if `timed`, where its threads spent their time.
struct WorkingMemory : KeptMemory {
  explicit WorkingMemory(bool timed_) : KeptMemory{nullptr, false}, timed(timed_) {}
  WorkingMemory(const WorkingMemory&) = delete;
  WorkingMemory& operator=(const WorkingMemory&) = delete;
  ~WorkingMemory() { free(); }

  void free() {
    std::free(block);
    block = nullptr;
    intact = false;
  }

  double* seconds_of(int threads) {
    if (!timed) return nullptr;
    const auto needed = static_cast<std::size_t>(threads * regions);
    if (seconds.size() < needed) seconds.resize(needed);
    return seconds.data();
  }

  // Summed over threads.
  std::map<std::string, double> by_region() const {
    std::map<std::string, double> total;
    for (std::size_t i = 0; i < seconds.size(); ++i) total[region_names[i % regions]] += seconds[i];
    return total;
  }

  bool timed;
  std::vector<double> seconds;
};

// What steps start from and end in, as the kernels take it.
template <typename T>
TrainingState<T> state_of(States& arrays, const Optimizer& optimizer, Index h, Index d) {
  const std::size_t moments = optimizer.rule == Rule::adam ? 2 : 0;
  if (arrays.size() > 3 || arrays.size() < 1 + moments)
    throw py::value_error("state: expected parameters and the optimizer's moments");
  TrainingState<T> state{};
  Triple<T>* places[] = {&state.parameters, &state.first, &state.second};
  for (std::size_t i = 0; i < arrays.size(); ++i)
    *places[i] = {writeable<T>(arrays[i][0], "state", {h, d}),
                  writeable<T>(arrays[i][1], "state", {h}),
                  writeable<T>(arrays[i][2], "state", {d})};
  return state;
}

// The share of this process in steps that several take together.
struct Share {
  py::array begins;               // (steps + 1,): where that of each step begins in the order
  Index rows;                     // of all
  py::function sum;               // sum(values), in place, over all
  std::exception_ptr error = {};  // what it threw

  // Called by the thread that called `train`.
  template <typename T>
  static bool sum_values(void* share, T* values, Index count) {
    auto* self = static_cast<Share*>(share);
    const py::gil_scoped_acquire acquire;
    try {
      self->sum(py::array_t<T>(count, values, py::none()));
    } catch (...) {
      self->error = std::current_exception();
    }
    return self->error == nullptr;
  }

  template <typename T>
  Ranks<T> ranks(Index steps, Index order) {
    const Index* begin = contiguous<Index>(begins, "begins", {steps + 1});
    for (Index i = 0; i < steps; ++i)
      if (begin[i] < 0 || begin[i + 1] < begin[i] || begin[i + 1] > order)
        throw py::value_error("begins: expected places in the order, none before the last");
    return {begin, &sum_values<T>, this};
  }
};

// Steps until the data is through, a signal arrives or the loss is not finite. Step s goes at
// rates[s], and sums[s] becomes its loss, summed over rows and draws; those of steps not done stay as
// they are. `landed` (1,) becomes the number of steps that the state has behind it in the end: all that
// were done, or none where it would not be finite.
void train(States state, const Optimizer& optimizer, const RegressionOptions& options,
           const py::array& order, Index first, Index rows, Index batch_size,
           const py::array& rates, py::array sums, py::array landed, WorkingMemory& memory,
           int threads, std::optional<Share> share) {
  if (state.empty()) throw py::value_error("state: expected parameters, got nothing");
  for_precision_of(state[0][0], "W", [&](auto real) {
    using T = decltype(real);
    const Model<T> shape = model<T>(state[0][0], state[0][1], state[0][2], options.noise.sigma);
    const Index h = shape.hidden, d = shape.features;
    Regression<T> data = regression_data<T>(options, order, d);
    visit_part(data, first, rows);
    if (batch_size < 1) throw py::value_error("batch_size: expected at least 1");
    if (options.noise.array) throw py::value_error("noise: training draws its own");
    Steps<T> steps{};
    steps.rows = share ? share->rows : data.rows;
    if (steps.rows < 1) throw py::value_error("rows: expected at least one");
    steps.batch = std::min(batch_size, steps.rows);  // or the number of steps overflows
    steps.count = (steps.rows - 1) / steps.batch + 1;
    steps.rates = contiguous<double>(rates, "rates", {steps.count});
    steps.sums = writeable<double>(sums, "sums", {steps.count});
    steps.landed = writeable<Index>(landed, "landed", {1});
    *steps.landed = 0;
    if (share) steps.ranks = share->ranks<T>(steps.count, data.rows);
    const TrainingState<T> places = state_of<T>(state, optimizer, h, d);
    // MPI may have to be called by the thread that started it.
    const double operations = share ? 0 : operations_of(data, h);
    Call(threads, operations, &memory).run([&](Execution& execution) {
      execution.seconds = memory.seconds_of(execution.threads);
      const Outcome outcome = kernels<T>().train(d, h, places, optimizer, data, steps, execution);
      return share && share->error ? Outcome::finished : outcome;
    });
  });
  if (share && share->error) std::rethrow_exception(share->error);
}

}  // namespace

void register_training(py::module_& m) {
  py::native_enum<Rule>(m, "Rule", "enum.Enum", "Optimizer rules.")
      .value("sgd", Rule::sgd)
      .value("adam", Rule::adam)
      .finalize();
  py::class_<Optimizer>(m, "Optimizer", "A rule with its constants.")
      .def(py::init([](Rule rule, double momentum, bool nesterov, double beta1, double beta2,
                       double epsilon, double weight_decay, Index steps_taken) {
             return Optimizer{rule,  momentum, nesterov,     beta1,
                              beta2, epsilon,  weight_decay, steps_taken};
           }),
           py::kw_only(), py::arg("rule"), py::arg("momentum") = 0.0, py::arg("nesterov") = false,
           py::arg("beta1") = 0.0, py::arg("beta2") = 0.0, py::arg("epsilon") = 0.0,
           py::arg("weight_decay") = 0.0, py::arg("steps_taken") = 0);
  py::class_<WorkingMemory>(m, "WorkingMemory", "What training works in; for one at a time.")
      .def(py::init<bool>(), py::arg("timed") = false)
      .def("seconds", &WorkingMemory::by_region, "Seconds by region, summed over threads.")
      .def("free", &WorkingMemory::free, "Give it back to the system.");
  py::class_<Share>(m, "Share", "Of this process, in steps that several take together.")
      .def(py::init([](py::array begins, Index rows, py::function sum) {
             return Share{std::move(begins), rows, std::move(sum)};
           }),
           py::kw_only(), py::arg("begins"), py::arg("rows"), py::arg("sum"));
  m.def("train", &train, py::arg("state"), py::arg("optimizer"), py::arg("regression"),
        py::arg("order"), py::arg("first"), py::arg("rows"), py::arg("batch_size"),
        py::arg("rates"), py::arg("sums"), py::arg("landed"), py::arg("memory"), py::arg("threads"),
        py::arg("share") = py::none());
}

}  // namespace dsmfast::bindings
