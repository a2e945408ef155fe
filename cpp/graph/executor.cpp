#include "graph/executor.h"

#include <algorithm>
#include <string_view>

#include "autograd/recorder.h"
#include "core/error.h"
#include "graph/custom.h"
#include "op/declare.h"
#include "op/functional.h"
#include "op/registry.h"

namespace mxtape {
namespace {

using autograd::Edge;
using autograd::EndNode;
using autograd::GradReq;

NDArray zeros(const Shape& shape, DType dtype, StorageType storage) {
  return storage == StorageType::kDense ? full(shape, dtype, 0)
                                        : empty_sparse(storage, shape, dtype);
}

}  // namespace

bool ignores_head_gradient(const GraphNode& node) {
  if (node.is_variable()) return false;
  const OpSchema& op = node.op();
  if (is_custom(op)) return !node.params()->as<CustomParams>().needs_head;
  if (!node.subgraphs().empty()) return false;
  if (!op.vjp || op.vjp == zero_gradient) return true;
  return op.is_loss && op.is_loss(node.params().get());
}

Executor::Executor(Ref<const Program> program, std::vector<Binding> bindings)
    : program_(std::move(program)), bindings_(std::move(bindings)) {
  if (bindings_.size() != program_->input_count()) {
    fail("bind: the graph has ", program_->input_count(), " inputs, ", bindings_.size(),
         " arrays are given");
  }
  for (size_t i = 0; i < bindings_.size(); ++i) {
    Binding& binding = bindings_[i];
    if (!binding.array.defined()) fail("bind: ", program_->input_name(i), " is missing");
    binding.array = binding.array.detached();
    if (!binding.grad.defined() || binding.req == GradReq::kNull) continue;
    if (program_->is_state(i)) {
      fail("bind: ", program_->input_name(i), " is an auxiliary state and has no gradient");
    }
    if (binding.grad.shape() != binding.array.shape() ||
        binding.grad.dtype() != binding.array.dtype()) {
      fail("bind: the gradient array of ", program_->input_name(i), " has shape ",
           binding.grad.shape(), " and dtype ", binding.grad.dtype(), ", the argument ",
           binding.array.shape(), " and ", binding.array.dtype());
    }
    binding.grad = binding.grad.detached();
    differentiated_.push_back(i);
  }
  for (const Binding& binding : bindings_) pointers_.push_back(&binding.array);
  std::vector<bool> tracked(bindings_.size());
  for (const size_t i : differentiated_) tracked[i] = true;
  reverse_ = make_ref<Reverse>(*program_, std::move(tracked));
  plans_[0] = program_->plan(inputs(), {false, false});
  const uint16_t device = bindings_.empty() ? 0 : bindings_[0].array.storage()->device();
  for (size_t i = 0; i < program_->output_count(); ++i) {
    const int64_t input = program_->output_input(i);
    const ArraySpec& spec = plans_[0]->output(i);
    if (input >= 0) {
      outputs_.push_back(bindings_[static_cast<size_t>(input)].array);
    } else {
      outputs_.push_back(spec.known() ? zeros(spec.shape, spec.dtype, spec.storage) : NDArray());
      if (spec.known()) outputs_.back().storage()->set_device(device);
    }
  }
}

void Executor::record(bool training, Watch* watch, std::span<NDArray> results) {
  const autograd::StateScope state(true, training);
  const Mode mode = autograd::thread_mode();
  Ref<const Program::Plan>& plan = plans_[1];
  if (!plan || !plan->fits(inputs(), mode)) plan = program_->plan(inputs(), mode);
  if (reverse_->repeatable() && !plan->has_sparse()) {
    std::vector<uint32_t> ends(bindings_.size());
    for (uint32_t k = 0; k < differentiated_.size(); ++k) ends[differentiated_[k]] = k;
    auto frame =
        make_ref<Frame>(program_, plan, reverse_, mode, std::move(ends), differentiated_.size());
    program_->run(*plan, inputs(), results, watch, frame.get());
    frame_ = std::move(frame);
    return;
  }
  std::vector<Ref<EndNode>> ends;
  std::vector<NDArray> inside(differentiated_.size());
  std::vector<const NDArray*> pointers = pointers_;
  for (size_t k = 0; k < differentiated_.size(); ++k) {
    const size_t i = differentiated_[k];
    ends.push_back(make_ref<EndNode>(bindings_[i].array, Edge()));
    inside[k] = bindings_[i].array;
    inside[k].set_edge(ends.back(), 0);
    pointers[i] = &inside[k];
  }
  program_->run(*plan, Inputs(pointers.data(), pointers.size()), results, watch);
  ends_ = std::move(ends);
  heads_.clear();
  for (NDArray& result : results) {
    heads_.push_back(autograd::edge_of(result));
    result.set_edge(nullptr, 0);
  }
}

void Executor::publish(std::span<NDArray> results) {
  for (size_t i = 0; i < results.size(); ++i) {
    if (program_->output_input(i) >= 0) continue;
    NDArray& output = outputs_[i];
    const bool same = output.defined() && output.shape() == results[i].shape() &&
                      output.dtype() == results[i].dtype() &&
                      storage_type(output) == storage_type(results[i]);
    if (same) {
      autograd::gradient_ops().copy_into(output, std::move(results[i]));
    } else {
      // In memory of its own: a result may be what another output shows, or the tape has saved.
      output = autograd::gradient_ops().copy(results[i]);
    }
  }
}

void Executor::forward(bool training, Watch* watch) {
  // What the last forward kept is free before more is needed.
  frame_ = nullptr;
  heads_.clear();
  ends_.clear();
  training_ = training;
  std::vector<NDArray> results(program_->output_count());
  if (training && !differentiated_.empty()) {
    record(true, watch, results);
  } else {
    const autograd::StateScope state(false, training);
    const Mode mode = autograd::thread_mode();
    Ref<const Program::Plan>& plan = plans_[training ? 1 : 0];
    if (!plan || !plan->fits(inputs(), mode)) plan = program_->plan(inputs(), mode);
    program_->run(*plan, inputs(), results, watch);
  }
  const autograd::StateScope quiet(false, false);
  publish(results);
}

std::vector<NDArray> Executor::checked_heads(std::span<const NDArray> head_grads) const {
  const size_t count = program_->output_count();
  if (head_grads.size() > count) {
    fail("backward: ", head_grads.size(), " head gradients are given, the graph has ", count,
         " outputs");
  }
  std::vector<NDArray> heads(count);
  for (size_t i = 0; i < count; ++i) {
    const GraphEntry& entry = program_->graph().outputs()[i];
    const NDArray& output = outputs_[i];
    if (i >= head_grads.size() || !head_grads[i].defined()) {
      if (!ignores_head_gradient(*entry.node)) {
        fail("backward: output ", i, " (", program_->output_name(i),
             ") is not that of a loss: its head gradient must be given in out_grads. To minimize "
             "the output itself, wrap it in make_loss");
      }
      if (output.defined()) {
        heads[i] = full(output.shape(), output.dtype(), 1);
        heads[i].storage()->set_device(output.storage()->device());
      }
      continue;
    }
    if (output.defined() && head_grads[i].shape() != output.shape()) {
      fail("backward: output ", i, " (", program_->output_name(i), ") has shape ", output.shape(),
           ", its head gradient ", head_grads[i].shape());
    }
    heads[i] =
        cast(head_grads[i].detached(), output.defined() ? output.dtype() : head_grads[i].dtype());
  }
  return heads;
}

void Executor::backward(std::span<const NDArray> head_grads, Watch* watch) {
  const autograd::StateScope state(false, true);
  if (differentiated_.empty()) return;
  std::vector<NDArray> heads = checked_heads(head_grads);
  if (ends_.empty() && !frame_) {
    std::vector<NDArray> results(program_->output_count());
    record(training_, nullptr, results);
  }
  SmallVector<bool, 8> wanted(differentiated_.size());
  std::fill(wanted.begin(), wanted.end(), true);
  // Kept: a program may ask for gradients of other heads.
  write_gradients(frame_ ? frame_->sweep(heads, wanted, true, watch)
                         : autograd::inner_gradients(heads_, heads, ends_, wanted, false));
}

void Executor::write_gradients(std::vector<NDArray> found) {
  const autograd::GradientOps& ops = autograd::gradient_ops();
  for (size_t k = 0; k < found.size(); ++k) {
    const Binding& binding = bindings_[differentiated_[k]];
    if (binding.req == GradReq::kAdd) {
      if (found[k].defined()) ops.add_in_place(binding.grad, std::move(found[k]));
      continue;
    }
    if (!found[k].defined()) {
      found[k] = zeros(binding.grad.shape(), binding.grad.dtype(), storage_type(binding.grad));
    }
    ops.copy_into(binding.grad, std::move(found[k]));
  }
}

}  // namespace mxtape
