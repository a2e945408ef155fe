#pragma once

#include <deque>
#include <mutex>
#include <vector>

#include "autograd/inner.h"
#include "graph/program.h"

namespace mxtape {

// Arrays in the place of a graph's inputs: those on the tape hang on ends of their own, so that what
// is recorded of them can be swept without what made them.
class InnerInputs {
 public:
  explicit InnerInputs(Inputs outside);
  Inputs get() const { return Inputs(pointers_.data(), pointers_.size()); }
  std::vector<Ref<autograd::EndNode>> take_ends() { return std::move(ends_); }
  std::vector<autograd::Edge> take_edges() { return std::move(edges_); }

 private:
  SmallVector<NDArray, 8> inside_;
  SmallVector<const NDArray*, 16> pointers_;
  std::vector<Ref<autograd::EndNode>> ends_;
  std::vector<autograd::Edge> edges_;  // what the ends stand for
};

// A recorded call of a graph: one step of the tape. Inside is what its operators recorded.
class GraphCallNode final : public autograd::Node {
 public:
  GraphCallNode(InnerInputs& inputs, std::span<const NDArray> inner_outputs);

  std::string_view name() const override { return "CachedOp"; }
  std::span<autograd::Edge> edges() override { return edges_; }
  uint32_t output_count() const override { return output_count_; }
  bool output_meta(uint32_t index, Shape& shape, DType& dtype) const override;
  void vjp(autograd::VjpCall& call) override;
  void release() override;

  // Where output `index` hangs in the inner graph.
  const autograd::Edge& head(uint32_t index) const { return heads_[index]; }

 private:
  std::vector<autograd::Edge> edges_, heads_;
  std::vector<Ref<autograd::EndNode>> ends_;
  std::vector<autograd::Saved> outputs_;
  uint32_t output_count_;  // of a released node too: another sweep may have gradients for it
};

// A graph that is called like an operator.
class CachedOp final : public RefCounted {
 public:
  explicit CachedOp(const Graph& graph) : program_(make_ref<Program>(graph)) {}

  const Program& program() const { return *program_; }
  // Calls it in the thread's mode. `outputs` holds arrays to write to, or is empty.
  void call(Inputs inputs, Outputs& outputs, Watch* watch = nullptr) const;

 private:
  Ref<const Program::Plan> plan_for(Inputs inputs, Mode mode) const;

  Ref<const Program> program_;
  // The latest plans, the newest first. Python's lock is not given up while the mutex is held, so
  // that no fork() can find it locked.
  static constexpr size_t kPlans = 8;
  mutable std::mutex mutex_;
  mutable std::deque<Ref<const Program::Plan>> plans_;
};

}  // namespace mxtape
