#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "autograd/inner.h"
#include "graph/program.h"
#include "op/op_node.h"

namespace mxtape {

struct FusedSweep;
struct SweepKind;

// What the gradient of a program goes through and reads, when certain inputs are on the tape.
class Reverse final : public RefCounted {
 public:
  Reverse(const Program& program, std::vector<bool> tracked);

  const std::vector<bool>& tracked() const { return tracked_; }
  // Whether the tape would record the step: some input that counts is on it.
  bool records(size_t step) const { return records_[step] != 0; }
  bool reaches(Program::Value value) const {
    return value.step < 0 ? tracked_[value.index] : records(static_cast<size_t>(value.step));
  }
  // Whether a gradient flows from a step into its input i.
  bool flows(const Program::Step& step, size_t i) const { return flows_[step.first_input + i]; }
  // The same of all inputs of all steps, in their order.
  std::span<const uint8_t> flows() const { return flows_; }
  // What the step saves, in the order of its inputs and outputs: values, and whether their data.
  struct Kept {
    uint32_t value;
    bool data;
  };
  std::span<const Kept> kept(size_t step) const {
    return {kept_.data() + first_kept_[step], first_kept_[step + 1] - first_kept_[step]};
  }
  // The place of a value among those that are kept, by its number; -1: it is not.
  int32_t slot(size_t value) const { return slots_[value]; }
  size_t slot_count() const { return slot_count_; }
  // False where a step is a loop or a branch, or changes a value that is kept or made by another:
  // then the calls have to be recorded as they run.
  bool repeatable() const { return repeatable_; }

 private:
  void find_slots(const Program& program);

  std::vector<bool> tracked_;
  std::vector<uint8_t> records_;  // of each step
  std::vector<uint8_t> flows_;    // of each input of each step
  std::vector<Kept> kept_;
  std::vector<size_t> first_kept_;  // of each step; then their number
  std::vector<int32_t> slots_;
  size_t slot_count_ = 0;
  bool repeatable_ = true;
};

// What one run of a program has kept for its gradient. Nothing is recorded: a sweep goes through
// the steps of the program in reverse, and makes the nodes that gradients read from one by one.
class Frame final : public RefCounted {
 public:
  // `ends` says of each input which gradient it contributes to, where it is tracked: an array that
  // is given twice has one.
  Frame(Ref<const Program> program, Ref<const Program::Plan> plan, Ref<const Reverse> reverse,
        Mode mode, std::vector<uint32_t> ends, size_t end_count);

  // While the program runs: its inputs, and what a step has made.
  void keep_inputs(Inputs inputs);
  void keep(size_t step, std::span<const NDArray> made);
  void keep(Program::Value value, const NDArray& made) { save(program_->number(value), made); }
  const Ref<const Reverse>& reverse() const { return reverse_; }
  const Program& program() const { return *program_; }
  // What is kept of a value, by number; null where nothing is, or it has been dropped.
  const autograd::Saved* kept_value(size_t value) const {
    const int32_t slot = reverse_->slot(value);
    if (slot < 0 || !saved_[static_cast<size_t>(slot)]) return nullptr;
    return &*saved_[static_cast<size_t>(slot)];
  }
  // Which gradient a tracked input contributes to.
  uint32_t end_of(size_t input) const { return ends_[input]; }
  size_t bytes() const { return sizeof(Frame) + saved_.capacity() * sizeof(saved_[0]); }
  bool records(size_t step) const { return reverse_->records(step); }
  // Shape and dtype of an end.
  const ArraySpec& end_spec(size_t end) const;

  // The gradients of the ends, from those of the outputs: undefined where none arrives. What was
  // kept is dropped on the way unless `retain` is set.
  std::vector<NDArray> sweep(std::span<NDArray> head_grads, std::span<const bool> wanted,
                             bool retain, Watch* watch = nullptr);
  // Records the calls after all, with inputs that hang on `ends`. Where each output hangs.
  std::vector<autograd::Edge> record(std::span<const Ref<autograd::EndNode>> ends) const;

 private:
  using Value = Program::Value;

  void save(size_t value, const NDArray& array);
  using Gathered = SmallVector<OpNode::Kept, 8>;
  const NDArray& shell_of(size_t value) const;
  void gather(size_t step, Gathered& kept) const;
  SweepKind kind_of(std::span<const NDArray> head_grads, std::span<const bool> wanted) const;
  // The place of a gradient: of what a step makes, or of an end.
  size_t place(Value value) const {
    const size_t inputs = program_->input_count();
    if (value.step < 0) return program_->value_count() - inputs + ends_[value.index];
    return program_->number(value) - inputs;
  }
  void sweep_step(size_t step, std::span<const uint8_t> flows, std::span<NDArray> grads,
                  PassingNode& passing, autograd::Pause& pause, Watch* watch);
  bool sweep_fused(const FusedSweep& fused, std::span<NDArray> grads, bool retain);
  void drop(size_t step);

  Ref<const Program> program_;
  Ref<const Program::Plan> plan_;
  Ref<const Reverse> reverse_;
  Mode mode_;
  std::vector<uint32_t> ends_;
  size_t end_count_;
  std::vector<std::optional<autograd::Saved>> saved_;
  // Shapes that the plan does not know.
  std::unordered_map<size_t, NDArray> late_;
};

}  // namespace mxtape
