#include "op/invoke.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>

#include "autograd/anomaly.h"
#include "autograd/errors.h"
#include "autograd/hooks.h"
#include "autograd/recorder.h"
#include "core/at_fork.h"
#include "core/profile.h"
#include "op/call.h"
#include "op/effects.h"
#include "op/functional.h"
#include "op/op_node.h"
#include "op/registry.h"
#include "op/widened_call.h"
#include "runtime/blocking.h"
#include "runtime/fusion.h"

namespace mxtape {
namespace {

static_assert(BlockingScope::kBytes == profile::kLargeBytes);

// More outputs than a call can have: their number may come from a parameter.
constexpr size_t kMaxOutputs = size_t{1} << 20;

std::string input_names(const OpSchema& op, size_t count, const Params* params) {
  std::string names;
  for (size_t i = 0; i < count; ++i) names += (i ? ", " : "") + op.input_name(i, params);
  return names;
}

bool same_view(const NDArray& a, const NDArray& b) {
  return a.byte_offset() == b.byte_offset() && a.shape() == b.shape() && a.dtype() == b.dtype();
}

// Whether writing `out` while reading the inputs would spoil them.
bool must_not_alias(const OpSchema& op, Inputs inputs, const NDArray& out) {
  for (const NDArray& input : inputs) {
    const bool allowed =
        op.is_pointwise() || (op.in_place && (op.variadic || &input == &inputs[0]));
    if (input.storage() == out.storage() && !(allowed && same_view(input, out))) return true;
  }
  return false;
}

void check_output(const OpSchema& op, size_t i, const NDArray& out, const ArraySpec& spec) {
  if (out.shape() != spec.shape || out.dtype() != spec.dtype) {
    fail(op.name, ": out", i ? std::to_string(i) : "", " has shape ", out.shape(), " and dtype ",
         out.dtype(), ", the result has ", spec.shape, " and ", spec.dtype);
  }
  check_writable(out, op.name);
}

bool is_recorded(const OpSchema& op, Inputs inputs, Mode mode) {
  if (!mode.recording) return false;
  if (mode.traced) return true;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (autograd::on_tape(inputs[i]) && !op.is_no_grad_input(i)) return true;
  }
  return false;
}

thread_local CallTrace* call_trace = nullptr;

void fail_not_finite(const OpNode& node, Inputs inputs, size_t i, const std::string& statistics) {
  std::string text;
  for (const NDArray& input : inputs) {
    text += (text.empty() ? "" : ", ") + autograd::spec_text(input.shape(), input.dtype());
  }
  std::string advice;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const std::string before = autograd::statistics_unless_finite(inputs[k].detached());
    if (!before.empty()) advice += str_cat(". Input ", k, " was not finite before: ", before);
  }
  fail("detect_anomaly: output ", i, " of ", node.name(), " is not finite: ", statistics,
       autograd::call_text(node, text), advice);
}

// The program looks at what is recorded, or puts elsewhere what is saved.
[[gnu::cold, gnu::noinline]] void watch_recorded(OpNode& node, Inputs inputs, Arrays outputs) {
  for (size_t i = 0; autograd::anomaly_mode().forward && i < outputs.size(); ++i) {
    const std::string statistics = autograd::statistics_unless_finite(outputs[i].detached());
    if (!statistics.empty()) fail_not_finite(node, inputs, i, statistics);
  }
  node.pack();
}

// Why the results of a call are on no tape, should a program ask for their gradients.
[[gnu::cold, gnu::noinline]] void note_unrecorded(Inputs inputs, std::span<NDArray> outputs) {
  SmallVector<const NDArray*, 8> pointers;
  for (const NDArray& input : inputs) pointers.push_back(&input);
  autograd::explain_unrecorded({pointers.data(), pointers.size()}, outputs);
}

void record_call(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                 std::span<NDArray> outputs) {
  if (mode.traced) return call_trace->call(op, inputs, params, outputs);
  Ref<OpNode> node = OpNode::record(op, inputs, outputs, params, mode);
  if (mode.packs) watch_recorded(*node, inputs, outputs);
  for (size_t i = 1; i < outputs.size(); ++i) outputs[i].set_edge(node, static_cast<uint32_t>(i));
  outputs[0].set_edge(std::move(node), 0);
}

// The kernel of a call that waits for its one input.
class LateReduction final : public fusion::Reduction {
 public:
  LateReduction(const OpSchema& op, ParamsRef params, Mode mode)
      : op_(op), params_(std::move(params)), mode_(mode) {}
  void run(const NDArray& in, const NDArray& out) const override {
    std::optional<profile::OperatorSpan> span;
    if (profile::records(profile::kImperative | profile::kSymbolic)) span.emplace(op_.name);
    const NDArray* inputs[] = {&in};
    op_.kernel(KernelCall(op_, Inputs(inputs, 1), {&out, 1}, params_.get(), mode_));
  }

 private:
  const OpSchema& op_;
  ParamsRef params_;
  Mode mode_;
};

[[noreturn, gnu::cold]] void fail_inputs(const OpSchema& op, Inputs inputs, const Params* params) {
  const size_t expected = op.count_inputs(inputs.size(), params);
  fail(op.name, ": expected ", op.variadic ? std::string("at least one") : std::to_string(expected),
       " input", expected == 1 ? "" : "s", " (",
       input_names(op, op.variadic ? 1 : expected, params), "), got ", inputs.size());
}

}  // namespace

void check_outputs(const OpSchema& op, const Params* params, std::span<const ArraySpec> specs,
                   Arrays given) {
  const size_t visible = op.count_visible(params);
  if (given.size() != visible && given.size() != specs.size()) {
    fail(op.name, ": ", given.size(), " arrays given as out, the operator has ", visible,
         " outputs");
  }
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i].defined()) check_output(op, i, given[i], specs[i]);
  }
}

namespace {

// What recording would refuse: more inputs than a node can hold, and writing over what its own
// gradient will read.
void check_recordable(const OpSchema& op, Inputs inputs, Arrays outputs, const Params* params) {
  if (inputs.size() > OpNode::kMaxArrays) {
    fail(op.name, ": too many inputs to record: ", inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const NDArray& out : outputs) {
      if (op.keep_input(i, params) == Keep::kData && inputs[i].storage() == out.storage()) {
        fail(op.name, ": while recording, out shares memory with input ", i, " of shape ",
             inputs[i].shape(), ", which the gradient needs; write to a new array");
      }
    }
  }
}

// A pointwise call over large arrays may wait for others to run with it, and so may a reduction of
// what waits to one number. `size`: of its output.
bool may_wait(const OpSchema& op, Inputs inputs, const ArraySpec& spec, int64_t size) {
  if (op.streams && size == 1) {
    return inputs[0].storage()->deferred() && spec.dtype == inputs[0].dtype();
  }
  return (op.tile_operands || op.is_broadcast) && fusion::is_large(size);
}

// The result of such a call; undefined if it must run at once after all.
NDArray waiting_result(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                       const ArraySpec& spec) {
  if (op.streams) {
    return fusion::defer_reduction(inputs[0], spec.shape,
                                   make_ref<LateReduction>(op, params, mode));
  }
  if (op.is_broadcast) return fusion::defer_broadcast(inputs[0], spec.shape);
  TileOperand operands[4];
  const size_t count = op.tile_operands(op, inputs, params.get(), spec.dtype, operands);
  return fusion::defer(op.tile, spec.dtype, {operands, count}, spec.shape,
                       params ? params->data() : nullptr, params.get());
}

// Sweeps of several threads may end in one gradient buffer. What is written without the
// interpreter's lock, they write one after the other, or one would lose what the other adds.
class UpdateLock {
 public:
  explicit UpdateLock(const NDArray& target) {
    if (blocking_hooks.enter && target.nbytes() <= BlockingScope::kBytes) return;
    const auto address = reinterpret_cast<uintptr_t>(target.storage().get());
    std::mutex& mutex = mutexes()[address / sizeof(Storage) % kMutexes];
    lock_ = std::unique_lock(mutex, std::try_to_lock);
    if (lock_.owns_lock()) return;
    // Whoever has it may need the interpreter's lock to give it back.
    const BlockingScope scope(BlockingScope::kBytes + 1);
    lock_.lock();
  }

  // One that a thread of the parent held would never be given back.
  static void restart_in_child() { new (&mutexes()) Mutexes; }

 private:
  static constexpr size_t kMutexes = 61;
  using Mutexes = std::array<std::mutex, kMutexes>;
  static Mutexes& mutexes() {
    static auto* const mutexes = new Mutexes;  // never destroyed: threads may run to the very end
    return *mutexes;
  }
  std::unique_lock<std::mutex> lock_;
};

const ForkRegistration at_fork(AtFork::kUpdates, {nullptr, nullptr, UpdateLock::restart_in_child});

FormCall form_calls[kForms] = {};

template <class Some>
Form last_form(const Some& arrays) {
  Form form = Form::kDense;
  for (const NDArray& array : arrays) {
    if (array.defined()) form = std::max(form, array.storage()->form());
  }
  return form;
}

Form form_of(const OpSchema& op, Inputs inputs, const Outputs& outputs) {
  return std::max({op.form, last_form(inputs), last_form(Arrays(outputs))});
}

// In a handler: an operator that does not get its memory says which one it is.
[[noreturn, gnu::cold, gnu::noinline]] void name_out_of_memory(const OpSchema& op, Inputs inputs) {
  std::string what;
  try {
    throw;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kMemory || error.names_call()) throw;
    what = error.what();
  } catch (const std::bad_alloc&) {
    what = "out of memory: the system has no working memory";
  }
  what = str_cat(op.name, ": ", what);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (i == 8) {
      what += ", ...";
      break;
    }
    what += str_cat(i ? ", " : "; the inputs have the shapes ", inputs[i].shape());
  }
  throw Error(ErrorKind::kMemory, what).set_names_call();
}

}  // namespace

void set_form_call(Form form, FormCall call) { form_calls[static_cast<size_t>(form)] = call; }

CallTraceScope::CallTraceScope(CallTrace& trace)
    : state_(true, autograd::is_training()), previous_(std::exchange(call_trace, &trace)) {
  autograd::thread_mode().traced = true;
}
CallTraceScope::~CallTraceScope() { call_trace = previous_; }

void check_writable(const NDArray& array, std::string_view op) {
  if (!autograd::is_recording() || !autograd::on_tape(array)) return;
  fail(op, ": cannot write in place to an array of shape ", array.shape(),
       " that is in a recorded graph while recording: x[:] = ..., x += ... and out=x would change "
       "values that gradients need. Make a new array, as x = x + y does, or write outside of "
       "autograd.record()");
}

// False where not all arrays are dense, or are made so.
[[gnu::always_inline]] inline bool Call::infer_in_line() {
  const size_t expected = op_.count_inputs(inputs_.size(), params_.get());
  if (inputs_.size() != expected || (op_.variadic && inputs_.empty())) {
    fail_inputs(op_, inputs_, params_.get());
  }
  given_ = outputs_.size();
  const size_t count = op_.count_outputs(params_.get());
  if (count > kMaxOutputs) {
    fail(op_.name, ": the parameters ask for ", count, " outputs: ", print_given(*params_));
  }
  specs_.resize(count);
  constexpr size_t kFew = 8;
  InputView few[kFew];
  std::vector<InputView> many;
  InputView* views = few;
  if (inputs_.size() > kFew) {
    many.resize(inputs_.size());
    views = many.data();
  }
  Form form = op_.form;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].defined()) fail(op_.name, ": input ", i, " is missing");
    form = std::max(form, inputs_[i].storage()->form());
    views[i] = {&inputs_[i].shape(), inputs_[i].dtype(), StorageType::kDense};
  }
  if (given_) form = std::max(form, last_form(Arrays(outputs_)));
  if (form != Form::kDense) return false;
  InferCall call(op_, {views, inputs_.size()}, params_.get(), mode_, specs_);
  run_inference(op_, call);
  run_check(op_, call, inputs_);
  check_effects();
  return true;
}

[[gnu::always_inline]] inline void Call::assume_in_line(std::span<const ArraySpec> specs) {
  given_ = outputs_.size();
  for (const ArraySpec& spec : specs) specs_.emplace_back(spec);
  check_effects();
}

// What is written to: the caller's arrays, the tape, inputs that change.
[[gnu::always_inline]] inline void Call::check_effects() {
  if (given_) check_outputs(op_, params_.get(), specs_, outputs_);
  if (mode_.recording) {
    const bool records = is_recorded(op_, inputs_, mode_);
    recorded_ = records ? Recorded::kCall : Recorded::kConstants;
    if (records) check_recordable(op_, inputs_, outputs_, params_.get());
  }
  for (size_t i = 0; op_.mutates && i < inputs_.size(); ++i) {
    if (mutates(i) && !op_.is_no_grad_input(i)) check_writable(inputs_[i], op_.name);
  }
}

[[gnu::always_inline]] inline void Call::place_in_line() {
  const auto device = inputs_.empty() ? 0 : inputs_[0].storage()->device();
  for (size_t i = 0; i < specs_.size(); ++i) {
    ArraySpec& spec = specs_[i];
    // What inference made of the parameters may be below zero, or too much.
    const int64_t size = checked_size(spec.shape, op_.name);
    const size_t bytes = static_cast<size_t>(size) * item_size(spec.dtype);
    bytes_ += bytes;
    if (i < given_ && outputs_[i].defined()) {
      if (!must_not_alias(op_, inputs_, outputs_[i])) continue;
      spare_.push_back(outputs_[i]);
      copied_.push_back(i);
      outputs_[i] = NDArray::empty(std::move(spec.shape), spec.dtype);
      continue;
    }
    if (i < given_) {
      outputs_[i] = NDArray::empty(std::move(spec.shape), spec.dtype);
    } else {
      if (!given_ && may_wait(op_, inputs_, spec, size)) {
        outputs_.push_back(waiting_result(op_, inputs_, params_, mode_, spec));
        waits_ = outputs_[i].defined();
        if (!waits_) outputs_[i] = NDArray::empty(std::move(spec.shape), spec.dtype);
      } else {
        // Made where it stays: a shape that is moved is read before its writes have arrived.
        outputs_.emplace_back(Storage::allocate(bytes), 0, std::move(spec.shape), spec.dtype);
      }
    }
    if (device) outputs_[i].storage()->set_device(device);
  }
  for (const NDArray& input : inputs_) bytes_ = std::max(bytes_, input.nbytes());
}

[[gnu::always_inline]] inline void Call::compute_in_line() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (op_.mutates && mutates(i)) {
      fusion::before_write(inputs_[i]);
      UndoneEffects::note(inputs_[i]);
    }
    if (!op_.tile_operands && !(op_.streams && i == 0)) inputs_[i].storage()->materialize();
  }
  for (size_t i = 0; i < given_; ++i) fusion::before_write(outputs_[i]);
  for (const NDArray& out : spare_) fusion::before_write(out);
  run_kernel(KernelCall(op_, inputs_, outputs_, params_.get(), mode_));
  for (size_t k = 0; k < copied_.size(); ++k) {
    std::memcpy(spare_[k].bytes(), outputs_[copied_[k]].bytes(), spare_[k].nbytes());
  }
}

// Of a large call, or of any while operators are recorded.
[[gnu::noinline]] void Call::compute_watched() {
  const BlockingScope scope(bytes_);
  if (!profile::records(step_ ? profile::kSymbolic : profile::kImperative)) {
    return compute_in_line();
  }
  const profile::OperatorSpan span(op_.name);
  compute_in_line();
}

[[gnu::always_inline]] inline void Call::run_in_line() {
  if (!waits_) {
    if (bytes_ >= profile::watched_bytes.load(std::memory_order_relaxed)) {
      compute_watched();
    } else {
      compute_in_line();
    }
  }
  for (size_t k = 0; k < copied_.size(); ++k) outputs_[copied_[k]] = std::move(spare_[k]);
  for (size_t i = 0; i < given_; ++i) outputs_[i].mark_written();
  for (size_t i = 0; op_.mutates && i < inputs_.size(); ++i) {
    if (mutates(i)) inputs_[i].mark_written();
  }
}

[[gnu::always_inline]] inline void Call::record_in_line() {
  if (recorded_ != Recorded::kNothing) {
    if (recorded_ == Recorded::kCall) [[likely]] {
      record_call(op_, inputs_, params_, mode_, outputs_);
    } else {
      note_unrecorded(inputs_, outputs_);
    }
  }
  const size_t visible = op_.count_visible(params_.get());
  if (specs_.size() > visible && !whole_) outputs_.resize(visible);
}

namespace {

[[gnu::cold, gnu::noinline]] void invoke_form(const OpSchema& op, Inputs inputs,
                                              const ParamsRef& params, bool whole,
                                              Outputs& outputs) {
  form_calls[static_cast<size_t>(form_of(op, inputs, outputs))](op, inputs, params, outputs);
  const size_t visible = op.count_visible(params.get());
  if (!whole && outputs.size() > visible) outputs.resize(visible);
}

}  // namespace

void invoke(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs) {
  Call call(op, inputs, params, autograd::thread_mode(), outputs);
  try {
    if (!call.infer_in_line()) return invoke_form(op, inputs, params, false, outputs);
    call.place_in_line();
    call.run_in_line();
    call.record_in_line();
  } catch (...) {
    name_out_of_memory(op, inputs);
  }
}

void invoke_step(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                 std::span<const ArraySpec> specs, bool whole, Outputs& outputs) {
  Call call(op, inputs, params, mode, outputs);
  call.whole_ = whole;
  call.step_ = true;
  try {
    const bool dense =
        specs.empty() ? call.infer_in_line() : form_of(op, inputs, outputs) == Form::kDense;
    if (!dense) {
      return invoke_form(op, inputs, params, whole, outputs);
    }
    if (!specs.empty()) call.assume_in_line(specs);
    call.place_in_line();
    call.run_in_line();
    call.record_in_line();
  } catch (...) {
    name_out_of_memory(op, inputs);
  }
}

void Call::infer() {
  if (!infer_in_line()) fail(op_.name, ": inputs must be dense arrays");
}
void Call::assume(std::span<const ArraySpec> specs) { assume_in_line(specs); }
void Call::place() { place_in_line(); }
void Call::run() { run_in_line(); }
void Call::record() { record_in_line(); }

void invoke(const OpSchema& op, Arrays inputs, const ParamsRef& params, Outputs& outputs) {
  SmallVector<const NDArray*, 8> pointers;
  for (const NDArray& input : inputs) pointers.push_back(&input);
  invoke(op, Inputs(pointers.data(), pointers.size()), params, outputs);
}

void invoke_over(const OpSchema& op, NDArray first, std::initializer_list<NDArray> others,
                 const ParamsRef& params, Outputs& outputs) {
  const bool dense = first.storage()->form() == Form::kDense &&
                     last_form(Arrays{others.begin(), others.size()}) == Form::kDense;
  if (op.in_place && dense && !autograd::is_recording()) {
    first.storage()->materialize();
    if (first.owns_memory()) {
      outputs.resize(op.count_outputs(params.get()));
      // Without its place in the graph, should it have one: the new values have another.
      outputs[0] = first.detached();
    }
  }
  SmallVector<const NDArray*, 8> pointers;
  pointers.push_back(&first);
  for (const NDArray& other : others) pointers.push_back(&other);
  invoke(op, Inputs(pointers.data(), pointers.size()), params, outputs);
}

NDArray invoke(const OpSchema& op, Inputs inputs, const ParamsRef& params) {
  Outputs outputs;
  invoke(op, inputs, params, outputs);
  return std::move(outputs[0]);
}

NDArray invoke(const OpSchema& op, std::initializer_list<NDArray> inputs, const ParamsRef& params) {
  Outputs outputs;
  invoke(op, Arrays{inputs.begin(), inputs.size()}, params, outputs);
  return std::move(outputs[0]);
}

bool check_recorded(const OpSchema& op, Inputs inputs, Arrays outputs, const Params* params,
                    Mode mode) {
  if (!is_recorded(op, inputs, mode)) return false;
  check_recordable(op, inputs, outputs, params);
  return true;
}

void record_made(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                 std::span<NDArray> outputs) {
  record_call(op, inputs, params, mode, outputs);
}

void record_view(const OpSchema& op, const NDArray& input, const ParamsRef& params, NDArray& view) {
  const NDArray* pointers[] = {&input};
  const Inputs inputs(pointers, 1);
  const Mode mode = autograd::thread_mode();
  if (is_recorded(op, inputs, mode)) {
    record_call(op, inputs, params, mode, {&view, 1});
  } else if (mode.recording) {
    note_unrecorded(inputs, {&view, 1});
  }
}

namespace {

// Calls in which an array has been packed.
void invoke_unpacked(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs) {
  std::vector<NDArray> dense;
  for (const NDArray& input : inputs) {
    const bool packed = input.storage()->form() == Form::kPacked;
    dense.push_back(packed ? autograd::unpacked(input) : input);
  }
  for (const NDArray& output : outputs) {
    if (output.defined() && output.storage()->form() == Form::kPacked) {
      fail(op.name, ": cannot write to what the tape has saved");
    }
  }
  invoke(op, dense, params, outputs);
}

}  // namespace

void install_gradient_ops() {
  set_form_call(Form::kPacked, invoke_unpacked);
  autograd::GradientOps ops;
  ops.add = [](const NDArray& a, const NDArray& b) { return a + b; };
  ops.copy = [](const NDArray& value) {
    static const OpSchema& op = find_op("_copy");
    return invoke(op, {value});
  };
  ops.add_in_place = [](const NDArray& target, NDArray value) {
    static const OpSchema& op = find_op("elemwise_add");
    const autograd::StateScope quiet(false, false);
    const NDArray inputs[] = {target.detached(), value.detached()};
    value = NDArray();
    const UpdateLock lock(inputs[0]);
    Outputs outputs;
    outputs.push_back(inputs[0]);
    invoke(op, inputs, nullptr, outputs);
  };
  ops.copy_into = [](const NDArray& target, NDArray value) {
    static const OpSchema& op = find_op("_copy");
    const autograd::StateScope quiet(false, false);
    const NDArray inputs[] = {value.detached()};
    value = NDArray();
    Outputs outputs;
    outputs.push_back(target.detached());
    const UpdateLock lock(outputs[0]);
    invoke(op, inputs, nullptr, outputs);
  };
  ops.fill_like = [](const Shape& shape, DType dtype, double value) {
    return full(shape, dtype, value);
  };
  ops.tie = [](const NDArray& value, const NDArray& variable) {
    static const OpSchema& op = find_op("_identity_with_attr_like_rhs");
    return invoke(op, {value, variable});
  };
  autograd::set_gradient_ops(ops);
}

}  // namespace mxtape
