// The Parzen density of a sample.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "execution.hpp"

namespace dsmfast::bindings {

namespace {

// (rows or None, log_sum, mean_exponent, largest): `wanted` says which rows, "mean", "score" or "".
py::tuple parzen(const py::array& x, const py::array& sample,
                 const std::optional<py::array>& weights, double sigma, const std::string& wanted,
                 const std::optional<py::array>& own, int threads) {
  return for_precision_of(x, "x", [&](auto real) -> py::tuple {
    using T = decltype(real);
    if (x.ndim() != 2) throw py::value_error("x: expected a matrix");
    const Index d = x.shape(1), n = x.shape(0);
    const View<const T> points = matrix<T>(x, "x", d), data = matrix<T>(sample, "sample", d);
    const T* weight = weights ? contiguous<T>(*weights, "weights", {data.rows}) : nullptr;
    const Index* skipped = own ? contiguous<Index>(*own, "own", {n}) : nullptr;
    py::array_t<double> log_sum(Shape{n}), mean_exponent(Shape{n}), largest(Shape{n});
    Posterior<T> out{nullptr, nullptr, log_sum.mutable_data(), mean_exponent.mutable_data(),
                     largest.mutable_data()};
    py::object rows = py::none();
    if (!wanted.empty()) {
      py::array_t<T> values(Shape{n, d});
      (wanted == "mean" ? out.mean : out.score) = values.mutable_data();
      rows = values;
    }
    Call(threads, product_of(n, data.rows, d + 8)).run([&](Execution& execution) {
      return kernels<T>().parzen(points, data, weight, skipped, sigma, out, execution);
    });
    return py::make_tuple(rows, log_sum, mean_exponent, largest);
  });
}

}  // namespace

void register_parzen(py::module_& m) {
  m.def("parzen", &parzen, py::arg("x"), py::arg("sample"), py::arg("weights"), py::arg("sigma"),
        py::arg("wanted"), py::arg("own"), py::arg("threads"));
}

}  // namespace dsmfast::bindings
