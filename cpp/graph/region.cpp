#include "graph/region.h"

#include <algorithm>
#include <cstring>

#include "runtime/blocking.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

namespace mxtape {

namespace {

// Element-costs below which a second thread costs more than it brings.
constexpr int64_t kThreadWork = 65536;

}  // namespace

Region::Region(const Shape& shape, DType dtype)
    : shell_(Ref<Storage>(), 0, shape, dtype), size_(shape.size()), width_(item_size(dtype)) {}

bool Region::takes(const OpSchema& op) const {
  return op.is_pointwise() && !op.check && !op.mutates && !op.random && !op.output_count &&
         op.outputs == 1 && op.tile.compute_dtype(dtype()) == dtype() &&
         op.tile.kernels[static_cast<int>(dtype())] && size_ > 0;
}

int Region::add(Value value) {
  values_.push_back(value);
  return static_cast<int>(values_.size()) - 1;
}

int Region::load() { return add({Kind::kLoad, loads_++}); }

int Region::constant(double number) {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].kind == Kind::kConstant &&
        std::memcmp(&values_[i].number, &number, sizeof number) == 0) {
      return static_cast<int>(i);
    }
  }
  return add({.kind = Kind::kConstant, .place = 0, .number = number});
}

int Region::call(const OpSchema& op, const ParamsRef& params, std::span<const int> inputs) {
  // What the operator makes of its inputs and parameters, with an array for each input that is only
  // there to be recognised.
  std::vector<NDArray> shells(inputs.size(), shell_);
  SmallVector<const NDArray*, 4> pointers;
  for (const NDArray& shell : shells) pointers.push_back(&shell);
  TileOperand operands[kMaxInputs];
  const size_t count = op.tile_operands(op, Inputs(pointers.data(), pointers.size()), params.get(),
                                        dtype(), operands);
  Call call{op.tile.kernels[static_cast<int>(dtype())],
            params ? params->data() : nullptr,
            {},
            static_cast<int32_t>(count),
            0};
  for (size_t i = 0; i < count; ++i) {
    call.inputs[i] = operands[i].array
                         ? inputs[static_cast<size_t>(operands[i].array - shells.data())]
                         : constant(operands[i].scalar);
  }
  call.value = add({Kind::kCall, -1});
  calls_.push_back(call);
  cost_ += std::max(1, op.tile.cost);
  if (params) params_.push_back(params);
  return call.value;
}

void Region::store(int value) {
  const int32_t place = stores_++;
  Value& v = values_[static_cast<size_t>(value)];
  if (v.kind == Kind::kConstant) {
    copies_.emplace_back(value, place);
  } else {
    v.store = place;
  }
}

size_t Region::part_bytes() const {
  return padded(static_cast<size_t>(std::min(size_, kPart)) * width_);
}

// Scratch memory for what is not stored, that of values which no later call reads used again; and
// the constants' elements.
void Region::finish() {
  std::vector<size_t> last(values_.size());
  for (size_t k = 0; k < calls_.size(); ++k) {
    last[static_cast<size_t>(calls_[k].value)] = k;
    for (int i = 0; i < calls_[k].arity; ++i) last[static_cast<size_t>(calls_[k].inputs[i])] = k;
  }
  std::vector<int32_t> unused;
  for (size_t k = 0; k < calls_.size(); ++k) {
    const auto give_back = [&](int32_t number) {
      const auto value = static_cast<size_t>(number);
      const Value& v = values_[value];
      if (v.kind != Kind::kCall || v.place < 0 || last[value] != k) return;
      unused.push_back(v.place);
      last[value] = calls_.size();
    };
    Value& made = values_[static_cast<size_t>(calls_[k].value)];
    if (made.store < 0) {
      if (unused.empty()) unused.push_back(scratch_++);
      made.place = unused.back();
      unused.pop_back();
    }
    for (int i = 0; i < calls_[k].arity; ++i) give_back(calls_[k].inputs[i]);
    give_back(calls_[k].value);
  }
  const int64_t n = std::min(size_, kPart);
  int32_t constants = 0;
  for (Value& value : values_) {
    if (value.kind == Kind::kConstant) value.place = constants++;
  }
  constants_ = NDArray::empty({static_cast<int64_t>(part_bytes()) * constants}, DType::kUint8);
  for (const Value& value : values_) {
    if (value.kind != Kind::kConstant) continue;
    fill(dtype(), value.number,
         constants_.bytes() + static_cast<size_t>(value.place) * part_bytes(), n);
  }
}

int64_t Region::grain() const {
  return std::max<int64_t>(kPart, kThreadWork / std::max(1, cost_) / kPart * kPart);
}

void Region::compute(std::span<const char* const> loads, std::span<char* const> stores,
                     int64_t begin, int64_t end) const {
  const size_t part = part_bytes();
  alignas(kAlignment) char local[16384];
  char* scratch = local;
  NDArray memory;
  if (part * static_cast<size_t>(scratch_) > sizeof local) {
    memory = NDArray::empty({static_cast<int64_t>(part) * scratch_}, DType::kUint8);
    scratch = memory.bytes();
  }
  SmallVector<Place, 128> places(values_.size());
  for (size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    const auto place = static_cast<size_t>(value.place);
    if (value.store >= 0) {
      places[i] = {stores[static_cast<size_t>(value.store)], width_};
    } else if (value.kind == Kind::kLoad) {
      places[i] = {const_cast<char*>(loads[place]), width_};
    } else {
      places[i] = {(value.kind == Kind::kCall ? scratch : constants_.bytes()) + place * part, 0};
    }
  }
  for (int64_t at = begin; at < end; at += kPart) {
    const int64_t n = std::min(kPart, end - at);
    for (const Call& call : calls_) {
      const void* in[kMaxInputs];
      for (int i = 0; i < call.arity; ++i) {
        in[i] = places[static_cast<size_t>(call.inputs[i])].at(at);
      }
      call.kernel(in, places[static_cast<size_t>(call.value)].at(at), n, call.params);
    }
    for (const auto& [value, store] : copies_) {
      std::memcpy(stores[static_cast<size_t>(store)] + static_cast<size_t>(at) * width_,
                  places[static_cast<size_t>(value)].base, static_cast<size_t>(n) * width_);
    }
  }
}

void Region::run(std::span<const char* const> loads, std::span<char* const> stores) const {
  if (size_ <= kPart) return compute(loads, stores, 0, size_);
  const BlockingScope scope(nbytes());
  parallel_for(size_, grain(),
               [&](int64_t begin, int64_t end) { compute(loads, stores, begin, end); });
}

}  // namespace mxtape
