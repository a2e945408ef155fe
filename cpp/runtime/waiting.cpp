#include "runtime/waiting.h"

#include <limits>
#include <new>
#include <unistd.h>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/at_fork.h"

namespace mxtape::fusion {
namespace {

// What a waiting call may hold on to: more instructions, or more memory, and it runs.
constexpr int kMaxSteps = 64;
constexpr int kMaxArrays = 8;
constexpr size_t kMaxBytes = size_t{1} << 30;
// Memory that nobody holds but what waits would be free if that ran. A call with more of it than
// this and so many times its result runs; and results that are kept and not read, of which each
// holds some more than its result, run when together they hold this much more.
constexpr size_t kMaxExcess = size_t{32} << 20;
// How much more calls must hold before the results are looked at again; and more for each of them,
// so that to look at them costs little, however many wait.
constexpr size_t kLookEvery = size_t{8} << 20, kLookPerCall = size_t{1} << 16;
constexpr size_t kMuch = 4;

// A forked child has one thread, which is not the one that locked the mutex in the eyes of the
// system, and none that would finish what others were computing.
void restart_in_child() {
  State& s = state();
  new (&s.mutex) std::recursive_mutex;
  new (&s.done) std::condition_variable_any;
  for (Waiting* w = s.first; w; w = w->next()) w->running = false;
}

const ForkRegistration at_fork(AtFork::kWaitingCalls,
                               {[] { state().mutex.lock(); }, [] { state().mutex.unlock(); },
                                restart_in_child});

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
  const Storage& storage = *array.storage();
  return storage.deferred() && storage.form() == Form::kDense && array.size() > 1 &&
         array.byte_offset() == 0 && array.nbytes() == storage.nbytes() && array.shape() == shape;
}

namespace {

// Whether the memory is there for calls that wait, and for nobody else.
bool only_waits_hold(Storage& storage) {
  return !storage.deferred() && storage.ref_count() == storage.readers().load();
}

// Counts the calls and the arrays in memory that a call would wait for.
struct Weight {
  int steps = 0;
  SmallVector<const Storage*, kMaxArrays + 1> arrays;
  size_t bytes = 0, alone = 0;  // in memory; and of these, what only waiting calls hold
  size_t result;

  explicit Weight(size_t result) : result(result) {}
  bool light() const {
    return steps < kMaxSteps && arrays.size() <= kMaxArrays && bytes <= kMaxBytes &&
           (alone <= kMaxExcess || alone <= kMuch * result);
  }
  // False when another thread computes a part of it.
  bool add(const NDArray& array, const Shape& shape, uint64_t walk) {
    Storage* storage = array.storage().get();
    if (!waits(array, shape)) {
      if (array.size() == 1 || std::find(arrays.begin(), arrays.end(), storage) != arrays.end()) {
        return true;
      }
      if (arrays.size() <= kMaxArrays) arrays.push_back(storage);
      bytes += storage->nbytes();
      if (only_waits_hold(*storage)) alone += storage->nbytes();
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

// Adds up, over all results that wait and that somebody holds, what their calls keep from being
// freed beyond the result's own size. Gives the oldest of those that keep too much.
class Excess {
 public:
  // What `newest` waits for does not count: it is about to be used.
  explicit Excess(Waiting& newest) {
    visit(newest, [](size_t) {});
    std::vector<Waiting*> calls;
    for (Waiting* w = state().first; w; w = w->next()) calls.push_back(w);
    for (auto call = calls.rbegin(); call != calls.rend(); ++call) add(**call);
    calls_ = calls.size();
  }

  size_t calls() const { return calls_; }

  std::vector<Ref<Storage>> oldest() {
    std::vector<Ref<Storage>> found;
    for (size_t i = 0; total_ > kMaxExcess && i < results_.size(); ++i) {
      total_ -= results_[i].bytes;
      if (Ref<Storage> storage = reference(results_[i].storage)) found.push_back(storage);
    }
    return found;
  }

 private:
  struct Result {
    Storage* storage;
    size_t bytes;
  };

  void add(Waiting& call) {
    Storage& storage = *call.storage;
    const bool kept = storage.ref_count() > storage.readers().load();
    if (!kept || call.reduction || call.running) return;
    size_t bytes = 0;
    visit(call, [&bytes](size_t more) { bytes += more; });
    if (bytes <= storage.nbytes()) return;
    results_.push_back({&storage, bytes - storage.nbytes()});
    total_ += results_.back().bytes;
  }

  // Calls count(bytes) for each array that only waiting calls hold, of `call` and those that it
  // waits for. Each call is visited once, for the first of the results that wait for it.
  template <class Count>
  void visit(Waiting& call, Count&& count) {
    if (call.walk == walk_) return;
    call.walk = walk_;
    for (const Operand& operand : call.operands) {
      if (!operand.array.defined()) continue;
      Storage& storage = *operand.array.storage();
      if (storage.deferred()) {
        visit(*waiting(storage), count);
      } else if (only_waits_hold(storage) && counted_.insert(&storage).second) {
        count(storage.nbytes());
      }
    }
  }

  const uint64_t walk_ = ++state().walk;
  std::unordered_set<const Storage*> counted_;
  std::vector<Result> results_;
  size_t total_ = 0, calls_ = 0;
};

// Results to run, so that what waits holds little more than it would if it had run. Looked at when
// enough new memory is held for that to have changed.
std::vector<Ref<Storage>> results_to_run(Waiting& newest) {
  for (const Operand& operand : newest.operands) {
    if (!operand.array.defined() || operand.array.storage()->deferred()) continue;
    // Memory that other calls hold too has been counted.
    Storage& storage = *operand.array.storage();
    if (storage.readers().load() <= newest.operands.size()) state().taken += storage.nbytes();
  }
  if (state().taken <= state().look_at) return {};
  Excess excess(newest);
  state().taken = 0;
  state().look_at = kLookEvery + kLookPerCall * excess.calls();
  return excess.oldest();
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
  Weight weight(static_cast<size_t>(shape.size()) * item_size(dtype));
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
  const Ref<Waiting> call = w;
  NDArray result = wait(std::move(w));
  const std::vector<Ref<Storage>> others = results_to_run(*call);
  lock.unlock();
  for (const Ref<Storage>& other : others) other->materialize();
  return result;
}

// What cannot be computed, for want of memory, is to fail in the call.
const size_t physical_memory =
    static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));

bool may_wait(DType dtype, const Shape& shape) {
  return is_large(shape.size()) && (dtype == DType::kFloat32 || dtype == DType::kFloat64) &&
         static_cast<size_t>(shape.size()) <= physical_memory / item_size(dtype);
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
