#pragma once

#include <vector>

#include "autograd/inner.h"
#include "graph/program.h"
#include "graph/reverse.h"

namespace mxtape {

// A graph bound to arrays: forward reads the inputs and writes the outputs, backward writes or adds
// gradients. What it records is its own: an executor takes no part in autograd.record().
class Executor {
 public:
  // An array of the program's inputs, and where its gradient goes. Without a gradient array there
  // is none.
  struct Binding {
    NDArray array, grad;
    autograd::GradReq req = autograd::GradReq::kNull;
  };

  // An Error when the arrays do not fit the graph.
  Executor(Ref<const Program> program, std::vector<Binding> bindings);

  const Program& program() const { return *program_; }
  // The arrays into which every forward writes, until the shape of a result changes. An output that
  // is an input is that array.
  std::span<const NDArray> outputs() const { return outputs_; }

  void forward(bool training, Watch* watch = nullptr);
  // Gradients of the outputs, weighted by `head_grads`: one for each output, or none at all.
  // Losses, and what has no gradient, need none. After a forward without training, or none, the
  // graph is computed again as it was, with the inputs' values of now.
  void backward(std::span<const NDArray> head_grads, Watch* watch = nullptr);

 private:
  Inputs inputs() const { return Inputs(pointers_.data(), pointers_.size()); }
  void record(bool training, Watch* watch, std::span<NDArray> results);
  void publish(std::span<NDArray> results);
  std::vector<NDArray> checked_heads(std::span<const NDArray> head_grads) const;
  void write_gradients(std::vector<NDArray> found);

  Ref<const Program> program_;
  std::vector<Binding> bindings_;
  std::vector<const NDArray*> pointers_;
  std::vector<size_t> differentiated_;  // which inputs have a gradient
  std::vector<NDArray> outputs_;
  Ref<const Program::Plan> plans_[2];  // to predict and to train
  Ref<const Reverse> reverse_;
  // What the latest forward kept. Or, where the calls cannot be recorded later, what they recorded:
  // where its inputs begin, and where its outputs hang.
  Ref<Frame> frame_;
  std::vector<Ref<autograd::EndNode>> ends_;
  std::vector<autograd::Edge> heads_;
  bool training_ = false;
};

// Whether output `index` of `node` needs no head gradient: its gradient is that of a loss, or 0.
bool ignores_head_gradient(const GraphNode& node);

}  // namespace mxtape
