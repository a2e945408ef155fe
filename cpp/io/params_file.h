#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/ndarray.h"

// Files of arrays, dense and sparse, in MXNet's .params format, all of whose versions are read.
namespace mxtape::io {

struct NamedArrays {
  std::vector<NDArray> arrays;
  std::vector<std::string> names;  // empty, or one for each array
};

// Reads a whole file or buffer. Whatever its bytes are, nothing beyond their end is read and no
// more memory is taken than they can fill; what does not fit is an Error that names `source`.
NamedArrays load_arrays(const std::string& path);
NamedArrays load_arrays(const void* data, size_t size, const std::string& source);

// Writes arrays as MXNet 1.9.1 does, byte for byte. `names` is empty or has one for each array.
void save_arrays(const std::string& path, Arrays arrays, const std::vector<std::string>& names);

}  // namespace mxtape::io
