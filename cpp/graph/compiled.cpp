#include "graph/compiled.h"

#include <algorithm>
#include <map>

#include "core/profile.h"
#include "graph/formula.h"
#include "op/registry.h"
#include "runtime/fusion.h"

namespace mxtape {
namespace {

using Step = Program::Step;
using Value = Program::Value;

// One call alone gains nothing. With so many, what a region itself costs is nothing beside them;
// more would keep signals waiting.
constexpr size_t kFewest = 2, kMost = 256;

bool same_spec(const ArraySpec& spec, const Region& region) {
  return spec.dtype == region.dtype() && spec.shape == region.shape();
}

// Gathers steps, one after the other, that fit together.
class StepCollector {
 public:
  StepCollector(const Program& program, const Program::Plan& plan, const Reverse* reverse)
      : program_(program), plan_(plan), reverse_(reverse), last_read_(program.value_count()) {
    const size_t steps = program.steps().size();
    for (size_t k = 0; k < steps; ++k) {
      const Step& step = program.steps()[k];
      for (uint32_t i = 0; i < step.input_count; ++i) {
        last_read_[program.number(program.read(step, i))] = k;
      }
    }
    for (size_t i = 0; i < program.output_count(); ++i) {
      last_read_[program.number(program.output(i))] = steps;
    }
  }

  std::vector<FusedSteps> collect() {
    for (size_t k = 0; k < program_.steps().size(); ++k) {
      if (!add(k)) {
        close();
        add(k);
      }
    }
    close();
    return std::move(found_);
  }

 private:
  struct Open {
    Region region;
    std::map<size_t, int> values;  // by their number in the program
    std::vector<Value> loads;
    size_t first, count = 0;
  };

  bool add(size_t k) {
    const Step& step = program_.steps()[k];
    if (!plan_.inferred(k) || step.node->output_count() != 1) return false;
    if (open_ && open_->region.call_count() >= kMost) return false;
    const ArraySpec& made = plan_.spec(program_.number(step, 0));
    if (!open_) open_.emplace(Open{Region(made.shape, made.dtype), {}, {}, k});
    Region& region = open_->region;
    bool fits = same_spec(made, region) && region.takes(*step.op);
    for (uint32_t i = 0; i < step.input_count; ++i) {
      fits = fits && same_spec(plan_.spec(program_.number(program_.read(step, i))), region);
    }
    if (!fits) {
      if (open_->count == 0) open_.reset();
      return false;
    }
    SmallVector<int, 4> inputs;
    for (uint32_t i = 0; i < step.input_count; ++i) {
      const Value value = program_.read(step, i);
      const auto [at, is_new] = open_->values.try_emplace(program_.number(value));
      if (is_new) {
        at->second = region.load();
        open_->loads.push_back(value);
      }
      inputs.push_back(at->second);
    }
    open_->values[program_.number(step, 0)] =
        region.call(*step.op, plan_.params_of(program_, k), inputs);
    ++open_->count;
    return true;
  }

  void close() {
    if (!open_) return;
    Open open = std::move(*open_);
    open_.reset();
    if (open.count < kFewest) return;
    FusedSteps fused{open.first, open.count, std::move(open.region), std::move(open.loads), {}};
    for (size_t k = fused.first; k < fused.first + fused.count; ++k) {
      const size_t value = program_.number(program_.steps()[k], 0);
      const bool read = last_read_[value] >= fused.first + fused.count;
      const bool kept = reverse_ && reverse_->slot(value) >= 0;
      if (!read && !kept) continue;
      fused.region.store(open.values[value]);
      fused.stores.push_back({{static_cast<int32_t>(k), 0}, read, kept});
      fused.kept_only += !read;
    }
    fused.region.finish();
    found_.push_back(std::move(fused));
  }

  const Program& program_;
  const Program::Plan& plan_;
  const Reverse* reverse_;
  std::vector<size_t> last_read_;  // of each value, the step; their number for what is returned
  std::optional<Open> open_;
  std::vector<FusedSteps> found_;
};

// The same for a sweep. It follows where gradients arrive as the sweep will; what does not arrive
// as is thought here, runs step by step.
class SweepCollector {
 public:
  SweepCollector(const Program& program, const Program::Plan& plan, const Reverse& reverse,
                 autograd::Mode mode, const SweepKind& kind)
      : program_(program),
        plan_(plan),
        reverse_(reverse),
        mode_(mode),
        kind_(kind),
        flows_(flows_of(program, reverse, kind)),
        arrived_(program.value_count() + kind.wanted.size()) {}

  std::vector<FusedSweep> collect() {
    for (size_t i = 0; i < program_.output_count(); ++i) {
      const Value value = program_.output(i);
      if (kind_.heads[i] && reverse_.reaches(value)) arrived_[place(value)] = true;
    }
    for (size_t k = program_.steps().size(); k-- > 0;) {
      const Step& step = program_.steps()[k];
      bool arrives = false, flows = false;
      for (uint32_t i = 0; i < step.node->output_count(); ++i) {
        arrives = arrives || has(place(step, i));
      }
      if (!arrives) continue;
      for (uint32_t i = 0; i < step.input_count; ++i) flows = flows || this->flows(step, i);
      if (flows && add(k)) continue;
      close();
      if (flows && add(k)) continue;
      for (uint32_t i = 0; i < step.node->output_count(); ++i) arrived_[place(step, i)] = false;
      for (uint32_t i = 0; i < step.input_count; ++i) {
        if (this->flows(step, i)) arrived_[place(program_.read(step, i))] = true;
      }
    }
    close();
    return std::move(found_);
  }

 private:
  struct Open {
    Region region;
    size_t last, first = 0, steps = 0;
    std::map<uint32_t, int> places, slots;  // values of the region
    std::vector<FusedSweep::Load> loads;
    std::map<int, int> load_of;  // by value
    std::vector<uint32_t> empty, used;
  };

  static std::vector<uint8_t> flows_of(const Program& program, const Reverse& reverse,
                                       const SweepKind& kind) {
    SmallVector<bool, 8> wanted;
    for (const bool each : kind.wanted) wanted.push_back(each);
    return wanted_flows(program, reverse, kind.ends, wanted);
  }
  uint32_t place(Value value) const {
    const size_t made = program_.value_count() - program_.input_count();
    if (value.step < 0) return static_cast<uint32_t>(made + kind_.ends[value.index]);
    return static_cast<uint32_t>(program_.number(value) - program_.input_count());
  }
  uint32_t place(const Step& step, uint32_t i) const { return step.first_made + i; }
  bool flows(const Step& step, uint32_t i) const { return flows_[step.first_input + i] != 0; }
  bool has(uint32_t place) const {
    return arrived_[place] || (open_ && open_->places.contains(place));
  }

  int load(bool saved, uint32_t index) {
    auto& known = saved ? open_->slots : open_->places;
    const auto found = known.find(index);
    if (found != known.end()) return found->second;
    const int value = open_->region.load();
    open_->load_of[value] = static_cast<int>(open_->loads.size());
    open_->loads.push_back({saved, index});
    if (!saved) {
      open_->used.push_back(index);
      arrived_[index] = false;
    }
    return known[index] = value;
  }

  bool add(size_t k) {
    const Step& step = program_.steps()[k];
    if (!plan_.inferred(k) || step.node->output_count() != 1) return false;
    if (open_ && open_->region.call_count() >= kMost) return false;
    const ArraySpec& made = plan_.spec(program_.number(step, 0));
    const auto kept = reverse_.kept(k);
    const bool is_new = !open_;
    if (is_new) open_.emplace(Open{Region(made.shape, made.dtype), k});
    bool fits = same_spec(made, open_->region) && open_->region.takes(*step.op);
    for (const Reverse::Kept& each : kept) {
      fits = fits && same_spec(plan_.spec(each.value), open_->region);
    }
    for (uint32_t i = 0; fits && i < step.input_count; ++i) {
      if (!flows(step, i)) continue;
      fits = same_spec(plan_.spec(program_.number(program_.read(step, i))), open_->region);
    }
    std::optional<Formula> formula;
    if (fits) formula = formula_of(k);
    if (!formula) {
      if (is_new) open_.reset();
      return false;
    }
    write(k, *formula);
    open_->first = k;
    ++open_->steps;
    return true;
  }

  std::optional<Formula> formula_of(size_t k) const {
    const Step& step = program_.steps()[k];
    SmallVector<bool, 8> saves, needs;
    for (const Reverse::Kept& each : reverse_.kept(k)) saves.push_back(each.data);
    for (uint32_t i = 0; i < step.input_count; ++i) needs.push_back(flows(step, i));
    return find_formula(open_->region, *step.op, plan_.params_of(program_, k), mode_, saves, needs);
  }

  void write(size_t k, const Formula& formula) {
    const Step& step = program_.steps()[k];
    const int head = load(false, place(step, 0));
    open_->places.erase(place(step, 0));
    std::vector<int> calls;
    const auto value_of = [&](const Formula::Term& term) {
      switch (term.kind) {
        case Formula::Kind::kHead:
          return head;
        case Formula::Kind::kCall:
          return calls[term.index];
        case Formula::Kind::kConstant:
          return open_->region.constant(term.number);
        default:
          const size_t value = reverse_.kept(k)[term.index].value;
          return load(true, static_cast<uint32_t>(reverse_.slot(value)));
      }
    };
    for (const auto& call : formula.calls) {
      SmallVector<int, 4> inputs;
      for (const Formula::Term& term : call.inputs) inputs.push_back(value_of(term));
      calls.push_back(open_->region.call(*call.op, call.params, inputs));
    }
    for (uint32_t i = 0; i < step.input_count; ++i) {
      if (flows(step, i)) accumulate(place(program_.read(step, i)), value_of(formula.results[i]));
    }
  }

  void accumulate(uint32_t place, int value) {
    static const OpSchema& add = find_op("elemwise_add");
    if (!has(place)) {
      open_->empty.push_back(place);
      open_->places[place] = value;
      return;
    }
    const int inputs[] = {load(false, place), value};
    open_->places[place] = open_->region.call(add, nullptr, inputs);
  }

  void close() {
    if (!open_) return;
    Open open = std::move(*open_);
    open_.reset();
    FusedSweep fused{open.first, open.last, std::move(open.region), std::move(open.loads), {}};
    std::map<int, int32_t> stored;
    for (const auto& [place, value] : open.places) {
      arrived_[place] = true;
      const auto load = open.load_of.find(value);
      if (load != open.load_of.end()) {
        fused.stores.push_back({place, load->second, -1});
        continue;
      }
      const auto [at, is_new] = stored.try_emplace(value, static_cast<int32_t>(stored.size()));
      if (is_new) fused.region.store(value);
      fused.stores.push_back({place, -1, at->second});
    }
    if (open.steps < kFewest) return;
    fused.store_count = stored.size();
    fused.empty = std::move(open.empty);
    fused.used = std::move(open.used);
    fused.region.finish();
    found_.push_back(std::move(fused));
  }

  const Program& program_;
  const Program::Plan& plan_;
  const Reverse& reverse_;
  const autograd::Mode mode_;
  const SweepKind& kind_;
  const std::vector<uint8_t> flows_;
  std::vector<bool> arrived_;  // at each place, outside of what is open
  std::optional<Open> open_;
  std::vector<FusedSweep> found_;
};

}  // namespace

bool runs_now(const Region& region) {
  return !fusion::is_large(region.shape().size()) &&
         !profile::records(profile::kImperative | profile::kSymbolic);
}

std::vector<uint8_t> wanted_flows(const Program& program, const Reverse& reverse,
                                  std::span<const uint32_t> ends, std::span<const bool> wanted) {
  std::vector<uint8_t> flows, leads;
  for (const Step& step : program.steps()) {
    bool any = false;
    for (uint32_t i = 0; i < step.input_count; ++i) {
      const Value value = program.read(step, i);
      const bool to_wanted =
          value.step < 0 ? wanted[ends[value.index]] : leads[static_cast<size_t>(value.step)] != 0;
      flows.push_back(reverse.flows(step, i) && to_wanted);
      any = any || flows.back();
    }
    leads.push_back(any);
  }
  return flows;
}

Compiled::Compiled(const Program& program, const Program::Plan& plan, Ref<const Reverse> reverse)
    : reverse_(std::move(reverse)), steps_(StepCollector(program, plan, reverse_.get()).collect()) {
  if (steps_.empty()) return;
  at_.assign(program.steps().size(), -1);
  for (size_t i = 0; i < steps_.size(); ++i) at_[steps_[i].first] = static_cast<int32_t>(i);
}

Ref<const Compiled::Sweep> Compiled::sweep(const Program& program, const Program::Plan& plan,
                                           autograd::Mode mode, SweepKind kind) const {
  const auto known = sweeps_.find([&](const auto& sweep) { return sweep.kind == kind; });
  if (known && known->made) return known;
  const auto sweep = make_ref<Sweep>(std::move(kind));
  if (known) {
    sweep->fused = SweepCollector(program, plan, *reverse_, mode, sweep->kind).collect();
    sweep->made = true;
  }
  sweeps_.add(sweep);
  return sweep->made ? Ref<const Sweep>(sweep) : nullptr;
}

}  // namespace mxtape
