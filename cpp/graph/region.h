#pragma once

#include <span>
#include <vector>

#include "core/small_vector.h"
#include "op/schema.h"

namespace mxtape {

// Pointwise calls over arrays of one shape and dtype, made once and run as one: what is between
// them never becomes an array.
//
//   Region region(shape, DType::kFloat32);
//   int x = region.load(), y = region.call(sigmoid, nullptr, {x});
//   region.store(y);
//   region.finish();
//   region.run({&from, 1}, {&to, 1});
class Region {
 public:
  Region(const Shape& shape, DType dtype);

  const Shape& shape() const { return shell_.shape(); }
  DType dtype() const { return shell_.dtype(); }
  size_t nbytes() const { return shell_.nbytes(); }
  // Whether a call of `op` over such arrays can be a part.
  bool takes(const OpSchema& op) const;

  // Values, by number: the array that comes next in what run() is given, a number, a call's result.
  int load();
  int constant(double number);
  int call(const OpSchema& op, const ParamsRef& params, std::span<const int> inputs);
  // The value goes where the next of run()'s targets is. No value is stored twice; no load is.
  void store(int value);
  void finish();

  size_t call_count() const { return calls_.size(); }
  // `bytes` rounded up, so that what lies behind an array is aligned as arrays are.
  static constexpr size_t padded(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  // The elements of each array, side by side, in the order of load() and store().
  void run(std::span<const char* const> loads, std::span<char* const> stores) const;

 private:
  static constexpr int64_t kPart = 512;  // elements of a value that are in the cache at a time
  static constexpr size_t kMaxInputs = 4;
  static constexpr size_t kAlignment = 64;

  enum class Kind : uint8_t { kLoad, kConstant, kCall };
  struct Value {
    Kind kind;
    int32_t place;  // the number of the load, of the constant, of the scratch memory
    int32_t store = -1;
    double number = 0;
  };
  struct Call {
    TileKernel kernel;
    const void* params;
    int32_t inputs[kMaxInputs];
    int32_t arity, value;
  };
  // Where the elements of a value are: `bytes` further for each of them, which is 0 where a part is
  // written over by the next.
  struct Place {
    char* base;
    size_t bytes;
    char* at(int64_t begin) const { return base + static_cast<size_t>(begin) * bytes; }
  };

  int add(Value value);
  size_t part_bytes() const;
  int64_t grain() const;
  void compute(std::span<const char* const> loads, std::span<char* const> stores, int64_t begin,
               int64_t end) const;

  NDArray shell_;  // of the shape and dtype, without memory
  int64_t size_;
  size_t width_;
  int32_t loads_ = 0, stores_ = 0, scratch_ = 0;
  int cost_ = 0;
  std::vector<Value> values_;
  std::vector<Call> calls_;
  std::vector<std::pair<int32_t, int32_t>> copies_;  // constants that are stored
  std::vector<ParamsRef> params_;
  NDArray constants_;
};

}  // namespace mxtape
