#include "runtime/waiting.h"

#include <limits>
#include <new>
#include <utility>

#include "core/at_fork.h"

namespace mxtape::fusion {
namespace {

// What a waiting call may hold on to: more instructions, or more memory, and it runs.
constexpr int kMaxSteps = 64;
constexpr int kMaxArrays = 8;
constexpr size_t kMaxBytes = size_t{1} << 30;

// A forked child has one thread, which is not the one that locked the mutex in the eyes of the
// system, and none that would finish what others were computing.
void restart_in_child() {
  State& s = state();
  new (&s.mutex) std::recursive_mutex;
  new (&s.done) std::condition_variable_any;
  for (Waiting* w = s.first; w; w = w->next()) w->running = false;
}

[[maybe_unused]] const bool installed = [] {
  at_fork(AtFork::kWaitingCalls,
          {[] { state().mutex.lock(); }, [] { state().mutex.unlock(); }, restart_in_child});
  return true;
}();

}  // namespace

// Never destroyed: arrays may outlive every other static object.
State& state() {
  static auto* state = new State;
  return *state;
}

void Waiting::link() {
  State& s = state();
  next_ = s.first;
  if (next_) next_->previous_ = this;
  s.first = this;
  for (const Operand& operand : operands) {
    if (operand.array.defined()) operand.array.storage()->readers().fetch_add(1);
  }
}

Waiting::~Waiting() {
  const std::lock_guard lock(state().mutex);
  if (!storage) return;
  if (state().reduction == this) state().reduction = nullptr;
  (previous_ ? previous_->next_ : state().first) = next_;
  if (next_) next_->previous_ = previous_;
  for (const Operand& operand : operands) {
    if (!operand.array.defined()) continue;
    operand.array.storage()->readers().fetch_sub(1);
    if (reduction && waits(operand.array, operand.array.shape())) {
      --waiting(operand.array)->reduced;
    }
  }
}

Ref<Storage> reference(Storage* storage) {
  if (!storage->ref_if_alive()) return nullptr;
  Ref<Storage> found(storage);
  storage->unref();
  return found;
}

// A number that waits is that of a reduction, which is no part of a program.
bool waits(const NDArray& array, const Shape& shape) {
  return array.storage()->deferred() && array.size() > 1 && array.byte_offset() == 0 &&
         array.nbytes() == array.storage()->nbytes() && array.shape() == shape;
}

namespace {

// Counts the calls and the arrays in memory that a call would wait for.
struct Weight {
  int steps = 0;
  SmallVector<const Storage*, kMaxArrays + 1> arrays;
  size_t bytes = 0;

  bool light() const {
    return steps < kMaxSteps && arrays.size() <= kMaxArrays && bytes <= kMaxBytes;
  }
  // False when another thread computes a part of it.
  bool add(const NDArray& array, const Shape& shape, uint64_t walk) {
    const Storage* storage = array.storage().get();
    if (!waits(array, shape)) {
      if (array.size() == 1 || std::find(arrays.begin(), arrays.end(), storage) != arrays.end()) {
        return true;
      }
      if (arrays.size() <= kMaxArrays) arrays.push_back(storage);
      bytes += storage->nbytes();
      return true;
    }
    Waiting* w = waiting(array);
    if (w->running) return false;
    if (w->walk == walk) return true;
    w->walk = walk;
    ++steps;
    for (const Operand& operand : w->operands) {
      if (operand.array.defined() && !add(operand.array, w->shape, walk)) return false;
      if (!light()) return true;
    }
    return true;
  }
};

// Has `w` wait, of which all but the result's storage is there; the mutex is locked.
NDArray wait(Ref<Waiting> w) {
  const size_t nbytes = static_cast<size_t>(w->shape.size()) * item_size(w->dtype);
  Ref<Storage> storage = Storage::defer(nbytes, w);
  w->storage = storage.get();
  w->link();
  return NDArray(std::move(storage), 0, w->shape, w->dtype);
}

NDArray make_waiting(const TileFunction& f, DType dtype, std::span<const TileOperand> inputs,
                     const Shape& shape, const void* params, const RefCounted* owner) {
  for (const TileOperand& input : inputs) {
    if (!input.array) continue;
    const Storage& storage = *input.array->storage();
    if (input.array->dtype() != dtype || storage.foreign()) return NDArray();
    // What is read as a part only, or repeated, has to be in memory.
    if (storage.deferred() && !waits(*input.array, shape)) storage.data();
  }
  std::unique_lock lock(state().mutex);
  Weight weight;
  const uint64_t walk = ++state().walk;
  bool idle = true;
  for (const TileOperand& input : inputs) {
    if (input.array) idle = idle && weight.add(*input.array, shape, walk);
  }
  if (!idle || !weight.light()) {
    lock.unlock();
    for (const TileOperand& input : inputs) {
      if (input.array) input.array->storage()->materialize();
    }
    lock.lock();
  }
  auto w = make_ref<Waiting>();
  w->kernel = f.kernels[static_cast<int>(dtype)];
  w->cost = f.cost;
  w->product = f.product;
  w->dtype = dtype;
  w->shape = shape;
  w->params = params;
  w->owner = Ref<const RefCounted>(owner);
  for (const TileOperand& input : inputs) {
    Operand& operand = w->operands.emplace_back();
    operand.number = input.scalar;
    if (input.array) operand.array = input.array->detached();
  }
  return wait(std::move(w));
}

bool may_wait(DType dtype, const Shape& shape) {
  return is_large(shape.size()) && (dtype == DType::kFloat32 || dtype == DType::kFloat64);
}

}  // namespace

int64_t set_threshold(int64_t elements) {
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  const int64_t before = threshold.exchange(elements < 0 ? kNever : elements);
  return before == kNever ? -1 : before;
}

NDArray defer(const TileFunction& f, DType dtype, std::span<const TileOperand> inputs,
              const Shape& shape, const void* params, const RefCounted* owner) {
  if (!may_wait(dtype, shape) || !f.kernels[static_cast<int>(dtype)]) return NDArray();
  return make_waiting(f, dtype, inputs, shape, params, owner);
}

NDArray defer_broadcast(const NDArray& array, const Shape& shape) {
  if (!may_wait(array.dtype(), shape) || array.shape() == shape) return NDArray();
  const TileOperand input{array};
  return make_waiting(TileFunction(), array.dtype(), {&input, 1}, shape, nullptr, nullptr);
}

NDArray defer_reduction(const NDArray& in, const Shape& shape, Ref<Reduction> reduction) {
  if (shape.size() != 1 || in.size() < kStreamed || !may_wait(in.dtype(), in.shape())) {
    return NDArray();
  }
  Ref<Storage> earlier;
  NDArray result;
  {
    const std::lock_guard lock(state().mutex);
    if (!waits(in, in.shape()) || !waiting(in)->kernel) return NDArray();
    if (state().reduction) earlier = reference(state().reduction->storage);
    auto w = make_ref<Waiting>();
    w->reduction = std::move(reduction);
    w->dtype = in.dtype();
    w->shape = shape;
    w->operands.emplace_back().array = in.detached();
    Waiting* call = w.get();
    result = wait(std::move(w));
    state().reduction = call;
    ++waiting(in)->reduced;
  }
  if (earlier) earlier->data();
  return result;
}

}  // namespace mxtape::fusion
