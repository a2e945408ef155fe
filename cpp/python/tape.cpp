#include "python/tape.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "autograd/hooks.h"
#include "core/pool_bytes.h"
#include "core/sparse.h"
#include "graph/cached_op.h"
#include "op/op_node.h"
#include "python/checkpoint.h"
#include "python/ndarray_type.h"
#include "runtime/waiting.h"

namespace py = pybind11;

// The tape, told to Python: what each node is and what it saves; and what all of it keeps in
// memory. Nothing here recurses over a graph, and nothing of it is kept.
namespace mxtape::python {
namespace {

using autograd::Edge;
using autograd::LeafNode;
using autograd::Node;
using autograd::Saved;

py::object dtype_text(DType dtype) { return py::str(str_cat(dtype)); }

py::object shape_tuple(const Shape& shape) {
  py::tuple extents(static_cast<size_t>(shape.ndim()));
  for (int i = 0; i < shape.ndim(); ++i) extents[static_cast<size_t>(i)] = shape[i];
  return extents;
}

py::object spec_or_none(const ArraySpec& spec) {
  if (!spec.known()) return py::none();
  return py::make_tuple(shape_tuple(spec.shape), dtype_text(spec.dtype));
}

// " (recorded at file.py:12)" without what is around it.
std::string site_text(const Node& node) {
  const std::string where = node.where();
  constexpr std::string_view kBefore = " (recorded at ";
  if (!where.starts_with(kBefore)) return {};
  return where.substr(kBefore.size(), where.size() - kBefore.size() - 1);
}

// The nodes that `heads` lead to, the newest first.
std::vector<Node*> nodes_below(const std::vector<const NDArray*>& heads) {
  std::unordered_set<Node*> seen;
  std::vector<Node*> nodes;
  const auto visit = [&](Node* node) {
    if (node && seen.insert(node).second) nodes.push_back(node);
  };
  for (const NDArray* head : heads) visit(autograd::node_of(*head));
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Edge& edge : nodes[i]->edges()) visit(edge.node.get());
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const Node* a, const Node* b) { return a->number() > b->number(); });
  return nodes;
}

// The arrays in a list, where they lie: a copy would be one more reference.
std::vector<const NDArray*> arrays_in(const py::list& list) {
  std::vector<const NDArray*> arrays;
  for (py::handle item : list) {
    as_array(item, "arrays");
    arrays.push_back(&array_of(item.ptr()));
  }
  return arrays;
}

const char* state_of(const Storage& storage) {
  if (!storage.deferred()) return storage.foreign() ? "borrowed" : "memory";
  switch (storage.form()) {
    case Form::kDense:
      return "waits";
    case Form::kRowSparse:
      return "row_sparse";
    case Form::kCsr:
      return "csr";
    case Form::kPacked:
      return "packed";
    default:
      return "other";
  }
}

size_t bytes_of(const NDArray& array) {
  return is_sparse(array) ? parts_of(array).nbytes() : array.nbytes();
}

// What a node saves, told to `visit(role, index, label, saved)`.
template <class Visit>
void each_saved(Node& node, Visit&& visit) {
  if (auto* op = dynamic_cast<OpNode*>(&node)) {
    for (size_t i = 0; i < op->input_count() && !op->released(); ++i) {
      if (const Saved* saved = op->saved_input(i)) {
        visit("input", i, op->op().input_name(i, op->params().get()), *saved);
      }
    }
    for (size_t i = 0; i < op->output_count() && !op->released(); ++i) {
      if (const Saved* saved = op->saved_output(i)) visit("output", i, std::string(), *saved);
    }
  } else if (auto* call = dynamic_cast<GraphCallNode*>(&node)) {
    const Frame* frame = call->frame();
    if (!frame) return;
    const Program& program = frame->program();
    for (size_t i = 0; i < program.input_count(); ++i) {
      if (const Saved* saved = frame->kept_value(i)) {
        visit("inside", i, program.input_name(i), *saved);
      }
    }
    for (const Program::Step& step : program.steps()) {
      for (uint32_t i = 0; i < step.node->output_count(); ++i) {
        const size_t value = program.number(step, i);
        if (const Saved* saved = frame->kept_value(value)) {
          visit("inside", value, step.node->output_name(i), *saved);
        }
      }
    }
  } else if (auto* checkpoint = dynamic_cast<CheckpointNode*>(&node)) {
    const std::span<const Saved> inputs = checkpoint->inputs();
    for (size_t i = 0; i < inputs.size(); ++i) visit("input", i, std::string(), inputs[i]);
  } else {
    const std::span<const Saved> outputs = function_parts(node).outputs;
    for (size_t i = 0; i < outputs.size(); ++i) visit("output", i, std::string(), outputs[i]);
  }
}

const char* kind_of(Node& node) {
  if (node.is_leaf()) return "variable";
  if (dynamic_cast<OpNode*>(&node)) return "operator";
  if (dynamic_cast<GraphCallNode*>(&node)) return "graph";
  if (dynamic_cast<CheckpointNode*>(&node)) return "checkpoint";
  return function_parts(node).backward ? "function" : "other";
}

py::dict given_params(const Params* params) {
  py::dict given;
  if (!params) return given;
  const std::vector<ParamField>& fields = params->info().fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i < 32 && !(params->given >> i & 1)) continue;
    given[py::str(fields[i].name)] = print_field(fields[i], params->data());
  }
  return given;
}

const char* req_text(autograd::GradReq req) {
  return req == autograd::GradReq::kAdd     ? "add"
         : req == autograd::GradReq::kWrite ? "write"
                                            : "null";
}

// Shapes and dtypes along the tape: what nodes know, and what inference makes of it.
class Specs {
 public:
  void know(const Node* node, uint32_t index, const NDArray& array) {
    at(node, index) = {array.shape(), array.dtype()};
  }
  // Older nodes first. The specs of the node's inputs; those of its outputs are kept.
  std::vector<ArraySpec> visit(Node& node) {
    const std::span<Edge> edges = node.edges();
    std::vector<ArraySpec> inputs(edges.size());
    for (uint32_t i = 0; i < edges.size(); ++i) {
      if (edges[i].node) inputs[i] = at(edges[i].node.get(), edges[i].index);
      node.input_meta(i, inputs[i].shape, inputs[i].dtype);
    }
    std::vector<ArraySpec> outputs(node.output_count());
    for (uint32_t i = 0; i < outputs.size(); ++i) {
      outputs[i] = at(&node, i);
      node.output_meta(i, outputs[i].shape, outputs[i].dtype);
    }
    if (auto* op = dynamic_cast<OpNode*>(&node); op && !op->released()) infer(*op, inputs, outputs);
    for (uint32_t i = 0; i < outputs.size(); ++i) at(&node, i) = outputs[i];
    return inputs;
  }
  const ArraySpec& output(const Node& node, uint32_t i) { return at(&node, i); }

 private:
  static void infer(OpNode& op, std::vector<ArraySpec>& inputs, std::vector<ArraySpec>& outputs) {
    try {
      std::vector<ArraySpec> made(outputs.size());
      infer_specs(op.op(), op.params().get(), op.mode(), inputs, made);
      for (size_t i = 0; i < made.size(); ++i) {
        if (!outputs[i].known()) outputs[i] = made[i];
      }
    } catch (const Error&) {
      // Where an array is missing inference may object: then its shape stays unknown.
    }
  }
  ArraySpec& at(const Node* node, uint32_t index) {
    std::vector<ArraySpec>& specs = known_[node];
    if (specs.size() <= index) specs.resize(index + 1);
    return specs[index];
  }
  std::unordered_map<const Node*, std::vector<ArraySpec>> known_;
};

py::tuple describe(Node& node, const std::vector<ArraySpec>& inputs, Specs& specs) {
  py::list edges, ins, outs, saved;
  const std::span<Edge> places = node.edges();
  auto* op = dynamic_cast<OpNode*>(&node);
  for (size_t i = 0; i < places.size(); ++i) {
    const py::str name(op ? op->op().input_name(i, op->params().get()) : std::string());
    if (places[i].node) {
      edges.append(py::make_tuple(places[i].node->number(), places[i].index, name));
    } else {
      edges.append(py::make_tuple(py::none(), 0, name));
    }
    ins.append(spec_or_none(inputs[i]));
  }
  for (uint32_t i = 0; i < node.output_count(); ++i) {
    outs.append(spec_or_none(specs.output(node, i)));
  }
  each_saved(node, [&](const char* role, size_t i, const std::string& label, const Saved& each) {
    if (!each.storage) return;
    saved.append(py::make_tuple(
        role, i, label, shape_tuple(each.shape), dtype_text(each.dtype), bytes_of(each.array()),
        reinterpret_cast<uintptr_t>(each.storage.get()), state_of(*each.storage)));
  });
  py::object req = py::none();
  if (node.is_leaf()) req = py::str(req_text(static_cast<LeafNode&>(node).req()));
  PyObject* backward = function_parts(node).backward;
  return py::make_tuple(node.number(), py::str(std::string(node.name())), kind_of(node),
                        site_text(node), given_params(op ? op->params().get() : nullptr), edges,
                        ins, outs, saved, req, node.released(),
                        backward ? py::reinterpret_borrow<py::object>(backward) : py::none());
}

// Every node that the arrays lead to, the newest first, each as a tuple.
py::list walk(const py::list& heads) {
  const std::vector<const NDArray*> arrays = arrays_in(heads);
  const std::vector<Node*> nodes = nodes_below(arrays);
  Specs specs;
  for (const NDArray* head : arrays) {
    if (Node* node = autograd::node_of(*head)) specs.know(node, head->edge_index(), *head);
  }
  py::list told(nodes.size());
  for (size_t i = nodes.size(); i-- > 0;) {
    const std::vector<ArraySpec> inputs = specs.visit(*nodes[i]);
    told[i] = describe(*nodes[i], inputs, specs);
  }
  return told;
}

// What memory goes when arrays are dropped, found as by dropping them: what has no reference left
// drops what it refers to.
class Accounts {
 public:
  enum class What : uint8_t { kNode, kStorage, kWaiting, kParams };
  struct Item {
    What what;
    int64_t references = 0;  // that are not accounted for
    size_t bytes = 0;
    uint64_t owner = 0;  // the number of the oldest node that leads here directly
    const char* why = "";
    std::vector<size_t> refers;
    bool goes = false;
  };

  explicit Accounts(std::unordered_map<uint64_t, std::vector<const NDArray*>> owned)
      : owned_(std::move(owned)) {}

  // `head` is dropped, and with it what nothing else holds.
  void drop(const NDArray& head) { drop_now(head, "result", ~uint64_t{0}); }
  void settle() {
    while (!dropped_.empty()) {
      Item& item = items_[dropped_.back()];
      dropped_.pop_back();
      if (--item.references || item.goes) continue;
      item.goes = true;
      for (size_t each : item.refers) dropped_.push_back(each);
    }
  }
  const std::vector<Item>& items() const { return items_; }
  uintptr_t address(size_t i) const { return addresses_[i]; }

 private:
  void drop_now(const NDArray& array, const char* why, uint64_t owner) {
    if (Node* node = autograd::node_of(array)) dropped_.push_back(find_node(node));
    dropped_.push_back(find_storage(*array.storage(), owner, why));
    fill_in();
  }

  size_t item(const void* key, What what, int64_t references, size_t bytes) {
    const auto [at, is_new] = known_.emplace(key, items_.size());
    if (is_new) {
      items_.push_back({what, references, bytes});
      addresses_.push_back(reinterpret_cast<uintptr_t>(key));
      open_.push_back({at->second, key});
    }
    return at->second;
  }
  size_t find_node(Node* node) {
    const size_t found = item(node, What::kNode, node->ref_count(), node_bytes(*node));
    items_[found].owner = node->number();
    return found;
  }
  // `ours` of the references are of handles that were made here.
  size_t find_storage(const Storage& storage, uint64_t owner, const char* why, int ours = 0) {
    const size_t found =
        item(&storage, What::kStorage, int64_t{storage.ref_count()} - ours, pool_bytes(storage));
    if (!*items_[found].why || owner < items_[found].owner) {
      items_[found].owner = owner;
      items_[found].why = why;
    }
    return found;
  }

  // Of what is new: to what it refers.
  void fill_in() {
    while (!open_.empty()) {
      const auto [at, key] = open_.back();
      open_.pop_back();
      std::vector<size_t> refers;
      switch (items_[at].what) {
        case What::kNode:
          refers = of_node(*const_cast<Node*>(static_cast<const Node*>(key)));
          break;
        case What::kStorage:
          refers = of_storage(*static_cast<const Storage*>(key), items_[at].owner, items_[at].why);
          break;
        case What::kWaiting:
          refers = of_waiting(*static_cast<const fusion::Waiting*>(key), items_[at].owner);
          break;
        case What::kParams:
          break;
      }
      items_[at].refers = std::move(refers);
    }
  }

  std::vector<size_t> of_node(Node& node) {
    std::vector<size_t> refers;
    for (const Edge& edge : node.edges()) {
      if (edge.node) refers.push_back(find_node(edge.node.get()));
    }
    each_saved(node, [&](const char*, size_t, const std::string&, const Saved& saved) {
      if (saved.storage) refers.push_back(find_storage(*saved.storage, node.number(), "saved"));
    });
    if (node.is_leaf()) {
      const NDArray& grad = static_cast<LeafNode&>(node).grad();
      if (grad.defined()) {
        refers.push_back(find_storage(*grad.storage(), node.number(), "gradient"));
      }
    } else if (auto* call = dynamic_cast<GraphCallNode*>(&node)) {
      for (const Edge& head : call->inner_heads()) {
        if (head.node) refers.push_back(find_node(head.node.get()));
      }
      for (const auto& end : call->inner_ends()) refers.push_back(find_node(end.get()));
    } else if (auto* checkpoint = dynamic_cast<CheckpointNode*>(&node)) {
      for (const Edge& edge : checkpoint->outside()) refers.push_back(find_node(edge.node.get()));
    } else if (auto* op = dynamic_cast<OpNode*>(&node); op && op->params()) {
      const Params* params = op->params().get();
      refers.push_back(item(params, What::kParams, params->ref_count(), heap_bytes(params)));
      Item& made = items_[refers.back()];
      made.owner = made.owner ? std::min(made.owner, node.number()) : node.number();
    }
    for (uint32_t i = 0; node.hooked() && i < node.output_count(); ++i) {
      const NDArray grad = autograd::retained_gradient(node, i);
      if (grad.defined()) {
        refers.push_back(find_storage(*grad.storage(), node.number(), "gradient", 1));
      }
    }
    const auto owned = owned_.find(node.number());
    if (owned == owned_.end()) return refers;
    for (const NDArray* array : owned->second) {
      refers.push_back(find_storage(*array->storage(), node.number(), "saved"));
      if (Node* place = autograd::node_of(*array)) refers.push_back(find_node(place));
    }
    return refers;
  }
  std::vector<size_t> of_storage(const Storage& storage, uint64_t owner, const char* why) {
    if (is_sparse(storage.form())) return of_parts(storage, owner, why);
    if (storage.form() != Form::kDense || !storage.deferred() || !storage.source()) return {};
    const auto* waiting = fusion::waiting(storage);
    const size_t found = item(waiting, What::kWaiting, waiting->ref_count(), heap_bytes(waiting));
    items_[found].owner = owner;
    return {found};
  }
  std::vector<size_t> of_parts(const Storage& storage, uint64_t owner, const char* why) {
    const Ref<Storage> sparse(const_cast<Storage*>(&storage));
    const SparseParts parts = parts_of(NDArray(sparse, 0, Shape{}, DType::kFloat32));
    std::vector<size_t> refers;
    for (const NDArray* part : {&parts.data, &parts.indices, &parts.indptr}) {
      if (part->defined()) refers.push_back(find_storage(*part->storage(), owner, why, 1));
    }
    return refers;
  }
  std::vector<size_t> of_waiting(const fusion::Waiting& waiting, uint64_t owner) {
    std::vector<size_t> refers;
    for (const fusion::Operand& operand : waiting.operands) {
      if (!operand.array.defined()) continue;
      refers.push_back(find_storage(*operand.array.storage(), owner, "waits to be read"));
    }
    return refers;
  }

  // What malloc has given for an object.
  template <class T>
  static size_t heap_bytes(const T* object) {
#ifdef __GLIBC__
    return malloc_usable_size(const_cast<void*>(dynamic_cast<const void*>(object))) +
           sizeof(size_t);
#else
    return sizeof(*object);
#endif
  }
  static size_t node_bytes(Node& node) {
    size_t bytes = heap_bytes(&node);
    if (auto* call = dynamic_cast<GraphCallNode*>(&node)) {
      bytes += call->edges().size() * sizeof(Edge) + call->output_count() * sizeof(Saved);
      if (call->frame()) bytes += call->frame()->bytes();
    }
    return bytes;
  }

  std::unordered_map<uint64_t, std::vector<const NDArray*>> owned_;
  std::vector<Item> items_;
  std::vector<uintptr_t> addresses_;
  std::unordered_map<const void*, size_t> known_;
  std::vector<std::pair<size_t, const void*>> open_;
  std::vector<size_t> dropped_;
};

// What the tape behind `heads` keeps, as tuples: what, address, bytes, the node's number, why, and
// whether it goes with the heads. `owned` has the arrays that nobody but a Function's node holds.
py::list memory(const py::list& heads, const py::dict& owned) {
  std::unordered_map<uint64_t, std::vector<const NDArray*>> with;
  for (const auto& [number, arrays] : owned) {
    with[number.cast<uint64_t>()] = arrays_in(arrays.cast<py::list>());
  }
  Accounts accounts(std::move(with));
  {
    const std::lock_guard lock(fusion::state().mutex);
    for (const NDArray* head : arrays_in(heads)) accounts.drop(*head);
    accounts.settle();
  }
  constexpr const char* kNames[] = {"node", "storage", "waiting", "params"};
  py::list told;
  for (size_t i = 0; i < accounts.items().size(); ++i) {
    const Accounts::Item& item = accounts.items()[i];
    told.append(py::make_tuple(
        kNames[static_cast<size_t>(item.what)], accounts.address(i), item.bytes,
        item.owner == ~uint64_t{0} ? py::object(py::none()) : py::object(py::int_(item.owner)),
        item.why, item.goes));
  }
  return told;
}

}  // namespace

void init_tape(py::module_& m) {
  // The number of the node that an array hangs on, or None, and which of its outputs it is.
  m.def("tape_place", [](py::handle x) -> py::tuple {
    const NDArray& array = as_array(x);
    if (!autograd::on_tape(array)) return py::make_tuple(py::none(), 0);
    return py::make_tuple(autograd::node_of(array)->number(), array.edge_index());
  });
  m.def("tape_walk", walk);
  m.def("tape_memory", memory);
}

}  // namespace mxtape::python
