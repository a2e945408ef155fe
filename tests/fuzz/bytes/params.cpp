// Any bytes as a .params file: arrays that are saved and read again as they are, or an Error.

#include <cstring>

#include "bytes.h"
#include "core/sparse.h"
#include "io/params_file.h"

namespace mxtape::fuzz {
namespace {

void require_same(const NDArray& one, const NDArray& other, size_t size) {
  require(one.shape() == other.shape() && one.dtype() == other.dtype(), "the same kind of array");
  require(one.nbytes() <= size, "no more than was read");
  require(one.size() == 0 || !std::memcmp(one.bytes(), other.bytes(), one.nbytes()),
          "the same values");
}

void require_same_parts(const NDArray& one, const NDArray& other, size_t size) {
  require(one.shape() == other.shape(), "the same shape");
  const StorageType storage = storage_type(one);
  SparseParts parts = parts_of(one);
  const SparseParts others = parts_of(other);
  require_same(parts.data, others.data, size);
  require_same(parts.indices, others.indices, size);
  if (storage == StorageType::kCsr) require_same(parts.indptr, others.indptr, size);
  check_parts("parts", storage, one.shape(), parts);
}

}  // namespace

void read_bytes(const uint8_t* data, size_t size) {
  const io::NamedArrays read = io::load_arrays(data, size, "input");
  require(read.names.empty() || read.names.size() == read.arrays.size(), "a name for each array");
  const std::string path = scratch_file();
  io::save_arrays(path, read.arrays, read.names);
  const io::NamedArrays again = io::load_arrays(path);
  require(again.names == read.names, "the same names");
  require(again.arrays.size() == read.arrays.size(), "as many arrays");
  for (size_t i = 0; i < read.arrays.size(); ++i) {
    const NDArray &one = read.arrays[i], &other = again.arrays[i];
    require(storage_type(one) == storage_type(other), "the same storage type");
    (is_sparse(one) ? require_same_parts : require_same)(one, other, size);
  }
}

}  // namespace mxtape::fuzz
