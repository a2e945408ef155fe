#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "op/declare.h"
#include "ops/shared/strided.h"
#include "ops/sparse/row_places.h"
#include "ops/sparse/values.h"
#include "runtime/parallel.h"

// Functions of two arrays, of which one is sparse, and sums of many. The elements that the result
// has are found first. Then the operands are gathered there, zeros where they have none, and the
// dense operator runs over these.
namespace mxtape {
namespace {

using enum StorageType;

int64_t row_size(const Shape& shape) { return shape.product(1, shape.ndim()); }

bool same_numbers(const NDArray& a, const NDArray& b) {
  if (a.size() != b.size()) return false;
  return a.size() == 0 || a.bytes() == b.bytes() ||
         std::memcmp(a.bytes(), b.bytes(), a.nbytes()) == 0;
}

// ---- rows

// Row k of the result is row source[k] of `from`; zeros where that is -1.
NDArray gather_rows(const NDArray& from, const int64_t* source, int64_t n) {
  Shape shape = from.shape();
  shape[0] = n;
  const NDArray rows = NDArray::empty(std::move(shape), from.dtype());
  copy_rows(from, rows, n, [=](int64_t k) { return source[k]; });
  return rows;
}

// For each of `wanted`, ascending, where it stands in the parts' rows; -1 where it does not.
std::vector<int64_t> places_of(const NDArray& wanted, const SparseParts& parts) {
  std::vector<int64_t> places(static_cast<size_t>(wanted.size()));
  const int64_t *rows = wanted.data<int64_t>(), *there = parts.index(), n = parts.count();
  int64_t at = 0;
  for (size_t k = 0; k < places.size(); ++k) {
    while (at < n && there[at] < rows[k]) ++at;
    places[k] = at < n && there[at] == rows[k] ? at : -1;
  }
  return places;
}

NDArray union_of_rows(const SparseParts& a, const SparseParts& b) {
  const NDArray indices = NDArray::empty(Shape{a.count() + b.count()}, DType::kInt64);
  auto* begin = indices.data<int64_t>();
  const int64_t* end =
      std::set_union(a.index(), a.index() + a.count(), b.index(), b.index() + b.count(), begin);
  return indices.rows(0, end - begin);
}

// The rows of `parts` that `wanted` names, zeros for those that are not there.
NDArray rows_at(const NDArray& wanted, const SparseParts& parts) {
  if (same_numbers(wanted, parts.indices)) return parts.data;
  return gather_rows(parts.data, places_of(wanted, parts).data(), wanted.size());
}

SparseParts on_union_of_rows(const OpSchema& op, const Params* params, const SparseParts& a,
                             const SparseParts& b) {
  const NDArray indices = same_numbers(a.indices, b.indices) ? a.indices : union_of_rows(a, b);
  const NDArray left = rows_at(indices, a), right = rows_at(indices, b);
  return {run_values(op, params, {&left, &right}, left.shape(), left.dtype()), indices, {}};
}

// ---- elements

// How many elements a row has on average: rows are shared out by it.
int64_t mean_count(const SparseParts& parts) {
  const int64_t rows = parts.indptr.size() - 1;
  return rows > 0 ? 1 + parts.count() / rows : 1;
}

// The elements of `dense`, which broadcasts to `shape`, at the places of `parts`.
NDArray elements_at(const SparseParts& parts, const NDArray& dense, const Shape& shape) {
  const NDArray values = NDArray::empty(Shape{parts.count()}, dense.dtype());
  const int ndim = dense.ndim();
  const int64_t columns = ndim > 0 ? dense.shape()[ndim - 1] : 1;
  const int64_t rows = ndim > 1 ? dense.shape()[ndim - 2] : 1;
  const int64_t across = columns == 1 && shape[1] != 1 ? 0 : 1;
  const int64_t down = rows == 1 && shape[0] != 1 ? 0 : columns;
  const int64_t *index = parts.index(), *pointers = parts.pointers();
  dispatch<ElementTypes>(dense.dtype(), [&]<class U>(TypeTag<U>) {
    const U* in = dense.data<U>();
    U* out = values.data<U>();
    parallel_for(shape[0], rows_per_thread(mean_count(parts)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const U* row = in + i * down;
        for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) out[k] = row[index[k] * across];
      }
    });
  });
  return values;
}

// The elements of `from` at the places of `parts`, zeros where it has none. Both are canonical.
NDArray elements_at(const SparseParts& parts, const SparseParts& from) {
  const NDArray values = NDArray::empty(Shape{parts.count()}, from.data.dtype());
  const int64_t rows = parts.indptr.size() - 1, *index = parts.index(), *theirs = from.index();
  const int64_t *pointers = parts.pointers(), *their_pointers = from.pointers();
  dispatch<ElementTypes>(values.dtype(), [&]<class U>(TypeTag<U>) {
    const U* in = from.data.data<U>();
    U* out = values.data<U>();
    parallel_for(rows, rows_per_thread(mean_count(parts)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t at = their_pointers[i];
        const int64_t stop = their_pointers[i + 1];
        for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) {
          while (at < stop && theirs[at] < index[k]) ++at;
          out[k] = at < stop && theirs[at] == index[k] ? in[at] : U(0);
        }
      }
    });
  });
  return values;
}

// How many columns two rows have together.
int64_t union_count(const int64_t* a, const int64_t* a_end, const int64_t* b,
                    const int64_t* b_end) {
  int64_t n = 0;
  while (a != a_end && b != b_end) {
    const int64_t x = *a, y = *b;
    a += x <= y;
    b += y <= x;
    ++n;
  }
  return n + (a_end - a) + (b_end - b);
}

// The elements that one of two rows has: columns, and the values of each, zeros where it has none.
// Without branches that the columns decide.
template <class U>
void merge_rows(const int64_t* a, const int64_t* a_end, const U* x, const int64_t* b,
                const int64_t* b_end, const U* y, int64_t* columns, U* left, U* right) {
  while (a != a_end && b != b_end) {
    const int64_t p = *a, q = *b;
    const bool has_a = p <= q, has_b = q <= p;
    *columns++ = std::min(p, q);
    *left++ = static_cast<U>(*x & static_cast<U>(-has_a));
    *right++ = static_cast<U>(*y & static_cast<U>(-has_b));
    a += has_a, x += has_a;
    b += has_b, y += has_b;
  }
  right = std::fill_n(right, a_end - a, U(0));
  left = std::copy_n(x, a_end - a, left);
  columns = std::copy(a, a_end, columns);
  std::fill_n(left, b_end - b, U(0));
  std::copy_n(y, b_end - b, right);
  std::copy(b, b_end, columns);
}

struct Union {
  SparseParts pattern;  // without values
  NDArray left, right;
};

Union union_of_elements(const SparseParts& a, const SparseParts& b) {
  if (same_numbers(a.indptr, b.indptr) && same_numbers(a.indices, b.indices)) {
    return {{{}, a.indices, a.indptr}, a.data, b.data};
  }
  const int64_t rows = a.indptr.size() - 1;
  const int64_t *columns = a.index(), *others = b.index();
  const int64_t *p = a.pointers(), *q = b.pointers();
  Union both;
  both.pattern.indptr = NDArray::empty(Shape{rows + 1}, DType::kInt64);
  auto* ends = both.pattern.indptr.data<int64_t>();
  ends[0] = 0;
  const int64_t grain = rows_per_thread(mean_count(a) + mean_count(b));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      ends[i + 1] =
          union_count(columns + p[i], columns + p[i + 1], others + q[i], others + q[i + 1]);
    }
  });
  std::partial_sum(ends, ends + rows + 1, ends);
  both.pattern.indices = NDArray::empty(Shape{ends[rows]}, DType::kInt64);
  both.left = NDArray::empty(Shape{ends[rows]}, a.data.dtype());
  both.right = NDArray::empty(Shape{ends[rows]}, b.data.dtype());
  auto* index = both.pattern.indices.data<int64_t>();
  dispatch<ElementTypes>(a.data.dtype(), [&]<class U>(TypeTag<U>) {
    const U *x = a.data.data<U>(), *y = b.data.data<U>();
    U *left = both.left.data<U>(), *right = both.right.data<U>();
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        merge_rows(columns + p[i], columns + p[i + 1], x + p[i], others + q[i], others + q[i + 1],
                   y + q[i], index + ends[i], left + ends[i], right + ends[i]);
      }
    });
  });
  return both;
}

// The same parts without the elements that are 0, as MXNet leaves sums and products of csr arrays.
void drop_zeros(SparseParts& parts) {
  const int64_t rows = parts.indptr.size() - 1, *index = parts.index();
  const int64_t* pointers = parts.pointers();
  const int64_t grain = rows_per_thread(mean_count(parts));
  SparseParts kept;
  kept.indptr = NDArray::empty(parts.indptr.shape(), DType::kInt64);
  auto* ends = kept.indptr.data<int64_t>();
  ends[0] = 0;
  dispatch<ElementTypes>(parts.data.dtype(), [&]<class U>(TypeTag<U>) {
    const U all = static_cast<U>(~U{0});
    // The sign of a floating-point zero does not count.
    const U bits = is_floating(parts.data.dtype()) ? static_cast<U>(all >> 1) : all;
    const U* data = parts.data.data<U>();
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        ends[i + 1] = std::count_if(data + pointers[i], data + pointers[i + 1],
                                    [=](U x) { return (x & bits) != 0; });
      }
    });
    std::partial_sum(ends, ends + rows + 1, ends);
    if (ends[rows] == parts.count()) return;
    kept.data = NDArray::empty(Shape{ends[rows]}, parts.data.dtype());
    kept.indices = NDArray::empty(Shape{ends[rows]}, DType::kInt64);
    U* to = kept.data.data<U>();
    auto* columns = kept.indices.data<int64_t>();
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t at = ends[i];
        for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) {
          if ((data[k] & bits) == 0) continue;
          to[at] = data[k];
          columns[at++] = index[k];
        }
      }
    });
    parts = std::move(kept);
  });
}

// ---- kernels

bool one_shape(const SparseCall& call) {
  return call.in(0).shape() == call.output().shape && call.in(1).shape() == call.output().shape;
}

// The result has the rows or elements that one of two sparse arrays has.
void on_union(SparseCall& call) {
  if (!one_shape(call)) return run_through_dense(call);
  const Params* params = call.raw_params().get();
  if (call.storage(0) == kRowSparse) {
    return call.result(0, on_union_of_rows(call.op(), params, call.parts(0), call.parts(1)));
  }
  Union both = union_of_elements(canonical(call, 0), canonical(call, 1));
  both.pattern.data = run_values(call, {&both.left, &both.right}, both.left.shape());
  drop_zeros(both.pattern);
  call.result(0, std::move(both.pattern));
}

// What the other operand has at the rows of a row_sparse array: it may broadcast to `shape`.
NDArray other_rows(const SparseCall& call, const SparseParts& mine, size_t other,
                   const Shape& shape) {
  NDArray x = call.in(other);
  if (storage_type(x) == kRowSparse) return rows_at(mine.indices, call.parts(other));
  if (is_sparse(x)) {
    x = NDArray::empty(shape, x.dtype());
    write_dense(call.parts(other), call.storage(other), x);
  }
  const bool has_rows = x.ndim() == shape.ndim() && (x.shape()[0] == shape[0] && shape[0] != 1);
  return has_rows ? gather_rows(x, mine.index(), mine.count()) : x;
}

// The result has the rows or elements of operand `kAt`, whatever the other one is elsewhere.
template <size_t kAt>
void on_pattern(SparseCall& call) {
  const size_t other = 1 - kAt;
  const Shape& shape = call.output().shape;
  if (call.in(kAt).shape() != shape ||
      (is_sparse(call.in(other)) && call.in(other).shape() != shape)) {
    return run_through_dense(call);
  }
  SparseParts mine = canonical(call, kAt);
  NDArray theirs;
  if (call.storage(kAt) == kRowSparse) {
    theirs = other_rows(call, mine, other, shape);
  } else if (is_sparse(call.in(other))) {
    theirs = elements_at(mine, canonical(call, other));
  } else {
    theirs = elements_at(mine, call.in(other), shape);
  }
  const NDArray values = kAt == 0 ? run_values(call, {&mine.data, &theirs}, mine.data.shape())
                                  : run_values(call, {&theirs, &mine.data}, mine.data.shape());
  mine.data = values;
  call.result(0, std::move(mine));
}

// Puts f(sparse, dense), or f(dense, sparse), where the sparse array has rows or elements, into
// `out`, which may be `dense`.
void update_dense(const OpSchema& op, const Params* params, bool sparse_first,
                  const SparseParts& parts, StorageType type, const NDArray& dense,
                  const NDArray& out) {
  const bool rows = type == kRowSparse;
  const NDArray theirs = rows ? gather_rows(dense, parts.index(), parts.count())
                              : elements_at(parts, dense, dense.shape());
  const NDArray &first = sparse_first ? parts.data : theirs,
                &second = sparse_first ? theirs : parts.data;
  const NDArray values = run_values(op, params, {&first, &second}, theirs.shape(), out.dtype());
  const int64_t* index = parts.index();
  if (rows) {
    const int64_t size = row_size(out.shape());
    const size_t bytes = static_cast<size_t>(size) * item_size(out.dtype());
    if (bytes == 0) return;
    char* to = out.bytes();
    const char* from = values.bytes();
    return parallel_for(parts.count(), rows_per_thread(size), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        std::memcpy(to + static_cast<size_t>(index[k]) * bytes,
                    from + static_cast<size_t>(k) * bytes, bytes);
      }
    });
  }
  const int64_t columns = out.shape()[1], *pointers = parts.pointers();
  dispatch<ElementTypes>(out.dtype(), [&]<class U>(TypeTag<U>) {
    const U* from = values.data<U>();
    U* to = out.data<U>();
    parallel_for(out.shape()[0], rows_per_thread(mean_count(parts)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     U* row = to + i * columns;
                     for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) {
                       row[index[k]] = from[k];
                     }
                   }
                 });
  });
}

void copy_dense(const NDArray& in, const NDArray& out) {
  if (in.size() > 0) copy_strided(in, dense(in), out, dense(out));
}

// Sums and differences of a sparse and a dense array: where the sparse one has nothing they are
// the dense array or, if `kNegative`, its negative.
template <size_t kSparse, bool kNegative>
void beside_dense(SparseCall& call) {
  if (!one_shape(call)) return run_through_dense(call);
  const NDArray &x = call.in(1 - kSparse), &given = call.given();
  const SparseParts parts = canonical(call, kSparse);
  const bool in_place =
      !kNegative && given.defined() && given.storage() == x.storage() && given.bytes() == x.bytes();
  if (in_place) call.result(0, given);
  const NDArray& out = in_place ? given : call.dense_out();
  const Params* params = call.raw_params().get();
  const NDArray* source = &x;
  if constexpr (kNegative) {
    const KernelFn negate = fn::negative.schema().kernel;
    const NDArray* inputs[] = {&x};
    negate(KernelCall(fn::negative.schema(), Inputs(inputs, 1), Arrays(&out, 1), nullptr, {}));
  } else if (!in_place) {
    copy_dense(x, out);
  }
  update_dense(call.op(), params, kSparse == 0, parts, call.storage(kSparse), *source, out);
}

// add_n of row_sparse arrays.
void sum_of_rows(SparseCall& call) {
  SparseParts total = call.parts(0);
  for (size_t i = 1; i < call.input_count(); ++i) total = add_rows(total, call.parts(i));
  call.result(0, std::move(total));
}

// add_n of arrays of any kind: the dense ones first, then each sparse one where it has something.
void sum_to_dense(SparseCall& call) {
  SmallVector<const NDArray*, 8> arrays;
  for (const NDArray& input : call.inputs()) {
    if (!is_sparse(input)) arrays.push_back(&input);
  }
  const NDArray& out = call.dense_out();
  if (arrays.size()) {
    call.op().kernel(KernelCall(call.op(), Inputs(arrays.data(), arrays.size()), Arrays(&out, 1),
                                call.raw_params().get(), {}));
  } else {
    std::memset(out.bytes(), 0, out.nbytes());
  }
  for (size_t i = 0; i < call.input_count(); ++i) {
    if (is_sparse(call.in(i))) add_to_dense(canonical(call, i), call.storage(i), out);
  }
}

// A copy of the first array, stored as the second one is.
void like_second(SparseCall& call) {
  const StorageType type = call.output().storage;
  if (call.storage(0) == type) return call.result(0, call.parts(0));
  NDArray x = call.in(0);
  if (is_sparse(x)) {
    x = NDArray::empty(x.shape(), x.dtype());
    write_dense(call.parts(0), call.storage(0), x);
  }
  call.result(0, parts_from_dense(x, type));
}

bool all_rows(const SparseMatch& match) { return match.all({kRowSparse}); }
bool any_sparse(const SparseMatch& match) { return !match.all({kDense}); }

const SparseRows union_rows({"elemwise_add", "broadcast_add", "elemwise_sub", "broadcast_sub",
                             "elemwise_mul", "broadcast_mul", "_hypot", "_maximum", "_minimum"},
                            {{{kCsr, kCsr}, kCsr, on_union},
                             {{kRowSparse, kRowSparse}, kRowSparse, on_union}});

const SparseRows dense_sum_rows({"elemwise_add", "broadcast_add"},
                                {{{kCsr, kDense}, kDense, beside_dense<0, false>},
                                 {{kDense, kCsr}, kDense, beside_dense<1, false>},
                                 {{kRowSparse, kDense}, kDense, beside_dense<0, false>},
                                 {{kDense, kRowSparse}, kDense, beside_dense<1, false>}});
const SparseRows dense_difference_rows({"elemwise_sub", "broadcast_sub"},
                                       {{{kCsr, kDense}, kDense, beside_dense<0, true>},
                                        {{kDense, kCsr}, kDense, beside_dense<1, false>},
                                        {{kRowSparse, kDense}, kDense, beside_dense<0, true>},
                                        {{kDense, kRowSparse}, kDense, beside_dense<1, false>}});

const SparseRows left_rows({"elemwise_mul", "broadcast_mul", "_masked_product", "_masked_quotient"},
                           {{{kCsr, kDense}, kCsr, on_pattern<0>},
                            {{kRowSparse, kDense}, kRowSparse, on_pattern<0>}});
const SparseRows right_rows({"elemwise_mul", "_masked_product", "_backward_relu"},
                            {{{kDense, kCsr}, kCsr, on_pattern<1>},
                             {{kDense, kRowSparse}, kRowSparse, on_pattern<1>}});
const SparseRows both_rows({"_masked_product", "_masked_quotient", "_backward_relu"},
                           {{{kCsr, kCsr}, kCsr, on_pattern<0>},
                            {{kRowSparse, kRowSparse}, kRowSparse, on_pattern<0>}});
const SparseRows quotient_rows({"broadcast_div"}, {{{kCsr, kDense}, kCsr, on_pattern<0>}});
const SparseRows scatter_rows({"_scatter_elemwise_div"},
                              {{{kRowSparse, kDense}, kRowSparse, on_pattern<0>},
                               {{kRowSparse, kRowSparse}, kRowSparse, on_pattern<0>},
                               {{kRowSparse, kCsr}, kRowSparse, on_pattern<0>}});

const SparseRows like_rows({"_identity_with_attr_like_rhs"},
                           {{{kUndefined, kCsr}, kCsr, like_second},
                            {{kUndefined, kRowSparse}, kRowSparse, like_second}});

const SparseRows sum_rows({"add_n"}, {{{}, kRowSparse, sum_of_rows, all_rows},
                                      {{}, kDense, sum_to_dense, any_sparse}});

}  // namespace

NDArray run_values(const OpSchema& op, const Params* params,
                   std::initializer_list<const NDArray*> inputs, const Shape& shape, DType dtype) {
  const NDArray out = NDArray::empty(shape, dtype);
  if (out.size() == 0) return out;
  op.kernel(KernelCall(op, Inputs(inputs.begin(), inputs.size()), Arrays(&out, 1), params, {}));
  return out;
}

SparseParts canonical(const SparseCall& call, size_t i) { return canonical_parts(call.parts(i)); }

void run_through_dense(SparseCall& call) {
  SmallVector<NDArray, 4> arrays;
  SmallVector<const NDArray*, 4> pointers;
  for (size_t i = 0; i < call.input_count(); ++i) {
    NDArray x = call.in(i);
    if (is_sparse(x)) {
      x = NDArray::empty(x.shape(), x.dtype());
      write_dense(call.parts(i), call.storage(i), x);
    }
    arrays.push_back(std::move(x));
  }
  for (const NDArray& x : arrays) pointers.push_back(&x);
  const StorageType type = call.output().storage;
  const NDArray out =
      type == kDense ? call.dense_out() : NDArray::empty(call.output().shape, call.output().dtype);
  call.op().kernel(KernelCall(call.op(), Inputs(pointers.data(), pointers.size()), Arrays(&out, 1),
                              call.raw_params().get(), {}));
  if (type != kDense) call.result(0, parts_from_dense(out, type));
}

SparseParts add_rows(const SparseParts& a, const SparseParts& b) {
  return on_union_of_rows(find_op("elemwise_add"), nullptr, a, b);
}

void add_to_dense(const SparseParts& parts, StorageType type, const NDArray& dense) {
  update_dense(find_op("elemwise_add"), nullptr, false, parts, type, dense, dense);
}

}  // namespace mxtape
