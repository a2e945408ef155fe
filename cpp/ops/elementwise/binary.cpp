#include "ops/elementwise/binary.h"

#include <algorithm>

namespace mxtape {

BinaryDeclaration::BinaryDeclaration(const std::string& name)
    : name_(name),
      same_shape_{"_" + name, {}},
      broadcast_{"broadcast_" + name, {}},
      scalar_{"_" + name + "_scalar", {}},
      reversed_{"_r" + name + "_scalar", {}} {}

BinaryDeclaration& BinaryDeclaration::old_names(const std::string& title) {
  std::string joined = title;
  joined.erase(std::remove(joined.begin(), joined.end(), '_'), joined.end());
  same_shape_.aliases.push_back("_" + title);
  scalar_.aliases.push_back("_" + joined + "Scalar");
  reversed_.aliases.push_back("_R" + joined + "Scalar");
  return *this;
}

OpDeclaration BinaryDeclaration::form(const Names& names) const {
  OpDeclaration op(names.name);
  for (const std::string& alias : names.aliases) op.alias(alias.c_str());
  return op.doc(doc_).sample(low_, high_);
}

void BinaryDeclaration::declare() const {
  form(same_shape_)
      .inputs("lhs", "rhs")
      .infer(logical_ ? infer_pointwise : infer_same)
      .pointwise(tile_, tile_.cost)
      .keep_inputs({keep_arrays_, keep_arrays_})
      .vjp(arrays_vjp_)
      .sample(low_, high_)
      .example(same_shape_example_);
  form(broadcast_)
      .inputs("lhs", "rhs")
      .infer(logical_ ? infer_pointwise_broadcast : infer_broadcast)
      .pointwise(tile_, tile_.cost)
      .keep_inputs({keep_arrays_, keep_arrays_})
      .vjp(arrays_vjp_)
      .sample(low_, high_)
      .example(example_);
  form(scalar_)
      .inputs("data")
      .params<ScalarParams>()
      .infer(infer_scalar)
      .pointwise(tile_, tile_.cost, scalar_operands)
      .keep_inputs({keep_scalar_})
      .vjp(scalar_vjp_);
  const std::string& mirror = commutative_ ? scalar_.name : mirror_;
  if (mirror.empty()) {
    form(reversed_)
        .inputs("data")
        .params<ScalarParams>()
        .infer(infer_scalar)
        .pointwise(tile_, tile_.cost, scalar_operands)
        .keep_inputs({keep_reversed_})
        .vjp(reversed_vjp_)
        .schema()
        .reversed_scalar = true;
  }
  Registry::get().add_binary(name_, broadcast_.name, scalar_.name,
                             mirror.empty() ? reversed_.name : mirror);
}

}  // namespace mxtape
