// What the model says of points.
#include <pybind11/native_enum.h>

#include "arrays.hpp"
#include "execution.hpp"

namespace dsmfast::bindings {

namespace {

// (values, -1), or (None, i) when row i of x holds a NaN or an infinity.
py::tuple evaluate(Quantity quantity, const py::array& W, const py::array& b, const py::array& c,
                   double sigma, const py::array& x, int threads) {
  return for_precision_of(W, "W", [&](auto real) -> py::tuple {
    using T = decltype(real);
    const Model<T> parameters = model<T>(W, b, c, sigma);
    const Index h = parameters.hidden, d = parameters.features;
    const View<const T> points = matrix<T>(x, "x", quantity == Quantity::decode ? h : d);
    std::vector<py::ssize_t> shape{points.rows};
    if (quantity != Quantity::energy) shape.push_back(quantity == Quantity::hidden ? h : d);
    py::array_t<T> out = empty<T>(shape);
    T* data = out.mutable_data();
    Call call(threads);
    const Outcome outcome = call.run([&](Execution& execution) {
      return kernels<T>().evaluate(parameters, quantity, points, data, execution);
    });
    if (outcome == Outcome::bad_input) return py::make_tuple(py::none(), call.bad_row());
    return py::make_tuple(out, -1);
  });
}

}  // namespace

void register_model(py::module_& m) {
  py::native_enum<Quantity>(m, "Quantity", "enum.Enum", "What one point is mapped to.")
      .value("hidden", Quantity::hidden)
      .value("energy", Quantity::energy)
      .value("score", Quantity::score)
      .value("denoise", Quantity::denoise)
      .value("decode", Quantity::decode)
      .finalize();
  m.def("evaluate", &evaluate, py::arg("quantity"), py::arg("W"), py::arg("b"), py::arg("c"),
        py::arg("sigma"), py::arg("x"), py::arg("threads"));
}

}  // namespace dsmfast::bindings
