// NumPy arrays in and out: the one place where they are checked and turned into views.
//
// Python has already said what is wrong in the user's words; what is checked here is what memory
// safety rests on. Nothing is converted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <dsmfast/kernels.hpp>
#include <string>
#include <vector>

namespace dsmfast::bindings {

namespace py = pybind11;
using Shape = std::vector<py::ssize_t>;

inline std::string as_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (const Index size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + (shape.size() == 1 ? ",)" : ")");
}

inline std::vector<Index> shape_of(const py::array& array) {
  return {array.shape(), array.shape() + array.ndim()};
}

template <typename T>
void check_dtype(const py::array& array, const char* name) {
  if (!py::isinstance<py::array_t<T>>(array))
    throw py::type_error(std::string(name) + ": expected dtype " +
                         std::string(py::str(py::dtype::of<T>())) + ", got " +
                         std::string(py::str(array.dtype())));
}

inline void check_shape(const py::array& array, const char* name, const std::vector<Index>& shape) {
  if (shape_of(array) != shape)
    throw py::value_error(std::string(name) + ": expected shape " + as_text(shape) + ", got " +
                          as_text(shape_of(array)));
}

template <typename T>
void check_alignment(const py::array& array, const char* name) {
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0)
    throw py::value_error(std::string(name) + ": expected an aligned array");
}

// A contiguous, aligned array of this dtype and shape.
template <typename T>
const T* contiguous(const py::array& array, const char* name, const std::vector<Index>& shape) {
  check_dtype<T>(array, name);
  check_shape(array, name, shape);
  if ((array.flags() & py::array::c_style) == 0)
    throw py::value_error(std::string(name) + ": expected a C-contiguous array");
  check_alignment<T>(array, name);
  return static_cast<const T*>(array.data());
}

// The same, to be written to.
template <typename T>
T* writeable(py::array& array, const char* name, const std::vector<Index>& shape) {
  contiguous<T>(array, name, shape);
  if (!array.writeable()) throw py::value_error(std::string(name) + ": expected a writeable array");
  return static_cast<T*>(array.mutable_data());
}

// A matrix with any strides that are whole elements.
template <typename T>
View<const T> matrix(const py::array& array, const char* name, Index columns) {
  check_dtype<T>(array, name);
  if (array.ndim() != 2 || array.shape(1) != columns || array.shape(0) < 1 || columns < 1)
    throw py::value_error(std::string(name) + ": expected shape (n, " + std::to_string(columns) +
                          "), got " + as_text(shape_of(array)));
  constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
  if (array.strides(0) % size != 0 || array.strides(1) % size != 0)
    throw py::value_error(std::string(name) + ": expected strides of whole elements");
  check_alignment<T>(array, name);
  return {static_cast<const T*>(array.data()), array.shape(0), columns, array.strides(0) / size,
          array.strides(1) / size};
}

// Calls work(T{}) for the precision of an array.
template <typename Work>
auto for_precision_of(const py::array& array, const char* name, const Work& work) {
  if (py::isinstance<py::array_t<float>>(array)) return work(float{});
  if (py::isinstance<py::array_t<double>>(array)) return work(double{});
  throw py::type_error(std::string(name) + ": expected dtype float32 or float64, got " +
                       std::string(py::str(array.dtype())));
}

// (W, b, c) of one precision and matching shapes.
template <typename T>
Model<T> model(const py::array& W, const py::array& b, const py::array& c, double sigma) {
  if (W.ndim() != 2 || W.shape(0) < 1 || W.shape(1) < 1)
    throw py::value_error("W: expected shape (n_hidden, n_features), got " + as_text(shape_of(W)));
  const Index h = W.shape(0), d = W.shape(1);
  return {contiguous<T>(W, "W", {h, d}),
          contiguous<T>(b, "b", {h}),
          contiguous<T>(c, "c", {d}),
          static_cast<T>(sigma),
          d,
          h};
}

}  // namespace dsmfast::bindings
