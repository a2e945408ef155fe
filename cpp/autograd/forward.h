#pragma once

#include <span>
#include <vector>

#include "autograd/inner.h"

// Forward mode: a function that has been recorded once, between EndNodes and some heads, as the
// linear map that its derivative is.
namespace mxtape::autograd {

// One step of a forward sweep: the tangents of a node's inputs in, those of its outputs out. An
// undefined one is zero.
class PushCall {
 public:
  PushCall(Node& node, std::span<const NDArray> tangents, std::span<NDArray> results,
           bool create_graph)
      : node_(node), tangents_(tangents), results_(results), create_graph_(create_graph) {}

  Node& node() const { return node_; }
  bool create_graph() const { return create_graph_; }
  std::span<const NDArray> tangents() const { return tangents_; }
  std::span<NDArray> results() const { return results_; }

 private:
  Node& node_;
  std::span<const NDArray> tangents_;
  std::span<NDArray> results_;
  bool create_graph_;
};

// What the operator layer knows of nodes.
struct PushRules {
  // Pushes tangents through a node; false where there is no rule.
  bool (*push)(PushCall& call) = nullptr;
  // Shape and dtype of an output, where the node has not saved them.
  bool (*output_meta)(const PushCall& call, uint32_t index, Shape& shape, DType& dtype) = nullptr;
};
void set_push_rules(const PushRules& rules);

class Linearization {
 public:
  // The starts hang on EndNodes, each made before whatever was recorded from it.
  Linearization(std::span<const NDArray> heads, std::span<const NDArray> starts);

  // The heads' tangents from those of the starts, in one sweep over the nodes in the order in which
  // they were recorded. The graph is kept, and what is computed is recorded while recording is on.
  std::vector<NDArray> push(std::span<const NDArray> tangents);
  // The gradients of the starts from those of the heads.
  std::vector<NDArray> pull(std::span<const NDArray> head_grads) const;

 private:
  // A node that leads from a start to a head. Tangents are numbered: a node's outputs have numbers
  // from `first` on, its inputs those in inputs_.
  struct Step {
    Ref<Node> node;
    uint32_t first;
    uint32_t inputs;
  };
  static constexpr uint32_t kNone = ~uint32_t{0};

  void plan();
  std::vector<Ref<Node>> nodes_in_order() const;
  void step(size_t i, std::vector<NDArray>& tangents, bool create_graph) const;

  std::vector<NDArray> heads_, start_arrays_;
  std::vector<Ref<EndNode>> starts_;
  bool planned_ = false;
  std::vector<Step> steps_;
  std::vector<uint32_t> inputs_;       // the tangents that steps read: kNone for zero
  std::vector<uint32_t> last_reader_;  // by tangent: the step after which it is not needed
  std::vector<uint32_t> head_tangents_;
};

}  // namespace mxtape::autograd
