#include "graph/infer.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "graph/compose.h"
#include "op/registry.h"
#include "support.h"

namespace mxtape {
namespace {

using test::contains;
using test::error_of;
using Texts = std::vector<std::pair<std::string, std::string>>;

GraphEntry variable(const std::string& name, const Texts& texts = {}) {
  Attributes attributes;
  for (const auto& [key, value] : texts) attributes.set(key, value);
  return {GraphNode::variable(name, std::move(attributes))};
}

Graph composed(std::string_view op_name, std::vector<GraphEntry> inputs, std::string name,
               const Texts& texts = {}) {
  const OpSchema& op = find_op(op_name);
  Attributes attributes;
  for (const auto& [key, value] : texts) attributes.set(key, value);
  ParamsRef params = params_from_attributes(op, attributes, inputs.size());
  return compose(op, std::move(params), std::move(attributes), std::move(inputs), std::move(name));
}

GraphEntry head(const Graph& graph) { return graph.outputs()[0]; }

std::string shape_of(const Graph& graph, const std::string& name, const GraphSpecs& specs) {
  for (const GraphNode* node : graph.nodes()) {
    if (node->name() == name) return specs.of(node).shape.str();
  }
  return "none";
}

VariableSpecs shapes(std::initializer_list<std::pair<GraphEntry, Shape>> given) {
  VariableSpecs specs;
  for (const auto& [entry, shape] : given) specs[entry.node.get()].shape = shape;
  return specs;
}

TEST(Infer, AnUnknownBatchGoesThroughALayerInBothDirections) {
  const GraphEntry x = variable("x"), y = variable("y");
  const Graph fc = composed("FullyConnected", {x}, "fc", {{"num_hidden", "3"}});
  const Graph sum = composed("elemwise_add", {head(fc), y}, "sum");
  const VariableSpecs given = shapes({{x, {-1, 5}}, {y, {4, -1}}});
  const GraphSpecs specs = infer_graph(sum, given, Infer::kShapes);
  EXPECT_EQ(shape_of(sum, "x", specs), "(4, 5)");
  EXPECT_EQ(shape_of(sum, "fc_weight", specs), "(3, 5)");
  EXPECT_EQ(shape_of(sum, "y", specs), "(4, 3)");
  EXPECT_TRUE(specs.shapes_known());
}

TEST(Infer, WhatDependsOnAnUnknownExtentStaysUnknown) {
  const GraphEntry x = variable("x");
  const Texts window = {{"kernel", "(3, 3)"}, {"num_filter", "8"}, {"no_bias", "True"}};
  const Graph graph = composed("Convolution", {x}, "c", window);
  const GraphSpecs specs = infer_graph(graph, shapes({{x, {-1, 3, -1, 7}}}), Infer::kShapes);
  EXPECT_EQ(specs.of(head(graph)).shape.str(), "(-1, 8, -1, 5)");
  EXPECT_EQ(shape_of(graph, "c_weight", specs), "(8, 3, 3, 3)");
  EXPECT_FALSE(specs.shapes_known());
}

TEST(Infer, ZerosOfAnOpenShapeTakeItFromTheirUse) {
  const Graph zeros = composed("_zeros", {}, "z", {{"shape", "(0, 3)"}});
  const GraphEntry x = variable("x", {{"__shape__", "(2, 3)"}, {"__dtype__", "1"}});
  const Graph cast = composed("Cast", {head(zeros)}, "cast", {{"dtype", "float64"}});
  const Graph sum = composed("elemwise_add", {head(cast), x}, "sum");
  const GraphSpecs specs = infer_graph(sum, {}, Infer::kAll);
  EXPECT_EQ(shape_of(sum, "z", specs), "(2, 3)");
  const size_t at = specs.position.at(head(zeros).node.get());
  const ParamsRef params = params_to_run(*head(zeros).node, specs.outputs_of(at));
  EXPECT_EQ(print_given(*params), "shape=(2, 3)");
  EXPECT_EQ(specs.of(head(sum)).dtype, DType::kFloat64);
}

TEST(Infer, DtypesFlowWithoutShapes) {
  const GraphEntry x = variable("x"), y = variable("y", {{"__dtype__", "1"}});
  const Graph fc = composed("FullyConnected", {x}, "fc", {{"num_hidden", "3"}});
  const Graph sum = composed("elemwise_add", {head(fc), y}, "sum");
  const GraphSpecs specs = infer_graph(sum, {}, Infer::kDTypes);
  EXPECT_TRUE(specs.dtypes_known());
  EXPECT_EQ(specs.of(x).dtype, DType::kFloat64);
  // What a cast reads may be anything.
  const Graph cast = composed("Cast", {x}, "cast", {{"dtype", "float16"}});
  const GraphSpecs casts = infer_graph(cast, {}, Infer::kDTypes);
  EXPECT_EQ(casts.of(head(cast)).dtype, DType::kFloat16);
  EXPECT_EQ(casts.of(x).dtype, kUnknownDType);
}

TEST(Infer, AContradictionNamesTheNode) {
  const GraphEntry x = variable("x"), y = variable("y");
  const Graph sum = composed("elemwise_add", {x, y}, "both");
  const std::string error =
      error_of([&] { infer_graph(sum, shapes({{x, {2, 3}}, {y, {2, 4}}}), Infer::kShapes); });
  EXPECT_TRUE(contains(error, "Error in operator both: elemwise_add: ")) << error;
  EXPECT_TRUE(contains(error, "(2, 4)")) << error;
  // One entry that is read twice, as what cannot be the same.
  const Graph product = composed("dot", {x, x}, "square");
  const std::string twice =
      error_of([&] { infer_graph(product, shapes({{x, {2, 3}}}), Infer::kShapes); });
  EXPECT_TRUE(contains(twice, "Error in operator square: dot: ")) << twice;
}

TEST(Compose, MakesVariablesOfMissingInputsAndCountsChanges) {
  const GraphEntry x = variable("x"), mean = variable("mean");
  const Graph bn = composed("BatchNorm", {x, {}, {}, mean}, "bn", {{"eps", "0.1"}});
  std::vector<std::string> names;
  for (const GraphNode* node : bn.variables()) names.push_back(node->name());
  EXPECT_EQ(names, (std::vector<std::string>{"x", "bn_gamma", "bn_beta", "mean", "bn_moving_var"}));
  EXPECT_EQ(bn.auxiliary_states().size(), 2U);
  EXPECT_EQ(*mean.node->attributes().find("__init__"), R"(["zero", {}])");
  EXPECT_EQ(mean.node->version(), 1U);
  const Graph again = composed("BatchNorm", {head(bn), {}, {}, mean}, "again");
  EXPECT_EQ(head(again).node->inputs()[3].version, 2U);
  EXPECT_TRUE(contains(error_of([&] { composed("BatchNorm", {x, {}, {}, head(bn)}, "no"); }),
                       "must be a variable, not the result of 'bn'"));
  EXPECT_TRUE(contains(error_of([&] { composed("relu", {x, x}, "no"); }), "2 inputs given"));
}

TEST(Compose, SubstitutionSharesWhatItDoesNotReach) {
  const GraphEntry x = variable("x"), w = variable("w");
  const Graph left = composed("exp", {w}, "left");
  const Graph sum = composed("elemwise_add", {head(left), x}, "sum");
  const Graph other = substituted(sum, {{"x", variable("z")}}, "renamed");
  EXPECT_EQ(head(other).node->name(), "renamed");
  EXPECT_EQ(head(other).node->inputs()[0].node, head(left).node);
  EXPECT_EQ(head(other).node->inputs()[1].node->name(), "z");
  EXPECT_EQ(head(sum).node->inputs()[1].node->name(), "x");
  EXPECT_TRUE(contains(error_of([&] { substituted(sum, {{"q", w}}, ""); }),
                       "no argument is called 'q'; there are w, x"));
}

TEST(Compose, AttributesThatAreParametersAreReadAgain) {
  const Graph fc = composed("FullyConnected", {variable("x")}, "fc", {{"num_hidden", "3"}});
  const GraphNode& node = *head(fc).node;
  Attributes added;
  added.set("num_hidden", "7");
  node.set_attributes(added);
  EXPECT_EQ(print_given(*node.params()), "num_hidden=7");
  added.set("no_bias", "True");
  EXPECT_TRUE(contains(error_of([&] { node.set_attributes(added); }), "other inputs or outputs"));
  EXPECT_EQ(node.attributes().find("no_bias"), nullptr);
}

}  // namespace
}  // namespace mxtape
