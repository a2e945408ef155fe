#include "runtime/plan.h"

#include <algorithm>

#include "core/profile.h"
#include "runtime/kernel_names.h"

namespace mxtape::fusion {
namespace {

// What is spent on an element rather than to keep it for the tape: about what it takes to write it
// to memory and to read it again. The cheapest instruction costs 1; the functions that cost more
// than kCheapStep, or in float64 more than 1, are not vectorised.
constexpr int kCheapStep = 6;
int cheap(DType dtype) { return dtype == DType::kFloat32 ? 10 : 3; }

// The plan whose reduction's kernel runs, that asks for its operand's Stream.
thread_local Plan* running = nullptr;

const std::string& (*kernel_name)(TileKernel kernel) = nullptr;

struct SharedScope {
  explicit SharedScope(Plan* plan) { running = plan; }
  ~SharedScope() { running = nullptr; }
};

}  // namespace

void set_kernel_names(const std::string& (*name)(TileKernel kernel)) { kernel_name = name; }

Plan::~Plan() {
  const std::lock_guard lock(state().mutex);
  for (const Step& step : steps_) step.call->running = false;
  if (reduction()) reduction()->running = false;
  state().done.notify_all();
}

bool Plan::add(const NDArray& array, const Shape& shape, int& value) {
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

bool Plan::add_reduction(const Shape& shape) {
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

void Plan::start(const Storage* wanted, std::span<const TileOperand> handles) {
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

void Plan::run() {
  if (!reduction()) return program_.run();
  program_.prepare();
  const SharedScope scope(this);
  reduction()->reduction->run(operand(),
                              NDArray(result_, 0, reduction()->shape, reduction()->dtype));
}

std::string Plan::recorded_name() const {
  constexpr size_t kMost = 8;
  std::string name;
  if (!kernel_name || !profile::records(profile::kImperative | profile::kSymbolic)) return name;
  for (size_t i = 0; i < steps_.size() && i < kMost; ++i) {
    const Waiting& call = *steps_[i].call;
    if (i) name += '+';
    name += call.kernel ? kernel_name(call.kernel) : "broadcast";
  }
  return steps_.size() > kMost ? name + "+..." : name;
}

void Plan::publish() {
  const std::lock_guard lock(state().mutex);
  for (Step& step : steps_) {
    if (step.memory) dropped_.push_back(step.storage->resolve(std::move(step.memory)));
  }
  if (reduction_) dropped_.push_back(reduction_->resolve(std::move(result_)));
}

Plan* Plan::shared(const NDArray& array) {
  return running && running->operand().storage() == array.storage() ? running : nullptr;
}

void Plan::weigh(Step& step) {
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

int Plan::load(const NDArray& array, const Shape& shape) {
  for (const auto& [memory, value] : loads_) {
    if (memory == array.bytes() && array.shape() == shape) return value;
  }
  const int value = program_.load(array, shape);
  if (array.shape() == shape) loads_.push_back({array.bytes(), value});
  return value;
}

}  // namespace mxtape::fusion
