#include "io/dlpack.h"

#include <cstring>

#include "core/error.h"

namespace mxtape::io {
namespace {

DLDataType type_of(DType dtype) {
  const DTypeTraits& traits = traits_of(dtype);
  return {static_cast<uint8_t>(traits.kind), static_cast<uint8_t>(8 * traits.size), 1};
}

DType dtype_of_tensor(DLDataType type) {
  for (const DTypeTraits& traits : kDTypeTraits) {
    const DLDataType own = type_of(traits.dtype);
    if (own.code == type.code && own.bits == type.bits && type.lanes == 1) return traits.dtype;
  }
  const char* names[] = {"int", "uint", "float", "handle", "bfloat", "complex", "bool"};
  fail_as(ErrorKind::kType, "from_dlpack: data type ",
          type.code < std::size(names) ? names[type.code] : "number ",
          type.code < std::size(names) ? "" : std::to_string(type.code), int{type.bits},
          type.lanes == 1 ? "" : " in lanes", " is not one of mxtape's; convert it first");
}

// The managed structure, with what it points to behind it.
template <class Managed>
struct Export {
  Managed managed{};
  NDArray array;
  Shape shape, strides;
};

template <class Managed>
Managed* export_array(const NDArray& array) {
  auto* made = new Export<Managed>{{}, array.detached(), array.shape(), array.shape()};
  int64_t step = 1;
  for (int i = array.ndim() - 1; i >= 0; --i) {
    made->strides[i] = step;
    step *= made->shape[i];
  }
  made->managed.dl_tensor = {array.bytes(),
                             {kDLCPU, 0},
                             array.ndim(),
                             type_of(array.dtype()),
                             made->shape.data(),
                             made->strides.data(),
                             0};
  made->managed.manager_ctx = made;
  made->managed.deleter = [](Managed* managed) {
    delete static_cast<Export<Managed>*>(managed->manager_ctx);
  };
  return &made->managed;
}

// More than anybody has; a number beyond it is not that of a shape that can be read.
constexpr int kMaxAxes = 1000;

template <class Managed>
void finish(void* managed) {
  auto* tensor = static_cast<Managed*>(managed);
  if (tensor->deleter) tensor->deleter(tensor);
}

template <class Managed>
NDArray import_tensor(Managed* managed, bool read_only) {
  const DLTensor& tensor = managed->dl_tensor;
  if (tensor.device.device_type != kDLCPU) {
    fail("from_dlpack: the tensor is on a device of DLPack type ", tensor.device.device_type,
         ", mxtape has only the CPU; copy it there first");
  }
  const DType dtype = dtype_of_tensor(tensor.dtype);
  if (tensor.ndim < 0 || tensor.ndim > kMaxAxes) {
    fail("from_dlpack: the tensor has ", tensor.ndim, " axes; expected 0 to ", kMaxAxes);
  }
  if (tensor.ndim > 0 && !tensor.shape) {
    fail("from_dlpack: the tensor has ", tensor.ndim, " axes and no shape");
  }
  const Shape shape(std::span<const int64_t>(tensor.shape, static_cast<size_t>(tensor.ndim)));
  const int64_t size = checked_size(shape, "from_dlpack");
  if (size > 0 && !tensor.data) {
    fail("from_dlpack: the tensor of shape ", shape, " has elements and no memory");
  }
  int64_t step = 1;
  for (int i = shape.ndim() - 1; tensor.strides && size > 0 && i >= 0; --i) {
    if (shape[i] != 1 && tensor.strides[i] != step) {
      fail("from_dlpack: the tensor of shape ", shape, " is not dense row-major: its strides are ",
           Shape(std::span<const int64_t>(tensor.strides, static_cast<size_t>(tensor.ndim))),
           " elements; make it contiguous first");
    }
    step *= shape[i];
  }
  char* data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  const size_t nbytes = static_cast<size_t>(size) * item_size(dtype);
  if (size > 0 && reinterpret_cast<uintptr_t>(data) % item_size(dtype) != 0) {
    fail("from_dlpack: the tensor's memory is not aligned to its elements of ", item_size(dtype),
         " bytes");
  }
  if (size == 0 || read_only) {
    NDArray copy = NDArray::empty(shape, dtype);
    if (size) std::memcpy(copy.bytes(), data, nbytes);
    finish<Managed>(managed);
    return copy;
  }
  return NDArray(Storage::borrow(data, nbytes, finish<Managed>, managed), 0, shape, dtype);
}

}  // namespace

DLManagedTensor* to_dlpack(const NDArray& array) { return export_array<DLManagedTensor>(array); }

DLManagedTensorVersioned* to_dlpack_versioned(const NDArray& array) {
  auto* tensor = export_array<DLManagedTensorVersioned>(array);
  tensor->version = {1, 0};
  return tensor;
}

NDArray from_dlpack(DLManagedTensor* tensor) { return import_tensor(tensor, false); }

NDArray from_dlpack(DLManagedTensorVersioned* tensor) {
  if (tensor->version.major != 1) {
    fail("from_dlpack: the tensor is of DLPack version ", tensor->version.major, ".",
         tensor->version.minor, "; mxtape reads version 1 and the one before");
  }
  return import_tensor(tensor, (tensor->flags & kDLReadOnly) != 0);
}

}  // namespace mxtape::io
