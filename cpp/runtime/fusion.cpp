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
  Waiting* reduction = nullptr;  // the one that waits
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
  TileKernel kernel = nullptr;  // nullptr: a copy of the one operand, or a reduction of it
  Ref<Reduction> reduction;
  const void* params = nullptr;
  Ref<RefCounted> owner;
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
  ~Waiting() override;

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

// A reference to what is not on its way out, or nothing.
Ref<Storage> reference(Storage* storage) {
  if (!storage->ref_if_alive()) return nullptr;
  Ref<Storage> found(storage);
  storage->unref();
  return found;
}

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

}  // namespace

// A number that waits is that of a reduction, which is no part of a program.
bool waits(const NDArray& array, const Shape& shape) {
  return array.storage()->deferred() && array.size() > 1 && array.byte_offset() == 0 &&
         array.nbytes() == array.storage()->nbytes() && array.shape() == shape;
}

// A program made of calls that wait, and where its results go.
class Plan {
 public:
  Plan(DType dtype, int64_t n) : dtype_(dtype), program_(dtype, n) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    const std::lock_guard lock(state().mutex);
    for (const Step& step : steps_) step.call->running = false;
    if (reduction()) reduction()->running = false;
    state().done.notify_all();
  }

  TileProgram& program() { return program_; }

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
    // A head gradient is often 1.
    if (!call->kernel || (call->product && program_.is_one(inputs[1]))) {
      value = inputs[0];
    } else if (call->product && program_.is_one(inputs[0])) {
      value = inputs[1];
    } else {
      value = program_.step(call->kernel, call->params, call->cost, inputs);
    }
    steps_.push_back({array.storage(), call, value});
    return true;
  }

  // Lets the reduction that waits run with this program, if it reads values of `shape` of which
  // some are computed here. False if another thread is computing a part of them.
  bool add_reduction(const Shape& shape) {
    const Waiting* found = state().reduction;
    if (!found || found->running || found->dtype != dtype_) return true;
    const NDArray in = found->operands[0].array;
    const auto here = [this](const Waiting& call) { return call.walk == walk_; };
    if (!waits(in, shape) || !any_of_chain(in, here)) return true;
    Ref<Storage> storage = reference(found->storage);
    int value = 0;
    // Once it has run, it is still there until the thread that ran it lets go of it.
    if (!storage || !storage->deferred()) return true;
    if (!add(in, shape, value)) return false;
    if (!program_.readable(value)) return true;
    program_.read(value);
    reduction_ = std::move(storage);
    return true;
  }

  // Gives memory to `wanted`, to what somebody outside the program can see, and to what is asked
  // for again without having been kept. To be looked at through one of `handles` does not count:
  // these are the arguments of the call that the program is for, and mostly nothing after it. What
  // the tape alone holds goes on waiting where it is cheap to compute again.
  void start(const Storage* wanted, std::span<const TileOperand> handles) {
    if (reduction()) {
      reduction()->running = true;
      result_ = Storage::allocate(reduction_->nbytes());
    }
    const Storage* reduced = reduction() ? operand().storage().get() : nullptr;
    for (Step& step : steps_) {
      Storage* storage = step.storage.get();
      weigh(step);
      uint32_t uses = 1;  // the plan's
      for (const Step& user : steps_) {
        for (const Operand& operand : user.call->operands) {
          uses += operand.array.storage().get() == storage;
        }
      }
      // The handle from which a reduction took its own.
      uses += step.call->reduced;
      bool kept = storage == wanted, argument = storage == reduced;
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

  void run() {
    if (!reduction()) return program_.run();
    program_.prepare();
    const SharedScope scope(this);
    reduction()->reduction->run(operand(),
                                NDArray(result_, 0, reduction()->shape, reduction()->dtype));
  }

  // The program has run: what it stored is there for everybody.
  void publish() {
    const std::lock_guard lock(state().mutex);
    for (Step& step : steps_) {
      if (step.memory) dropped_.push_back(step.storage->resolve(std::move(step.memory)));
    }
    if (reduction_) dropped_.push_back(reduction_->resolve(std::move(result_)));
  }

  // The plan that runs in this thread together with the reduction of `array`, or nullptr.
  static Plan* shared(const NDArray& array) {
    return running_ && running_->operand().storage() == array.storage() ? running_ : nullptr;
  }

 private:
  // While the kernel of a reduction runs, that asks for its operand's Stream.
  struct SharedScope {
    explicit SharedScope(Plan* plan) { running_ = plan; }
    ~SharedScope() { running_ = nullptr; }
  };
  static inline thread_local Plan* running_ = nullptr;

  Waiting* reduction() const {
    return reduction_ ? static_cast<Waiting*>(reduction_->source()) : nullptr;
  }
  const NDArray& operand() const { return reduction()->operands[0].array; }

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

  DType dtype_;
  TileProgram program_;
  uint64_t walk_ = ++state().walk;
  SmallVector<Step, 8> steps_;  // a call after those it waits for
  SmallVector<std::pair<char*, int>, 8> loads_;
  Ref<Storage> reduction_, result_;  // what waits for a reduction that runs with the program
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

// Runs a reduction that waits.
void reduce(Storage& storage) {
  Waiting* call = nullptr;
  {
    std::unique_lock lock(state().mutex);
    while (storage.deferred() && static_cast<Waiting*>(storage.source())->running) {
      state().done.wait(lock);
    }
    if (!storage.deferred()) return;
    call = static_cast<Waiting*>(storage.source());
    call->running = true;
  }
  Ref<RefCounted> dropped;
  struct Idle {
    Waiting* call;
    ~Idle() {
      const std::lock_guard lock(state().mutex);
      call->running = false;
      state().done.notify_all();
    }
  } const idle{call};
  const NDArray& in = call->operands[0].array;
  Ref<Storage> memory = Storage::allocate(storage.nbytes());
  call->reduction->run(in, NDArray(memory, 0, call->shape, call->dtype));
  const std::lock_guard lock(state().mutex);
  dropped = storage.resolve(std::move(memory));
}

// The bytes that a reduction which waits will read; 0 for everything else.
size_t reduced_bytes(const Storage& storage) {
  const std::lock_guard lock(state().mutex);
  if (!storage.deferred()) return 0;
  const auto& call = *static_cast<Waiting*>(storage.source());
  return call.reduction ? call.operands[0].array.nbytes() : 0;
}

void compute(Storage& storage) {
  const size_t reduced = reduced_bytes(storage);
  const BlockingScope scope(std::max(storage.nbytes(), reduced));
  if (reduced) return reduce(storage);
  const std::unique_ptr<Plan> plan = plan_when_idle([&](bool& busy) -> std::unique_ptr<Plan> {
    if (!storage.deferred()) return nullptr;
    const auto& w = *static_cast<Waiting*>(storage.source());
    auto made = std::make_unique<Plan>(w.dtype, w.shape.size());
    int value = 0;
    busy = !made->add(NDArray(Ref<Storage>(&storage), 0, w.shape, w.dtype), w.shape, value) ||
           !made->add_reduction(w.shape);
    if (!busy) made->start(&storage, {});
    return made;
  });
  if (!plan) return;
  plan->run();
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

// Has `w` wait, of which all but the result's storage is there; the mutex is locked.
NDArray wait(Ref<Waiting> w) {
  const size_t nbytes = static_cast<size_t>(w->shape.size()) * item_size(w->dtype);
  Ref<Storage> storage = Storage::defer(nbytes, w);
  w->storage = storage.get();
  w->link();
  return NDArray(std::move(storage), 0, w->shape, w->dtype);
}

NDArray make_waiting(const TileFunction& f, DType dtype, std::span<const TileOperand> inputs,
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
  w->kernel = f.kernels[static_cast<int>(dtype)];
  w->cost = f.cost;
  w->product = f.product;
  w->dtype = dtype;
  w->shape = shape;
  w->params = params;
  w->owner = Ref<RefCounted>(owner);
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
    if (busy) return made;
    TileProgram& program = made->program();
    const TileKernel kernel = f.kernels[static_cast<int>(compute)];
    program.store(program.step(kernel, params, f.cost, {values, inputs.size()}), out);
    busy = !made->add_reduction(out.shape());
    if (!busy) made->start(nullptr, inputs);
    return made;
  });
  plan->run();
  plan->publish();
}

void copy(const NDArray& array, const NDArray& out) {
  out.storage()->data();
  const TileOperand handle{array};
  const std::unique_ptr<Plan> plan = plan_when_idle([&](bool& busy) {
    auto made = std::make_unique<Plan>(out.dtype(), out.size());
    int value = 0;
    busy = !made->add(array, out.shape(), value) || !made->add_reduction(out.shape());
    if (!busy) {
      made->program().store(value, out);
      made->start(nullptr, {&handle, 1});
    }
    return made;
  });
  plan->run();
  plan->publish();
}

namespace {

// Runs the calls that wait for which wanted(call) is true, the newest first.
template <class Wanted>
void run_if(Wanted&& wanted) {
  std::vector<Ref<Storage>> found;
  {
    const std::lock_guard lock(state().mutex);
    for (const Waiting* w = state().first; w; w = w->next()) {
      if (!wanted(*w)) continue;
      if (Ref<Storage> storage = reference(w->storage)) found.push_back(std::move(storage));
    }
  }
  for (const Ref<Storage>& storage : found) storage->data();
}

}  // namespace

void run_readers(Storage& storage) {
  const auto reads = [&](const Waiting& call) {
    return std::any_of(call.operands.begin(), call.operands.end(), [&](const Operand& operand) {
      return operand.array.storage().get() == &storage;
    });
  };
  // A reduction at the end of a chain first: alone, each reader would be written to memory.
  run_if([&](const Waiting& call) {
    return call.reduction && any_of_chain(call.operands[0].array, reads);
  });
  run_if(reads);
}

void run_all() {
  run_if([](const Waiting&) { return true; });
}

Stream::Stream(const NDArray& array) : shared_(Plan::shared(array)) {
  if (shared_) return;
  if (!waits(array, array.shape())) {
    array.storage()->data();
    return;
  }
  plan_ = plan_when_idle([&](bool& busy) -> std::unique_ptr<Plan> {
    if (!waits(array, array.shape())) return nullptr;
    auto made = std::make_unique<Plan>(array.dtype(), array.size());
    const TileOperand handle{array};
    int value = 0;
    busy = !made->add(array, array.shape(), value);
    if (busy) return made;
    // Numbers that are all one, or repeat, are not computed piece by piece.
    if (!made->program().readable(value)) return nullptr;
    made->program().read(value);
    made->start(nullptr, {&handle, 1});
    made->program().prepare();
    return made;
  });
  if (!plan_) array.storage()->data();
}

Stream::~Stream() = default;

const TileProgram* Stream::program() const {
  return shared_ ? &shared_->program() : plan_ ? &plan_->program() : nullptr;
}

void Stream::finish() {
  if (plan_) plan_->publish();
}

}  // namespace mxtape::fusion
