#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "op/sparse.h"
#include "runtime/parallel.h"

// Between storage types.
namespace mxtape {
namespace {

constexpr int64_t kGrain = int64_t{1} << 15;  // elements

int64_t row_grain(int64_t row) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, row)); }

// The bits of an element that are 0 where it is: all but the sign of a floating-point number.
template <class U>
U value_bits(DType dtype) {
  const U all = static_cast<U>(~U{0});
  return is_floating(dtype) ? static_cast<U>(all >> 1) : all;
}

template <class U>
void write_csr(const SparseParts& parts, const NDArray& dense) {
  const int64_t rows = dense.shape()[0], columns = dense.shape()[1];
  const U* data = parts.data.data<U>();
  const int64_t *index = parts.index(), *pointers = parts.pointers();
  U* out = dense.data<U>();
  parallel_for(rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    std::memset(out + begin * columns, 0, static_cast<size_t>((end - begin) * columns) * sizeof(U));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) {
        out[i * columns + index[k]] = data[k];
      }
    }
  });
}

// How many of some elements are not 0. In blocks, so that a vector instruction counts as many as it
// compares.
template <class U>
int64_t count_there(const U* x, int64_t n, U bits) {
  constexpr int64_t kBlock = 1 << 16;
  int64_t count = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    uint32_t in_block = 0;
    for (int64_t i = begin; i < std::min(n, begin + kBlock); ++i) in_block += (x[i] & bits) != 0;
    count += in_block;
  }
  return count;
}

// Calls f(i, x[i]) for the elements that are not 0. Most of a sparse array is passed by in blocks.
template <class U, class F>
void for_each_there(const U* x, int64_t n, U bits, F&& f) {
  constexpr int64_t kBlock = 16;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    U any = 0;
    for (int64_t i = begin; i < end; ++i) any = static_cast<U>(any | x[i]);
    if ((any & bits) == 0) continue;
    for (int64_t i = begin; i < end; ++i) {
      if ((x[i] & bits) != 0) f(i, x[i]);
    }
  }
}

template <class U>
SparseParts csr_from_dense(const NDArray& dense) {
  const int64_t rows = dense.shape()[0], columns = dense.shape()[1];
  const U* in = dense.data<U>();
  const U bits = value_bits<U>(dense.dtype());
  SparseParts parts;
  parts.indptr = NDArray::empty(Shape{rows + 1}, DType::kInt64);
  auto* pointers = parts.indptr.data<int64_t>();
  pointers[0] = 0;
  parallel_for(rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      pointers[i + 1] = count_there(in + i * columns, columns, bits);
    }
  });
  std::partial_sum(pointers, pointers + rows + 1, pointers);
  parts.data = NDArray::empty(Shape{pointers[rows]}, dense.dtype());
  parts.indices = NDArray::empty(Shape{pointers[rows]}, DType::kInt64);
  U* data = parts.data.data<U>();
  auto* index = parts.indices.data<int64_t>();
  parallel_for(rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t k = pointers[i];
      for_each_there(in + i * columns, columns, bits, [&](int64_t column, U x) {
        data[k] = x;
        index[k++] = column;
      });
    }
  });
  return parts;
}

template <class U>
SparseParts rows_from_dense(const NDArray& dense) {
  const int64_t rows = dense.shape()[0], row = dense.shape().product(1, dense.ndim());
  const U* in = dense.data<U>();
  const U bits = value_bits<U>(dense.dtype());
  std::vector<uint8_t> there(static_cast<size_t>(rows));
  parallel_for(rows, row_grain(row), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const U* x = in + i * row;
      there[static_cast<size_t>(i)] =
          std::any_of(x, x + row, [=](U value) { return (value & bits) != 0; });
    }
  });
  const int64_t n = std::count(there.begin(), there.end(), 1);
  SparseParts parts;
  parts.indices = NDArray::empty(Shape{n}, DType::kInt64);
  Shape shape = dense.shape();
  shape[0] = n;
  parts.data = NDArray::empty(std::move(shape), dense.dtype());
  auto* index = parts.indices.data<int64_t>();
  for (int64_t i = 0, k = 0; i < rows; ++i) {
    if (there[static_cast<size_t>(i)]) index[k++] = i;
  }
  U* data = parts.data.data<U>();
  parallel_for(n, row_grain(row), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      std::memcpy(data + k * row, in + index[k] * row, static_cast<size_t>(row) * sizeof(U));
    }
  });
  return parts;
}

// Each row's elements in the order of columns, those of one column added in the order in which
// they came. Returns how many are left.
template <class T>
int64_t sum_equal(const T* data, const int64_t* index, int64_t count, T* sums, int64_t* columns,
                  std::vector<int64_t>& order) {
  using Sum = compute_type<T>;
  order.resize(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return index[a] < index[b]; });
  int64_t n = 0;
  for (size_t i = 0; i < order.size();) {
    const int64_t column = index[order[i]];
    Sum sum = static_cast<Sum>(data[order[i++]]);
    for (; i < order.size() && index[order[i]] == column; ++i) {
      sum = static_cast<Sum>(sum + static_cast<Sum>(data[order[i]]));
    }
    columns[n] = column;
    sums[n++] = static_cast<T>(sum);
  }
  return n;
}

// Integers wrap around.
struct SummedTypes {
  using types = Types<float, double, float16, bfloat16, uint32_t, uint64_t, uint8_t, bool>;
  template <class U>
  static constexpr bool covers(DType dtype) {
    if constexpr (std::is_integral_v<U> && !std::is_same_v<U, bool>) {
      return is_integer(dtype) && item_size(dtype) == sizeof(U);
    } else {
      return dtype == dtype_of<U>;
    }
  }
};

}  // namespace

void write_dense(const SparseParts& given, StorageType type, const NDArray& dense) {
  if (type == StorageType::kCsr) {
    const SparseParts parts = canonical_parts(given);
    return dispatch<ElementTypes>(dense.dtype(),
                                  [&]<class U>(TypeTag<U>) { write_csr<U>(parts, dense); });
  }
  const size_t row =
      item_size(dense.dtype()) * static_cast<size_t>(dense.shape().product(1, dense.ndim()));
  const int64_t *index = given.index(), n = given.count();
  const char* data = given.data.bytes();
  char* out = dense.bytes();
  // Each piece of the result has a run of the rows that are there.
  parallel_for(dense.shape()[0], row_grain(static_cast<int64_t>(row) / 4),
               [&](int64_t begin, int64_t end) {
                 int64_t next = begin;
                 const int64_t* at = std::lower_bound(index, index + n, begin);
                 for (; at != index + n && *at < end; ++at) {
                   std::memset(out + static_cast<size_t>(next) * row, 0,
                               static_cast<size_t>(*at - next) * row);
                   std::memcpy(out + static_cast<size_t>(*at) * row,
                               data + static_cast<size_t>(at - index) * row, row);
                   next = *at + 1;
                 }
                 std::memset(out + static_cast<size_t>(next) * row, 0,
                             static_cast<size_t>(end - next) * row);
               });
}

SparseParts parts_from_dense(const NDArray& dense, StorageType type) {
  dense.storage()->materialize();
  return dispatch<ElementTypes>(dense.dtype(), [&]<class U>(TypeTag<U>) {
    return type == StorageType::kCsr ? csr_from_dense<U>(dense) : rows_from_dense<U>(dense);
  });
}

SparseParts canonical_parts(const SparseParts& parts) {
  if (parts.canonical) return parts;
  const int64_t rows = parts.indptr.size() - 1, *pointers = parts.pointers();
  SparseParts sorted{NDArray::empty(parts.data.shape(), parts.data.dtype()),
                     NDArray::empty(parts.indices.shape(), DType::kInt64),
                     NDArray::empty(parts.indptr.shape(), DType::kInt64)};
  auto *ends = sorted.indptr.data<int64_t>(), *columns = sorted.indices.data<int64_t>();
  dispatch<SummedTypes>(parts.data.dtype(), [&]<class T>(TypeTag<T>) {
    const T* data = parts.data.data<T>();
    T* sums = sorted.data.data<T>();
    std::vector<int64_t> order;
    int64_t n = ends[0] = 0;
    for (int64_t i = 0; i < rows; ++i) {
      n += sum_equal(data + pointers[i], parts.index() + pointers[i], pointers[i + 1] - pointers[i],
                     sums + n, columns + n, order);
      ends[i + 1] = n;
    }
    sorted.data = sorted.data.rows(0, n);
    sorted.indices = sorted.indices.rows(0, n);
  });
  return sorted;
}

namespace {

void check_coordinate(std::string_view what, const char* name, const NDArray& vector, int64_t end) {
  const auto* index = vector.data<int64_t>();
  for (int64_t k = 0; k < vector.size(); ++k) {
    if (index[k] < 0 || index[k] >= end) {
      fail_as(ErrorKind::kValue, what, ": ", name, "[", k, "] is ", index[k], ", the array has ",
              end, " ", name, "s");
    }
  }
}

}  // namespace

SparseParts csr_from_coordinates(std::string_view what, const Shape& shape, const NDArray& data,
                                 const NDArray& row, const NDArray& column) {
  check_coordinate(what, "row", row, shape[0]);
  check_coordinate(what, "column", column, shape[1]);
  const int64_t n = data.size();
  SparseParts parts{NDArray::empty(data.shape(), data.dtype()),
                    NDArray::empty(column.shape(), DType::kInt64),
                    NDArray::empty(Shape{shape[0] + 1}, DType::kInt64)};
  const auto *rows = row.data<int64_t>(), *columns = column.data<int64_t>();
  auto *index = parts.indices.data<int64_t>(), *ends = parts.indptr.data<int64_t>();
  // Where each row begins; then each element goes to the end of its row, which moves on.
  std::memset(ends, 0, parts.indptr.nbytes());
  for (int64_t k = 0; k < n; ++k) ++ends[rows[k] + 1];
  std::partial_sum(ends, ends + shape[0] + 1, ends);
  std::vector<int64_t> next(ends, ends + shape[0]);
  dispatch<ElementTypes>(data.dtype(), [&]<class U>(TypeTag<U>) {
    const U* from = data.data<U>();
    U* to = parts.data.data<U>();
    for (int64_t k = 0; k < n; ++k) {
      const int64_t at = next[static_cast<size_t>(rows[k])]++;
      to[at] = from[k];
      index[at] = columns[k];
    }
  });
  check_parts(what, StorageType::kCsr, shape, parts);
  return canonical_parts(parts);
}

}  // namespace mxtape
