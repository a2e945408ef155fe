#include "op/registry.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "op/common_params.h"
#include "op/declare.h"
#include "support.h"

namespace mxtape {
namespace {

using test::contains;
using test::error_of;

std::vector<const OpSchema*> operators() { return Registry::get().all(); }

TEST(Registry, ListsOperatorsInOrderOfName) {
  const auto list = operators();
  EXPECT_GT(list.size(), 150u);
  for (size_t i = 1; i < list.size(); ++i) EXPECT_LT(list[i - 1]->name, list[i]->name);
}

TEST(Registry, EveryOperatorIsWhole) {
  for (const OpSchema* op : operators()) {
    SCOPED_TRACE(op->name);
    EXPECT_TRUE(op->infer);
    EXPECT_TRUE(op->kernel);
    // A gradient or the reason why there is none, and not both.
    EXPECT_NE(op->vjp != nullptr, !op->no_grad_reason.empty());
    EXPECT_FALSE(op->doc.empty());
    EXPECT_TRUE(op->output_count || op->outputs > 0);
    if (!op->output_count) {
      EXPECT_LE(op->visible_outputs, op->outputs);
    }
  }
}

TEST(Registry, InputsAreNamedOnceAndReferredToWithinBounds) {
  for (const OpSchema* op : operators()) {
    SCOPED_TRACE(op->name);
    const size_t n = op->inputs.size();
    std::set<std::string> names;
    for (const InputSpec& input : op->inputs) {
      EXPECT_FALSE(input.name.empty());
      EXPECT_TRUE(names.insert(input.name).second) << input.name;
      // Which optional inputs a call takes is for the parameters to say.
      if (input.optional) {
        EXPECT_TRUE(op->used_inputs);
      }
    }
    if (op->variadic) {
      EXPECT_EQ(n, 1u);
    }
    EXPECT_LE(op->keep_inputs.size(), n);
    for (uint8_t i : op->no_grad_inputs) EXPECT_LT(i, n);
    if (!op->output_count) {
      EXPECT_LE(op->keep_outputs.size(), op->outputs);
    }
  }
}

TEST(Registry, ParametersAreNamedOnceAndDescribed) {
  for (const OpSchema* op : operators()) {
    if (!op->params) continue;
    SCOPED_TRACE(op->name);
    // Params::given has a bit for each.
    EXPECT_LE(op->params->fields.size(), 32u);
    // Arguments that every operator takes.
    std::set<std::string> names = {"out", "name"};
    for (const InputSpec& input : op->inputs) names.insert(input.name);
    const Ref<Params> made = op->params->make();
    for (const ParamField& field : op->params->fields) {
      EXPECT_TRUE(names.insert(field.name).second) << field.name;
      EXPECT_FALSE(field.doc.empty()) << field.name;
      EXPECT_EQ(field.type == ParamType::kEnum, !field.choices.empty()) << field.name;
      if (field.required) continue;
      // The printed default reads as itself.
      EXPECT_EQ(print_field(field, made->data()), field.default_text) << field.name;
      parse_field(field, field.default_text, made->data(), op->name);
      EXPECT_EQ(print_field(field, made->data()), field.default_text) << field.name;
    }
  }
}

TEST(Registry, PointwiseOperatorsComputeInFloatingPoint) {
  for (const OpSchema* op : operators()) {
    if (!op->is_pointwise()) continue;
    SCOPED_TRACE(op->name);
    EXPECT_TRUE(op->tile.kernels[static_cast<int>(DType::kFloat32)]);
    EXPECT_TRUE(op->tile.kernels[static_cast<int>(DType::kFloat64)]);
    EXPECT_GE(op->tile.cost, 1);
    // run_pointwise has room for so many.
    EXPECT_LE(op->inputs.size(), 4u);
  }
}

TEST(Registry, AliasesAreTheOperatorItself) {
  std::set<std::string> names;
  for (const OpSchema* op : operators()) {
    EXPECT_EQ(&find_op(op->name), op);
    EXPECT_TRUE(names.insert(op->name).second) << op->name;
    for (const std::string& alias : op->aliases) {
      EXPECT_EQ(&find_op(alias), op) << alias;
      EXPECT_TRUE(names.insert(alias).second) << alias << " names two operators";
    }
  }
  EXPECT_EQ(&find_op("split"), &find_op("SliceChannel"));
}

TEST(Registry, UnknownNamesAreErrors) {
  EXPECT_EQ(Registry::get().find("no_such_operator"), nullptr);
  EXPECT_EQ(error_of([] { find_op("no_such_operator"); }),
            "there is no operator called no_such_operator");
  EXPECT_THROW(find_op(""), Error);
}

// A registry of its own, with whole operators under the given names.
OpSchema& declare(Registry& registry, const char* name, std::vector<std::string> aliases = {}) {
  OpSchema& op = registry.add(name);
  op.infer = infer_same_shape;
  op.kernel = run_pointwise;
  op.no_grad_reason = "it is a test";
  op.aliases = std::move(aliases);
  return op;
}

TEST(Registry, NamesAreTakenOnce) {
  Registry registry;
  const OpSchema& first = declare(registry, "b", {"bb"});
  EXPECT_EQ(error_of([&] { registry.add("b"); }), "operator b is declared twice");
  EXPECT_EQ(registry.all(), std::vector<const OpSchema*>{&first});
  registry.finish();
  EXPECT_EQ(registry.find("b"), &first);
  EXPECT_EQ(registry.find("bb"), &first);
  EXPECT_EQ(registry.find("a"), nullptr);
}

TEST(Registry, AliasesMustNotClash) {
  // With an operator whose name comes before, with one that comes after, with another alias and
  // with themselves.
  struct Case {
    const char *name, *alias, *other;
    std::vector<std::string> other_aliases;
  };
  const Case cases[] = {
      {"b", "a", "a", {}}, {"b", "c", "c", {}}, {"a", "x", "b", {"x"}}, {"a", "a", "b", {}}};
  for (const Case& c : cases) {
    Registry registry;
    declare(registry, c.name, {c.alias});
    declare(registry, c.other, c.other_aliases);
    const std::string error = error_of([&] { registry.finish(); });
    EXPECT_TRUE(contains(error, str_cat(c.alias, " is taken"))) << c.name << c.other << error;
  }
}

TEST(Registry, UnfinishedDeclarationsAreErrors) {
  const std::pair<const char*, void (*)(OpSchema&)> cases[] = {
      {"without infer", [](OpSchema& op) { op.infer = nullptr; }},
      {"without a kernel", [](OpSchema& op) { op.kernel = nullptr; }},
      {"neither a gradient nor no_grad", [](OpSchema& op) { op.no_grad_reason.clear(); }},
  };
  for (const auto& [message, spoil] : cases) {
    Registry registry;
    declare(registry, "a");
    spoil(declare(registry, "b"));
    for (int attempt = 0; attempt < 2; ++attempt) {
      const std::string error = error_of([&] { registry.finish(); });
      EXPECT_TRUE(contains(error, "operator b is declared") && contains(error, message))
          << "attempt " << attempt << ": " << error;
      EXPECT_EQ(registry.find("a"), nullptr) << "found in an index that is not whole";
    }
  }
}

TEST(Registry, BinaryFunctionsKnowTheirOperators) {
  const auto names = [](std::string_view function) {
    const BinaryForms& forms = find_binary(function);
    return std::vector<std::string>{forms.arrays->name, forms.scalar->name, forms.reversed->name};
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("add"), (Names{"broadcast_add", "_plus_scalar", "_plus_scalar"}));
  EXPECT_EQ(names("subtract"), (Names{"broadcast_sub", "_minus_scalar", "_rminus_scalar"}));
  EXPECT_EQ(names("power"), (Names{"broadcast_power", "_power_scalar", "_rpower_scalar"}));
  EXPECT_EQ(names("greater"), (Names{"broadcast_greater", "_greater_scalar", "_lesser_scalar"}));
  EXPECT_TRUE(contains(error_of([] { find_binary("broadcast_add"); }), "broadcast_add"));
  for (const std::string& name : Registry::get().binary_names()) {
    SCOPED_TRACE(name);
    const BinaryForms& forms = find_binary(name);
    // One function, whatever stands on which side.
    EXPECT_EQ(forms.arrays->tile.kernels[0], forms.scalar->tile.kernels[0]);
    EXPECT_EQ(forms.arrays->inputs.size(), 2u);
    EXPECT_EQ(forms.scalar->inputs.size(), 1u);
    EXPECT_EQ(forms.reversed->inputs.size(), 1u);
    EXPECT_FALSE(forms.scalar->reversed_scalar);
  }
}

TEST(Registry, RefusesBinaryFunctionsThatAreNotWhole) {
  Registry registry;
  registry.add_binary("f", "broadcast_f", "_f_scalar", "_f_scalar");
  EXPECT_TRUE(
      contains(error_of([&] { registry.add_binary("f", "broadcast_f", "_f_scalar", "_f_scalar"); }),
               "declared twice"));
  EXPECT_TRUE(contains(error_of([&] { registry.finish(); }), "there is no operator broadcast_f"));
}

TEST(Registry, RefusesBatchRulesOfNoOperator) {
  Registry registry;
  const BatchFn rule = [](BatchCall&) {};
  registry.add_batch_rule("f", rule);
  EXPECT_TRUE(contains(error_of([&] { registry.add_batch_rule("f", rule); }), "two rules"));
  EXPECT_TRUE(contains(error_of([&] { registry.finish(); }), "there is no operator f"));
}

struct OtherParams {
  int64_t other = 0;
  template <class V>
  void visit(V& v) {
    v("other", other, "No operator has it.");
  }
};

// Handles that are wrong: the operator has other parameters, none, or is not there.
const fn::Op<OtherParams> other_sum{"sum"}, other_exp{"exp"};
const fn::Op<> plain_sum{"sum"}, nameless{"no_such_operator"};

TEST(Functional, AHandleOfAnotherParameterTypeIsAnError) {
  const NDArray x = test::array({1, 2});
  const std::string error = error_of([&] { other_sum(x, OtherParams{1}); });
  EXPECT_TRUE(contains(error, "operator sum has the parameters (axis, keepdims, exclude)"))
      << error;
  EXPECT_TRUE(contains(error, "another type: (other)")) << error;
  // Without parameters given, and each time: a lookup that failed is not kept.
  EXPECT_EQ(error_of([&] { other_sum(x); }), error);
  EXPECT_TRUE(contains(error_of([&] { plain_sum(x); }), "another type: none"));
  EXPECT_TRUE(contains(error_of([&] { other_exp(x); }), "operator exp has the parameters none"));
  EXPECT_TRUE(contains(error_of([&] { nameless(x); }), "no operator called no_such_operator"));
  EXPECT_DOUBLE_EQ(test::elements(fn::sum(x))[0], 3);
  EXPECT_EQ(fn::sum(x, {Ints{0}, true}).ndim(), 1);
}

TEST(Functional, EveryHandleHasItsOperator) {
  const fn::AnyOp* wrong[] = {&other_sum, &other_exp, &plain_sum, &nameless};
  size_t handles = 0, found_wrong = 0;
  for (const fn::AnyOp* op = fn::AnyOp::first(); op; op = op->next()) {
    ++handles;
    if (std::find(std::begin(wrong), std::end(wrong), op) != std::end(wrong)) {
      ++found_wrong;
      EXPECT_ANY_THROW(op->schema()) << op->name();
    } else {
      EXPECT_NO_THROW(op->schema()) << op->name();
    }
  }
  EXPECT_EQ(found_wrong, std::size(wrong)) << "the list holds every handle";
  EXPECT_GT(handles, 100u);
}

TEST(Functional, BinaryFunctionsTakeNumbersOnEitherSide) {
  struct Case {
    const fn::BinaryOp* op;
    double (*f)(double, double);
  };
  const Case cases[] = {
      {&fn::add, [](double a, double b) { return a + b; }},
      {&fn::subtract, [](double a, double b) { return a - b; }},
      {&fn::multiply, [](double a, double b) { return a * b; }},
      {&fn::divide, [](double a, double b) { return a / b; }},
      {&fn::power, [](double a, double b) { return std::pow(a, b); }},
      {&fn::maximum, [](double a, double b) { return a > b ? a : b; }},
      {&fn::minimum, [](double a, double b) { return a < b ? a : b; }},
      {&fn::equal, [](double a, double b) { return a == b ? 1.0 : 0.0; }},
      {&fn::not_equal, [](double a, double b) { return a != b ? 1.0 : 0.0; }},
      {&fn::greater, [](double a, double b) { return a > b ? 1.0 : 0.0; }},
      {&fn::greater_equal, [](double a, double b) { return a >= b ? 1.0 : 0.0; }},
      {&fn::lesser, [](double a, double b) { return a < b ? 1.0 : 0.0; }},
      {&fn::lesser_equal, [](double a, double b) { return a <= b ? 1.0 : 0.0; }},
  };
  const double numbers[] = {0.5, 2, 3};
  for (const Case& c : cases) {
    for (double a : numbers) {
      for (double b : numbers) {
        const NDArray x = test::array({a}), y = test::array({b});
        const double expected = c.f(a, b);
        EXPECT_DOUBLE_EQ(test::elements((*c.op)(x, y))[0], expected) << a << " " << b;
        EXPECT_DOUBLE_EQ(test::elements((*c.op)(x, b))[0], expected) << a << " " << b;
        EXPECT_DOUBLE_EQ(test::elements((*c.op)(a, y))[0], expected) << a << " " << b;
      }
    }
  }
}

}  // namespace
}  // namespace mxtape
