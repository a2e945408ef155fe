#include "runtime/fusion.h"

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <new>
#include <pthread.h>
#include <utility>
#include <vector>

#include "runtime/blocking.h"

namespace mxtape::fusion {
namespace {

// What a waiting call may hold on to: more instructions, or more memory, and it runs.
constexpr int kMaxSteps = 64;
constexpr int kMaxArrays = 8;
constexpr size_t kMaxBytes = size_t{1} << 30;

// What is spent on an element rather than to keep it for the tape: about what it takes to write it
// to memory and to read it again. The cheapest instruction costs 1; the functions that cost more
// than kCheapStep, or in float64 more than 1, are not vectorised.
constexpr int kCheapStep = 6;
int cheap(DType dtype) { return dtype == DType::kFloat32 ? 10 : 3; }

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
  uint64_t walk = 0;
};
void restart_in_child();
// Never destroyed: arrays may outlive every other static object.
State& state() {
  static auto* state = [] {
    pthread_atfork([] { fusion::state().mutex.lock(); }, [] { fusion::state().mutex.unlock(); },
                   restart_in_child);
    return new State;
  }();
  return *state;
}

// One call that waits. The storage of its result owns it.
class Waiting final : public RefCounted {
 public:
  TileKernel kernel = nullptr;  // nullptr: a copy of the one operand
  const void* params = nullptr;
  Ref<RefCounted> owner;
  int cost = 1;
  Shape shape;
  DType dtype = DType::kFloat32;
  SmallVector<Operand, 2> operands;
  Storage* storage = nullptr;
  bool running = false;  // a part of a program that runs
  bool seen = false;     // has been an argument, without its memory having been needed
  uint64_t walk = 0;     // the last walk that came by

  void link() {
    State& s = state();
    next_ = s.first;
    if (next_) next_->previous_ = this;
    s.first = this;
    for (const Operand& operand : operands) {
      if (operand.array.defined()) operand.array.storage()->readers().fetch_add(1);
    }
  }
  Waiting* next() const { return next_; }

 protected:
  ~Waiting() override {
    const std::lock_guard lock(state().mutex);
    if (!storage) return;
    (previous_ ? previous_->next_ : state().first) = next_;
    if (next_) next_->previous_ = previous_;
    for (const Operand& operand : operands) {
      if (operand.array.defined()) operand.array.storage()->readers().fetch_sub(1);
    }
  }

 private:
  Waiting *previous_ = nullptr, *next_ = nullptr;
};

// A forked child has one thread, which is not the one that locked the mutex in the eyes of the
// system, and none that would finish what others were computing.
void restart_in_child() {
  State& s = state();
  new (&s.mutex) std::recursive_mutex;
  new (&s.done) std::condition_variable_any;
  for (Waiting* w = s.first; w; w = w->next()) w->running = false;
}

Waiting* waiting(const NDArray& array) { return static_cast<Waiting*>(array.storage()->source()); }

}  // namespace

bool waits(const NDArray& array, const Shape& shape) {
  return array.storage()->deferred() && array.byte_offset() == 0 &&
         array.nbytes() == array.storage()->nbytes() && array.shape() == shape;
}

// A program made of calls that wait, and where its results go.
class Plan {
 public:
  Plan(DType dtype, int64_t n) : program_(dtype, n) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    const std::lock_guard lock(state().mutex);
    for (const Step& step : steps_) step.call->running = false;
    state().done.notify_all();
  }

  TileProgram& program() { return program_; }
  Waiting& root() { return *steps_.back().call; }

  // The number of a value: of a waiting call's result, with all that it waits for, or of an array
  // in memory that broadcasts to `shape`. False if another thread is computing a part of it.
  bool add(const NDArray& array, const Shape& shape, int& value) {
    if (!waits(array, shape)) {
      value = load(array, shape);
      return true;
    }
    Waiting* call = waiting(array);
    if (call->running) return false;
    if (call->walk == walk_) {
      for (const Step& step : steps_) {
        if (step.call == call) value = step.value;
      }
      return true;
    }
    call->walk = walk_;
    SmallVector<int, 4> inputs;
    for (const Operand& operand : call->operands) {
      int input = 0;
      if (!operand.array.defined()) {
        input = program_.constant(operand.number);
      } else if (!add(operand.array, call->shape, input)) {
        return false;
      }
      inputs.push_back(input);
    }
    value =
        call->kernel ? program_.step(call->kernel, call->params, call->cost, inputs) : inputs[0];
    steps_.push_back({array.storage(), call, value});
    return true;
  }

  // Gives memory to `wanted`, to what somebody outside the program can see, and to what is asked
  // for again without having been kept. To be looked at through one of `handles` does not count:
  // these are the arguments of the call that the program is for, and mostly nothing after it. What
  // the tape alone holds goes on waiting where it is cheap to compute again.
  void start(const Storage* wanted, std::span<const TileOperand> handles) {
    for (Step& step : steps_) {
      Storage* storage = step.storage.get();
      weigh(step);
      uint32_t uses = 1;  // the plan's
      for (const Step& user : steps_) {
        for (const Operand& operand : user.call->operands) {
          uses += operand.array.storage().get() == storage;
        }
      }
      bool kept = storage == wanted, argument = false;
      for (const TileOperand& handle : handles) {
        argument = argument || (handle.array && handle.array->storage().get() == storage);
      }
      if (argument) {
        ++uses;
        kept = kept || std::exchange(step.call->seen, true);
      }
      const uint32_t held = storage->ref_count();
      if (kept || (held > uses && !(step.cheap && held <= uses + storage->saves().load()))) {
        step.memory = Storage::allocate(storage->nbytes());
        program_.store(step.value, NDArray(step.memory, 0, step.call->shape, step.call->dtype));
      }
    }
    for (const Step& step : steps_) step.call->running = true;
  }

  // The program has run: what it stored is there for everybody.
  void publish() {
    const std::lock_guard lock(state().mutex);
    for (Step& step : steps_) {
      if (step.memory) dropped_.push_back(step.storage->resolve(std::move(step.memory)));
    }
  }

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

  // Of a step whose operands' steps have been weighed and given their memory.
  void weigh(Step& step) {
    step.cost = std::max(1, step.call->cost);
    step.cheap = step.cost <= kCheapStep;
    const auto reads = [&step](const Storage* source) {
      if (source && step.source && source != step.source) step.cheap = false;
      if (source) step.source = source;
    };
    for (const Operand& operand : step.call->operands) {
      if (!operand.array.defined()) continue;
      const Storage* storage = operand.array.storage().get();
      const Step* made = nullptr;
      for (const Step& other : steps_) {
        if (other.storage.get() == storage) made = &other;
      }
      if (made && !made->memory) {
        step.cost += made->cost;
        step.cheap = step.cheap && made->cheap;
        reads(made->source);
      } else if (storage->nbytes() > step.storage->nbytes() / 8) {
        reads(storage);
      }
    }
    step.cheap = step.cheap && step.cost <= cheap(step.call->dtype);
  }

  int load(const NDArray& array, const Shape& shape) {
    for (const auto& [memory, value] : loads_) {
      if (memory == array.bytes() && array.shape() == shape) return value;
    }
    const int value = program_.load(array, shape);
    if (array.shape() == shape) loads_.push_back({array.bytes(), value});
    return value;
  }

  TileProgram program_;
  uint64_t walk_ = ++state().walk;
  SmallVector<Step, 8> steps_;  // a call after those it waits for
  SmallVector<std::pair<char*, int>, 8> loads_;
  SmallVector<Ref<RefCounted>, 8> dropped_;  // goes before the storages
};

namespace {

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

void compute(Storage& storage) {
  const BlockingScope scope(storage.nbytes());
  const std::unique_ptr<Plan> plan = plan_when_idle([&](bool& busy) -> std::unique_ptr<Plan> {
    if (!storage.deferred()) return nullptr;
    const auto& w = *static_cast<Waiting*>(storage.source());
    auto made = std::make_unique<Plan>(w.dtype, w.shape.size());
    int value = 0;
    busy = !made->add(NDArray(Ref<Storage>(&storage), 0, w.shape, w.dtype), w.shape, value);
    if (!busy) made->start(&storage, {});
    return made;
  });
  if (!plan) return;
  plan->program().run();
  plan->publish();
}

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

NDArray make_waiting(TileKernel kernel, int cost, DType dtype, std::span<const TileOperand> inputs,
                     const Shape& shape, const void* params, RefCounted* owner) {
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
      if (input.array) input.array->storage()->data();
    }
    lock.lock();
  }
  auto w = make_ref<Waiting>();
  w->kernel = kernel;
  w->cost = cost;
  w->dtype = dtype;
  w->shape = shape;
  w->params = params;
  w->owner = Ref<RefCounted>(owner);
  for (const TileOperand& input : inputs) {
    Operand& operand = w->operands.emplace_back();
    operand.number = input.scalar;
    if (input.array) operand.array = input.array->detached();
  }
  const size_t nbytes = static_cast<size_t>(shape.size()) * item_size(dtype);
  Ref<Storage> storage = Storage::defer(nbytes, w);
  w->storage = storage.get();
  w->link();
  return NDArray(std::move(storage), 0, shape, dtype);
}

bool may_wait(DType dtype, const Shape& shape) {
  return is_large(shape.size()) && (dtype == DType::kFloat32 || dtype == DType::kFloat64);
}

[[maybe_unused]] const bool installed = [] {
  Storage::set_compute(compute);
  return true;
}();

}  // namespace

int64_t set_threshold(int64_t elements) {
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  const int64_t before = threshold.exchange(elements < 0 ? kNever : elements);
  return before == kNever ? -1 : before;
}

NDArray defer(const TileFunction& f, DType dtype, std::span<const TileOperand> inputs,
              const Shape& shape, const void* params, RefCounted* owner) {
  const TileKernel kernel = f.kernels[static_cast<int>(dtype)];
  if (!may_wait(dtype, shape) || !kernel) return NDArray();
  return make_waiting(kernel, f.cost, dtype, inputs, shape, params, owner);
}

NDArray defer_broadcast(const NDArray& array, const Shape& shape) {
  if (!may_wait(array.dtype(), shape) || array.shape() == shape) return NDArray();
  const TileOperand input{&array};
  return make_waiting(nullptr, 1, array.dtype(), {&input, 1}, shape, nullptr, nullptr);
}

void run(const TileFunction& f, DType compute, std::span<const TileOperand> inputs,
         const NDArray& out, const void* params) {
  out.storage()->data();
  for (const TileOperand& input : inputs) {
    if (input.array && !(waits(*input.array, out.shape()) && input.array->dtype() == compute)) {
      input.array->storage()->data();
    }
  }
  const std::unique_ptr<Plan> plan = plan_when_idle([&](bool& busy) {
    auto made = std::make_unique<Plan>(compute, out.size());
    int values[TileProgram::kMaxInputs];
    for (size_t i = 0; i < inputs.size() && !busy; ++i) {
      if (inputs[i].array) {
        busy = !made->add(*inputs[i].array, out.shape(), values[i]);
      } else {
        values[i] = made->program().constant(inputs[i].scalar);
      }
    }
    if (!busy) {
      made->start(nullptr, inputs);
      made->program().store(made->program().step(f.kernels[static_cast<int>(compute)], params,
                                                 f.cost, {values, inputs.size()}),
                            out);
    }
    return made;
  });
  plan->program().run();
  plan->publish();
}

void copy(const NDArray& array, const NDArray& out) {
  out.storage()->data();
  const TileOperand handle{&array};
  const std::unique_ptr<Plan> plan = plan_when_idle([&](bool& busy) {
    auto made = std::make_unique<Plan>(out.dtype(), out.size());
    int value = 0;
    busy = !made->add(array, out.shape(), value);
    if (!busy) {
      made->program().store(value, out);
      made->start(nullptr, {&handle, 1});
    }
    return made;
  });
  plan->program().run();
  plan->publish();
}

void run_readers(Storage& storage) {
  std::vector<Ref<Storage>> found;
  {
    const std::lock_guard lock(state().mutex);
    for (const Waiting* w = state().first; w; w = w->next()) {
      for (const Operand& operand : w->operands) {
        if (operand.array.storage().get() != &storage || !w->storage->ref_if_alive()) continue;
        found.emplace_back(w->storage);
        w->storage->unref();
        break;
      }
    }
  }
  for (const Ref<Storage>& reader : found) reader->data();
}

void run_all() {
  std::vector<Ref<Storage>> found;
  {
    const std::lock_guard lock(state().mutex);
    for (const Waiting* w = state().first; w; w = w->next()) {
      if (!w->storage->ref_if_alive()) continue;
      found.emplace_back(w->storage);
      w->storage->unref();
    }
  }
  for (const Ref<Storage>& storage : found) storage->data();
}

Stream::Stream(const NDArray& array) {
  if (!waits(array, array.shape())) {
    array.storage()->data();
    return;
  }
  plan_ = plan_when_idle([&](bool& busy) -> std::unique_ptr<Plan> {
    if (!waits(array, array.shape())) return nullptr;
    auto made = std::make_unique<Plan>(array.dtype(), array.size());
    const TileOperand handle{&array};
    int value = 0;
    busy = !made->add(array, array.shape(), value);
    if (busy) return made;
    // Numbers that are all one, or repeat, are not computed piece by piece.
    if (!made->root().kernel || made->program().uniform(value)) return nullptr;
    made->start(nullptr, {&handle, 1});
    made->program().prepare();
    return made;
  });
  if (!plan_) array.storage()->data();
}

Stream::~Stream() = default;

const TileProgram* Stream::program() const { return plan_ ? &plan_->program() : nullptr; }

void Stream::finish() {
  if (plan_) plan_->publish();
}

}  // namespace mxtape::fusion
