#include "runtime/fusion.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/profile.h"
#include "runtime/blocking.h"
#include "runtime/plan.h"
#include "runtime/waiting.h"

namespace mxtape::fusion {
namespace {

// Runs a reduction that waits.
void reduce(Storage& storage) {
  Waiting* call = nullptr;
  {
    std::unique_lock lock(state().mutex);
    while (storage.deferred() && waiting(storage)->running) {
      state().done.wait(lock);
    }
    if (!storage.deferred()) return;
    call = waiting(storage);
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
  const auto& call = *waiting(storage);
  return call.reduction ? call.operands[0].array.nbytes() : 0;
}

void compute(Storage& storage) {
  const size_t reduced = reduced_bytes(storage);
  const BlockingScope scope(std::max(storage.nbytes(), reduced));
  if (reduced) return reduce(storage);
  const std::unique_ptr<Plan> plan = plan_when_idle([&](bool& busy) -> std::unique_ptr<Plan> {
    if (!storage.deferred()) return nullptr;
    const auto& w = *waiting(storage);
    auto made = std::make_unique<Plan>(w.dtype, w.shape.size());
    int value = 0;
    busy = !made->add(NDArray(Ref<Storage>(&storage), 0, w.shape, w.dtype), w.shape, value) ||
           !made->add_reduction(w.shape);
    if (!busy) made->start(&storage, {});
    return made;
  });
  if (!plan) return;
  std::optional<profile::OperatorSpan> span;
  if (std::string name = plan->recorded_name(); !name.empty()) span.emplace(std::move(name));
  plan->run();
  plan->publish();
}

[[maybe_unused]] const bool installed = [] {
  Storage::set_compute(Form::kDense, compute);
  return true;
}();

}  // namespace

void run(const TileFunction& f, DType compute, std::span<const TileOperand> inputs,
         const NDArray& out, const void* params) {
  out.storage()->materialize();
  for (const TileOperand& input : inputs) {
    if (input.array && !(waits(*input.array, out.shape()) && input.array->dtype() == compute)) {
      input.array->storage()->materialize();
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
  profile::OperatorSpan::also(plan->recorded_name());
  plan->run();
  plan->publish();
}

void copy(const NDArray& array, const NDArray& out) {
  out.storage()->materialize();
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
  profile::OperatorSpan::also(plan->recorded_name());
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
  if (shared_) {
    profile::OperatorSpan::also(shared_->recorded_name());
    return;
  }
  if (!waits(array, array.shape())) {
    array.storage()->materialize();
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
  if (plan_) {
    profile::OperatorSpan::also(plan_->recorded_name());
  } else {
    array.storage()->materialize();
  }
}

Stream::~Stream() = default;

const TileProgram* Stream::program() const {
  return shared_ ? &shared_->program() : plan_ ? &plan_->program() : nullptr;
}

void Stream::finish() {
  if (plan_) plan_->publish();
}

}  // namespace mxtape::fusion
