#include "graph/formula.h"

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "op/invoke.h"
#include "runtime/convert.h"

namespace mxtape {
namespace {

using Kind = Formula::Kind;
using Term = Formula::Term;

// An array of the region's shape whose elements differ.
NDArray some_numbers(const Region& region) {
  const NDArray array = NDArray::empty(region.shape(), region.dtype());
  std::vector<double> numbers(static_cast<size_t>(array.size()));
  for (size_t i = 0; i < numbers.size(); ++i) {
    double whole = 0;
    numbers[i] = 0.25 + 0.5 * std::modf(0.618 * static_cast<double>(i), &whole);
  }
  convert(DType::kFloat64, numbers.data(), region.dtype(), array.bytes(), array.size());
  return array;
}

class Onlooker final : public CallTrace {
 public:
  Onlooker(const Region& region, Formula& formula) : region_(region), formula_(formula) {}

  void name(const NDArray& array, Term term) { known_.emplace_back(array, term); }

  void call(const OpSchema& op, Inputs inputs, const ParamsRef& params, Arrays outputs) override {
    Formula::Call call{&op, params, {}};
    possible_ = possible_ && region_.takes(op) && is_of_region(outputs[0]);
    for (const NDArray& input : inputs) {
      call.inputs.push_back(term_of(input));
      possible_ = possible_ && call.inputs.back().kind != Kind::kNothing;
    }
    name(outputs[0], {Kind::kCall, static_cast<uint32_t>(formula_.calls.size())});
    formula_.calls.push_back(std::move(call));
  }

  // What stands for an array; nothing where that is not known.
  Term term_of(const NDArray& array) const {
    for (size_t i = known_.size(); i-- > 0;) {
      if (known_[i].first.storage() != array.storage()) continue;
      return is_of_region(array) ? known_[i].second : Term();
    }
    return constant(array);
  }
  bool possible() const { return possible_; }

 private:
  bool is_of_region(const NDArray& array) const {
    return array.shape() == region_.shape() && array.dtype() == region_.dtype();
  }
  // An array that no call has made is full of one number, or made in a way that is not seen here.
  Term constant(const NDArray& array) const {
    const bool broadcasts = array.size() == 1 || array.shape() == region_.shape();
    if (region_.shape().size() == 1 || !broadcasts || array.dtype() != region_.dtype()) return {};
    std::vector<double> numbers(static_cast<size_t>(array.size()));
    convert(array.dtype(), array.bytes(), DType::kFloat64, numbers.data(), array.size());
    for (double number : numbers) {
      if (std::memcmp(&number, &numbers[0], sizeof number) != 0) return {};
    }
    return {Kind::kConstant, 0, numbers[0]};
  }

  const Region& region_;
  Formula& formula_;
  bool possible_ = true;
  // With the arrays, so that no other takes their place in memory.
  std::vector<std::pair<NDArray, Term>> known_;
};

// As many dimensions, and hardly an element: a formula is the same for all of them.
Region small_like(const Region& region) {
  std::vector<int64_t> extents;
  for (int64_t extent : region.shape()) extents.push_back(std::min<int64_t>(extent, 2));
  return Region(Shape(extents), region.dtype());
}

}  // namespace

std::optional<Formula> find_formula(const Region& whole, const OpSchema& op,
                                    const ParamsRef& params, autograd::Mode mode,
                                    std::span<const bool> saves, std::span<const bool> needs) {
  if (!whole.takes(op) || !op.vjp) return {};
  const Region region = small_like(whole);
  std::optional<Formula> formula(std::in_place);
  Onlooker onlooker(region, *formula);
  std::vector<NDArray> arrays;
  std::vector<std::optional<autograd::Saved>> saved(saves.size());
  std::vector<OpNode::Kept> kept;
  arrays.reserve(saves.size());
  for (size_t i = 0; i < saves.size(); ++i) {
    const NDArray& array = arrays.emplace_back(some_numbers(region));
    onlooker.name(array, {Kind::kSaved, static_cast<uint32_t>(i)});
    if (saves[i]) saved[i].emplace(autograd::Saved::data(array));
    kept.push_back({&array, saves[i] ? &*saved[i] : nullptr});
  }
  NDArray head = some_numbers(region);
  onlooker.name(head, {Kind::kHead});
  PassingNode passing;
  OpNode& node = passing.make(op, needs.size(), 1, kept, params, mode);
  autograd::VjpCall call(node, {&head, 1}, false);
  for (size_t i = 0; i < needs.size(); ++i) call.set_needs(i, needs[i]);
  try {
    const CallTraceScope scope(onlooker);
    node.vjp(call);
  } catch (const Error&) {
    // What the numbers were no good for runs as before.
    return {};
  }
  for (size_t i = 0; i < needs.size(); ++i) {
    Term term;
    if (needs[i] && call.result(i).defined()) term = onlooker.term_of(call.result(i));
    if (needs[i] && (term.kind == Kind::kNothing || term.kind == Kind::kSaved)) return {};
    formula->results.push_back(term);
  }
  if (!onlooker.possible()) return {};
  return formula;
}

}  // namespace mxtape
