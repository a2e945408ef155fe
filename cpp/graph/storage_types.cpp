#include "graph/storage_types.h"

#include <algorithm>
#include <cstddef>
#include <unordered_set>

#include "autograd/inner.h"
#include "autograd/recorder.h"
#include "core/error.h"
#include "core/small_vector.h"
#include "graph/control_flow.h"
#include "graph/custom.h"
#include "op/declare.h"
#include "op/functional.h"
#include "op/sparse.h"

namespace mxtape {
namespace {

using enum StorageType;

// MXNet writes -1 for a storage type that is not known.
StorageType written_storage(const GraphNode& variable) {
  const std::string* text = variable.attributes().find("__storage_type__");
  if (!text || *text == "-1") return kDense;
  for (const StorageType type : {kDense, kRowSparse, kCsr}) {
    if (*text == std::to_string(static_cast<int>(type))) return type;
  }
  fail("variable ", variable.name(), ": __storage_type__ must be 0 (default), 1 (row_sparse) or 2 ",
       "(csr), got '", *text, "'");
}

NDArray zeros_of(const ArraySpec& spec, StorageType type) {
  return type == kDense ? full(spec.shape, spec.dtype, 0)
                        : empty_sparse(type, spec.shape, spec.dtype);
}

// What the sum of two gradients is stored as; kUndefined stands for none.
StorageType sum_storage(StorageType a, StorageType b) {
  if (a == kUndefined || a == b) return b;
  return b == kUndefined ? a : kDense;
}

// Whether a call of dense arrays may have a sparse gradient: that of Embedding(sparse_grad=True).
bool asks_for_sparse_gradients(const GraphNode& node) {
  if (node.op().name == "_contrib_SparseEmbedding") return true;
  if (!node.params()) return false;
  for (const ParamField& field : node.params()->info().fields) {
    if (field.name == "sparse_grad") return print_field(field, node.params()->data()) == "True";
  }
  return false;
}

// One sweep over a graph, of storage types in the place of arrays.
class GradientSweep {
 public:
  GradientSweep(const Graph& graph, const GraphSpecs& specs,
                std::span<const GraphNode* const> wanted)
      : specs_(specs), leads_(specs.nodes.size()), heads_(specs.specs.size(), kUndefined) {
    const std::unordered_set<const GraphNode*> variables(wanted.begin(), wanted.end());
    for (size_t i = 0; i < specs.nodes.size(); ++i) {
      const GraphNode& node = *specs.nodes[i];
      leads_[i] = node.is_variable()
                      ? variables.contains(&node)
                      : std::ranges::any_of(node.inputs(), [&](const GraphEntry& input) {
                          return leads_[specs.position.at(input.node.get())] != 0;
                        });
    }
    for (const GraphEntry& output : graph.outputs()) {
      add(entry_of(output), specs.of(output).storage);
    }
  }

  VariableStorage run() {
    VariableStorage found;
    for (size_t i = specs_.nodes.size(); i-- > 0;) {
      if (!leads_[i]) continue;
      const GraphNode& node = *specs_.nodes[i];
      if (!node.is_variable()) {
        visit(i);
        continue;
      }
      const StorageType type = heads_[specs_.first[i]];
      // Of what nothing depends on it is zeros, stored as the variable is.
      found[&node] = type == kUndefined ? specs_.of(&node).storage : type;
    }
    return found;
  }

 private:
  size_t entry_of(const GraphEntry& entry) const {
    return specs_.first[specs_.position.at(entry.node.get())] + entry.index;
  }
  void add(size_t entry, StorageType type) { heads_[entry] = sum_storage(heads_[entry], type); }

  void visit(size_t at) {
    const GraphNode& node = *specs_.nodes[at];
    const std::span<const StorageType> heads(heads_.data() + specs_.first[at],
                                             specs_.first[at + 1] - specs_.first[at]);
    const auto flows = [](StorageType type) { return type != kUndefined; };
    if (std::ranges::none_of(heads, flows) || node.op().vjp == zero_gradient) return;
    const auto is_dense = [](StorageType type) { return type <= kDense; };
    const bool plain = std::ranges::all_of(heads, is_dense) &&
                       std::ranges::all_of(node.inputs(), [&](const GraphEntry& input) {
                         return is_dense(specs_.of(input).storage);
                       });
    const bool opaque = is_custom(node.op()) || is_control_flow(node.op());
    if (opaque || (plain && !asks_for_sparse_gradients(node)) || !differentiate(node, heads)) {
      for (const GraphEntry& input : node.inputs()) add(entry_of(input), kDense);
    }
  }

  // False where the operator refuses zeros.
  bool differentiate(const GraphNode& node, std::span<const StorageType> head_types) {
    const autograd::StateScope state(true, true);
    const size_t count = node.inputs().size();
    std::vector<NDArray> inputs;
    std::vector<Ref<autograd::EndNode>> ends;
    std::vector<size_t> entries;
    for (size_t i = 0; i < count; ++i) {
      const GraphEntry& input = node.inputs()[i];
      const ArraySpec& spec = specs_.of(input);
      inputs.push_back(zeros_of(spec, spec.storage));
      const bool leads = leads_[specs_.position.at(input.node.get())] != 0;
      if (!leads || node.op().is_no_grad_input(i)) continue;
      ends.push_back(make_ref<autograd::EndNode>(inputs[i], autograd::Edge()));
      entries.push_back(entry_of(input));
      inputs[i].set_edge(ends.back(), 0);
    }
    std::vector<NDArray> found;
    try {
      SmallVector<const NDArray*, 8> pointers;
      for (const NDArray& input : inputs) pointers.push_back(&input);
      Outputs outputs;
      invoke_step(node.op(), Inputs(pointers.data(), pointers.size()), node.params(),
                  autograd::thread_mode(), {}, false, outputs);
      std::vector<autograd::Edge> edges;
      std::vector<NDArray> heads;
      for (size_t i = 0; i < outputs.size(); ++i) {
        edges.push_back(autograd::edge_of(outputs[i]));
        const ArraySpec spec{outputs[i].shape(), outputs[i].dtype()};
        const bool flows = head_types[i] != kUndefined;
        heads.push_back(flows ? zeros_of(spec, head_types[i]) : NDArray());
      }
      SmallVector<bool, 8> all(ends.size());
      std::fill(all.begin(), all.end(), true);
      found = autograd::inner_gradients(edges, heads, ends, all, false);
    } catch (const Error&) {
      return false;
    }
    for (size_t k = 0; k < found.size(); ++k) {
      if (found[k].defined()) add(entries[k], storage_type(found[k]));
    }
    return true;
  }

  const GraphSpecs& specs_;
  std::vector<uint8_t> leads_;      // of each node: whether to a wanted variable
  std::vector<StorageType> heads_;  // of each entry
};

}  // namespace

StorageType result_storage(const GraphNode& node, std::span<const StorageType> inputs,
                           autograd::Mode mode) {
  const OpSchema& op = node.op();
  if (op.sparse.empty() || is_custom(op) || is_control_flow(op)) return kDense;
  const auto is_sparse_type = [](StorageType type) { return type > kDense; };
  if (op.form == Form::kDense && std::ranges::none_of(inputs, is_sparse_type)) return kDense;
  const SparseRow* row = find_sparse_row(SparseMatch(op, inputs, node.params().get(), mode));
  return row ? row->output : kDense;
}

void infer_storage(GraphSpecs& specs, const VariableStorage& variables, autograd::Mode mode) {
  SmallVector<StorageType, 8> inputs;
  for (size_t i = 0; i < specs.nodes.size(); ++i) {
    const GraphNode& node = *specs.nodes[i];
    StorageType type = kDense;
    if (node.is_variable()) {
      const auto given = variables.find(&node);
      type = given == variables.end() ? written_storage(node) : given->second;
    } else {
      inputs.clear();
      for (const GraphEntry& input : node.inputs()) inputs.push_back(specs.of(input).storage);
      type = result_storage(node, {inputs.data(), inputs.size()}, mode);
    }
    for (size_t k = specs.first[i]; k < specs.first[i + 1]; ++k) specs.specs[k].storage = type;
  }
}

VariableStorage gradient_storage(const Graph& graph, const GraphSpecs& specs,
                                 std::span<const GraphNode* const> wanted) {
  const auto asks = [](const GraphNode* node) {
    return !node->is_variable() && asks_for_sparse_gradients(*node);
  };
  const auto is_sparse_spec = [](const ArraySpec& spec) { return spec.storage > kDense; };
  if (std::ranges::any_of(specs.specs, is_sparse_spec) || std::ranges::any_of(specs.nodes, asks)) {
    return GradientSweep(graph, specs, wanted).run();
  }
  VariableStorage dense;
  for (const GraphNode* variable : wanted) dense[variable] = kDense;
  return dense;
}

}  // namespace mxtape
