#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "runtime/fusion.h"

// What waits, for the files of fusion only: the calls, how they hang together, and the one mutex
// that guards both.
namespace mxtape::fusion {

struct Operand {
  NDArray array;  // off the tape; undefined for a number
  double number = 0;
};

class Waiting;

// Guards what waits, and how it hangs together; not held while a program runs.
struct State {
  std::recursive_mutex mutex;
  std::condition_variable_any done;
  Waiting* first = nullptr;
  Waiting* reduction = nullptr;  // the one that waits
  uint64_t walk = 0;
  // Bytes that calls have begun to hold since results were last looked at, and when to look again.
  size_t taken = 0, look_at = 0;
};
State& state();

// One call that waits. The storage of its result owns it.
class Waiting final : public RefCounted {
 public:
  TileKernel kernel = nullptr;  // nullptr: a copy of the one operand, or a reduction of it
  Ref<Reduction> reduction;
  const void* params = nullptr;
  Ref<const RefCounted> owner;
  int cost = 1;
  bool product = false;  // of two operands
  Shape shape;
  DType dtype = DType::kFloat32;
  SmallVector<Operand, 2> operands;
  Storage* storage = nullptr;
  bool running = false;  // a part of a program that runs
  bool seen = false;     // has been an argument, without its memory having been needed
  uint32_t reduced = 0;  // reductions that wait for it
  uint64_t walk = 0;     // the last walk that came by

  // Puts it in the list of what waits.
  void link();
  Waiting* next() const { return next_; }

 protected:
  ~Waiting() override;

 private:
  Waiting *previous_ = nullptr, *next_ = nullptr;
};

inline Waiting* waiting(const Storage& storage) { return static_cast<Waiting*>(storage.source()); }
inline Waiting* waiting(const NDArray& array) { return waiting(*array.storage()); }

// A reference to what is not on its way out, or nothing.
Ref<Storage> reference(Storage* storage);

// Calls visit(Waiting&) for the call that `array` waits for and those that it waits for, each once,
// until one is true.
template <class Visit>
bool any_of_chain(const NDArray& array, Visit&& visit) {
  SmallVector<Waiting*, 16> found;
  const auto find = [&](const NDArray& operand) {
    if (!operand.defined() || !waits(operand, operand.shape())) return;
    Waiting* call = waiting(operand);
    if (std::find(found.begin(), found.end(), call) == found.end()) found.push_back(call);
  };
  find(array);
  for (size_t i = 0; i < found.size(); ++i) {
    if (visit(*found[i])) return true;
    for (const Operand& operand : found[i]->operands) find(operand.array);
  }
  return false;
}

}  // namespace mxtape::fusion
