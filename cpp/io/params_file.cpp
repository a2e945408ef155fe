#include "io/params_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>

#include <sys/stat.h>

#include "core/error.h"
#include "core/sparse.h"

namespace mxtape::io {
namespace {

static_assert(std::endian::native == std::endian::little, "files hold little-endian numbers");

constexpr uint64_t kListMagic = 0x112;
// What an array begins with. Before version 1 it began with its number of axes.
constexpr uint32_t kVersion1 = 0xF993fac8;  // extents have 64 bits
constexpr uint32_t kVersion2 = 0xF993fac9;  // and there is a storage type
constexpr uint32_t kVersion3 = 0xF993faca;  // and a shape may be ()
constexpr int32_t kCpu = 1;
constexpr uint32_t kMaxAxes = 1u << 10;
// The shortest array: an old one with one axis.
constexpr uint64_t kMinArrayBytes = 5 * sizeof(uint32_t);

class Reader {
 public:
  Reader(std::string source, uint64_t remaining)
      : source_(std::move(source)), remaining_(remaining) {}
  virtual ~Reader() = default;

  uint64_t remaining() const { return remaining_; }

  void bytes(void* to, uint64_t count) {
    if (count > remaining_) end();
    remaining_ -= count;
    if (count) copy(to, static_cast<size_t>(count));
  }
  template <class T>
  T number() {
    T value;
    bytes(&value, sizeof value);
    return value;
  }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    mxtape::fail("load: ", source_, ": ", parts...);
  }
  std::string of_array(size_t index) const {
    return "load: " + source_ + ": array " + std::to_string(index);
  }
  [[noreturn]] void end() const { fail("it ends in the middle: truncated, or not a .params file"); }

 protected:
  virtual void copy(void* to, size_t count) = 0;

 private:
  std::string source_;
  uint64_t remaining_;
};

class BufferReader final : public Reader {
 public:
  BufferReader(const void* data, size_t size, std::string source)
      : Reader(std::move(source), size), at_(static_cast<const char*>(data)) {}

 private:
  void copy(void* to, size_t count) override {
    std::memcpy(to, at_, count);
    at_ += count;
  }
  const char* at_;
};

class FileCloser {
 public:
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

class FileReader final : public Reader {
 public:
  FileReader(std::FILE* file, uint64_t size, std::string source)
      : Reader(std::move(source), size), file_(file) {}

 private:
  void copy(void* to, size_t count) override {
    if (std::fread(to, 1, count, file_) == count) return;
    if (std::ferror(file_)) fail("cannot be read: ", std::strerror(errno));
    end();
  }
  std::FILE* file_;
};

Shape read_shape(Reader& in, uint32_t ndim, bool wide, size_t index) {
  if (ndim > kMaxAxes) in.fail("array ", index, " claims ", ndim, " axes");
  if (ndim * (wide ? sizeof(int64_t) : sizeof(uint32_t)) > in.remaining()) in.end();
  Shape shape(static_cast<int>(ndim), 0);
  for (int i = 0; i < shape.ndim(); ++i) {
    shape[i] = wide ? in.number<int64_t>() : int64_t{in.number<uint32_t>()};
  }
  return shape;
}

// Bytes of the elements, at most what is left to read; 0 extents make every size good.
uint64_t element_bytes(Reader& in, const Shape& shape, size_t item, size_t index) {
  uint64_t count = item;
  bool overflow = false, empty = false;
  for (int64_t extent : shape) {
    if (extent < 0) in.fail("array ", index, " has a negative extent: ", shape);
    empty = empty || extent == 0;
    overflow = __builtin_mul_overflow(count, static_cast<uint64_t>(extent), &count) || overflow;
  }
  if (empty) return 0;
  if (overflow || count > in.remaining()) {
    in.fail("array ", index, " of shape ", shape, " is larger than what is left of the file (",
            in.remaining(), " bytes): truncated, or not a .params file");
  }
  return count;
}

DType dtype_of_flag(Reader& in, int32_t flag, size_t index) {
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (traits.flag == flag) return traits.dtype;
  }
  in.fail("array ", index, " has data type number ", flag, ", which mxtape does not have");
}

// Elements, after all that is known of them.
NDArray read_elements(Reader& in, Shape shape, DType dtype, size_t index) {
  const uint64_t nbytes = element_bytes(in, shape, item_size(dtype), index);
  NDArray array = NDArray::empty(std::move(shape), dtype);
  in.bytes(array.bytes(), nbytes);
  if (dtype == DType::kBool) {
    auto* values = array.data<uint8_t>();
    for (uint64_t i = 0; i < nbytes; ++i) values[i] = values[i] != 0;
  }
  return array;
}

// The first `count` of what the file has: MXNet keeps memory that it needed once.
NDArray first(Reader& in, const NDArray& array, int64_t count, size_t index) {
  if (array.ndim() == 0 || array.shape()[0] < count) {
    in.fail("array ", index, " has ", array.shape(), " data or indices for ", count, " entries");
  }
  return array.shape()[0] == count ? array : array.rows(0, count);
}

// The rows of a row_sparse array in ascending order: MXNet writes them as they were given.
void sort_rows(SparseParts& parts) {
  const int64_t n = parts.count(), *index = parts.index();
  if (std::is_sorted(index, index + n)) return;
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [=](int64_t a, int64_t b) { return index[a] < index[b]; });
  SparseParts sorted{NDArray::empty(parts.data.shape(), parts.data.dtype()),
                     NDArray::empty(parts.indices.shape(), DType::kInt64),
                     {}};
  const size_t row = parts.data.nbytes() / order.size();
  for (size_t i = 0; i < order.size(); ++i) {
    sorted.indices.data<int64_t>()[i] = index[order[i]];
    std::memcpy(sorted.data.bytes() + i * row,
                parts.data.bytes() + static_cast<size_t>(order[i]) * row, row);
  }
  parts = std::move(sorted);
}

// What follows the data type of a sparse array: data type and shape of the indices, in csr after
// those of the row pointers, and all elements.
NDArray read_parts(Reader& in, StorageType storage, const Shape& shape, Shape stored, DType dtype,
                   size_t index) {
  const int count = storage == StorageType::kCsr ? 2 : 1;
  Shape shapes[2];
  for (int i = 0; i < count; ++i) {
    const auto flag = in.number<int32_t>();
    if (flag != traits_of(DType::kInt64).flag) {
      in.fail("array ", index, " has indices of data type number ", flag, ", not int64");
    }
    shapes[i] = read_shape(in, in.number<uint32_t>(), true, index);
    if (shapes[i].ndim() != 1) {
      in.fail("array ", index, " has indices of shape ", shapes[i], ", not a vector");
    }
  }
  const std::string what = in.of_array(index);
  checked_size(stored, what);
  check_shape(what, storage, shape);
  SparseParts parts;
  parts.data = read_elements(in, std::move(stored), dtype, index);
  if (count == 2) parts.indptr = read_elements(in, shapes[0], DType::kInt64, index);
  parts.indices = read_elements(in, shapes[count - 1], DType::kInt64, index);

  int64_t entries = parts.count();
  if (count == 2) entries = parts.indptr.size() ? parts.pointers()[parts.indptr.size() - 1] : 0;
  if (entries < 0) in.fail("array ", index, " has ", entries, " entries");
  parts.data = first(in, parts.data, entries, index);
  parts.indices = first(in, parts.indices, entries, index);
  if (count == 1) sort_rows(parts);
  check_parts(what, storage, shape, parts);
  return make_sparse(storage, shape, std::move(parts));
}

NDArray read_array(Reader& in, size_t index) {
  const auto magic = in.number<uint32_t>();
  const bool versioned = magic >= kVersion1 && magic <= kVersion3;
  auto storage = StorageType::kDense;
  Shape stored;
  if (magic >= kVersion2 && versioned) {
    const auto number = in.number<int32_t>();
    // "No storage" marks an array that never got a shape; its shape says so below.
    if (number < -1 || number > static_cast<int32_t>(StorageType::kCsr)) {
      in.fail("array ", index, " has storage type number ", number, ", which mxtape does not have");
    }
    if (number > 0) {
      storage = static_cast<StorageType>(number);
      stored = read_shape(in, in.number<uint32_t>(), true, index);
    }
  }
  const uint32_t ndim = versioned ? in.number<uint32_t>() : magic;
  if (magic == kVersion3 ? ndim == ~0u : ndim == 0) {
    in.fail("array ", index, " has no shape: it was saved before it was given one");
  }
  Shape shape = read_shape(in, ndim, versioned, index);
  in.number<int32_t>();  // the device's type and number: arrays come to the CPU
  in.number<int32_t>();
  const auto flag = in.number<int32_t>();
  const DType dtype = dtype_of_flag(in, flag, index);
  if (storage == StorageType::kDense) return read_elements(in, std::move(shape), dtype, index);
  return read_parts(in, storage, shape, std::move(stored), dtype, index);
}

NamedArrays read_list(Reader& in) {
  if (in.remaining() < 3 * sizeof(uint64_t) || in.number<uint64_t>() != kListMagic) {
    in.fail("not a .params file: it does not begin with the number 0x112");
  }
  in.number<uint64_t>();
  NamedArrays result;
  const auto count = in.number<uint64_t>();
  if (count > in.remaining() / kMinArrayBytes) in.fail("claims ", count, " arrays: truncated?");
  result.arrays.reserve(count);
  for (size_t i = 0; i < count; ++i) result.arrays.push_back(read_array(in, i));

  const auto names = in.number<uint64_t>();
  if (names != 0 && names != count) in.fail("has ", count, " arrays and ", names, " names");
  if (names > in.remaining() / sizeof(uint64_t)) in.end();
  result.names.reserve(names);
  for (size_t i = 0; i < names; ++i) {
    const auto length = in.number<uint64_t>();
    if (length > in.remaining()) in.end();
    in.bytes(result.names.emplace_back(length, '\0').data(), length);
  }
  return result;
}

class Writer {
 public:
  Writer(std::FILE* file, const std::string& path) : file_(file), path_(path) {}
  void bytes(const void* from, size_t count) {
    if (count && std::fwrite(from, 1, count, file_) != count) failed();
  }
  template <class T>
  void number(T value) {
    bytes(&value, sizeof value);
  }
  void flush() {
    if (std::fflush(file_) != 0) failed();
  }

 private:
  [[noreturn]] void failed() const {
    fail("save: '", path_, "' cannot be written: ", std::strerror(errno));
  }
  std::FILE* file_;
  const std::string& path_;
};

void write_shape(Writer& out, const Shape& shape) {
  out.number(shape.ndim());
  for (int64_t extent : shape) out.number(extent);
}

void write_array(Writer& out, const NDArray& array) {
  const StorageType storage = storage_type(array);
  const bool sparse = storage != StorageType::kDense;
  // Only version 3 has a shape without axes.
  out.number(array.ndim() == 0 ? kVersion3 : kVersion2);
  out.number(static_cast<int32_t>(storage));
  SparseParts parts;
  if (sparse) {
    parts = parts_of(array);
    write_shape(out, parts.data.shape());
  }
  write_shape(out, array.shape());
  const int device = array.storage()->device();
  out.number((device >> 8) + kCpu);
  out.number(device & 0xff);
  out.number(int32_t{traits_of(array.dtype()).flag});
  const NDArray& values = sparse ? parts.data : array;
  for (const NDArray* part : {&parts.indptr, &parts.indices}) {
    if (!part->defined()) continue;
    out.number(int32_t{traits_of(part->dtype()).flag});
    write_shape(out, part->shape());
  }
  out.bytes(values.bytes(), values.nbytes());
  for (const NDArray* part : {&parts.indptr, &parts.indices}) {
    if (part->defined()) out.bytes(part->bytes(), part->nbytes());
  }
}

}  // namespace

NamedArrays load_arrays(const void* data, size_t size, const std::string& source) {
  BufferReader in(data, size, source);
  return read_list(in);
}

NamedArrays load_arrays(const std::string& path) {
  const std::string source = "'" + path + "'";
  const File file(std::fopen(path.c_str(), "rb"));
  struct stat info;
  if (!file || fstat(fileno(file.get()), &info) != 0) {
    fail("load: ", source, " cannot be opened: ", std::strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) fail("load: ", source, " is a directory");
  if (S_ISREG(info.st_mode)) {
    FileReader in(file.get(), static_cast<uint64_t>(info.st_size), source);
    return read_list(in);
  }
  // A pipe does not say how long it is.
  std::string content;
  char block[1 << 16];
  while (const size_t got = std::fread(block, 1, sizeof block, file.get())) {
    content.append(block, got);
  }
  if (std::ferror(file.get())) fail("load: ", source, " cannot be read: ", std::strerror(errno));
  return load_arrays(content.data(), content.size(), source);
}

void save_arrays(const std::string& path, Arrays arrays, const std::vector<std::string>& names) {
  File file(std::fopen(path.c_str(), "wb"));
  if (!file) fail("save: '", path, "' cannot be opened: ", std::strerror(errno));
  Writer out(file.get(), path);
  out.number(kListMagic);
  out.number(uint64_t{0});
  out.number(uint64_t{arrays.size()});
  for (const NDArray& array : arrays) write_array(out, array);
  out.number(uint64_t{names.size()});
  for (const std::string& name : names) {
    out.number(uint64_t{name.size()});
    out.bytes(name.data(), name.size());
  }
  out.flush();
}

}  // namespace mxtape::io
