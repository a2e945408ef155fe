#include "runtime/tile_program.h"

#include <algorithm>

#include "runtime/convert.h"
#include "runtime/parallel.h"
#include "runtime/past_cache.h"

namespace mxtape {
namespace {

constexpr int64_t kThreadWork = 65536;  // element-costs below which a second thread costs more
// Elements of a step within a tile: what the steps of a program hold between them stays in the L1
// cache.
constexpr int64_t kPart = 512;
constexpr size_t kCacheLine = 64;

// Copies n elements from position `begin` of the loops on, in their order.
template <class T>
void gather_elements(const T* data, const Loops<>& lines, const Loops<>::Loop& line, int64_t begin,
                     int64_t n, T* out) {
  const int64_t step = line.strides[0];
  Odometer at(lines, begin / line.extent);
  int64_t first = begin % line.extent;
  while (n > 0) {
    const int64_t run = std::min(n, line.extent - first);
    const T* from = data + at.offset() + first * step;
    if (step == 0) {
      std::fill_n(out, run, *from);
    } else {
      std::copy_n(from, run, out);
    }
    out += run;
    n -= run;
    first = 0;
    at.next();
  }
}

// Asks for memory that is read soon.
void prefetch(const char* memory, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i += kCacheLine) __builtin_prefetch(memory + i);
}

void fill_with(const NDArray& array, DType compute, void* out, int64_t n) {
  convert(array.dtype(), array.bytes(), compute, out, 1);
  dispatch<ElementTypes>(compute, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = static_cast<T*>(out);
    const T value = *to;
    std::fill_n(to, n, value);
  });
}

}  // namespace

int TileProgram::add(Value value) {
  values_.push_back(value);
  return static_cast<int>(values_.size()) - 1;
}

int TileProgram::constant(double value) {
  return add({.kind = Kind::kConstant, .uniform = true, .number = value});
}

int TileProgram::load(const NDArray& array, const Shape& shape) {
  if (array.shape() == shape || (array.size() == 1 && n_ == 1)) {
    if (array.dtype() == compute_) return add({.kind = Kind::kMemory, .memory = array.bytes()});
    return add({.kind = Kind::kConvert, .array = &array});
  }
  if (array.size() == 1) {
    return add({.kind = Kind::kConstant, .uniform = true, .array = &array});
  }
  const Shape& in = array.shape();
  const int lead = shape.ndim() - in.ndim();
  Loops all;
  int64_t step = array.size();
  for (int d = 0; d < shape.ndim(); ++d) {
    const int64_t extent = d < lead ? 1 : in[d - lead];
    step /= extent;
    all.merge(shape[d], extent == 1 ? 0 : step);
  }
  gathers_.push_back({all.outer(), all.innermost()});
  return add(
      {.kind = Kind::kGather, .array = &array, .gather = static_cast<int>(gathers_.size()) - 1});
}

int TileProgram::step(TileKernel kernel, const void* params, int cost,
                      std::span<const int> inputs) {
  bool uniform = true;
  for (int input : inputs) uniform = uniform && values_[static_cast<size_t>(input)].uniform;
  const int value = add({.kind = Kind::kStep, .uniform = uniform});
  Step& step = steps_.emplace_back();
  step.kernel = kernel;
  step.params = params;
  step.arity = static_cast<int16_t>(inputs.size());
  step.value = static_cast<int16_t>(value);
  for (size_t i = 0; i < inputs.size(); ++i) step.inputs[i] = static_cast<int16_t>(inputs[i]);
  if (!uniform) cost_ += std::max(1, cost);
  return value;
}

void TileProgram::store(int value, const NDArray& out) {
  Value& v = values_[static_cast<size_t>(value)];
  const bool same = out.dtype() == compute_;
  const bool past_cache = same && goes_past_cache(out.bytes(), out.nbytes());
  past_cache_ = past_cache_ || past_cache;
  if (v.kind == Kind::kStep && !v.uniform && same && !v.memory && !past_cache) {
    v.memory = out.bytes();
  } else {
    copied_.push_back({static_cast<int16_t>(value), past_cache, out.bytes(), out.dtype()});
  }
}

// Gives scratch tiles to what is not read or computed in place; those of values that no later step
// reads are used again.
void TileProgram::prepare() {
  SmallVector<int, 16> last(values_.size());
  const int end = static_cast<int>(steps_.size());
  if (read_ < 0 && end > 0) read_ = steps_[static_cast<size_t>(end - 1)].value;
  for (int s = 0; s < end; ++s) {
    const Step& step = steps_[static_cast<size_t>(s)];
    for (int i = 0; i < step.arity; ++i) last[static_cast<size_t>(step.inputs[i])] = s;
    last[static_cast<size_t>(step.value)] = s;
  }
  for (const Store& store : copied_) last[static_cast<size_t>(store.value)] = end;
  SmallVector<int16_t, 16> unused;
  const auto take = [&](Value& value) {
    if (unused.empty()) {
      value.scratch = static_cast<int16_t>(scratch_count_++);
    } else {
      value.scratch = unused.back();
      unused.resize(unused.size() - 1);
    }
  };
  // Inputs are brought in at the start of a tile and what is uniform once for all.
  for (Value& value : values_) {
    if (value.uniform || value.kind == Kind::kGather || value.kind == Kind::kConvert) take(value);
  }
  for (int s = 0; s < end; ++s) {
    const Step& step = steps_[static_cast<size_t>(s)];
    Value& value = values_[static_cast<size_t>(step.value)];
    if (value.uniform) continue;
    if (!value.memory && step.value != read_) take(value);
    for (int i = 0; i < step.arity; ++i) {
      const auto input = static_cast<size_t>(step.inputs[i]);
      const Value& v = values_[input];
      // What is brought in is there from the start of a tile to its end.
      if (last[input] != s || v.scratch < 0 || v.uniform || v.kind != Kind::kStep) continue;
      unused.push_back(v.scratch);
      last[input] = -1;
    }
  }
}

bool TileProgram::is_one(int value) const {
  const Value& v = values_[static_cast<size_t>(value)];
  if (v.kind != Kind::kConstant) return false;
  double number = v.number;
  if (v.array) fill_with(*v.array, DType::kFloat64, &number, 1);
  return number == 1;
}

size_t TileProgram::Cursor::part_bytes(const TileProgram& program) {
  return static_cast<size_t>(kPart) * program.width_;
}
size_t TileProgram::Cursor::tile_bytes(const TileProgram& program) {
  return static_cast<size_t>(kTile) * program.width_;
}

TileProgram::Cursor::Cursor(const TileProgram& program, int slots) : program_(program) {
  const size_t part = part_bytes(program), tile = tile_bytes(program);
  const size_t bytes =
      static_cast<size_t>(program.scratch_count_) * part + static_cast<size_t>(slots) * tile;
  registers_ = local_;
  if (bytes > sizeof local_) {
    memory_ = NDArray::empty({static_cast<int64_t>(bytes)}, DType::kUint8);
    registers_ = memory_.bytes();
  }
  slots_ = registers_ + static_cast<size_t>(program.scratch_count_) * part;
  const int64_t n = std::min(kPart, program.n_);
  for (const Value& value : program.values_) {
    if (value.kind == Kind::kMemory) sources_.push_back(value.memory);
    if (value.kind != Kind::kConstant) continue;
    char* to = registers_ + static_cast<size_t>(value.scratch) * part;
    if (value.array) {
      fill_with(*value.array, program.compute_, to, n);
    } else {
      fill(program.compute_, value.number, to, n);
    }
  }
  for (const Step& step : program.steps_) {
    const Value& value = program.values_[static_cast<size_t>(step.value)];
    const void* in[kMaxInputs];
    for (int i = 0; i < step.arity; ++i) {
      const Place input = place(program.values_[static_cast<size_t>(step.inputs[i])]);
      if (!value.uniform) places_.push_back(input);
      in[i] = input.base;
    }
    if (value.uniform) {
      step.kernel(in, place(value).base, n, step.params);
    } else {
      places_.push_back(place(value));
      ++running_;
    }
  }
}

TileProgram::Cursor::~Cursor() {
  if (program_.past_cache_) end_past_cache();
}

TileProgram::Cursor::Place TileProgram::Cursor::place(const Value& value) const {
  if (value.scratch < 0) return {value.memory, program_.width_};
  return {registers_ + static_cast<size_t>(value.scratch) * part_bytes(program_), 0};
}

void TileProgram::Cursor::compute(int64_t begin, int64_t n, void* read) {
  const TileProgram& p = program_;
  const auto position = static_cast<size_t>(begin);
  alignas(64) char raw[kPart * sizeof(double)];
  // What is brought in has scratch memory.
  for (const Value& value : p.values_) {
    if (value.kind == Kind::kConvert) {
      const NDArray& array = *value.array;
      convert(array.dtype(), array.bytes() + position * item_size(array.dtype()), p.compute_,
              place(value).base, n);
    } else if (value.kind == Kind::kGather) {
      const NDArray& array = *value.array;
      const Gather& gather = p.gathers_[static_cast<size_t>(value.gather)];
      const bool same = array.dtype() == p.compute_;
      char* to = same ? place(value).base : raw;
      dispatch<ElementTypes>(array.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        gather_elements(array.data<T>(), gather.lines, gather.line, begin, n,
                        reinterpret_cast<T*>(to));
      });
      if (!same) convert(array.dtype(), raw, p.compute_, place(value).base, n);
    }
  }
  // The next part is asked for, a little with each step: all at once would wait for the memory, and
  // what is read in one go and computed with for long is no row that the processor would see.
  const size_t ahead = (position + static_cast<size_t>(n)) * p.width_;
  const size_t end = ahead + static_cast<size_t>(std::min(n, p.n_ - begin - n)) * p.width_;
  const size_t share = (end - ahead) / std::max<size_t>(1, running_) + kCacheLine;
  size_t asked = ahead;
  const Place* next = places_.begin();
  for (const Step& step : p.steps_) {
    if (p.values_[static_cast<size_t>(step.value)].uniform) continue;
    for (const char* source : sources_) prefetch(source, asked, std::min(asked + share, end));
    asked += share;
    const void* in[kMaxInputs];
    for (int i = 0; i < step.arity; ++i) in[i] = next++->at(begin, read);
    step.kernel(in, next++->at(begin, read), n, step.params);
  }
  for (const Store& store : p.copied_) {
    const char* from = place(p.values_[static_cast<size_t>(store.value)]).at(begin, read);
    if (store.past_cache) {
      write_past_cache(store.memory + position * p.width_, from, static_cast<size_t>(n) * p.width_);
      continue;
    }
    convert(p.compute_, from, store.dtype, store.memory + position * item_size(store.dtype), n);
  }
}

const void* TileProgram::Cursor::at(int64_t begin, int64_t n, int slot) {
  char* read = slots_ + static_cast<size_t>(slot) * tile_bytes(program_);
  for (int64_t i = 0; i < n; i += kPart) {
    compute(begin + i, std::min(kPart, n - i), read + static_cast<size_t>(i) * program_.width_);
  }
  return place(program_.values_[static_cast<size_t>(program_.read_)]).at(begin, read);
}

// Pieces of a large program are large: a cursor is made for each.
int64_t TileProgram::grain() const {
  const int64_t worth = std::max<int64_t>(kTile, kThreadWork / std::max(1, cost_) / kTile * kTile);
  return std::max(worth, std::min<int64_t>(n_ / 64, 1 << 16) / kTile * kTile);
}

void TileProgram::run() {
  prepare();
  const bool in_place = scratch_count_ == 0 && copied_.empty() && steps_.size() == 1;
  parallel_for(n_, grain(), [&](int64_t begin, int64_t end) {
    if (in_place) {  // one instruction over the arrays themselves needs no tiles
      const Step& step = steps_[0];
      const auto offset = static_cast<size_t>(begin) * width_;
      const void* in[kMaxInputs];
      for (int i = 0; i < step.arity; ++i) {
        in[i] = values_[static_cast<size_t>(step.inputs[i])].memory + offset;
      }
      char* out = values_[static_cast<size_t>(step.value)].memory + offset;
      step.kernel(in, out, end - begin, step.params);
      return;
    }
    Cursor cursor(*this);
    for (int64_t at = begin; at < end; at += kPart) {
      cursor.compute(at, std::min(kPart, end - at), cursor.slots_);
    }
  });
}

}  // namespace mxtape
