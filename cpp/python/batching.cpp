#include "python/batching.h"

#include "op/batch.h"
#include "op/registry.h"
#include "op/sparse.h"
#include "python/ndarray_type.h"

namespace py = pybind11;

// What mxtape/autograd/batching.py makes vmap of.
namespace mxtape::python {
namespace {

// One example of `x`, whose axis `axis` is the batch.
py::object vmap_wrap(py::handle x, int axis, uint64_t level) {
  const NDArray& array = as_array(x);
  if (is_sparse(array)) {
    fail("vmap: an argument of shape ", array.shape(), " has storage type ",
         storage_name(storage_type(array)),
         ", of which there are no batches; convert it with tostype('default'), or give it in_axes "
         "None if it is the same for all examples");
  }
  return wrap_object(example_of(batch::moved_axis(array, axis, 0), level));
}

// All examples of `x`, with the batch as axis `axis`. One that is the same in all of them is
// repeated, or, where `axis` is None, stays as it is; any other is refused then.
py::object vmap_unwrap(py::handle x, const py::object& axis, uint64_t level, int64_t size) {
  const NDArray& array = as_array(x);
  NDArray examples = examples_of(array, level);
  if (axis.is_none()) {
    if (!examples.defined()) return py::reinterpret_borrow<py::object>(x);
    fail("vmap: out_axes is None for a result of shape ", array.shape(),
         " that differs from example to example; give the place of the batch axis");
  }
  if (!examples.defined()) {
    Shape one(array.ndim() + 1, 1), all(array.ndim() + 1, size);
    for (int d = 0; d < array.ndim(); ++d) one[d + 1] = all[d + 1] = array.shape()[d];
    examples = broadcast_to(reshape(in_dense(array), one), all);
  }
  return wrap_object(batch::moved_axis(
      examples, 0, normalize_axis(py::cast<int64_t>(axis), examples.ndim(), "vmap: out_axes")));
}

}  // namespace

void init_batching(py::module_& m) {
  m.def("vmap_enter", &enter_batch);
  m.def("vmap_leave", &leave_batch);
  m.def("vmap_wrap", vmap_wrap);
  m.def("vmap_unwrap", vmap_unwrap);
  m.def("is_batched",
        [](py::handle x) { return is_ndarray(x.ptr()) && is_batched(array_of(x.ptr())); });
  m.def("has_batch_rule",
        [](const std::string& name) { return batch_rule(find_op(name)) != nullptr; });
}

}  // namespace mxtape::python
