#include "graph/file_outputs.h"

#include <array>
#include <unordered_map>

#include "graph/custom.h"

namespace mxtape {
namespace {

struct NamedOutputs {
  size_t count;  // 0: as many as the call shows
  // The first outputs' names; where there are none they are "output", or numbered if there are
  // several.
  std::array<std::string_view, 3> names;
};

const NamedOutputs* find_outputs(std::string_view op) {
  // MXNet hides outputs that it uses for its gradients; mxtape has others, or none.
  static const std::unordered_map<std::string_view, NamedOutputs> table = {
      {"BatchNorm", {3, {"output", "mean", "var"}}},
      {"BatchNorm_v1", {3, {"output", "mean", "var"}}},
      {"BilinearSampler", {2, {"output"}}},
      {"CTCLoss", {2, {}}},
      {"Correlation", {3, {"output"}}},
      {"Dropout", {2, {"output"}}},
      {"GridGenerator", {2, {"output"}}},
      {"GroupNorm", {3, {"output", "mean", "std"}}},
      {"IdentityAttachKLSparseReg", {1, {"output"}}},
      {"InstanceNorm", {3, {"output"}}},
      {"L2Normalization", {2, {"output"}}},
      {"LRN", {2, {"output"}}},
      {"LayerNorm", {3, {"output", "mean", "std"}}},
      {"Pooling_v1", {1, {"output"}}},
      {"RNN", {0, {"output", "state_output", "statecell_output"}}},
      {"ROIPooling", {2, {"output"}}},
      {"SpatialTransformer", {3, {"output"}}},
      {"_contrib_BatchNormWithReLU", {4, {"output", "mean", "var"}}},
      {"_contrib_DeformablePSROIPooling", {2, {"output"}}},
      {"_contrib_MultiBoxTarget", {3, {"loc_target", "loc_mask", "cls_target"}}},
      {"_contrib_MultiProposal", {2, {"output", "score"}}},
      {"_contrib_Proposal", {2, {"output", "score"}}},
      {"_contrib_SyncBatchNorm", {3, {"output", "mean", "var"}}},
      {"_contrib_box_nms", {2, {}}},
      {"_contrib_hawkesll", {2, {"output", "out_state"}}},
      {"_image_random_brightness", {1, {}}},
      {"_image_random_contrast", {1, {}}},
      {"_image_random_flip_left_right", {1, {}}},
      {"_image_random_flip_top_bottom", {1, {}}},
      {"_image_random_hue", {1, {}}},
      {"_image_random_saturation", {1, {}}},
      {"_linalg_det", {3, {}}},
      {"_linalg_slogdet", {4, {}}},
      {"make_loss", {1, {"loss"}}},
  };
  const auto at = table.find(op);
  return at == table.end() ? nullptr : &at->second;
}

// oneDNN, with which 1.9.1 is built, keeps where the largest elements were.
bool keeps_places(const GraphNode& pooling) {
  const auto is = [&](std::string_view key, auto test) {
    const std::string* text = pooling.attributes().find(key);
    return text && test(*text);
  };
  const auto other = [](const std::string& text) { return text != "max"; };
  const auto yes = [](const std::string& text) { return text == "True" || text == "1"; };
  const auto last = [](const std::string& text) { return text.ends_with("C"); };
  return !is("pool_type", other) && !is("global_pool", yes) && !is("layout", last);
}

}  // namespace

std::string_view file_op_name(const GraphNode& node) {
  if (node.is_variable()) return "null";
  const std::string_view name = node.op().name;
  if (name == "cumsum") return "_np_cumsum";
  if (name == "ravel_multi_index") return "_ravel_multi_index";
  if (name == "unravel_index") return "_unravel_index";
  return name;
}

size_t file_output_count(const GraphNode& node) {
  if (node.is_variable()) return 1;
  if (node.op().name == "Pooling") return keeps_places(node) ? 2 : 1;
  const NamedOutputs* outputs = find_outputs(node.op().name);
  if (!outputs) return node.output_count();
  return outputs->count ? outputs->count : node.visible_count();
}

std::string output_suffix(const GraphNode& node, uint32_t index) {
  if (is_custom(node.op())) return node.params()->as<CustomParams>().outputs[index];
  const NamedOutputs* outputs = find_outputs(node.op().name);
  if (node.op().name == "Pooling") return "output";
  if (outputs && !outputs->names[0].empty()) {
    return index < outputs->names.size() ? std::string(outputs->names[index])
                                         : "output" + std::to_string(index);
  }
  const bool numbered = file_output_count(node) > 1 || node.op().name == "SliceChannel";
  return numbered ? "output" + std::to_string(index) : "output";
}

}  // namespace mxtape
