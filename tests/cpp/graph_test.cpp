#include "graph/graph.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/recorder.h"
#include "graph/json.h"
#include "graph/trace.h"
#include "graph_support.h"
#include "op/registry.h"
#include "support.h"

namespace mxtape {
namespace {

using test::call;
using test::contains;
using test::error_of;
using Node = Ref<const GraphNode>;
using Names = std::vector<std::string>;

Names names_of(const Graph::Nodes& nodes) {
  Names names;
  for (const GraphNode* node : nodes) names.push_back(node->name());
  return names;
}

Names outputs_of(const Graph& graph) {
  Names names;
  for (const GraphEntry& entry : graph.outputs()) {
    names.push_back(entry.node->output_name(entry.index));
  }
  return names;
}

// data -> bn -> split -> first half + second half
struct Layers {
  Node data = GraphNode::variable("data"), gamma = GraphNode::variable("gamma"),
       beta = GraphNode::variable("beta"), mean = GraphNode::variable("mean"),
       var = GraphNode::variable("var");
  Node bn = call("BatchNorm", {{data}, {gamma}, {beta}, {mean, 0, 1}, {var, 0, 1}}, "bn");
  Node split = call("SliceChannel", {{bn}}, "split", {{"num_outputs", "2"}});
  Node sum = call("elemwise_add", {{split, 0}, {split, 1}}, "sum");
};

TEST(Graph, ListsNodesAndNamesInMxnetsOrder) {
  const Layers layers;
  const Graph graph({{layers.sum}});
  EXPECT_EQ(names_of(graph.nodes()),
            (Names{"data", "gamma", "beta", "mean", "var", "bn", "split", "sum"}));
  EXPECT_EQ(names_of(graph.arguments()), (Names{"data", "gamma", "beta"}));
  EXPECT_EQ(names_of(graph.auxiliary_states()), (Names{"mean", "var"}));
  EXPECT_EQ(names_of(graph.variables()), (Names{"data", "gamma", "beta", "mean", "var"}));
  EXPECT_EQ(outputs_of(graph), (Names{"sum_output"}));
  EXPECT_EQ(outputs_of(graph.internals()),
            (Names{"data", "gamma", "beta", "mean", "var", "bn_output", "split_output0",
                   "split_output1", "sum_output"}));
  EXPECT_EQ(outputs_of(graph.children()), (Names{"split_output0", "split_output1"}));
  EXPECT_TRUE(Graph({{layers.data}}).children().outputs().empty());
}

TEST(Graph, SharesNodesAndHoldsOnlyWhatItsOutputsNeed) {
  const Layers layers;
  const Graph whole({{layers.sum}});
  const Graph part({whole.nodes().back()->inputs()[0]});
  EXPECT_EQ(part.nodes().size(), 7u);
  EXPECT_EQ(part.nodes().back(), layers.split.get());
  EXPECT_EQ(part.single_node(), layers.split.get());
  EXPECT_EQ(whole.internals().single_node(), nullptr);
}

TEST(Graph, RefusesAWrongNumberOfInputs) {
  const Node x = GraphNode::variable("x");
  const auto error = error_of([&] { call("FullyConnected", {{x}}, "fc", {{"num_hidden", "2"}}); });
  EXPECT_EQ(error, "FullyConnected: 1 inputs given, expected 3 (data, weight, bias)");
  EXPECT_EQ(error_of([&] {
              call("FullyConnected", {{x}, {x}}, "fc", {{"num_hidden", "2"}, {"no_bias", "1"}});
            }),
            "no error");
}

TEST(Graph, ReadsParametersFromText) {
  const Node x = GraphNode::variable("x");
  const auto made = [&](std::vector<std::pair<std::string, std::string>> texts) {
    return error_of([&] { call("Activation", {{x}}, "act", texts); });
  };
  EXPECT_EQ(made({{"act_type", "tanh"}, {"__lr_mult__", "2"}}), "no error");
  EXPECT_TRUE(contains(made({}), "Activation: required parameter act_type is missing"));
  EXPECT_TRUE(contains(made({{"act_type", "tan"}}), "invalid value 'tan' for parameter act_type"));
  EXPECT_TRUE(contains(made({{"act_type", "relu"}, {"zork", "1"}}), "unknown parameter zork='1'"));
  const auto joined = [&](const char* count) {
    return error_of([&] { call("Concat", {{x}, {x}}, "c", {{"num_args", count}}); });
  };
  EXPECT_EQ(joined("2"), "no error");
  EXPECT_TRUE(contains(joined("3"), "num_args is 3, but there are 2 inputs"));
}

TEST(Graph, IsReplacedWithoutTouchingTheOld) {
  const Layers layers;
  const Graph graph({{layers.sum}, {layers.data}});
  const Node other = GraphNode::variable("other");
  const Graph changed = graph.replaced(
      [&](GraphEntry entry) {
        if (entry.node == layers.data) entry.node = other;
        return entry;
      },
      true);
  EXPECT_EQ(names_of(changed.arguments()), (Names{"other", "gamma", "beta"}));
  EXPECT_EQ(outputs_of(changed), (Names{"sum_output", "other"}));
  EXPECT_EQ(names_of(graph.arguments()), (Names{"data", "gamma", "beta"}));
  EXPECT_EQ(changed.nodes()[1], layers.gamma.get());
}

TEST(Graph, LeavesOutCastsOfMixedPrecision) {
  const Node x = GraphNode::variable("x"), y = GraphNode::variable("y");
  const Node cast = call("amp_cast", {{x}}, "cast", {{"dtype", "float16"}});
  const Node both = call("amp_multicast", {{cast}, {y}}, "both", {{"num_outputs", "2"}});
  const Node sum = call("elemwise_add", {{both, 0}, {both, 1}}, "sum");
  const Graph graph({{sum}, {cast}});
  EXPECT_EQ(names_of(graph.without_amp_casts().nodes()), (Names{"x", "y", "sum", "cast"}));
  EXPECT_EQ(graph.nodes().size(), 5u);
}

TEST(Graph, ChainOfAMillionNodesIsWalkedWrittenReadAndFreedWithoutRecursion) {
  Node last = GraphNode::variable("x");
  const OpSchema& op = find_op("relu");
  for (int i = 0; i < 1'000'000; ++i) last = GraphNode::call(op, nullptr, {{last}}, "r");
  Graph graph({{std::move(last)}});
  EXPECT_EQ(graph.nodes().size(), 1'000'001u);
  EXPECT_EQ(graph.internals().outputs().size(), 1'000'001u);
  const std::string text = graph_to_json(graph);
  graph = {};
  EXPECT_EQ(graph_from_json(text, "text").nodes().size(), 1'000'001u);
}

TEST(Graph, TracesARecordedChainOfAMillionNodes) {
  NDArray y = test::variable({1});
  {
    const autograd::StateScope record(true, true);
    for (int i = 0; i < 1'000'000; ++i) y = fn::negative(y);
  }
  EXPECT_EQ(trace(y).nodes().size(), 1'000'001u);
}

// ---- files

const char* const kFile = R"({
  "nodes": [
    {
      "op": "null", 
      "name": "data", 
      "attrs": {
        "__lr_mult__": "2.0", 
        "note": "a\"b\\c\n\té/"
      }, 
      "inputs": []
    }, 
    {
      "op": "SliceChannel", 
      "name": "split", 
      "attrs": {"num_outputs": "2"}, 
      "inputs": [[0, 0, 0]]
    }
  ], 
  "arg_nodes": [0], 
  "node_row_ptr": [0, 1, 3], 
  "heads": [[1, 1, 0]], 
  "attrs": {"mxnet_version": ["int", 10901]}
})";

TEST(GraphJson, IsWrittenAsItWasRead) {
  EXPECT_EQ(graph_to_json(graph_from_json(kFile, "text")), kFile);
}

std::string file_with(const std::string& nodes, const std::string& heads = "[[0,0]]",
                      const std::string& rest = R"("attrs":{"mxnet_version":["int",10901]})") {
  return R"({"arg_nodes":[0],"nodes":[)" + nodes + R"(],"heads":)" + heads + "," + rest + "}";
}

const std::string kData = R"({"op":"null","name":"data","inputs":[]})";

std::string node(const std::string& op, const std::string& inputs, const std::string& rest = "") {
  return R"({"op":")" + op + R"(","name":"n","inputs":)" + inputs + rest + "}";
}

std::string read_error(const std::string& text) {
  return error_of([&] { graph_from_json(text, "f.json"); });
}

TEST(GraphJson, ReadsOlderSpellings) {
  for (const char* key : {"attrs", "attr", "param"}) {
    const std::string text = file_with(kData + "," +
                                           node("Activation", "[[0,0]]",
                                                R"(,"backward_source_id":-1,")" + std::string(key) +
                                                    R"(":{"act_type":"tanh","lr_mult":"2"})"),
                                       "[[1,0]]", R"("attrs":{"mxnet_version":["int",1100]})");
    const Graph graph = graph_from_json(text, "text");
    const Attributes& attributes = graph.nodes()[1]->attributes();
    EXPECT_EQ(*attributes.find("act_type"), "tanh") << key;
    EXPECT_EQ(*attributes.find("__lr_mult__"), "2") << key;
  }
}

TEST(GraphJson, AttributesOfAnInputGoToItsVariable) {
  const std::string text =
      file_with(kData + R"(,{"op":"null","name":"w","inputs":[]},)" +
                    node("FullyConnected", "[[0,0],[1,0]]",
                         R"(,"attr":{"num_hidden":"2","no_bias":"True","weight_lr_mult":"3"})"),
                "[[2,0]]", R"("attrs":{"mxnet_version":["int",1000]})");
  const Graph graph = graph_from_json(text, "text");
  const Graph::Nodes nodes = graph.nodes();
  EXPECT_EQ(*nodes[1]->attributes().find("__lr_mult__"), "3");
  EXPECT_EQ(nodes[2]->attributes().size(), 2u);
}

TEST(GraphJson, FilesWithoutAVersionLeaveOutStates) {
  const std::string text =
      file_with(kData + "," + node("BatchNorm", "[[0,0],[0,0],[0,0]]", R"(,"param":{"eps":"0.1"})"),
                "[[1,0]]", R"("node_row_ptr":[0,1])");
  const Graph graph = graph_from_json(text, "text");
  EXPECT_EQ(names_of(graph.auxiliary_states()), (Names{"n_moving_mean", "n_moving_var"}));
}

TEST(GraphJson, SaysWhatIsWrongWithTheText) {
  EXPECT_EQ(read_error(""), "f.json: line 1, column 1: expected '{', but the text ends here");
  EXPECT_EQ(read_error("[]"), "f.json: line 1, column 1: expected '{', got '['");
  EXPECT_EQ(read_error("{\n  \"nodes\" 3}"), "f.json: line 2, column 11: expected ':', got '3'");
  EXPECT_TRUE(contains(read_error(R"({"zork":1})"), "unknown field \"zork\" in a graph"));
  EXPECT_TRUE(contains(read_error("{}"), "field \"nodes\" is missing from a graph"));
  EXPECT_TRUE(contains(read_error(file_with(R"({"op":"null","name":"x"})")),
                       "field \"inputs\" is missing from a node"));
  EXPECT_TRUE(
      contains(read_error(file_with(kData) + "x"), "expected the end of the text, got 'x'"));
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[0,0] 3]")), "expected ',' or ']'"));
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[0]]")), "two or three numbers, this one 1"));
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[0,0,0,0]]")), "this one more"));
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[-1,0]]")), "got -1"));
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[4294967296,0]]")), "from 0 to 4294967295"));
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[1e3,0]]")), "expected an integer"));
  EXPECT_TRUE(
      contains(read_error(file_with(kData, "[[99999999999999999999,0]]")), "number is too large"));
  EXPECT_TRUE(contains(read_error(file_with(R"({"op":"null","name":"x)")), "expected"));
  EXPECT_TRUE(contains(read_error(R"({"no)"), "the text ends within a string"));
  EXPECT_TRUE(contains(read_error(R"({"\x)"), "unknown escape"));
  EXPECT_TRUE(contains(read_error(R"({"\ud800":1})"), "surrogate"));
  EXPECT_TRUE(contains(read_error(R"({"\u12)"), "hexadecimal"));
  const std::string deep(100'000, '[');
  EXPECT_TRUE(contains(read_error(file_with(kData, "[[0,0]]", "\"attrs\":{\"x\":" + deep)),
                       "nested more than 128 deep"));
}

TEST(GraphJson, SaysWhatIsWrongWithTheGraph) {
  EXPECT_EQ(read_error(file_with(kData + "," + node("nonesuch", "[[0,0]]"))),
            "f.json: node 1 ('n'): there is no operator called nonesuch");
  EXPECT_EQ(read_error(file_with(kData + "," + node("relu", "[[7,0]]"))),
            "f.json: node 1 ('n'): input 0 is node 7, but there are 2");
  EXPECT_EQ(read_error(file_with(kData + "," + node("relu", "[[1,0]]"))),
            "f.json: node 1 ('n'): input 0 is node 1, which does not come before it");
  EXPECT_EQ(read_error(file_with(kData + "," + node("relu", "[[0,5]]"))),
            "f.json: node 1 ('n'): input 0 is output 5 of node 0 ('data'), which has 1");
  EXPECT_EQ(read_error(file_with(kData + "," + node("relu", "[[0,0],[0,0]]"))),
            "f.json: node 1 ('n'): relu: 2 inputs given, expected 1 (data)");
  EXPECT_EQ(read_error(file_with(kData, "[[3,0]]")), "f.json: head 0 is node 3, but there are 1");
  EXPECT_EQ(read_error(file_with(kData, "[]")), "f.json: the graph has no heads");
  EXPECT_TRUE(contains(read_error(file_with(kData + "," + node("null", "[[0,0]]"))),
                       "a variable has no inputs"));
  EXPECT_TRUE(contains(
      read_error(file_with(
          kData + "," + node("Activation", "[[0,0]]", R"(,"attrs":{"act_type":"relu","z":"1"})"))),
      "node 1 ('n'): Activation: unknown parameter z='1'"));
}

TEST(GraphJson, ReadsEscapes) {
  const Graph graph = graph_from_json(
      file_with(R"({"op":"null","name":"\u0041\u00e9\u20ac\ud83d\ude00\/\b\"","inputs":[]})"),
      "text");
  EXPECT_EQ(graph.nodes()[0]->name(), "Aé€😀/\b\"");
}

TEST(GraphJson, KeepsSubgraphs) {
  const std::string body =
      file_with(kData + "," + node("relu", "[[0,0]]"), "[[1,0]]", R"("node_row_ptr":[0,1,2])");
  const std::string text =
      file_with(kData + "," + node("relu", "[[0,0]]", R"(,"subgraphs":[)" + body + "]"), "[[1,0]]");
  const Graph graph = graph_from_json(text, "text");
  ASSERT_EQ(graph.nodes()[1]->subgraphs().size(), 1u);
  EXPECT_EQ(graph.nodes()[1]->subgraphs()[0].nodes().size(), 2u);
  const std::string written = graph_to_json(graph);
  EXPECT_TRUE(contains(written, "\"subgraphs\": [\n        {\n          \"nodes\": ["));
  EXPECT_EQ(graph_to_json(graph_from_json(written, "text")), written);
  EXPECT_TRUE(contains(read_error(file_with(node("relu", "[]", R"(,"subgraphs":[{}])"))),
                       "missing from a graph"));
}

}  // namespace
}  // namespace mxtape
