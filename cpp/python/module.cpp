#include <pybind11/stl.h>

#include <cstdlib>
#include <utility>

#include "op/batch.h"
#include "op/functional.h"
#include "op/invoke.h"
#include "ops/shape/reshape.h"
#include "python/batching.h"
#include "python/checkpoint.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "python/profile.h"
#include "python/symbol_type.h"
#include "python/tape.h"
#include "python/transforms.h"
#include "python/view.h"
#include "runtime/blocking.h"
#include "runtime/fusion.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

namespace py = pybind11;

namespace mxtape::python {
namespace {

void* release_gil() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }
void acquire_gil(void* state) { take_gil(static_cast<PyThreadState*>(state)); }

// x.reshape(shape): a view, with MXNet's special codes.
py::object reshape_view(py::handle x, const std::vector<int64_t>& shape, bool reverse) {
  const NDArray& array = as_array(x);
  ReshapeParams params;
  params.shape = shape;
  params.reverse = reverse;
  return wrap_object(
      shape_view(array, reshaped(array.shape(), params, "reshape", ErrorKind::kValue)));
}

// A view in a shape given as it is, of the same size: no code is special.
py::object reshape_to(py::handle x, const std::vector<int64_t>& dims) {
  const NDArray& array = as_array(x);
  const Shape shape{std::span<const int64_t>(dims)};
  if (checked_size(shape, "reshape") != array.size()) {
    fail("reshape: cannot reshape ", array.shape(), " to ", shape, ": the sizes differ");
  }
  return wrap_object(shape_view(array, shape));
}

// Which two arrays of the same memory share. A sparse array has parts that come and go.
uintptr_t address_of(const NDArray& array) {
  if (is_sparse(array)) return reinterpret_cast<uintptr_t>(array.storage().get());
  return reinterpret_cast<uintptr_t>(array.bytes());
}

}  // namespace
}  // namespace mxtape::python

PYBIND11_MODULE(MXTAPE_MODULE_NAME, m) {
  using namespace mxtape;
  using namespace mxtape::python;
  m.doc() = "The engine of mxtape, compiled for " MXTAPE_ISA_NAME ".";
  m.attr("isa") = MXTAPE_ISA_NAME;
  init_ndarray_type(m);
  init_numpy(m);
  init_sparse(m);
  init_op_call(m);
  init_inference(m);
  init_autograd(m);
  init_checkpoint(m);
  init_tape(m);
  init_transforms(m);
  init_batching(m);
  init_scopes(m);
  init_sites(m);
  init_graph(m);
  init_executor(m);
  init_compose(m);
  init_custom(m);
  init_control_flow(m);
  init_graph_inference(m);
  init_io(m);
  init_profile(m);
  blocking_hooks = {release_gil, acquire_gil};
  m.def("reshape_view", reshape_view);
  m.def("reshape_to", reshape_to);
  m.def("empty", [](const std::vector<int64_t>& dims, py::handle dtype) {
    const Shape shape{std::span<const int64_t>(dims)};
    checked_size(shape, "empty");
    return wrap_object(NDArray::empty(shape, as_dtype(dtype.ptr())));
  });
  m.def("full", [](const std::vector<int64_t>& dims, double value, py::handle dtype) {
    const Shape shape{std::span<const int64_t>(dims)};
    checked_size(shape, "full");
    return wrap_object(full(shape, as_dtype(dtype.ptr()), value));
  });
  // A device's type is kept less one, so that cpu(0) is 0.
  m.def("set_device", [](py::handle x, int type, int id) {
    as_array(x).storage()->set_device(static_cast<uint16_t>((type - 1) << 8 | (id & 0xff)));
  });
  m.def("device", [](py::handle x) {
    const int device = as_array(x).storage()->device();
    return py::make_tuple((device >> 8) + 1, device & 0xff);
  });
  m.def("is_np_shape", [] { return np_shape(); });
  m.def("set_np_shape", [](bool on) { return std::exchange(np_shape(), on); });
  m.def("wait_to_read", [](py::handle x) {
    if (!is_batched(as_array(x)) && !is_sparse(as_array(x))) as_array(x).bytes();
  });
  m.def("waitall", fusion::run_all);
  m.def("set_fusion_threshold", fusion::set_threshold);
  if (const char* elements = std::getenv("MXTAPE_FUSE_ABOVE")) {
    fusion::set_threshold(std::atoll(elements));
  }
  m.def("become", [](py::handle x, py::handle other) { as_array(x) = as_array(other); });
  m.def("address", [](py::handle x) { return address_of(as_array(x)); });
  // Changes with every write to the memory; of other memory it says nothing.
  m.def("state_of_memory", [](py::handle x) {
    const NDArray& array = as_array(x);
    return py::make_tuple(address_of(array), array.storage()->version());
  });
  m.def("shares_memory",
        [](py::handle a, py::handle b) { return as_array(a).storage() == as_array(b).storage(); });
  m.def("seed", &seed_random);
  m.def("pool_stats", [] {
    const PoolStats stats = pool_stats();
    return py::make_tuple(stats.bytes_in_use, stats.bytes_cached, stats.peak_bytes);
  });
  m.def("pool_trim", &pool_trim);
  m.def("thread_count", &thread_count);
  m.def("set_thread_count", &set_thread_count);
}
