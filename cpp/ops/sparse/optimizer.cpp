#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/zeros.h"
#include "op/sparse.h"
#include "ops/optimizer/steps.h"
#include "runtime/parallel.h"

// Updates of weights by row_sparse gradients: in place, and where they are lazy only in the rows
// that the gradient has. Weights and states are dense or have all of their rows, so that row i is
// at the same place in each of them.
namespace mxtape {
namespace {

using enum StorageType;

// The weight's values, which change in place.
NDArray weight_values(SparseCall& call) {
  const NDArray &weight = call.in(0), &out = call.given();
  const bool same = out.defined() && out.storage() == weight.storage() &&
                    out.byte_offset() == weight.byte_offset();
  if (!same) call.refuse("the weight changes in place, and out must be the weight itself");
  if (call.storage(0) == kDense) return weight;
  const int64_t rows = weight.shape()[0], there = call.parts(0).count();
  if (there != rows) {
    call.refuse(str_cat("a row_sparse weight must have all of its rows, and this one has ", there,
                        " of ", rows));
  }
  return call.writable_data(0);
}

// An array of these parts with all rows: those that are not there become zeros.
SparseParts with_all_rows(const SparseParts& parts, const Shape& shape) {
  const int64_t rows = shape[0];
  SparseParts all;
  all.indices = NDArray::empty(Shape{rows}, DType::kInt64);
  int64_t* index = all.indices.data<int64_t>();
  for (int64_t i = 0; i < rows; ++i) index[i] = i;
  const size_t bytes = static_cast<size_t>(shape.size()) * item_size(parts.data.dtype());
  bool zeroed = false;
  all.data = NDArray(allocate_zeros(bytes, zeroed), 0, shape, parts.data.dtype());
  if (!zeroed) std::memset(all.data.bytes(), 0, bytes);
  const size_t row = rows ? bytes / static_cast<size_t>(rows) : 0;
  for (int64_t k = 0; k < parts.count() && row; ++k) {
    std::memcpy(all.data.bytes() + parts.index()[k] * row, parts.data.bytes() + k * row, row);
  }
  return all;
}

// The values of a state, which change in place. A row_sparse one gets all of its rows.
NDArray state_values(SparseCall& call, size_t i) {
  const NDArray& state = call.in(i);
  if (call.storage(i) == kDense) return state;
  if (call.parts(i).count() != state.shape()[0]) {
    replace_parts(state, with_all_rows(call.parts(i), state.shape()));
  }
  return call.writable_data(i);
}

// What stands for the gradient of a row that is not there.
constexpr int64_t kZeros = 256;
alignas(64) constexpr char zeros[kZeros * sizeof(double)] = {};

// An update of `size` elements of the weight and its states, from element `begin` on.
using Span = void (*)(const void* update, int64_t begin, int64_t size, const void* grad);

// The walk over the rows, once for all updates. Of the gradient: the rows' numbers, how many there
// are, their values, and elements in a row.
struct Walk {
  const int64_t* index;
  int64_t count;
  const char* grad;
  int64_t width;
  int64_t item;  // bytes of an element
  Span span;
  const void* update;

  // Rows that are there. In pieces of elements, so that a few wide rows are shared out too.
  void over_there() const {
    parallel_for(count * width, kStepPiece, [this](int64_t begin, int64_t end) {
      int64_t k = begin / width, column = begin - k * width;
      for (int64_t at = begin; at < end; ++k, column = 0) {
        const int64_t size = std::min(end - at, width - column);
        span(update, index[k] * width + column, size, grad + at * item);
        at += size;
      }
    });
  }

  // All rows, of which most may have no gradient.
  void over_all(int64_t rows) const {
    parallel_for(rows * width, kStepPiece, [this](int64_t begin, int64_t end) {
      int64_t k = std::lower_bound(index, index + count, begin / width) - index;
      for (int64_t at = begin; at < end;) {
        const int64_t next = k < count ? index[k] * width : end;
        const bool there = at >= next;
        const int64_t size =
            there ? std::min(end, next + width) - at : std::min({end - at, next - at, kZeros});
        span(update, at, size, there ? grad + (k * width + at - next) * item : zeros);
        at += size;
        k += there;
      }
    });
  }
};

template <class Step, class T>
struct Update {
  static constexpr int kStates = Step::kStates;
  Step step;
  T* weight;
  std::array<T*, kStates> states;

  static void span(const void* self, int64_t begin, int64_t size, const void* grad) {
    const auto& [step, weight, states] = *static_cast<const Update*>(self);
    std::array<T*, kStates> moved;
    for (int k = 0; k < kStates; ++k) moved[k] = states[k] + begin;
    step_span<false>(step, 0, size, weight + begin, static_cast<const T*>(grad), moved,
                     static_cast<T*>(nullptr), weight + begin);
  }
};

enum class Which { kThere, kAll };

template <template <class> class Step, class P, Which (*kWhich)(const SparseCall&)>
void update_rows(SparseCall& call) {
  constexpr int kStates = Step<float>::kStates;
  const NDArray weight = weight_values(call);
  std::array<NDArray, kStates> states;
  for (int k = 0; k < kStates; ++k) states[k] = state_values(call, 2 + k);
  const SparseParts& grad = call.parts(1);
  call.result(0, call.given());
  if (weight.size() == 0) return;
  const int64_t rows = weight.shape()[0];
  dispatch<FloatingTypes>(weight.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using StepOfT = Step<compute_type<T>>;
    Update<StepOfT, T> update{StepOfT(call.params<P>()), weight.data<T>(), {}};
    for (int k = 0; k < kStates; ++k) update.states[k] = states[k].template data<T>();
    const Walk walk{grad.index(), grad.count(), grad.data.bytes(), weight.size() / rows, sizeof(T),
                    update.span,  &update};
    if (kWhich(call) == Which::kThere) {
      walk.over_there();
    } else {
      walk.over_all(rows);
    }
  });
}

// As MXNet: with dense states a row_sparse weight is not updated lazily.
template <class P>
Which asked(const SparseCall& call) {
  const bool mixed =
      call.storage(0) == kRowSparse && call.input_count() > 2 && call.storage(2) == kDense;
  return call.params<P>().lazy_update && !mixed ? Which::kThere : Which::kAll;
}

// Nor is a dense weight by Ftrl, where a row changes even if its gradient is 0.
Which of_ftrl(const SparseCall& call) {
  return call.storage(0) == kRowSparse ? Which::kThere : Which::kAll;
}

Which there(const SparseCall&) { return Which::kThere; }

constexpr auto sgd = update_rows<Sgd, SgdParams, asked<SgdParams>>;
constexpr auto momentum = update_rows<Momentum, MomentumParams, asked<MomentumParams>>;
constexpr auto adam = update_rows<Adam, AdamParams, asked<AdamParams>>;
constexpr auto ftrl = update_rows<Ftrl, FtrlParams, of_ftrl>;
constexpr auto adagrad = update_rows<Adagrad, AdagradParams, there>;

// Without decay nothing changes in the other rows.
bool without_decay(const SparseMatch& match) { return match.params<AdagradParams>().wd == 0; }

void group_adagrad(SparseCall& call) {
  const NDArray weight = weight_values(call), history = state_values(call, 2);
  const SparseParts& grad = call.parts(1);
  call.result(0, call.given());
  if (weight.size() == 0) return;
  const int64_t width = weight.size() / weight.shape()[0], *index = grad.index();
  dispatch<FloatingTypes>(weight.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const GroupAdagrad<compute_type<T>> step(call.params<GroupAdagradParams>());
    const T* values = grad.data.data<T>();
    T *w = weight.data<T>(), *h = history.data<T>();
    const int64_t grain = std::max<int64_t>(1, kStepPiece / width);
    parallel_for(grad.count(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        T* row = w + index[k] * width;
        step(width, row, values + k * width, h[index[k]], row);
      }
    });
  });
}

const SparseRows sgd_rows({"sgd_update"}, {{{kDense, kRowSparse}, kDense, sgd},
                                           {{kRowSparse, kRowSparse}, kRowSparse, sgd}});
const SparseRows momentum_rows({"sgd_mom_update"},
                               {{{kDense, kRowSparse, kDense}, kDense, momentum},
                                {{kRowSparse, kRowSparse, kRowSparse}, kRowSparse, momentum},
                                {{kRowSparse, kRowSparse, kDense}, kRowSparse, momentum}});
const SparseRows adam_rows({"adam_update"},
                           {{{kDense, kRowSparse, kDense, kDense}, kDense, adam},
                            {{kRowSparse, kRowSparse, kRowSparse, kRowSparse}, kRowSparse, adam},
                            {{kRowSparse, kRowSparse, kDense, kDense}, kRowSparse, adam}});
const SparseRows ftrl_rows({"ftrl_update"},
                           {{{kDense, kRowSparse, kDense, kDense}, kDense, ftrl},
                            {{kRowSparse, kRowSparse, kRowSparse, kRowSparse}, kRowSparse, ftrl}});
const SparseRows adagrad_rows(
    {"_sparse_adagrad_update"},
    {{{kDense, kRowSparse, kDense}, kDense, adagrad, without_decay},
     {{kRowSparse, kRowSparse, kRowSparse}, kRowSparse, adagrad, without_decay}});
const SparseRows group_adagrad_rows(
    {"_contrib_group_adagrad_update"},
    {{{kDense, kRowSparse, kDense}, kDense, group_adagrad},
     {{kRowSparse, kRowSparse, kRowSparse}, kRowSparse, group_adagrad}});

}  // namespace
}  // namespace mxtape
