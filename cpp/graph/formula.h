#pragma once

#include <optional>
#include <vector>

#include "graph/region.h"
#include "op/op_node.h"

namespace mxtape {

// The gradient of a pointwise call as what it is made of: pointwise calls over arrays of the same
// shape and dtype.
struct Formula {
  enum class Kind : uint8_t { kNothing, kSaved, kHead, kCall, kConstant };
  struct Term {
    Kind kind = Kind::kNothing;
    uint32_t index = 0;  // among what the call saves, or the calls
    double number = 0;
  };
  struct Call {
    const OpSchema* op;
    ParamsRef params;
    std::vector<Term> inputs;
  };
  std::vector<Call> calls;
  std::vector<Term> results;  // of each input; nothing where no gradient is wanted
};

// That of a call of `op`, where it is of this kind: found by running it, once, over numbers that do
// not matter, and looking on. `saves` says of what the call keeps whether its data.
std::optional<Formula> find_formula(const Region& region, const OpSchema& op,
                                    const ParamsRef& params, autograd::Mode mode,
                                    std::span<const bool> saves, std::span<const bool> needs);

}  // namespace mxtape
