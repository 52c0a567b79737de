// The regression |D(x~) - t|^2: its sum, and the gradient of scale times the sum.
#include <pybind11/stl.h>

#include "execution.hpp"
#include "regression_data.hpp"

namespace dsmfast::bindings {

namespace {

py::object regression(const py::array& W, const py::array& b, const py::array& c,
                      const py::array& points, const std::optional<py::array>& targets,
                      const NoiseOptions& noise, double scale, bool gradient, int threads) {
  return for_precision_of(W, "W", [&](auto real) -> py::object {
    using T = decltype(real);
    const Model<T> parameters = model<T>(W, b, c, noise.sigma);
    const Index h = parameters.hidden, d = parameters.features;
    const Regression<T> data = regression_data<T>(points, targets, std::nullopt, noise, d);
    double sum = 0;
    Call call(threads);
    if (!gradient) {
      call.run([&](Execution& execution) {
        return kernels<T>().regression(parameters, data, scale, &sum, nullptr, execution);
      });
      return py::float_(sum);
    }
    py::array_t<T> dW = empty<T>({h, d}), db = empty<T>({h}), dc = empty<T>({d});
    const GradientView<T> out{dW.mutable_data(), db.mutable_data(), dc.mutable_data()};
    call.run([&](Execution& execution) {
      return kernels<T>().regression(parameters, data, scale, &sum, &out, execution);
    });
    return py::make_tuple(sum, dW, db, dc);
  });
}

}  // namespace

void register_regression(py::module_& m) {
  py::class_<NoiseOptions>(m, "Noise", "Corruption of points by sigma times standard normals.")
      .def(py::init([](double sigma, std::optional<py::array> given, std::uint64_t seed,
                       std::uint32_t step, Stream stream, Index draws) {
             return NoiseOptions{sigma, std::move(given), seed, step, stream, draws};
           }),
           py::kw_only(), py::arg("sigma"), py::arg("given") = py::none(), py::arg("seed") = 0,
           py::arg("step") = 0, py::arg("stream") = Stream::noise, py::arg("draws") = 1);
  m.def("regression", &regression, py::arg("W"), py::arg("b"), py::arg("c"), py::arg("points"),
        py::arg("targets"), py::arg("noise"), py::arg("scale"), py::arg("gradient"),
        py::arg("threads"));
}

}  // namespace dsmfast::bindings
