#pragma once

#include <vector>

#include "graph/program.h"
#include "graph/region.h"
#include "graph/reverse.h"

namespace mxtape {

// Steps of a program, side by side, that run as one.
struct FusedSteps {
  size_t first, count;
  Region region;
  std::vector<Program::Value> loads;
  struct Store {
    Program::Value value;
    bool read;  // by a later step, or by the caller; else only the gradient reads it
    bool kept;
  };
  std::vector<Store> stores;
  size_t kept_only = 0;  // how many of them only the gradient reads
};

// Which gradients arrive at a sweep, and which are wanted.
struct SweepKind {
  std::vector<bool> heads, wanted;
  std::vector<uint32_t> ends;
  bool operator==(const SweepKind&) const = default;
};

// Steps of a sweep that run as one. Gradients arrive at places: those of what steps make, by number
// without the inputs, then the ends.
struct FusedSweep {
  size_t first, last;  // the steps from the last down to the first
  Region region;
  struct Load {
    bool saved;
    uint32_t index;  // the slot, or the place
  };
  std::vector<Load> loads;
  struct Store {
    uint32_t place;
    int32_t load;   // what was loaded is handed on as it is; -1:
    int32_t store;  // what run() stores
  };
  std::vector<Store> stores;
  size_t store_count = 0;
  std::vector<uint32_t> empty;  // where no gradient may have arrived before
  std::vector<uint32_t> used;   // what has arrived and is used up
};

// The steps of a program that run as one under a plan, when the tape needs of it what `reverse`
// says; forward, and in the sweeps that were made more than once.
class Compiled final : public RefCounted {
 public:
  Compiled(const Program& program, const Program::Plan& plan, Ref<const Reverse> reverse);

  const Reverse* reverse() const { return reverse_.get(); }
  // Whether there are such steps at all.
  bool fuses() const { return !steps_.empty(); }
  // Those that begin with a step; nullptr where it runs alone.
  const FusedSteps* at(size_t step) const {
    return at_.empty() || at_[step] < 0 ? nullptr : &steps_[static_cast<size_t>(at_[step])];
  }

  // Of one kind. What has been seen but once is not made yet.
  class Sweep final : public RefCounted {
   public:
    explicit Sweep(SweepKind kind) : kind(std::move(kind)) {}
    SweepKind kind;
    bool made = false;
    std::vector<FusedSweep> fused;  // by descending steps
  };
  // nullptr the first time that a sweep is of a kind.
  Ref<const Sweep> sweep(const Program& program, const Program::Plan& plan, autograd::Mode mode,
                         SweepKind kind) const;

 private:
  Ref<const Reverse> reverse_;
  std::vector<FusedSteps> steps_;
  std::vector<int32_t> at_;
  Latest<Sweep, 4> sweeps_;
};

// Whether the calls of a region run as one now: not where they would wait, nor while a profiler
// wants to see each.
bool runs_now(const Region& region);

// Into which inputs of the steps a gradient flows that reaches a wanted end.
std::vector<uint8_t> wanted_flows(const Program& program, const Reverse& reverse,
                                  std::span<const uint32_t> ends, std::span<const bool> wanted);

}  // namespace mxtape
