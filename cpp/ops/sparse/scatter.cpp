#include "op/declare.h"

// The operators whose result has the rows of the first array only, whatever they make of 0: of
// dense arrays they are the plain ones. Their rows for sparse arrays are in elementwise.cpp and
// unary.cpp.
namespace mxtape {
namespace {

template <class Function>
TileFunction tile_of(Function) {
  return numeric_tile<2>(Function{});
}

OP(_scatter_plus_scalar)
    .inputs("data")
    .params<ScalarParams>()
    .infer(infer_unary)
    .pointwise(tile_of([](auto a, auto b) { return a + b; }), 1, scalar_operands)
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("data + scalar, of a sparse array where it has elements only.");

OP(_scatter_minus_scalar)
    .inputs("data")
    .params<ScalarParams>()
    .infer(infer_unary)
    .pointwise(tile_of([](auto a, auto b) { return a - b; }), 1, scalar_operands)
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("data - scalar, of a sparse array where it has elements only.");

OP(_scatter_elemwise_div)
    .inputs("lhs", "rhs")
    .infer([](InferCall& call) {
      infer_pointwise(call);
      call.expect(call.dtype(0) != DType::kBool, "boolean arrays have no arithmetic; use astype()");
    })
    .kernel([](const KernelCall& call) {
      run_tiles(fn::divide.schema().tile, {call.in(0), call.in(1)}, call.out());
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .sample(0.5, 2)
    .vjp([](Vjp& v) {
      const NDArray a = v.input(0), b = v.input(1);
      const Head g(v.head());
      if (v.needs(0)) v.grad(0, (g / b).array());
      if (v.needs(1)) v.grad(1, (-(g * a / b) / b).array());
    })
    .doc("lhs / rhs, of a row_sparse lhs in the rows that it has only.");

}  // namespace
}  // namespace mxtape
