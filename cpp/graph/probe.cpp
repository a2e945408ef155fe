#include "graph/probe.h"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <vector>

#include "core/error.h"

namespace mxtape {
namespace {

// Divides by the numbers of parts and groups that programs use.
constexpr int64_t kProbe = 2520;

using Specs = std::vector<ArraySpec>;

struct Found {
  Specs inputs, outputs;
};

struct Call {
  const OpSchema& op;
  const Params* params;
  Mode mode;

  // Nothing where the operator refuses what was made up.
  std::optional<Found> infer(Specs inputs, size_t outputs) const {
    Found found{std::move(inputs), Specs(outputs)};
    try {
      infer_specs(op, params, mode, found.inputs, found.outputs);
    } catch (const Error&) {
      return std::nullopt;
    }
    return found;
  }
};

// The output has the shape of input 0, whatever that is.
bool keeps_shape(const OpSchema& op, size_t inputs) {
  static const std::unordered_set<std::string_view> names = {
      "Activation",
      "BatchNorm",
      "BlockGrad",
      "Cast",
      "Dropout",
      "GroupNorm",
      "InstanceNorm",
      "L2Normalization",
      "LRN",
      "LayerNorm",
      "LeakyReLU",
      "LinearRegressionOutput",
      "LogisticRegressionOutput",
      "MAERegressionOutput",
      "MakeLoss",
      "SVMOutput",
      "SequenceMask",
      "SequenceReverse",
      "SoftmaxActivation",
      "SoftmaxOutput",
      "_copy",
      "amp_cast",
      "log_softmax",
      "make_loss",
      "ones_like",
      "softmax",
      "softmin",
      "zeros_like",
  };
  return (op.is_pointwise() && inputs == 1 && !op.is_broadcast) || names.contains(op.name);
}

struct UnknownExtent {
  size_t input;
  int axis;
};

class ShapeProbe {
 public:
  ShapeProbe(const Call& call, std::span<ArraySpec> inputs, std::span<ArraySpec> outputs)
      : call_(call), inputs_(inputs), outputs_(outputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (int axis = 0; axis < inputs[i].shape.ndim(); ++axis) {
        if (inputs[i].shape[axis] < 0) unknown_.push_back({i, axis});
      }
    }
  }

  void run() {
    // Where the others' shapes contradict what is made up, they are left to follow from input 0's.
    if (!unknown_.empty() && !learn(inputs_.size()) && inputs_.size() > 1) learn(1);
  }

 private:
  static constexpr int kOnes = -1;
  int64_t value(size_t unknown, int trial) const {
    if (trial == kOnes) return 1;
    return kProbe * static_cast<int64_t>(1 + unknown + (trial ? unknown_.size() : 0));
  }

  Specs made_up(int trial, size_t kept) const {
    Specs specs(inputs_.begin(), inputs_.end());
    for (size_t k = 0; k < unknown_.size(); ++k) {
      specs[unknown_[k].input].shape[unknown_[k].axis] = value(k, trial);
    }
    for (size_t i = 0; i < specs.size(); ++i) {
      if (i >= kept) specs[i].shape = Shape::unknown();
      if (specs[i].dtype == kUnknownDType) specs[i].dtype = DType::kFloat32;
    }
    return specs;
  }

  // Of one array: its shape in each trial. The last one, with extents of 1, may have been refused.
  struct Trials {
    const Shape &first, &second;
    const Shape* ones;

    // What the trials agree on. Where axes of extent 1 are dropped, even their number is open.
    Shape agreed() const {
      const bool with_ones = ones && ones->has_ndim();
      if (!first.has_ndim() || first.ndim() != second.ndim()) return Shape::unknown();
      if (with_ones && ones->ndim() != first.ndim()) return Shape::unknown();
      Shape found(first.ndim(), -1);
      for (int axis = 0; axis < first.ndim(); ++axis) {
        const bool same = !with_ones || (*ones)[axis] == first[axis];
        if (same && first[axis] == second[axis]) found[axis] = first[axis];
      }
      return found;
    }
  };

  bool learn(size_t kept) {
    const auto first = call_.infer(made_up(0, kept), outputs_.size());
    if (!first) return false;
    const auto second = call_.infer(made_up(1, kept), outputs_.size());
    if (!second) return false;
    const auto ones = call_.infer(made_up(kOnes, kept), outputs_.size());
    const auto input = [&](size_t i) {
      return Trials{first->inputs[i].shape, second->inputs[i].shape,
                    ones ? &ones->inputs[i].shape : nullptr};
    };
    const auto output = [&](size_t i) {
      return Trials{first->outputs[i].shape, second->outputs[i].shape,
                    ones ? &ones->outputs[i].shape : nullptr};
    };
    // What was left to follow may be only one of the shapes that the operator accepts.
    for (size_t i = kept; i < inputs_.size(); ++i) {
      Shape known = inputs_[i].shape;
      if (!merge_shape(known, input(i).agreed())) return false;
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      compare(input(i), inputs_[i].shape, "input ", i);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      compare(output(i), outputs_[i].shape, "output ", i);
    }
    return true;
  }

  // `known` learns what the trials agree on, and tells the unknown extents that it follows.
  void compare(const Trials& trials, Shape& known, const char* what, size_t i) {
    const auto& [first, second, ones] = trials;
    const Shape found = trials.agreed();
    if (!found.has_ndim()) return;
    if (!merge_shape(known, found)) {
      fail(call_.op.name, ": ", what, i, " has shape ", known, ", expected ", found,
           " (-1 is unknown)");
    }
    for (int axis = 0; axis < first.ndim(); ++axis) {
      for (size_t k = 0; k < unknown_.size(); ++k) {
        if (first[axis] != value(k, 0) || second[axis] != value(k, 1)) continue;
        int64_t& extent = inputs_[unknown_[k].input].shape[unknown_[k].axis];
        if (extent < 0) extent = known[axis];
        if (known[axis] < 0) known[axis] = extent;
        if (known[axis] != extent) {
          fail(call_.op.name, ": ", what, i, " has shape ", known, ", but axis ", unknown_[k].axis,
               " of input ", unknown_[k].input, " is ", extent);
        }
      }
    }
  }

  const Call& call_;
  std::span<ArraySpec> inputs_, outputs_;
  std::vector<UnknownExtent> unknown_;
};

bool has_dtype(const ArraySpec& spec) { return spec.dtype != kUnknownDType; }

// Inputs of known shapes: as many axes as the operator accepts, where that is open.
std::optional<Found> with_shapes(const Call& call, std::span<const ArraySpec> inputs,
                                 size_t outputs) {
  for (const int ndim : {4, 2, 3, 1, 5}) {
    // Weights' shapes follow from the data's, or are made up too.
    for (const size_t made : {size_t{1}, inputs.size()}) {
      Specs specs(inputs.begin(), inputs.end());
      for (size_t i = 0; i < made && i < specs.size(); ++i) {
        Shape& shape = specs[i].shape;
        if (!shape.has_ndim()) shape = Shape(ndim, 72);
        for (int axis = 0; axis < shape.ndim(); ++axis) {
          if (shape[axis] < 0) shape[axis] = 72;
        }
      }
      auto found = call.infer(std::move(specs), outputs);
      if (found && std::ranges::all_of(found->outputs, has_dtype)) return found;
    }
  }
  return std::nullopt;
}

// Whether the first output has the dtype of the inputs that have none, whatever that is.
bool follows_dtype(const Call& call, std::span<const ArraySpec> inputs, size_t outputs) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    Specs specs(inputs.begin(), inputs.end());
    for (ArraySpec& spec : specs) {
      if (!has_dtype(spec)) spec.dtype = dtype;
    }
    const auto found = with_shapes(call, specs, outputs);
    if (!found || found->outputs[0].dtype != dtype) return false;
  }
  return true;
}

}  // namespace

void probe_shapes(const OpSchema& op, const Params* params, Mode mode, std::span<ArraySpec> inputs,
                  std::span<ArraySpec> outputs) {
  if (inputs.empty() || outputs.empty()) return;
  if (keeps_shape(op, inputs.size())) {
    if (!merge_shape(inputs[0].shape, outputs[0].shape)) {
      fail(op.name, ": the result has shape ", inputs[0].shape, ", what uses it needs ",
           outputs[0].shape);
    }
    outputs[0].shape = inputs[0].shape;
  }
  const Call call{op, params, mode};
  ShapeProbe(call, inputs, outputs).run();
}

void probe_dtypes(const OpSchema& op, const Params* params, Mode mode, std::span<ArraySpec> inputs,
                  std::span<ArraySpec> outputs) {
  if (std::ranges::all_of(outputs, has_dtype) && std::ranges::all_of(inputs, has_dtype)) return;
  const Call call{op, params, mode};
  Specs known(inputs.begin(), inputs.end());
  if (!outputs.empty() && has_dtype(outputs[0]) && !std::ranges::all_of(inputs, has_dtype) &&
      follows_dtype(call, inputs, outputs.size())) {
    for (ArraySpec& spec : known) {
      if (!has_dtype(spec)) spec.dtype = outputs[0].dtype;
    }
  }
  const auto found = with_shapes(call, known, outputs.size());
  if (found) {
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i].dtype = found->inputs[i].dtype;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!has_dtype(outputs[i])) outputs[i].dtype = found->outputs[i].dtype;
    }
  } else if (std::ranges::all_of(inputs, has_dtype)) {
    // No made-up shape fits. Those that give another dtype than the first input's fit some.
    for (ArraySpec& spec : outputs) {
      if (!has_dtype(spec)) spec.dtype = inputs[0].dtype;
    }
  }
}

}  // namespace mxtape
