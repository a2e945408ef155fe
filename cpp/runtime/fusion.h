#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "runtime/tile.h"
#include "runtime/tile_program.h"

// Pointwise calls over large arrays wait until somebody asks for the result; what has gathered by
// then runs as one tile program. Nobody can tell but by the time it takes: the memory of a waiting
// array comes when it is read (Storage::data), memory that waiting calls read is not written to
// before they have run (before_write), and arrays whose memory others can write to do not take
// part.
namespace mxtape::fusion {

// From how many elements on calls wait; set_threshold(-1) turns waiting off. Gives the number
// before.
int64_t set_threshold(int64_t elements);
inline std::atomic<int64_t> threshold{1 << 16};
inline bool is_large(int64_t elements) {
  return elements >= threshold.load(std::memory_order_relaxed) && elements > 1;
}

// A pointwise call in `dtype` that waits, or an undefined array if it must run at once. `owner`
// keeps `params` alive.
NDArray defer(const TileFunction& f, DType dtype, std::span<const TileOperand> inputs,
              const Shape& shape, const void* params, const RefCounted* owner);

// A copy of `array` along broadcast axes that waits, or an undefined array.
NDArray defer_broadcast(const NDArray& array, const Shape& shape);

// The kernel of a reduction to one number, which reads `in` through a Stream if that is of so many
// elements.
inline constexpr int64_t kStreamed = 256;
class Reduction : public RefCounted {
 public:
  virtual void run(const NDArray& in, const NDArray& out) const = 0;
};

// The result, of `shape`, of a reduction of an array that waits, to wait with it, or an undefined
// array. It runs when somebody asks for it, or with the first program that computes a part of what
// it reads: mostly the gradient. One reduction waits at a time, so that numbers that nobody looks
// at do not keep what they are made of.
NDArray defer_reduction(const NDArray& in, const Shape& shape, Ref<Reduction> reduction);

// Whether `array` waits and is a part of a program whose elements are those of `shape`.
bool waits(const NDArray& array, const Shape& shape);

// What run_tiles does for inputs of which some wait.
void run(const TileFunction& f, DType compute, std::span<const TileOperand> inputs,
         const NDArray& out, const void* params);
// Copies an array that waits for the shape of `out`, and is of its dtype, to `out`.
void copy(const NDArray& array, const NDArray& out);

// Runs what waits to read the memory of `storage`.
void run_readers(Storage& storage);
inline void before_write(const NDArray& array) {
  if (array.storage()->readers().load(std::memory_order_acquire)) run_readers(*array.storage());
}
// Runs all that waits.
void run_all();

class Plan;

// The elements of an array that waits, piece by piece, for a kernel that reads each of them once:
// they need not be written to memory. What else waits on the way is.
class Stream {
 public:
  explicit Stream(const NDArray& array);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // nullptr where the array did not wait, or could not be streamed: then it has its memory.
  const TileProgram* program() const;
  // All elements have been read.
  void finish();

 private:
  std::unique_ptr<Plan> plan_;
  Plan* shared_ = nullptr;  // that of a reduction which runs with it
};

}  // namespace mxtape::fusion
