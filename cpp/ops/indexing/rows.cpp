#include <algorithm>

#include "op/declare.h"
#include "ops/shared/index.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"

// Rows that are picked by a mask, or replaced.
namespace mxtape {
namespace {

struct BooleanMaskParams {
  int64_t axis = 0;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis that index runs along: 0.");
  }
};
const fn::Op<BooleanMaskParams> boolean_mask{"_contrib_boolean_mask"};

// The positions where `mask` is not zero.
NDArray positions_of(const NDArray& mask) {
  const NDArray flags = NDArray::empty(mask.shape(), DType::kBool);
  convert(mask.dtype(), mask.bytes(), DType::kBool, flags.bytes(), mask.size());
  const bool* set = flags.data<bool>();
  const NDArray positions =
      NDArray::empty(Shape{std::count(set, set + mask.size(), true)}, DType::kInt64);
  int64_t* to = positions.data<int64_t>();
  for (int64_t i = 0; i < mask.size(); ++i) {
    if (set[i]) *to++ = i;
  }
  return positions;
}

const fn::Op<> mask_grad{"_backward_boolean_mask"};
const fn::Op<> index_copy{"_contrib_index_copy"};

OP(_contrib_boolean_mask)
    .inputs("data", "index")
    .params<BooleanMaskParams>()
    .infer([](InferCall& call) {
      call.expect(call.params<BooleanMaskParams>().axis == 0, "axis must be 0");
      call.expect(call.shape(0).ndim() >= 1 && call.shape(1) == Shape{call.shape(0)[0]},
                  "index must be a vector with a number for each row of data");
      // How many rows there are depends on the values.
      Shape shape = call.shape(0);
      shape[0] = -1;
      call.output(0, shape, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      Shape shape = call.shape(0);
      shape[0] = positions_of(call.input(1)).size();
      call.resolve(0, shape);
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      const NDArray& x = call.in(0);
      gather_rows(x, AxisView(x.shape(), 0), positions_of(call.in(1)), call.out());
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, mask_grad(v.head(), v.input(1))); })
    .linear(0)
    .doc("The rows of data at which index is not zero.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])
>>> mx.nd.contrib.boolean_mask(x, mx.nd.array([1, 0, 1])).asnumpy().tolist()
[[1.0, 2.0], [5.0, 6.0]]
)");

OP(_backward_boolean_mask)
    .inputs("head", "index")
    .infer([](InferCall& call) {
      call.expect(call.partial_shape(0).ndim() >= 1 && call.shape(1).ndim() == 1,
                  "head must have rows, and index be a vector");
      Shape shape = call.partial_shape(0);
      shape[0] = call.shape(1)[0];
      call.output(0, shape, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      call.expect(call.shape(0)[0] == positions_of(call.input(1)).size(),
                  "head must have a row for each number of index that is not zero");
    })
    .kernel([](const KernelCall& call) {
      const NDArray &head = call.in(0), &out = call.out();
      fill_zero(out);
      if (head.size() == 0) return;
      scatter_rows(head, positions_of(call.in(1)), out, AxisView(out.shape(), 0));
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, boolean_mask(v.head(), v.input(1), BooleanMaskParams{})); })
    .linear(0)
    .doc("Zeros, with the rows of the head where index is not zero.");

OP(_contrib_index_copy)
    .inputs("old_tensor", "index_vector", "new_tensor")
    .infer([](InferCall& call) {
      const Shape &old = call.shape(0), &index = call.shape(1), &rows = call.shape(2);
      call.expect(call.dtype(0) == call.dtype(2), "old_tensor and new_tensor must have one dtype");
      call.expect(index.ndim() == 1 && old.ndim() >= 1 && rows.ndim() == old.ndim() &&
                      rows[0] == index[0] &&
                      std::equal(old.begin() + 1, old.end(), rows.begin() + 1),
                  "new_tensor must have a row like those of old_tensor for each number of "
                  "index_vector");
      call.output(0, old, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      const NDArray numbers = index_numbers(call.input(1));
      const int64_t rows = call.shape(0)[0];
      for (int64_t i = 0; i < numbers.size(); ++i) {
        const int64_t k = numbers.data<int64_t>()[i];
        call.expect(k >= 0 && k < rows, "index_vector[", i, "] is ", index_text(k),
                    ", it must be in [0, ", rows, ")");
      }
    })
    .kernel([](const KernelCall& call) {
      const NDArray &old = call.in(0), &rows = call.in(2), &out = call.out();
      if (out.size() == 0) return;
      convert(old.dtype(), old.bytes(), out.dtype(), out.bytes(), old.size());
      if (rows.size() > 0) {
        scatter_rows(rows, index_numbers(call.in(1)), out, AxisView(out.shape(), 0));
      }
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData, Keep::kShape})
    .vjp([](Vjp& v) {
      const NDArray g = v.head(), index = v.input(1);
      if (v.needs(0)) {
        v.grad(0, index_copy(g, index, full(v.input_shape(2), v.input_dtype(2), 0)));
      }
      if (v.needs(2)) v.grad(2, fn::gather_nd(g, index.viewed(Shape{1, index.size()})));
    })
    .doc("old_tensor with the rows that index_vector names replaced by those of new_tensor.")
    .example(R"(
>>> x, rows = mx.nd.zeros((3, 2)), mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.contrib.index_copy(x, mx.nd.array([2, 0]), rows).asnumpy().tolist()
[[3.0, 4.0], [0.0, 0.0], [1.0, 2.0]]
)");
}  // namespace
}  // namespace mxtape
