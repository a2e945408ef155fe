#pragma once

#include <vector>

#include "autograd/inner.h"
#include "graph/latest.h"
#include "graph/program.h"
#include "graph/reverse.h"

namespace mxtape {

// The inputs of a call of a graph, of which some are on the tape.
struct TrackedInputs {
  explicit TrackedInputs(Inputs outside);

  std::vector<bool> tracked;
  bool any = false;
  // What the tracked ones hang on: once for an array that is given twice. `ends` says which it is.
  std::vector<autograd::Edge> edges;
  std::vector<uint32_t> ends;
};

// The same arrays for the calls inside: off the tape, or on ends of their own.
class InsideInputs {
 public:
  InsideInputs(Inputs outside, const TrackedInputs& tracked,
               std::span<const Ref<autograd::EndNode>> ends);
  Inputs get() const { return Inputs(pointers_.data(), pointers_.size()); }

 private:
  SmallVector<NDArray, 8> inside_;
  SmallVector<const NDArray*, 16> pointers_;
};

// A recorded call of a graph: one step of the tape. Inside is a frame, from which the calls can be
// recorded later; or, where that cannot be, what they recorded as they ran.
class GraphCallNode final : public autograd::Node {
 public:
  GraphCallNode(std::vector<autograd::Edge> edges, std::span<const NDArray> outputs,
                Ref<Frame> frame);
  GraphCallNode(std::vector<autograd::Edge> edges, std::span<const NDArray> outputs,
                std::vector<Ref<autograd::EndNode>> ends, std::vector<autograd::Edge> heads);

  std::string_view name() const override { return "CachedOp"; }
  std::span<autograd::Edge> edges() override { return edges_; }
  uint32_t output_count() const override { return static_cast<uint32_t>(outputs_.size()); }
  bool output_meta(uint32_t index, Shape& shape, DType& dtype) const override;
  void vjp(autograd::VjpCall& call) override;
  void release() override;

  // Where an output hangs among the recorded calls.
  autograd::Edge head(uint32_t index);
  // What it holds inside: a frame, or the recorded calls.
  const Frame* frame() const { return frame_.get(); }
  std::span<const autograd::Edge> inner_heads() const { return heads_; }
  std::span<const Ref<autograd::EndNode>> inner_ends() const { return ends_; }

 private:
  void record_inside();

  std::vector<autograd::Edge> edges_, heads_;
  std::vector<Ref<autograd::EndNode>> ends_;
  std::vector<autograd::Saved> outputs_;
  Ref<Frame> frame_;
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
  Ref<const Reverse> reverse_for(const std::vector<bool>& tracked) const;
  void run_tracked(Inputs inputs, TrackedInputs tracked, const Ref<const Program::Plan>& plan,
                   std::span<NDArray> results, Watch* watch) const;

  Ref<const Program> program_;
  Latest<Program::Plan, 8> plans_;
  Latest<Reverse, 8> reverses_;
};

}  // namespace mxtape
