#include "op/batch.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "autograd/recorder.h"
#include "op/call.h"
#include "op/common_params.h"
#include "op/declare.h"
#include "op/registry.h"
#include "op/sparse.h"

namespace mxtape {
namespace {

// What a placeholder is made of.
class Examples final : public RefCounted {
 public:
  Examples(NDArray physical, uint64_t level, Shape example)
      : physical(std::move(physical)), level(level), example(std::move(example)) {}
  NDArray physical;
  const uint64_t level;
  const Shape example;  // the shape of the placeholder's whole storage
};

Examples& examples_in(const Storage& storage) { return *static_cast<Examples*>(storage.source()); }
uint64_t level_of(const NDArray& array) {
  return is_batched(array) ? examples_in(*array.storage()).level : 0;
}

std::atomic<uint64_t> last_level{0};

std::vector<BatchLevel>& levels() {
  static thread_local std::vector<BatchLevel> running;
  return running;
}

const BatchLevel& find_level(uint64_t number, std::string_view who) {
  for (const BatchLevel& level : levels()) {
    if (level.number == number) return level;
  }
  fail(
      who,
      ": an input stands for one example of a vmap that has ended, or that runs in another thread; "
      "return it from the mapped function to use it afterwards");
}

void refuse_read(Storage& storage) {
  fail("vmap: inside the mapped function an array of shape ", examples_in(storage).example,
       " stands for every example at once, so its values cannot be read: asnumpy(), item(), "
       "float(), "
       "bool(), `if` and saving need them. Use operators (nd.where for a choice), or return the "
       "array "
       "and read the result of vmap");
}

// The part of each example that a view shows, from element `begin` on.
int64_t begin_of(const NDArray& array) {
  return array.byte_offset() / static_cast<int64_t>(item_size(array.dtype()));
}

Shape with_batch(int64_t batch, const Shape& example) {
  Shape shape(example.ndim() + 1, batch);
  for (int d = 0; d < example.ndim(); ++d) shape[d + 1] = example[d];
  return shape;
}

NDArray repeat_for_all(const NDArray& array, int64_t batch) {
  return broadcast_to(reshape(array, with_batch(1, array.shape())),
                      with_batch(batch, array.shape()));
}

// Writes `value`, with its batch axis in front, into what `target` shows.
void write_examples(const NDArray& target, NDArray value, int64_t batch) {
  Examples& examples = examples_in(*target.storage());
  const int64_t size = examples.example.size();
  if (target.size() != size) {
    const int64_t begin = begin_of(target);
    value = fn::slice_assign(
        reshape(examples.physical, Shape{batch, size}), reshape(value, Shape{batch, target.size()}),
        SliceParams{{std::nullopt, begin}, {std::nullopt, begin + target.size()}, {}});
  }
  examples.physical = reshape(value, with_batch(batch, examples.example));
}

template <class T>
void copy_field(const ParamField& field, const void* from, void* to) {
  const auto at = static_cast<std::ptrdiff_t>(field.offset);
  *reinterpret_cast<T*>(static_cast<char*>(to) + at) =
      *reinterpret_cast<const T*>(static_cast<const char*>(from) + at);
}

void copy_any(const ParamField& f, const void* from, void* to) {
  switch (f.type) {
    case ParamType::kBool:
      return copy_field<bool>(f, from, to);
    case ParamType::kOptBool:
      return copy_field<std::optional<bool>>(f, from, to);
    case ParamType::kInt:
      return copy_field<int64_t>(f, from, to);
    case ParamType::kOptInt:
      return copy_field<std::optional<int64_t>>(f, from, to);
    case ParamType::kFloat:
      return copy_field<double>(f, from, to);
    case ParamType::kOptFloat:
      return copy_field<std::optional<double>>(f, from, to);
    case ParamType::kString:
      return copy_field<std::string>(f, from, to);
    case ParamType::kEnum:
      return copy_field<int32_t>(f, from, to);
    case ParamType::kDType:
      return copy_field<DType>(f, from, to);
    case ParamType::kOptDType:
      return copy_field<std::optional<DType>>(f, from, to);
    case ParamType::kInts:
      return copy_field<Ints>(f, from, to);
    case ParamType::kOptInts:
      return copy_field<OptInts>(f, from, to);
    case ParamType::kSliceInts:
      return copy_field<SliceInts>(f, from, to);
    case ParamType::kFloats:
      return copy_field<Floats>(f, from, to);
  }
}

}  // namespace

uint64_t enter_batch(int64_t size) {
  const uint64_t number = last_level.fetch_add(1, std::memory_order_relaxed) + 1;
  levels().push_back({number, size, autograd::is_recording()});
  return number;
}
void leave_batch(uint64_t number) noexcept {
  std::erase_if(levels(), [=](const BatchLevel& level) { return level.number == number; });
}

NDArray example_of(NDArray physical, uint64_t number) {
  const BatchLevel& level = find_level(number, "vmap");
  if (!level.recording && physical.edge_node()) physical = physical.detached();
  Shape example(physical.shape().dims().subspan(1));
  const DType dtype = physical.dtype();
  const size_t bytes = static_cast<size_t>(example.size()) * item_size(dtype);
  const uint16_t device = physical.storage()->device();
  Ref<Storage> storage = Storage::special(Form::kBatched, bytes,
                                          make_ref<Examples>(std::move(physical), number, example));
  storage->set_device(device);
  return NDArray(std::move(storage), 0, std::move(example), dtype);
}

NDArray examples_of(const NDArray& array, uint64_t number) {
  if (level_of(array) != number) return {};
  const Examples& examples = examples_in(*array.storage());
  const int64_t batch = examples.physical.shape()[0];
  const Shape wanted = with_batch(batch, array.shape());
  const int64_t size = examples.example.size();
  if (array.size() == size) return reshape(examples.physical, wanted);
  // A view of a part.
  const int64_t begin = begin_of(array);
  return reshape(
      fn::slice(reshape(examples.physical, Shape{batch, size}),
                SliceParams{{std::nullopt, begin}, {std::nullopt, begin + array.size()}, {}}),
      wanted);
}

NDArray detached(const NDArray& array) {
  if (!is_batched(array)) return array.detached();
  const uint64_t level = level_of(array);
  return example_of(detached(examples_of(array, level)), level);
}

// ---- a call

Shape BatchCall::batched(const Shape& example) const { return with_batch(batch_, example); }

NDArray BatchCall::repeated(size_t i) const {
  return mapped_[i] ? inputs_[i] : repeat_for_all(inputs_[i], batch_);
}

NDArray BatchCall::aligned(size_t i, int ndim) const {
  if (!mapped_[i] || shapes_[i].ndim() == ndim) return inputs_[i];
  Shape shape(ndim + 1, 1);
  shape[0] = batch_;
  const int lead = ndim - shapes_[i].ndim();
  for (int d = 0; d < shapes_[i].ndim(); ++d) shape[1 + lead + d] = shapes_[i][d];
  return reshape(inputs_[i], shape);
}

Ref<Params> BatchCall::copied_params() const {
  Ref<Params> copy = params_->info().make();
  for (const ParamField& field : params_->info().fields) {
    copy_any(field, params_->data(), copy->data());
  }
  copy->given = params_->given;
  return copy;
}

void BatchCall::apply(std::initializer_list<NDArray> inputs, const ParamsRef& params) {
  apply(Arrays(inputs.begin(), inputs.size()), params);
}

void BatchCall::apply(Arrays inputs, const ParamsRef& params) {
  SmallVector<const NDArray*, 8> pointers;
  for (const NDArray& input : inputs) pointers.push_back(&input);
  Outputs outputs;
  invoke_step(op_, Inputs(pointers.data(), pointers.size()), params, autograd::thread_mode(), {},
              true, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) result(i, std::move(outputs[i]));
}

void BatchCall::result(size_t i, NDArray physical) {
  results_[i] = reshape(physical, batched_output(i));
}

void BatchCall::refuse(std::string_view why) const {
  fail("vmap: ", op_.name, ": ", why,
       ". Call it outside the mapped function, or map with a loop over the examples");
}

// ---- the call in all its steps

class BatchedInvocation {
 public:
  BatchedInvocation(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs)
      : op_(op),
        inputs_(inputs),
        params_(params),
        outputs_(outputs),
        mode_(autograd::thread_mode()),
        level_(newest_level()),
        call_(op, params, level_.size) {}

  void run() {
    infer();
    check_given();
    const bool records = check_recorded(op_, inputs_, Arrays(outputs_), params_.get(), mode_);
    compute();
    Outputs made;
    for (size_t i = 0; i < call_.output_count(); ++i) {
      if (i < outputs_.size() && outputs_[i].defined()) {
        made.push_back(outputs_[i]);
        made[i].mark_written();
      } else if (call_.constant_[i]) {
        made.push_back(call_.results_[i]);
      } else {
        made.push_back(example_of(std::move(call_.results_[i]), level_.number));
      }
    }
    if (records) record_made(op_, inputs_, params_, mode_, made);
    outputs_.resize(made.size());
    for (size_t i = 0; i < made.size(); ++i) outputs_[i] = std::move(made[i]);
  }

 private:
  const BatchLevel& newest_level() const {
    uint64_t number = 0;
    for (const NDArray& input : inputs_) number = std::max(number, level_of(input));
    for (const NDArray& out : outputs_) {
      if (out.defined()) number = std::max(number, level_of(out));
    }
    return find_level(number, op_.name);
  }

  void infer() {
    SmallVector<InputView, 8> views;
    for (const NDArray& input : inputs_) {
      if (!input.defined()) fail(op_.name, ": an input is missing");
      views.push_back({&input.shape(), input.dtype(), StorageType::kDense});
      call_.shapes_.push_back(input.shape());
    }
    const size_t count = op_.count_outputs(params_.get());
    call_.specs_.resize(count);
    call_.results_.resize(count);
    call_.constant_.resize(count);
    InferCall inference(op_, {views.data(), views.size()}, params_.get(), mode_, call_.specs_);
    run_inference(op_, inference);
  }

  // Everything that is to be written must have room for all examples.
  void check_given() const {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const NDArray& out = outputs_[i];
      if (!out.defined()) continue;
      const ArraySpec& spec = call_.output(i);
      if (out.shape() != spec.shape || out.dtype() != spec.dtype) {
        fail(op_.name, ": out has shape ", out.shape(), " and dtype ", out.dtype(),
             ", the result has ", spec.shape, " and ", spec.dtype);
      }
      if (level_of(out) != level_.number) {
        fail("vmap: ", op_.name,
             " would write what differs from example to example into an array of "
             "shape ",
             out.shape(),
             " that is the same for all of them. Make a new array instead: "
             "y = x + z for x += z, nd.zeros_like(x) of a mapped x for nd.zeros(...); for "
             "gradients of "
             "arrays made outside vmap, autograd.grad() instead of backward()");
      }
      check_writable(out, op_.name);
    }
    for (size_t i = 0; op_.mutates && i < inputs_.size(); ++i) {
      if (op_.mutates(i, inputs_.size(), params_.get(), mode_)) {
        call_.refuse("it changes an input in place, which vmap does not support");
      }
    }
  }

  void compute() {
    bool any = false;
    for (const NDArray& input : inputs_) {
      NDArray examples = examples_of(input, level_.number);
      const bool mapped = examples.defined();
      call_.mapped_.push_back(mapped);
      any = any || mapped;
      // What is recorded inside is the call on placeholders. Physical calls are recorded too where
      // the thread recorded when the vmap began. Else their inputs are off the tape, not the mode
      // another: kernels keep for their gradients what the mode says.
      // There are no batches of sparse arrays: one that is the same everywhere counts as dense.
      if (!mapped) examples = in_dense(level_.recording ? input : input.detached());
      call_.inputs_.push_back(std::move(examples));
    }
    if (any) {
      const BatchFn rule = batch_rule(op_);
      if (!rule) call_.refuse("vmap has no rule for this operator (docs/operators.md lists them)");
      rule(call_);
      for (const NDArray& result : call_.results_) {
        if (!result.defined()) call_.refuse("its rule for vmap leaves out a result");
      }
    } else {
      SmallVector<const NDArray*, 8> pointers;
      for (const NDArray& input : inputs_) pointers.push_back(&input);
      Outputs same;
      invoke_step(op_, Inputs(pointers.data(), pointers.size()), params_, autograd::thread_mode(),
                  {}, true, same);
      for (size_t i = 0; i < same.size(); ++i) call_.constant(i, std::move(same[i]));
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (!outputs_[i].defined()) continue;
      NDArray& value = call_.results_[i];
      if (call_.constant_[i]) value = repeat_for_all(value, level_.size);
      write_examples(outputs_[i], value, level_.size);
    }
  }

  const OpSchema& op_;
  Inputs inputs_;
  const ParamsRef& params_;
  Outputs& outputs_;
  const Mode mode_;
  const BatchLevel level_;
  BatchCall call_;
};

namespace {

void invoke_batched(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs) {
  BatchedInvocation(op, inputs, params, outputs).run();
}

[[maybe_unused]] const bool installed = [] {
  set_form_call(Form::kBatched, invoke_batched);
  Storage::set_compute(Form::kBatched, refuse_read);
  return true;
}();

}  // namespace

// ---- rules

BatchRules::BatchRules(std::initializer_list<Rule> rules) {
  for (const Rule& rule : rules) Registry::get().add_batch_rule(rule.op, rule.rule);
}

BatchFn batch_rule(const OpSchema& op) {
  if (op.batch) return op.batch;
  return op.is_pointwise() ? batch::broadcasting : nullptr;
}

namespace batch {

void in_front(BatchCall& call) {
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(call.repeated(i));
  call.apply(inputs, call.params());
}

void broadcasting(BatchCall& call) {
  if (call.input_count() == 1) return call.apply({call.input(0)}, call.params());
  const Shape& out = call.output().shape;
  bool broadcasts =
      call.op().infer == infer_pointwise_broadcast || call.op().infer == fn::add.schema().infer;
  for (size_t i = 0; i < call.input_count(); ++i) broadcasts = broadcasts || call.shape(i) != out;
  if (!broadcasts) return in_front(call);
  const int ndim = out.ndim();
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(call.aligned(i, ndim));
  call.apply(inputs, call.params());
}

void shift_axis(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  bool any = false;
  for (const ParamField& each : params->info().fields) {
    const std::string& name = each.name;
    if (name != "axis" && name != "dim" && name != "dim1" && name != "dim2" && name != "axis1" &&
        name != "axis2" && name != "axes") {
      continue;
    }
    any = true;
    if (each.type == ParamType::kInt) {
      auto& axis = *field<int64_t>(*params, name);
      axis = shifted(axis);
    } else if (each.type == ParamType::kOptInt) {
      auto& axis = *field<std::optional<int64_t>>(*params, name);
      if (!axis) call.refuse("axis=None is not supported inside vmap");
      axis = shifted(*axis);
    } else if (each.type == ParamType::kInts) {
      for (int64_t& axis : *field<Ints>(*params, name)) axis = shifted(axis);
    } else {
      any = false;
    }
  }
  if (!any) call.refuse("its rule expects a parameter axis");
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(call.repeated(i));
  call.apply(inputs, std::move(params));
}

void shift_axis_or_flatten(BatchCall& call) {
  const auto* axis = field<std::optional<int64_t>>(const_cast<Params&>(*call.params()), "axis");
  if (*axis) return shift_axis(call);
  Ref<Params> params = call.copied_params();
  *field<std::optional<int64_t>>(*params, "axis") = 1;
  params->given = ~uint32_t{0};
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) {
    inputs.push_back(reshape(call.repeated(i), Shape{call.batch(), call.shape(i).size()}));
  }
  call.apply(inputs, std::move(params));
}

void merge_leading(BatchCall& call) {
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(merged(call.repeated(i)));
  call.apply(inputs, call.params());
}

void shape_only(BatchCall& call) {
  SmallVector<NDArray, 4> inputs;
  SmallVector<const NDArray*, 8> pointers;
  for (size_t i = 0; i < call.input_count(); ++i) {
    inputs.push_back(full(call.shape(i), call.input(i).dtype(), 0));
  }
  for (const NDArray& input : inputs) pointers.push_back(&input);
  Outputs outputs;
  invoke(call.op(), Inputs(pointers.data(), pointers.size()), call.params(), outputs);
  for (size_t i = 0; i < outputs.size(); ++i) call.constant(i, std::move(outputs[i]));
}

NDArray merged(const NDArray& x) {
  Ints dims(x.shape().begin() + 1, x.shape().end());
  dims[0] *= x.shape()[0];
  return reshape(x, Shape(dims));
}

NDArray parted(const NDArray& x, int64_t batch) {
  Ints dims(x.shape().begin(), x.shape().end());
  dims[0] /= batch;
  dims.insert(dims.begin(), batch);
  return reshape(x, Shape(dims));
}

NDArray inside_axis(const NDArray& x, int axis) {
  const NDArray moved = moved_axis(x, 0, axis);
  Ints dims(moved.shape().begin(), moved.shape().end());
  const auto at = dims.begin() + axis;
  at[1] *= at[0];
  dims.erase(at);
  return reshape(moved, Shape(dims));
}

NDArray out_of_axis(const NDArray& x, int axis, int64_t batch) {
  Ints dims(x.shape().begin(), x.shape().end());
  dims[static_cast<size_t>(axis)] /= batch;
  dims.insert(dims.begin() + axis, batch);
  return moved_axis(reshape(x, Shape(dims)), axis, 0);
}

NDArray transposed(const NDArray& x, Ints axes) {
  static const OpSchema& op = find_op("transpose");
  if (std::is_sorted(axes.begin(), axes.end())) return x;
  // Axes of extent 1 do not matter to where the elements lie.
  Shape shape(x.ndim(), 1);
  int64_t last = -1;
  bool moves = false;
  for (int d = 0; d < x.ndim(); ++d) {
    const int64_t axis = axes[static_cast<size_t>(d)];
    shape[d] = x.shape()[static_cast<int>(axis)];
    if (shape[d] == 1) continue;
    moves = moves || axis < last;
    last = axis;
  }
  if (!moves) return reshape(x, shape);
  Ref<Params> params = op.params->make();
  *field<Ints>(*params, "axes") = std::move(axes);
  params->given = ~uint32_t{0};
  return invoke(op, {x}, std::move(params));
}

NDArray moved_axis(const NDArray& x, int from, int to) {
  Ints axes;
  for (int d = 0; d < x.ndim(); ++d) {
    if (d != from) axes.push_back(d);
  }
  axes.insert(axes.begin() + to, from);
  return transposed(x, std::move(axes));
}

NDArray counted(int64_t n, int ndim, int axis) {
  Shape shape(ndim, 1);
  shape[axis] = n;
  NDArray numbers = NDArray::empty(std::move(shape), DType::kInt64);
  for (int64_t i = 0; i < n; ++i) numbers.data<int64_t>()[i] = i;
  return numbers;
}

}  // namespace batch
}  // namespace mxtape
