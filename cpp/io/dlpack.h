#pragma once

#include <cstdint>

#include "core/ndarray.h"

// DLPack, the exchange of arrays between libraries without a copy: the structures of its ABI
// (https://dmlc.github.io/dlpack, version 1.0 and the one before it) and arrays to and from them.
namespace mxtape::io {

struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
inline constexpr int32_t kDLCPU = 1;

struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null for dense row-major
  uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};

struct DLPackVersion {
  uint32_t major;
  uint32_t minor;
};
inline constexpr uint64_t kDLReadOnly = 1;

struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor dl_tensor;
};

// A structure that shares the array's memory and keeps it alive until its deleter is called.
DLManagedTensor* to_dlpack(const NDArray& array);
DLManagedTensorVersioned* to_dlpack_versioned(const NDArray& array);

// An array that shares the memory of a foreign tensor and calls its deleter at its end. When it
// throws, the tensor is still the caller's. A read-only tensor is copied, and deleted at once.
NDArray from_dlpack(DLManagedTensor* tensor);
NDArray from_dlpack(DLManagedTensorVersioned* tensor);

}  // namespace mxtape::io
