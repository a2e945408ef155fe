// Any bytes as a .params file: arrays that are saved and read again as they are, or an Error.

#include <cstring>

#include "bytes.h"
#include "io/params_file.h"

namespace mxtape::fuzz {

void read_bytes(const uint8_t* data, size_t size) {
  const io::NamedArrays read = io::load_arrays(data, size, "input");
  require(read.names.empty() || read.names.size() == read.arrays.size(), "a name for each array");
  for (const NDArray& array : read.arrays) require(array.nbytes() <= size, "no more than was read");
  const std::string path = scratch_file();
  io::save_arrays(path, read.arrays, read.names);
  const io::NamedArrays again = io::load_arrays(path);
  require(again.names == read.names, "the same names");
  require(again.arrays.size() == read.arrays.size(), "as many arrays");
  for (size_t i = 0; i < read.arrays.size(); ++i) {
    const NDArray &one = read.arrays[i], &other = again.arrays[i];
    require(one.shape() == other.shape() && one.dtype() == other.dtype(), "the same kind of array");
    require(one.size() == 0 || !std::memcmp(one.bytes(), other.bytes(), one.nbytes()),
            "the same values");
  }
}

}  // namespace mxtape::fuzz
