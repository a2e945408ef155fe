#pragma once

#include <optional>

#include "op/functional.h"
#include "op/params.h"

// Parameter structs that gradients of one family need to call operators of another, and the
// operators that have them.
namespace mxtape {

struct ReduceParams {
  OptInts axis;
  bool keepdims = false;
  bool exclude = false;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "Axis or axes to reduce over; None or () for all of them.");
    v("keepdims", keepdims, "Whether reduced axes stay, with extent 1.");
    v("exclude", exclude, "Whether to reduce over all axes but the given ones.");
  }
};
namespace fn {
extern const Op<ReduceParams> sum, mean, max;
}

struct ReshapeParams {
  Ints shape;
  bool reverse = false;
  Ints target_shape;
  bool keep_highest = false;
  template <class V>
  void visit(V& v) {
    v("shape", shape,
      "Extents of the result. 0 copies the input's extent at that place, -1 takes what is left, -2 "
      "copies all remaining extents, -3 merges two, -4 splits one into the two numbers that "
      "follow.");
    v("reverse", reverse, "Whether the special values are matched from the right.");
    v("target_shape", target_shape, "Old name of shape, without special values other than 0.");
    v("keep_highest", keep_highest, "With target_shape: whether the first extent stays.");
  }
};
namespace fn {
extern const Op<ReshapeParams> reshape;
}

struct BroadcastToParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v("shape", shape, "Shape of the result; 0 keeps the input's extent.");
  }
};
namespace fn {
extern const Op<BroadcastToParams> broadcast_to;
}

struct BroadcastAxisParams {
  Ints axis;
  Ints size;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axes to broadcast, counted from the front; each must have extent 1.");
    v("size", size, "The extent that each of them gets.");
  }
};
namespace fn {
extern const Op<BroadcastAxisParams> broadcast_axis;
}

struct CastParams {
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v.required("dtype", dtype, "Data type of the result.");
  }
};
namespace fn {
extern const Op<CastParams> cast;
}

struct SliceParams {
  SliceInts begin, end, step;
  template <class V>
  void visit(V& v) {
    v.required("begin", begin, "First index along each leading axis; None for the start.");
    v.required("end", end, "Index past the last along each leading axis; None for the end.");
    v("step", step, "Step along each axis, not 0; None and missing ones are 1.");
  }
};
namespace fn {
extern const Op<SliceParams> slice, slice_assign;
}

enum class ResultStorage : int32_t { kNone, kCsr, kDefault, kRowSparse };

struct DotParams {
  bool transpose_a = false, transpose_b = false;
  ResultStorage forward_stype = ResultStorage::kNone;
  template <class V>
  void visit(V& v) {
    v("transpose_a", transpose_a, "Whether lhs is transposed first.");
    v("transpose_b", transpose_b, "Whether rhs is transposed first.");
    v("forward_stype", forward_stype,
      "Storage type of a result of sparse arrays; None for the one that needs no conversion.",
      {"None", "csr", "default", "row_sparse"});
  }
};
namespace fn {
extern const Op<DotParams> dot, batch_dot;
}

struct ConcatParams {
  int64_t num_args = 0;
  int64_t dim = 1;
  template <class V>
  void visit(V& v) {
    v("num_args", num_args, "How many arrays; counted when it is not given.");
    v("dim", dim, "The axis along which the arrays are put together.");
  }
};
namespace fn {
extern const Op<ConcatParams> concat;
}

struct StackParams {
  int64_t axis = 0;
  int64_t num_args = 0;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The place of the new axis in the result.");
    v("num_args", num_args, "How many arrays; counted when it is not given.");
  }
};
namespace fn {
extern const Op<StackParams> stack;
}

struct SoftmaxParams {
  int64_t axis = -1;
  std::optional<double> temperature;
  std::optional<DType> dtype;
  std::optional<bool> use_length = false;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis along which the results sum to 1.");
    v("temperature", temperature, "What the data is divided by; None for 1.");
    v("dtype", dtype, "Floating dtype of the result; None for the input's.");
    v("use_length", use_length,
      "Whether softmax takes a second input: how many leading elements of each run take part.");
  }
};
namespace fn {
extern const Op<SoftmaxParams> softmax, log_softmax;
}

}  // namespace mxtape
