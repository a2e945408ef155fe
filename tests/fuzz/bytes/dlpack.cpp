// Any bytes as a DLPack tensor whose pointers are valid: an array of its numbers, or an Error. The
// tensor is given back exactly once if it was taken, and not at all if it was refused.

#include "io/dlpack.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "bytes.h"

namespace mxtape::fuzz {
namespace {

// Takes numbers off the front of the input; zeros when it is used up.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  template <class T>
  T take() {
    T value{};
    const size_t n = std::min(sizeof(T), size_);
    std::memcpy(&value, data_, n);
    data_ += n;
    size_ -= n;
    return value;
  }
  // Mostly small, as extents are.
  int64_t number() {
    const auto first = take<int8_t>();
    return first == 127 ? take<int64_t>() : first;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

int deletions = 0;

template <class Managed>
void import_one(Managed& managed, size_t memory) {
  managed.deleter = [](Managed*) { ++deletions; };
  deletions = 0;
  const DLTensor& tensor = managed.dl_tensor;
  {
    NDArray array;
    try {
      array = io::from_dlpack(&managed);
    } catch (const Error&) {
      require(deletions == 0, "a refused tensor stays its owner's");
      return;
    }
    require(array.ndim() == tensor.ndim, "as many axes");
    require(array.nbytes() <= memory, "no more memory than there is");
    // The sanitizer looks whether all of it may be read.
    uint64_t sum = 0;
    for (size_t i = 0; i < array.nbytes(); ++i) sum += static_cast<uint8_t>(array.bytes()[i]);
    require(sum <= 255 * array.nbytes(), "bytes");
    auto* lent = io::to_dlpack(array);
    require(lent->dl_tensor.ndim == tensor.ndim, "lent with as many axes");
    lent->deleter(lent);
  }
  require(deletions == 1, "given back once");
}

}  // namespace

void read_bytes(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  const auto flags = reader.take<uint8_t>();
  DLTensor tensor{};
  tensor.device = {flags & 1 ? reader.take<int8_t>() : io::kDLCPU, 0};
  tensor.dtype = {reader.take<uint8_t>(), reader.take<uint8_t>(), 1};
  if (flags & 2) tensor.dtype.lanes = reader.take<uint16_t>();
  tensor.ndim = flags & 4 ? reader.take<int16_t>() : reader.take<uint8_t>() % 8;
  std::vector<int64_t> shape, strides;
  for (int i = 0; i < tensor.ndim; ++i) shape.push_back(reader.number());
  for (int i = 0; i < tensor.ndim; ++i) strides.push_back(reader.number());
  tensor.shape = shape.data();
  tensor.strides = flags & 8 ? strides.data() : nullptr;
  tensor.byte_offset = flags & 16 ? reader.take<uint8_t>() : 0;
  // A producer lends as much memory as its shape says: more than there is here is not lent.
  constexpr int64_t kMost = 1 << 16;
  int64_t elements = 1;
  for (int64_t n : shape)
    elements = std::min(std::clamp<int64_t>(n, 0, kMost + 1) * elements, kMost + 1);
  if (std::count(shape.begin(), shape.end(), 0)) elements = 0;
  if (elements > kMost) return;
  const uint64_t bytes = static_cast<uint64_t>(elements) * ((tensor.dtype.bits + 7) / 8);
  auto memory = std::make_unique<char[]>(bytes + tensor.byte_offset + 64);
  tensor.data = flags & 32 ? nullptr : memory.get();
  if (flags & 64) {
    io::DLManagedTensorVersioned managed{};
    managed.version = {flags & 128 ? reader.take<uint8_t>() : 1u, 0};
    managed.flags = reader.take<uint8_t>();
    managed.dl_tensor = tensor;
    import_one(managed, bytes);
  } else {
    io::DLManagedTensor managed{};
    managed.dl_tensor = tensor;
    import_one(managed, bytes);
  }
}

}  // namespace mxtape::fuzz
