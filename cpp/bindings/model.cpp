// What the model says of points, and the parts of it that tests and checks call alone.
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
    T* values = nullptr;
    double* energy = nullptr;
    py::object found;
    if (quantity == Quantity::energy) {
      py::array_t<double> out(Shape{points.rows});
      energy = out.mutable_data();
      found = out;
    } else {
      py::array_t<T> out(Shape{points.rows, quantity == Quantity::hidden ? h : d});
      values = out.mutable_data();
      found = out;
    }
    Call call(threads, 2 * product_of(points.rows, h, d));
    const Outcome outcome = call.run([&](Execution& execution) {
      return kernels<T>().evaluate(parameters, quantity, points, values, energy, execution);
    });
    if (outcome == Outcome::bad_input) return py::make_tuple(py::none(), call.bad_row());
    return py::make_tuple(found, -1);
  });
}

py::array product(const py::array& A, const py::array& B, int threads) {
  return for_precision_of(A, "A", [&](auto real) -> py::array {
    using T = decltype(real);
    if (A.ndim() != 2 || B.ndim() != 2) throw py::value_error("A, B: expected matrices");
    const Index m = A.shape(0), k = A.shape(1), n = B.shape(1);
    const T* a = contiguous<T>(A, "A", {m, k});
    const T* b = contiguous<T>(B, "B", {k, n});
    py::array_t<T> C(Shape{m, n});
    T* out = C.mutable_data();
    Call(threads, product_of(m, n, k)).run([&](Execution& execution) {
      return kernels<T>().product(m, n, k, a, b, out, execution);
    });
    return C;
  });
}

// The first row with a NaN or an infinity, or -1.
Index first_bad_row(const py::array& x, int threads) {
  return for_precision_of(x, "x", [&](auto real) -> Index {
    using T = decltype(real);
    if (x.ndim() != 2) throw py::value_error("x: expected a matrix");
    const View<const T> view = matrix<T>(x, "x", x.shape(1));
    Call call(threads, 4 * product_of(view.rows, view.columns));
    const Outcome outcome =
        call.run([&](Execution& execution) { return kernels<T>().check_finite(view, execution); });
    return outcome == Outcome::bad_input ? call.bad_row() : -1;
  });
}

// L L' = W W'.
py::array cholesky(const py::array& W, int threads) {
  return for_precision_of(W, "W", [&](auto real) -> py::array {
    using T = decltype(real);
    const View<const T> rows = matrix<T>(W, "W", W.ndim() == 2 ? W.shape(1) : 0);
    const Index h = rows.rows, d = rows.columns;
    const std::vector<T> b(static_cast<std::size_t>(h)), c(static_cast<std::size_t>(d));
    const Model<T> parameters{contiguous<T>(W, "W", {h, d}), b.data(), c.data(), T(1), d, h};
    py::array_t<T> L(Shape{h, h});
    T* out = L.mutable_data();
    Call(threads, product_of(h, h, d + h)).run([&](Execution& execution) {
      return kernels<T>().cholesky(parameters, out, execution);
    });
    return L;
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
  m.def("product", &product, py::arg("A"), py::arg("B"), py::arg("threads"));
  m.def("root", &cholesky, py::arg("W"), py::arg("threads"));
  m.def("first_bad_row", &first_bad_row, py::arg("x"), py::arg("threads"));
}

}  // namespace dsmfast::bindings
