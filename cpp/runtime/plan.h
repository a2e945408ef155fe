#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "runtime/tile_program.h"
#include "runtime/waiting.h"

namespace mxtape::fusion {

// A program made of calls that wait, and where its results go.
class Plan {
 public:
  Plan(DType dtype, int64_t n) : dtype_(dtype), program_(dtype, n) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  TileProgram& program() { return program_; }

  // The number of a value: of a waiting call's result, with all that it waits for, or of an array
  // in memory that broadcasts to `shape`. False if another thread is computing a part of it.
  bool add(const NDArray& array, const Shape& shape, int& value);
  // Lets the reduction that waits run with this program, if it reads values of `shape` of which
  // some are computed here. False if another thread is computing a part of them.
  bool add_reduction(const Shape& shape);
  // Gives memory to `wanted`, to what somebody outside the program can see, and to what is asked
  // for again without having been kept. To be looked at through one of `handles` does not count:
  // these are the arguments of the call that the program is for, and mostly nothing after it. What
  // the tape alone holds goes on waiting where it is cheap to compute again.
  void start(const Storage* wanted, std::span<const TileOperand> handles);
  void run();
  // The operators that it computes, in their order, joined by "+", if operators are recorded.
  std::string recorded_name() const;
  // The program has run: what it stored is there for everybody.
  void publish();

  // The plan that runs in this thread together with the reduction of `array`, or nullptr.
  static Plan* shared(const NDArray& array);

 private:
  struct Step {
    Ref<Storage> storage;
    Waiting* call;
    int value;
    Ref<Storage> memory = nullptr;
    // What it takes to compute it anew: instructions, and the one large array that is read.
    int cost = 0;
    const Storage* source = nullptr;
    bool cheap = false;
  };

  Waiting* reduction() const { return reduction_ ? waiting(*reduction_) : nullptr; }
  const NDArray& operand() const { return reduction()->operands[0].array; }
  // Of a step whose operands' steps have been weighed and given their memory.
  void weigh(Step& step);
  int load(const NDArray& array, const Shape& shape);

  DType dtype_;
  TileProgram program_;
  uint64_t walk_ = ++state().walk;
  SmallVector<Step, 8> steps_;  // a call after those it waits for
  SmallVector<std::pair<char*, int>, 8> loads_;
  Ref<Storage> reduction_, result_;  // what waits for a reduction that runs with the program
  SmallVector<Ref<RefCounted>, 8> dropped_;  // goes before the storages
};

// Calls build(busy) -> Plan or nothing until no other thread is computing a part of the plan.
template <class Build>
std::unique_ptr<Plan> plan_when_idle(Build&& build) {
  std::unique_lock lock(state().mutex);
  for (;;) {
    bool busy = false;
    std::unique_ptr<Plan> plan = build(busy);
    if (!busy) return plan;
    plan.reset();
    state().done.wait(lock);
  }
}

}  // namespace mxtape::fusion
