#pragma once

#include <cstdint>
#include <span>

#include "core/small_vector.h"
#include "runtime/odometer.h"
#include "runtime/tile.h"

namespace mxtape {

// A straight line of pointwise instructions over arrays of n elements. It runs tile by tile: a tile
// of each value stays in the cache while all instructions pass over it, and only what is stored
// goes to memory. All values are of one type, in which the program computes.
//
//   TileProgram program(DType::kFloat32, n);
//   int x = program.load(a, shape), y = program.constant(2);
//   program.store(program.step(kernel, nullptr, cost, {x, y}), out);
//   program.run();
class TileProgram {
 public:
  static constexpr size_t kMaxInputs = 8;

 private:
  enum class Kind : uint8_t { kConstant, kMemory, kGather, kConvert, kStep };
  struct Value {
    Kind kind;
    // A tile of scratch memory, or -1 where the value is read or computed in place, at `memory`.
    int16_t scratch = -1;
    bool uniform = false;  // one number everywhere: there before the first tile
    char* memory = nullptr;
    double number = 0;
    const NDArray* array = nullptr;
    int gather = 0;
  };
  struct Step {
    TileKernel kernel;
    const void* params;
    int16_t inputs[kMaxInputs];
    int16_t arity;
    int16_t value;
  };

 public:
  static constexpr int64_t kTile = 1024;  // elements

  TileProgram(DType compute, int64_t n) : compute_(compute), width_(item_size(compute)), n_(n) {}

  // Values, by number. `array` broadcasts to `shape`, which has n elements; it and what `params`
  // points to must outlive the program.
  int constant(double value);
  int load(const NDArray& array, const Shape& shape);
  int step(TileKernel kernel, const void* params, int cost, std::span<const int> inputs);
  // Writes a value to `out`, contiguous, converted to its type. The memory may be that of an input
  // element for element, if the program reads it nowhere else.
  void store(int value, const NDArray& out);
  // Names the value, a step's, that a reader takes instead of the last step's.
  void read(int value) { read_ = value; }

  // Computes all that is stored.
  void run();

  // For a reader who takes one value piece by piece, over every element once: the stores are done
  // on the way.
  void prepare();
  class Cursor {
   public:
    // `program` is prepared. Up to `slots` pieces can be looked at at once.
    explicit Cursor(const TileProgram& program, int slots = 1);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    // What is read at [begin, begin + n), n <= kTile.
    const void* at(int64_t begin, int64_t n, int slot = 0);

   private:
    friend class TileProgram;
    // Where a value is: `bytes` further for each element, which is 0 in scratch memory. What is
    // read, without a place, is where the caller wants it.
    struct Place {
      char* base;
      size_t bytes;
      char* at(int64_t begin, void* read) const {
        return base ? base + static_cast<size_t>(begin) * bytes : static_cast<char*>(read);
      }
    };
    static size_t part_bytes(const TileProgram& program);
    static size_t tile_bytes(const TileProgram& program);
    Place place(const Value& value) const;
    void compute(int64_t begin, int64_t n, void* read);

    const TileProgram& program_;
    NDArray memory_;
    SmallVector<Place, 16> places_;        // of each step that runs: its inputs, its value
    size_t running_ = 0;                   // steps that run
    SmallVector<const char*, 4> sources_;  // what is read where it is
    char* registers_ = nullptr;
    char* slots_ = nullptr;
    alignas(64) char local_[4 * kTile * sizeof(double)];
  };

  // Whether a value is one number everywhere, and whether this number is 1.
  bool uniform(int value) const { return values_[static_cast<size_t>(value)].uniform; }
  bool is_one(int value) const;
  // Whether a value can be read: it is a step's, and not one number everywhere.
  bool readable(int value) const {
    return values_[static_cast<size_t>(value)].kind == Kind::kStep && !uniform(value);
  }

 private:
  friend class Cursor;
  // A broadcast input: loops over its lines, of elements side by side or of one repeated.
  struct Gather {
    Loops<> lines;
    Loops<>::Loop line;
  };
  struct Store {
    int16_t value;
    bool past_cache;
    char* memory;
    DType dtype;
  };

  int add(Value value);
  int64_t grain() const;

  DType compute_;
  size_t width_;
  int64_t n_;
  int cost_ = 0;
  bool past_cache_ = false;
  int scratch_count_ = 0;
  int read_ = -1;
  SmallVector<Value, 8> values_;
  SmallVector<Gather, 2> gathers_;
  SmallVector<Step, 4> steps_;
  SmallVector<Store, 2> copied_;  // stores of what is computed elsewhere
};

}  // namespace mxtape
