#pragma once

#include <cstdint>
#include <string>

#include "core/ndarray.h"
#include "op/functional.h"
#include "ops/shared/axis_view.h"
#include "ops/shared/grouping.h"

// What operators that look up by index share. Positions are int64 row numbers within range: the
// values of an index array, of any dtype, after its mode was applied.
namespace mxtape {

enum class IndexMode : int32_t { kClip, kRaise, kWrap };

// What NaN is as an index: smaller than every number, so outside of every axis.
inline constexpr int64_t kNoIndex = INT64_MIN;
// An index for a message.
std::string index_text(int64_t index);

// An index array's values as int64, not checked: the part before the decimal point, or kNoIndex.
NDArray index_numbers(const NDArray& indices);

// An index array's values as rows of an axis of `extent`; under kRaise an Error when one is
// outside. Under the others NaN counts as 0.
NDArray index_positions(const NDArray& indices, int64_t extent, IndexMode mode,
                        std::string_view op);

// The positions that columns of `indices`, of shape (M, ...), name in the leading M axes of
// `shape`, counted from the end when negative; an IndexError when one is outside.
NDArray nd_positions(const NDArray& indices, const Shape& shape, std::string_view op);

// Rows of a view, of `inner` elements each, are looked up in each of its `outer` blocks alike.

// to[b, k] = from[b, positions[k]].
void gather_rows(const NDArray& from, const AxisView& view, const NDArray& positions,
                 const NDArray& to);
// to[b, positions[k]] += from[b, k], starting from zeros; the sum has one order for any thread
// count.
void scatter_add_rows(const NDArray& from, const NDArray& positions, const NDArray& to,
                      const AxisView& view);
// The numbers 0, 1, ... of positions below `extent`, by position.
Groups<uint32_t> group_positions(const NDArray& positions, int64_t extent);
// to[g] = the sum of the rows of `from` that group g has, in the same order.
void add_grouped_rows(const NDArray& from, const Groups<uint32_t>& groups, const NDArray& to);
// to[positions[k]] = from[k]; the last k wins where positions are the same.
void scatter_rows(const NDArray& from, const NDArray& positions, const NDArray& to,
                  const AxisView& view);

// One index for each element: positions count along the axis of `view`, any number of them for each
// of its runs.
// to[b, j, i] = from[b, positions[b, j, i], i].
void gather_along(const NDArray& from, const AxisView& view, const NDArray& positions,
                  const NDArray& to);
// Zeros, with to[b, positions[b, j, i], i] = from[b, j, i]; the last j wins where positions are the
// same.
void scatter_along(const NDArray& from, const NDArray& positions, const NDArray& to,
                   const AxisView& view);

// Of scatter_nd and its kin.
struct ScatterParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the array that is written to.");
  }
};
namespace fn {
extern const Op<ScatterParams> scatter_add, scatter_set;
extern const Op<> gather_nd;
}  // namespace fn

}  // namespace mxtape
