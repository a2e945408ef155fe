#include "core/sparse.h"

#include <cstring>
#include <mutex>
#include <utility>

#include "core/error.h"

namespace mxtape {
namespace {

class Source final : public RefCounted {
 public:
  explicit Source(SparseParts parts) : parts(std::move(parts)) {}
  SparseParts parts;
  std::mutex mutex;  // kernels ask for parts, and replace them, without the interpreter's lock
};

Form form_of(StorageType type) { return type == StorageType::kCsr ? Form::kCsr : Form::kRowSparse; }

[[noreturn]] void refuse_memory(Storage& storage) {
  const bool csr = storage.form() == Form::kCsr;
  fail("this needs an array in memory, and got one of storage type ", csr ? "csr" : "row_sparse",
       "; convert it with tostype('default')");
}

[[maybe_unused]] const bool installed = [] {
  Storage::set_compute(Form::kRowSparse, refuse_memory);
  Storage::set_compute(Form::kCsr, refuse_memory);
  return true;
}();

Source& source_of(const NDArray& sparse) {
  return *static_cast<Source*>(sparse.storage()->source());
}

NDArray copied(const NDArray& array) {
  NDArray copy = NDArray::empty(array.shape(), array.dtype());
  if (array.size()) std::memcpy(copy.bytes(), array.bytes(), array.nbytes());
  return copy;
}

void check_rows(std::string_view what, const Shape& shape, const SparseParts& parts) {
  const int64_t n = parts.count();
  const int64_t* index = parts.index();
  for (int64_t i = 0; i < n; ++i) {
    if (index[i] < 0 || index[i] >= shape[0]) {
      fail(what, ": indices[", i, "] is ", index[i], ", the array has ", shape[0], " rows");
    }
    if (i && index[i] <= index[i - 1]) {
      fail(what, ": indices must ascend, and have no row twice: indices[", i, "] is ", index[i],
           " after ", index[i - 1]);
    }
  }
}

// Of the row that begins with element k.
[[noreturn, gnu::cold]] void fail_column(std::string_view what, const Shape& shape,
                                         const int64_t* index, int64_t k) {
  while (index[k] >= 0 && index[k] < shape[1]) ++k;
  fail(what, ": indices[", k, "] is ", index[k], ", the array has ", shape[1], " columns");
}

bool check_csr(std::string_view what, const Shape& shape, const SparseParts& parts) {
  const int64_t *pointers = parts.pointers(), *index = parts.index();
  if (pointers[0] != 0) fail(what, ": indptr must begin with 0, got ", pointers[0]);
  if (pointers[shape[0]] != parts.count()) {
    fail(what, ": indptr must end with the number of elements, ", parts.count(), ", got ",
         pointers[shape[0]]);
  }
  for (int64_t i = 0; i < shape[0]; ++i) {
    if (pointers[i + 1] < pointers[i]) {
      fail(what, ": indptr must not descend: indptr[", i + 1, "] is ", pointers[i + 1], " after ",
           pointers[i]);
    }
  }
  // All of a row at once: what is wrong is looked for only where something is.
  const auto columns = static_cast<uint64_t>(shape[1]);
  bool canonical = true;
  for (int64_t i = 0; i < shape[0]; ++i) {
    const int64_t *row = index + pointers[i], n = pointers[i + 1] - pointers[i];
    bool outside = n > 0 && static_cast<uint64_t>(row[0]) >= columns, descends = false;
    for (int64_t k = 1; k < n; ++k) {
      outside |= static_cast<uint64_t>(row[k]) >= columns;
      descends |= row[k] <= row[k - 1];
    }
    if (outside) fail_column(what, shape, index, pointers[i]);
    canonical = canonical && !descends;
  }
  return canonical;
}

}  // namespace

std::string_view storage_name(StorageType type) {
  switch (type) {
    case StorageType::kRowSparse:
      return "row_sparse";
    case StorageType::kCsr:
      return "csr";
    case StorageType::kUndefined:
      return "undefined";
    case StorageType::kDense:
      break;
  }
  return "default";
}

SparseParts parts_of(const NDArray& sparse) {
  Source& source = source_of(sparse);
  const std::lock_guard lock(source.mutex);
  return source.parts;
}

NDArray make_sparse(StorageType type, const Shape& shape, SparseParts parts) {
  const DType dtype = parts.data.dtype();
  const uint16_t device = parts.data.storage()->device();
  const size_t bytes = static_cast<size_t>(shape.size()) * item_size(dtype);
  Ref<Storage> storage = Storage::special(form_of(type), bytes, make_ref<Source>(std::move(parts)));
  storage->set_device(device);
  return NDArray(std::move(storage), 0, shape, dtype);
}

SparseParts no_parts(StorageType type, const Shape& shape, DType dtype) {
  SparseParts parts;
  parts.indices = NDArray::empty(Shape{0}, DType::kInt64);
  if (type == StorageType::kCsr) {
    parts.data = NDArray::empty(Shape{0}, dtype);
    parts.indptr = NDArray::empty(Shape{shape[0] + 1}, DType::kInt64);
    std::memset(parts.indptr.bytes(), 0, parts.indptr.nbytes());
  } else {
    Shape rows = shape;
    rows[0] = 0;
    parts.data = NDArray::empty(std::move(rows), dtype);
  }
  return parts;
}

NDArray empty_sparse(StorageType type, const Shape& shape, DType dtype) {
  return make_sparse(type, shape, no_parts(type, shape, dtype));
}

void check_shape(std::string_view what, StorageType type, const Shape& shape) {
  const bool csr = type == StorageType::kCsr;
  if (csr ? shape.ndim() != 2 : shape.ndim() < 1) {
    fail_as(ErrorKind::kValue, what, ": the shape must have ",
            csr ? "2 dimensions" : "at least 1 dimension", ", got ", shape);
  }
  checked_size(shape, what);
}

void check_parts(std::string_view what, StorageType type, const Shape& shape, SparseParts& parts) {
  const bool csr = type == StorageType::kCsr;
  check_shape(what, type, shape);
  if (parts.indices.dtype() != DType::kInt64 || parts.indices.ndim() != 1) {
    fail_as(ErrorKind::kValue, what, ": indices must be a vector of int64, got shape ",
            parts.indices.shape(), " and dtype ", parts.indices.dtype());
  }
  Shape data = shape;
  if (csr) {
    data = parts.indices.shape();
  } else {
    data[0] = parts.count();
  }
  if (parts.data.shape() != data) {
    fail_as(ErrorKind::kValue, what, ": data must have shape ", data, ", got ", parts.data.shape());
  }
  if (!csr) return check_rows(what, shape, parts);
  if (parts.indptr.dtype() != DType::kInt64 || parts.indptr.shape() != Shape{shape[0] + 1}) {
    fail_as(ErrorKind::kValue, what, ": indptr must be a vector of ", shape[0] + 1,
            " int64, got shape ", parts.indptr.shape(), " and dtype ", parts.indptr.dtype());
  }
  parts.canonical = check_csr(what, shape, parts);
}

void replace_parts(const NDArray& sparse, SparseParts parts) {
  {
    Source& source = source_of(sparse);
    const std::lock_guard lock(source.mutex);
    std::swap(source.parts, parts);
  }
  sparse.mark_written();
}

NDArray writable_data(const NDArray& sparse) {
  Source& source = source_of(sparse);
  const std::lock_guard lock(source.mutex);
  NDArray& data = source.parts.data;
  if (!data.owns_memory()) data = copied(data);
  return data;
}

}  // namespace mxtape
