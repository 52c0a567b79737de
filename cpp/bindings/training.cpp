// A run of minibatch steps, in place.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <map>

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
  ~WorkingMemory() { std::free(block); }

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

// Of the precision of all the rest.
const py::array& weights_of(const States& from) {
  if (from.empty()) throw py::value_error("start: expected parameters, got nothing");
  return from[0][0];
}

// What steps go from and to, as the kernels take it.
template <typename T>
std::pair<TrainingState<const T>, TrainingState<T>> states(const States& from, States& to,
                                                           const Optimizer& optimizer, Index h,
                                                           Index d) {
  const std::size_t moments = optimizer.rule == Rule::adam ? 2 : 0;
  if (from.size() > 3 || from.size() < 1 + moments || to.size() != from.size())
    throw py::value_error("start, end: expected parameters and the optimizer's moments");
  TrainingState<const T> start{};
  TrainingState<T> end{};
  Triple<const T>* starts[] = {&start.parameters, &start.first, &start.second};
  Triple<T>* ends[] = {&end.parameters, &end.first, &end.second};
  for (std::size_t i = 0; i < from.size(); ++i) {
    *starts[i] = {contiguous<T>(from[i][0], "start", {h, d}),
                  contiguous<T>(from[i][1], "start", {h}), contiguous<T>(from[i][2], "start", {d})};
    *ends[i] = {writeable<T>(to[i][0], "end", {h, d}), writeable<T>(to[i][1], "end", {h}),
                writeable<T>(to[i][2], "end", {d})};
  }
  return {start, end};
}

// Steps until the data is through, a signal arrives or the loss is not finite. Step s goes at
// rates[s], and sums[s] becomes its loss, summed over rows and draws; those of steps not done stay as
// they are. Whether the loss of the last step, and the parameters after it, are finite.
bool train(const States& from, States to, const Optimizer& optimizer,
           const RegressionOptions& options, const py::array& order, Index first, Index rows,
           Index batch_size, const py::array& rates, py::array sums, WorkingMemory& memory,
           int threads) {
  return for_precision_of(weights_of(from), "W", [&](auto real) -> bool {
    using T = decltype(real);
    const Model<T> shape = model<T>(from[0][0], from[0][1], from[0][2], options.noise.sigma);
    const Index h = shape.hidden, d = shape.features;
    Regression<T> data = regression_data<T>(options, order, d);
    visit_part(data, first, rows);
    if (batch_size < 1) throw py::value_error("batch_size: expected at least 1");
    if (batch_size > data.rows) batch_size = data.rows;  // or the number of steps overflows
    if (options.noise.array) throw py::value_error("noise: training draws its own");
    const Index steps = (data.rows + batch_size - 1) / batch_size;
    const double* rate = contiguous<double>(rates, "rates", {steps});
    double* sum = writeable<double>(sums, "sums", {steps});
    const auto state = states<T>(from, to, optimizer, h, d);  // Clang captures no bindings
    const Outcome outcome =
        Call(threads, operations_of(data, h), &memory).run([&](Execution& execution) {
          execution.seconds = memory.seconds_of(execution.threads);
          return kernels<T>().train(d, h, state.first, state.second, optimizer, data, batch_size,
                                    rate, sum, execution);
        });
    return outcome != Outcome::diverged;
  });
}

// One step by a gradient from elsewhere; whether what comes of it is finite.
bool update(const States& from, States to, const Optimizer& optimizer, const Arrays& gradient,
            double rate, int threads) {
  return for_precision_of(weights_of(from), "W", [&](auto real) -> bool {
    using T = decltype(real);
    const Model<T> shape = model<T>(from[0][0], from[0][1], from[0][2], 1.0);
    const Index h = shape.hidden, d = shape.features;
    const auto state = states<T>(from, to, optimizer, h, d);  // Clang captures no bindings
    const Triple<const T> g{contiguous<T>(gradient[0], "gradient", {h, d}),
                            contiguous<T>(gradient[1], "gradient", {h}),
                            contiguous<T>(gradient[2], "gradient", {d})};
    const Outcome outcome = Call(threads, 4 * product_of(h, d)).run([&](Execution& execution) {
      return kernels<T>().update(d, h, state.first, state.second, optimizer, g, rate, execution);
    });
    return outcome != Outcome::diverged;
  });
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
      .def("seconds", &WorkingMemory::by_region, "Seconds by region, summed over threads.");
  m.def("train", &train, py::arg("start"), py::arg("end"), py::arg("optimizer"),
        py::arg("regression"), py::arg("order"), py::arg("first"), py::arg("rows"),
        py::arg("batch_size"), py::arg("rates"), py::arg("sums"), py::arg("memory"),
        py::arg("threads"));
  m.def("update", &update, py::arg("start"), py::arg("end"), py::arg("optimizer"),
        py::arg("gradient"), py::arg("rate"), py::arg("threads"));
}

}  // namespace dsmfast::bindings
