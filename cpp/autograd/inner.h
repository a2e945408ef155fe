#pragma once

#include <span>
#include <vector>

#include "autograd/backward.h"

// Graphs inside graphs: what was recorded between some ends and some heads, swept on its own.
namespace mxtape::autograd {

// Looks for signals now and then: every 1,000 nodes, below a millisecond if they are small. A large
// one counts for all of them.
class Pause {
 public:
  void node() {
    if (--left_ < 0) look();
  }
  void large() { left_ = 0; }
  // After a call that wrote so many bytes.
  void wrote(size_t bytes) {
    if (bytes > kLargeBytes) large();
  }

 private:
  static constexpr int kNodes = 1000;
  static constexpr size_t kLargeBytes = size_t{1} << 17;
  void look();
  int left_ = kNodes;
};

// Where a graph inside a graph begins: its input as a step of its own, which hands its gradient on.
// A sweep of the inner graph ends here; another goes on to what made the array outside.
class EndNode final : public Node {
 public:
  EndNode(const NDArray& array, Edge outside)
      : EndNode(array.shape(), array.dtype(), std::move(outside)) {}
  EndNode(Shape shape, DType dtype, Edge outside)
      : outside_(std::move(outside)), shape_(std::move(shape)), dtype_(dtype) {}
  // Of an array of which only the place on the tape is known.
  explicit EndNode(Edge outside) : outside_(std::move(outside)), known_(false) {}

  std::string_view name() const override { return "input of a graph"; }
  std::span<Edge> edges() override { return {&outside_, released() ? size_t{0} : size_t{1}}; }
  uint32_t output_count() const override { return 1; }
  bool output_meta(uint32_t, Shape& shape, DType& dtype) const override {
    if (!known_) return outside_.node && outside_.node->output_meta(outside_.index, shape, dtype);
    shape = shape_;
    dtype = dtype_;
    return true;
  }
  void vjp(VjpCall& call) override {
    if (call.needs(0) && call.has_head(0)) call.grad(0, call.take_head(0));
  }
  void release() override {
    mark_released();
    outside_ = {};
  }

 private:
  Edge outside_;
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  bool known_ = true;
};

// Adds a gradient to those that have arrived at the same place. A sum that is recorded, or that
// somebody else holds, is not written over.
void accumulate(NDArray& sum, NDArray value, bool recorded);

// Whether the sweep that this thread runs keeps the graph.
bool sweep_retains();

// The gradients that reach `ends` from the graph that leads to `heads`: undefined where none does,
// or `wanted` is false. Every end was made before whatever was recorded from it. The graph is kept.
// Head gradients are used up; an undefined one means that nothing flows there.
std::vector<NDArray> inner_gradients(std::span<const Edge> heads, std::span<NDArray> head_grads,
                                     std::span<const Ref<EndNode>> ends,
                                     std::span<const bool> wanted, bool create_graph);

}  // namespace mxtape::autograd
