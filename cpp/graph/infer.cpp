#include "graph/infer.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "core/error.h"
#include "core/small_vector.h"
#include "graph/control_flow.h"
#include "graph/custom.h"
#include "graph/probe.h"
#include "graph/sizes.h"
#include "graph/storage_types.h"

namespace mxtape {
namespace {

// An extent of 0 says "not known" where MXNet's programs write shapes, one of -1 where NumPy's do.
Shape open_zeros(Shape shape, bool numpy_shapes) {
  if (numpy_shapes) return shape;
  for (int i = 0; i < shape.ndim(); ++i) {
    if (shape[i] == 0) shape[i] = -1;
  }
  return shape;
}

const ParamField* shape_field(const GraphNode& node) {
  if (node.is_variable() || !node.inputs().empty() || !node.params()) return nullptr;
  for (const ParamField& field : node.params()->info().fields) {
    if (field.name == "shape" && field.type == ParamType::kInts) return &field;
  }
  return nullptr;
}

// One inference. A node is visited again whenever something was learnt of an input or an output. An
// entry can change only once for each of its extents and its dtype, so the visits are few.
class Inference {
 public:
  Inference(const Graph& graph, const VariableSpecs& variables, Infer what, autograd::Mode mode,
            bool numpy_shapes, const VariableStorage& storage)
      : what_(what), mode_(mode), numpy_shapes_(numpy_shapes) {
    found_.nodes = graph.nodes();
    number_entries();
    for (size_t i = 0; i < found_.nodes.size(); ++i) {
      const GraphNode& node = *found_.nodes[i];
      if (node.is_variable()) seed(node, found_.specs[found_.first[i]], variables);
    }
    infer_storage(found_, storage, mode);
    unknown_shapes_ = std::ranges::count_if(
        found_.specs, [](const ArraySpec& spec) { return !spec.shape.known(); });
    queued_.assign(found_.nodes.size(), false);
    for (size_t i = 0; i < found_.nodes.size(); ++i) enqueue(i);
  }

  GraphSpecs run() {
    drain();
    if (what_ != Infer::kDTypes) {
      assume_dtypes();
      share_sizes();
    }
    return std::move(found_);
  }

 private:
  // Numbers the entries, and lists who reads which.
  void number_entries() {
    const size_t count = found_.nodes.size();
    found_.position.reserve(count);
    size_t entries = 0;
    for (size_t i = 0; i < count; ++i) {
      found_.position.emplace(found_.nodes[i], i);
      found_.first.push_back(entries);
      entries += found_.nodes[i]->output_count();
    }
    found_.first.push_back(entries);
    found_.specs.resize(entries);
    first_input_.push_back(0);
    std::vector<size_t> readers(count + 1);
    for (const GraphNode* node : found_.nodes) {
      for (const GraphEntry& input : node->inputs()) {
        const size_t producer = found_.position.at(input.node.get());
        inputs_.push_back({producer, found_.first[producer] + input.index});
        ++readers[producer + 1];
      }
      first_input_.push_back(inputs_.size());
    }
    for (size_t i = 0; i < count; ++i) readers[i + 1] += readers[i];
    first_reader_ = readers;
    readers_.resize(inputs_.size());
    for (size_t i = 0; i < count; ++i) {
      for (size_t k = first_input_[i]; k < first_input_[i + 1]; ++k) {
        readers_[readers[inputs_[k].node]++] = i;
      }
    }
  }

  void seed(const GraphNode& node, ArraySpec& spec, const VariableSpecs& variables) const {
    const ArraySpec written = spec_of_variable(node, numpy_shapes_);
    const auto at = variables.find(&node);
    spec = at == variables.end() ? written : at->second;
    if (!spec.shape.has_ndim()) spec.shape = written.shape;
    if (spec.dtype == kUnknownDType) spec.dtype = written.dtype;
  }

  void enqueue(size_t node) {
    if (queued_[node] || found_.nodes[node]->is_variable()) return;
    queued_[node] = true;
    queue_.push(node);
  }

  void drain() {
    while (!queue_.empty()) {
      const size_t node = queue_.top();
      queue_.pop();
      queued_[node] = false;
      visit(node);
    }
  }

  void visit(size_t at) {
    const GraphNode& node = *found_.nodes[at];
    SmallVector<ArraySpec, 8> inputs, outputs;
    for (size_t k = first_input_[at]; k < first_input_[at + 1]; ++k) {
      inputs.push_back(found_.specs[inputs_[k].entry]);
    }
    for (const ArraySpec& spec : found_.outputs_of(at)) outputs.push_back(spec);
    // Nothing follows for shapes before there is a dtype: it is given, or float32 in the end.
    const auto no_dtype = [](const ArraySpec& spec) { return spec.dtype == kUnknownDType; };
    if (what_ != Infer::kDTypes && !inputs.empty() && std::ranges::all_of(inputs, no_dtype)) return;
    try {
      infer(node, inputs, outputs);
    } catch (const Error& error) {
      fail_as(error.kind(), "Error in operator ", node.name(), ": ", error.what());
    }
    for (size_t k = first_input_[at], i = 0; k < first_input_[at + 1]; ++k, ++i) {
      learn(inputs_[k].node, inputs_[k].entry, inputs[i], at);
    }
    for (size_t i = 0; i < outputs.size(); ++i) learn(at, found_.first[at] + i, outputs[i], at);
  }

  void infer(const GraphNode& node, std::span<ArraySpec> inputs, std::span<ArraySpec> outputs) {
    if (!node.subgraphs().empty() && is_control_flow(node.op())) {
      return infer_control_flow(node, mode_, inputs, outputs);
    }
    if (is_custom(node.op())) return custom_hooks().infer(node, inputs, outputs);
    const Params* params = node.params().get();
    if (const ParamField* shape = shape_field(node)) {
      SmallVector<ArraySpec, 2> made(outputs.size());
      infer_specs(node.op(), params, mode_, inputs, made);
      merge_open(node, *shape, made, outputs);
      return;
    }
    if (infer_specs(node.op(), params, mode_, inputs, outputs)) return;
    learn_from_sizes(node.op(), inputs, outputs, all_is_seen_);
    if (what_ != Infer::kDTypes) probe_shapes(node.op(), params, mode_, inputs, outputs);
    // Shapes of others may wait for these dtypes.
    const bool given = !inputs.empty() && inputs[0].dtype != kUnknownDType;
    if (what_ == Infer::kDTypes || given) {
      probe_dtypes(node.op(), params, mode_, inputs, outputs);
    }
  }

  // What makes an array of a shape that is open in some extents, such as zeros of (0, 8).
  void merge_open(const GraphNode& node, const ParamField& shape, std::span<const ArraySpec> made,
                  std::span<ArraySpec> outputs) const {
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Shape open = open_zeros(made[i].shape, numpy_shapes_);
      if (!merge_shape(outputs[i].shape, open)) {
        fail(node.op().name, ": parameter ", shape.name, " is ",
             print_field(shape, node.params()->data()), ", what uses the result needs ",
             outputs[i].shape);
      }
      outputs[i].dtype = made[i].dtype;
    }
  }

  // Takes over what `by` found of an entry of `producer`, and has those look again whom it
  // concerns.
  void learn(size_t producer, size_t entry, ArraySpec& spec, size_t by) {
    ArraySpec& known = found_.specs[entry];
    Shape merged = known.shape;
    const bool dtypes_differ =
        known.dtype != kUnknownDType && spec.dtype != kUnknownDType && spec.dtype != known.dtype;
    // Where a node reads an entry twice, what it found of the two may differ: seen together, an
    // error.
    if (dtypes_differ || !merge_shape(merged, spec.shape)) return enqueue(by);
    if (spec.dtype == kUnknownDType) spec.dtype = known.dtype;
    if (merged == known.shape && spec.dtype == known.dtype) return;
    if (!known.shape.known() && merged.known()) --unknown_shapes_;
    known.shape = std::move(merged);
    known.dtype = spec.dtype;
    if (producer != by) enqueue(producer);
    size_t own = 0;
    for (size_t k = first_reader_[producer]; k < first_reader_[producer + 1]; ++k) {
      if (readers_[k] != by || own++) enqueue(readers_[k]);
    }
  }

  // float32. Where only shapes are asked for, a floating dtype that the graph has somewhere, such
  // as a constant's: shapes should not fail for a dtype that nobody gave.
  DType assumed_dtype() const {
    if (what_ != Infer::kShapes) return DType::kFloat32;
    for (const ArraySpec& spec : found_.specs) {
      if (spec.dtype != kUnknownDType && is_floating(spec.dtype)) return spec.dtype;
    }
    return DType::kFloat32;
  }

  // One variable after the other, as each may tell the dtypes of others.
  void assume_dtypes() {
    const DType assumed = assumed_dtype();
    for (size_t i = 0; i < found_.nodes.size(); ++i) {
      if (what_ == Infer::kShapes && unknown_shapes_ == 0) return;
      if (!found_.nodes[i]->is_variable()) continue;
      ArraySpec& spec = found_.specs[found_.first[i]];
      if (spec.dtype != kUnknownDType) continue;
      spec.dtype = assumed;
      for (size_t k = first_reader_[i]; k < first_reader_[i + 1]; ++k) enqueue(readers_[k]);
      drain();
    }
  }

  // Once nothing else follows, parts of a vector that are not known yet share what is left of it.
  void share_sizes() {
    if (unknown_shapes_ == 0) return;
    all_is_seen_ = true;
    for (size_t i = 0; i < found_.nodes.size(); ++i) {
      const GraphNode& node = *found_.nodes[i];
      if (!node.is_variable() && joins_parameters(node.op())) enqueue(i);
    }
    drain();
  }

  struct Input {
    size_t node, entry;
  };

  const Infer what_;
  const autograd::Mode mode_;
  const bool numpy_shapes_;
  GraphSpecs found_;
  std::vector<Input> inputs_;          // of all nodes, one after the other
  std::vector<size_t> first_input_;    // of each node in inputs_
  std::vector<size_t> readers_;        // the nodes that read a node's outputs
  std::vector<size_t> first_reader_;   // of each node in readers_
  std::ptrdiff_t unknown_shapes_ = 0;  // entries
  // In the order of the graph: inputs are looked at first.
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> queue_;
  std::vector<uint8_t> queued_;
  bool all_is_seen_ = false;
};

}  // namespace

bool GraphSpecs::shapes_known() const {
  return std::ranges::all_of(specs, [](const ArraySpec& spec) { return spec.shape.known(); });
}

bool GraphSpecs::dtypes_known() const {
  return std::ranges::all_of(specs, [](auto& spec) { return spec.dtype != kUnknownDType; });
}

GraphSpecs infer_graph(const Graph& graph, const VariableSpecs& variables, Infer what,
                       autograd::Mode mode, bool numpy_shapes, const VariableStorage& storage) {
  return Inference(graph, variables, what, mode, numpy_shapes, storage).run();
}

ArraySpec spec_of_variable(const GraphNode& variable, bool numpy_shapes) {
  struct Written {
    Ints shape;
    int64_t flag = -1;
  } written;
  ArraySpec spec;
  if (const std::string* text = variable.attributes().find("__shape__")) {
    const ParamField field{"__shape__", ParamType::kInts, offsetof(Written, shape), false, {}, "",
                           ""};
    parse_field(field, *text, &written, variable.name());
    if (!written.shape.empty()) {
      spec.shape = open_zeros(Shape(std::span<const int64_t>(written.shape)), numpy_shapes);
    }
  }
  if (const std::string* text = variable.attributes().find("__dtype__")) {
    const ParamField field{"__dtype__", ParamType::kInt, offsetof(Written, flag), false, {}, "",
                           ""};
    parse_field(field, *text, &written, variable.name());
    for (const DTypeTraits& traits : kDTypeTraits) {
      if (traits.flag == written.flag) spec.dtype = traits.dtype;
    }
  }
  return spec;
}

ParamsRef params_to_run(const GraphNode& node, std::span<const ArraySpec> outputs) {
  const ParamField* shape = shape_field(node);
  if (!shape) return node.params();
  const auto wanted = print_field(*shape, node.params()->data());
  Ref<Params> params = node.params()->info().make();
  for (const ParamField& field : node.params()->info().fields) {
    const std::string text =
        &field == shape ? outputs[0].shape.str() : print_field(field, node.params()->data());
    if (&field == shape && text == wanted) return node.params();
    parse_field(field, text, params->data(), node.op().name);
  }
  params->given = node.params()->given;
  return params;
}

}  // namespace mxtape
