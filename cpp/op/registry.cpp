#include "op/registry.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "core/error.h"
#include "op/invoke.h"
#include "op/sparse.h"

namespace mxtape {

struct Registry::Index {
  std::map<std::string, std::unique_ptr<OpSchema>, std::less<>> ops;
  std::map<std::string, const OpSchema*, std::less<>> names;
  struct Binary {
    std::string arrays, scalar, reversed;
    BinaryForms forms;
  };
  std::map<std::string, Binary, std::less<>> binary;
  std::map<std::string, BatchFn, std::less<>> batch_rules;
  std::vector<std::pair<std::string, const SparseRow*>> sparse_rows;
};

namespace {

// Whether the row makes sparse arrays of dense ones only.
bool makes_sparse(const SparseRow& row) {
  const auto may_be_dense = [](StorageType type) { return type <= StorageType::kDense; };
  return !row.inputs.empty() && row.output != StorageType::kDense &&
         std::all_of(row.inputs.begin(), row.inputs.end(), may_be_dense);
}

}  // namespace

Registry::Registry() : index_(std::make_unique<Index>()) {}
Registry::~Registry() = default;

// Never destroyed: nodes on the tape point to schemas.
Registry& Registry::get() {
  static auto* registry = new Registry;
  return *registry;
}

OpSchema& Registry::add(std::string_view name) {
  auto [at, fresh] = index_->ops.try_emplace(std::string(name), std::make_unique<OpSchema>());
  if (!fresh) fail("operator ", name, " is declared twice");
  at->second->name = name;
  return *at->second;
}

void Registry::add_binary(std::string_view name, std::string_view arrays, std::string_view scalar,
                          std::string_view reversed) {
  Index::Binary binary{std::string(arrays), std::string(scalar), std::string(reversed), {}};
  if (!index_->binary.try_emplace(std::string(name), std::move(binary)).second) {
    fail("binary function ", name, " is declared twice");
  }
}

void Registry::add_batch_rule(std::string_view name, BatchFn rule) {
  if (!index_->batch_rules.try_emplace(std::string(name), rule).second) {
    fail("operator ", name, " is given two rules for batches");
  }
}

void Registry::add_sparse_row(std::string_view name, const SparseRow* row) {
  index_->sparse_rows.emplace_back(name, row);
}

const BinaryForms* Registry::find_binary(std::string_view name) const {
  const auto at = index_->binary.find(name);
  return at == index_->binary.end() ? nullptr : &at->second.forms;
}

std::vector<std::string> Registry::binary_names() const {
  std::vector<std::string> list;
  for (const auto& [name, binary] : index_->binary) list.push_back(name);
  return list;
}

const OpSchema* Registry::find(std::string_view name) const {
  const auto at = index_->names.find(name);
  return at == index_->names.end() ? nullptr : at->second;
}

std::vector<const OpSchema*> Registry::all() const {
  std::vector<const OpSchema*> list;
  for (const auto& [name, op] : index_->ops) list.push_back(op.get());
  return list;
}

void Registry::finish() {
  if (!index_->names.empty()) return;
  decltype(index_->names) names;
  for (const auto& [name, op] : index_->ops) names.emplace(name, op.get());
  for (auto& [name, op] : index_->ops) {
    if (!op->infer) fail("operator ", name, " is declared without infer");
    if (op->params && op->params->fields.size() > 32) {
      fail("operator ", name,
           " is declared with more than 32 parameters: Params::given has a bit each");
    }
    if (!op->kernel) fail("operator ", name, " is declared without a kernel");
    if (!op->vjp && op->no_grad_reason.empty()) {
      fail("operator ", name, " is declared with neither a gradient nor no_grad(reason)");
    }
    // A head that nothing flowed into is taken as zeros of the output's shape.
    if ((op->outputs > 1 || op->output_count) && op->vjp && op->keep_outputs.empty()) {
      op->keep_outputs = {Keep::kShape};
    }
    for (const std::string& alias : op->aliases) {
      if (!names.try_emplace(alias, op.get()).second) {
        fail("operator ", name, ": its alias ", alias, " is taken");
      }
    }
  }
  for (const auto& [name, rule] : index_->batch_rules) {
    const auto at = index_->ops.find(name);
    if (at == index_->ops.end()) fail("a rule for batches: there is no operator ", name);
    at->second->batch = rule;
  }
  for (const auto& [name, row] : index_->sparse_rows) {
    const auto at = index_->ops.find(name);
    if (at == index_->ops.end()) fail("a row for sparse arrays: there is no operator ", name);
    at->second->sparse.push_back(row);
    if (makes_sparse(*row)) at->second->form = Form::kRowSparse;
  }
  for (auto& [name, binary] : index_->binary) {
    const auto resolve = [&names, &name = name](const std::string& form) {
      const auto at = names.find(form);
      if (at == names.end()) fail("binary function ", name, ": there is no operator ", form);
      return at->second;
    };
    binary.forms = {resolve(binary.arrays), resolve(binary.scalar), resolve(binary.reversed)};
  }
  index_->names = std::move(names);
  install_gradient_ops();
}

const OpSchema& find_op(std::string_view name) {
  const OpSchema* op = Registry::get().find(name);
  if (!op) fail("there is no operator called ", name);
  return *op;
}

const BinaryForms& find_binary(std::string_view name) {
  const BinaryForms* forms = Registry::get().find_binary(name);
  if (!forms) fail("there is no binary function called ", name);
  return *forms;
}

}  // namespace mxtape
