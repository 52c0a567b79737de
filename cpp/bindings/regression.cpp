// The regression and its curvature: the sum, and the gradient of scale times the sum.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include "execution.hpp"
#include "regression_data.hpp"

namespace dsmfast::bindings {

namespace {

py::object regression(const py::array& W, const py::array& b, const py::array& c,
                      const RegressionOptions& options, double scale, bool gradient, int threads,
                      const std::optional<py::array>& order, Index first,
                      std::optional<Index> rows) {
  return for_precision_of(W, "W", [&](auto real) -> py::object {
    using T = decltype(real);
    const Model<T> parameters = model<T>(W, b, c, options.noise.sigma);
    const Index h = parameters.hidden, d = parameters.features;
    Regression<T> data = regression_data<T>(options, order, d);
    visit_part(data, first, rows);
    double sum = 0;
    const auto run = [&](const Triple<T>* out) {
      Call(threads, operations_of(data, h)).run([&](Execution& execution) {
        return kernels<T>().regression(parameters, data, scale, &sum, out, execution);
      });
    };
    if (!gradient) return run(nullptr), py::float_(sum);
    py::array_t<T> dW(Shape{h, d}), db(Shape{h}), dc(Shape{d});
    const Triple<T> out{dW.mutable_data(), db.mutable_data(), dc.mutable_data()};
    run(&out);
    return py::make_tuple(sum, dW, db, dc);
  });
}

}  // namespace

void register_regression(py::module_& m) {
  py::native_enum<Target>(m, "Target", "enum.Enum", "What the denoiser is regressed on.")
      .value("clean", Target::clean)
      .value("itself", Target::itself)
      .value("given", Target::given)
      .value("posterior", Target::posterior)
      .finalize();
  py::native_enum<Path>(m, "Path", "enum.Enum", "Where a regression is worked out.")
      .value("explicit", Path::explicit_)
      .value("gram", Path::gram)
      .finalize();
  py::class_<NoiseOptions>(m, "Noise", "Corruption of points.")
      .def(py::init([](double sigma, std::uint64_t coarse, double log_ratio, double exponent,
                       std::optional<py::array> given, std::uint64_t chance, double low,
                       double high, std::uint64_t seed, std::uint32_t step, Stream stream,
                       Index draws, bool antithetic, Index first_row) {
             if (first_row < 0) throw py::value_error("first_row: expected at least 0");
             const Noise<double> noise{sigma,
                                       {coarse, log_ratio, exponent},
                                       {chance, low, high},
                                       nullptr,
                                       seed,
                                       step,
                                       stream,
                                       first_row,
                                       draws,
                                       antithetic};
             return NoiseOptions{noise, std::move(given)};
           }),
           py::kw_only(), py::arg("sigma"), py::arg("coarse") = 0, py::arg("log_ratio") = 0.0,
           py::arg("exponent") = 0.0, py::arg("given") = py::none(), py::arg("chance") = 0,
           py::arg("low") = 0.0, py::arg("high") = 0.0, py::arg("seed") = 0, py::arg("step") = 0,
           py::arg("stream") = Stream::noise, py::arg("draws") = 1, py::arg("antithetic") = false,
           py::arg("first_row") = 0);
  py::class_<RegressionOptions>(m, "Regression", "Points, their noise, targets and curvature.")
      .def(py::init([](py::array points, NoiseOptions noise, Target target, Target coarse_target,
                       std::optional<py::array> targets, std::optional<py::array> sample,
                       std::optional<py::array> sample_weights, Index reference,
                       std::optional<py::array> weights, double variance, double penalty,
                       Path path) {
             if (coarse_target != Target::clean && coarse_target != Target::posterior)
               throw py::value_error("coarse_target: expected Target.clean or Target.posterior");
             return RegressionOptions{std::move(points),
                                      std::move(noise),
                                      target,
                                      coarse_target,
                                      std::move(targets),
                                      std::move(sample),
                                      std::move(sample_weights),
                                      reference,
                                      std::move(weights),
                                      variance,
                                      penalty,
                                      path};
           }),
           py::kw_only(), py::arg("points"), py::arg("noise"), py::arg("target") = Target::clean,
           py::arg("coarse_target") = Target::clean, py::arg("targets") = py::none(),
           py::arg("sample") = py::none(), py::arg("sample_weights") = py::none(),
           py::arg("reference") = 0, py::arg("weights") = py::none(), py::arg("variance") = 0.0,
           py::arg("penalty") = 0.0, py::arg("path") = Path::explicit_);
  m.def("regression", &regression, py::arg("W"), py::arg("b"), py::arg("c"), py::arg("regression"),
        py::arg("scale"), py::arg("gradient"), py::arg("threads"), py::arg("order") = py::none(),
        py::arg("first") = 0, py::arg("rows") = py::none());
}

}  // namespace dsmfast::bindings
