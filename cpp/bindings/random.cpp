// The noise stream, and the order of an epoch.
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "execution.hpp"

namespace dsmfast::bindings {

namespace {

template <typename T>
py::array normals(std::uint64_t seed, std::uint32_t step, Index draw, const py::array& rows,
                  Index columns, Stream stream, int threads,
                  const std::optional<py::array>& steps) {
  // Strides in bytes are a product with it.
  if (columns < 1 || columns > Index{1} << 40)
    throw py::value_error("columns: expected 1 to 2**40");
  const Index n = rows.ndim() == 1 ? rows.shape(0) : 0;
  const Index* row = contiguous<Index>(rows, "rows", {n});
  const auto* step_of = steps ? contiguous<std::uint32_t>(*steps, "steps", {n}) : nullptr;
  py::array_t<T> out(Shape{n, columns});
  T* data = out.mutable_data();
  const Noise<T> noise{T(1), {}, {}, nullptr, seed, step, stream, 0, 1, false};
  Call(threads, 8 * product_of(n, columns)).run([&](Execution& execution) {
    return kernels<T>().normals(noise, draw, row, step_of, n, columns, data, execution);
  });
  return out;
}

template <typename T>
py::array scales(std::uint64_t seed, std::uint32_t step, Index draw, const py::array& rows,
                 double sigma, std::uint64_t coarse, double log_ratio, int threads) {
  const Index n = rows.ndim() == 1 ? rows.shape(0) : 0;
  const Index* row = contiguous<Index>(rows, "rows", {n});
  py::array_t<T> out(Shape{n});
  T* data = out.mutable_data();
  const Noise<T> noise{static_cast<T>(sigma),
                       {coarse, static_cast<T>(log_ratio), T(0)},
                       {},
                       nullptr,
                       seed,
                       step,
                       Stream::scale,
                       0,
                       1,
                       false};
  Call(threads, 16 * product_of(n)).run([&](Execution& execution) {
    return kernels<T>().scales(noise, draw, row, n, data, execution);
  });
  return out;
}

py::array shuffled_rows(std::uint64_t seed, std::uint32_t epoch, Index rows, std::uint32_t window) {
  py::array_t<Index> order(Shape{rows});
  Index* data = order.mutable_data();
  without_gil([&] { kernels<float>().shuffle(seed, epoch, window, rows, data); });
  return order;
}

}  // namespace

void register_random(py::module_& m) {
  py::native_enum<Stream>(m, "Stream", "enum.Enum", "Independent noise streams under one seed.")
      .value("noise", Stream::noise)
      .value("initial", Stream::initial)
      .value("shuffle", Stream::shuffle)
      .value("validation", Stream::validation)
      .value("scale", Stream::scale)
      .value("chain", Stream::chain)
      .finalize();
  const auto define = [&](const char* name, auto function) {
    m.def(name, function, py::arg("seed"), py::arg("step"), py::arg("draw"), py::arg("rows"),
          py::arg("columns"), py::arg("stream"), py::arg("threads"), py::arg("steps") = py::none());
  };
  define("normals_float32", &normals<float>);
  define("normals_float64", &normals<double>);
  const auto define_scales = [&](const char* name, auto function) {
    m.def(name, function, py::arg("seed"), py::arg("step"), py::arg("draw"), py::arg("rows"),
          py::arg("sigma"), py::arg("coarse"), py::arg("log_ratio"), py::arg("threads"));
  };
  define_scales("scales_float32", &scales<float>);
  define_scales("scales_float64", &scales<double>);
  m.def("shuffled_rows", &shuffled_rows, py::arg("seed"), py::arg("epoch"), py::arg("rows"),
        py::arg("window") = 0);
}

}  // namespace dsmfast::bindings
