#include <cmath>
#include <utility>

#include "op/common_params.h"
#include "op/declare.h"
#include "op/tangent.h"
#include "ops/linalg/gemm.h"
#include "ops/shared/strided.h"

// The products of matrices in multi-head attention. Projections come interleaved: (length, batch,
// heads * parts * depth), where parts is 3 for queries, keys and values, 2 for keys and values.
namespace mxtape {
namespace {

struct HeadsParams {
  int64_t heads = 1;
  template <class V>
  void visit(V& v) {
    v.required("heads", heads, "How many heads the projections hold.");
  }
};

// Which part of which projection a matrix for each sample and head is.
struct PartParams {
  int64_t heads = 1, parts = 1, which = 0;
  template <class V>
  void visit(V& v) {
    v.required("heads", heads, "How many heads the projections hold.");
    v.required("parts", parts, "How many parts each head has.");
    v.required("which", which, "Which part.");
  }
};
// The same of one or two neighbouring parts.
struct JoinParams {
  PartParams first;
  int64_t count = 1;
  template <class V>
  void visit(V& v) {
    first.visit(v);
    v("count", count, "How many parts are given: 1 or 2.");
  }
};
const fn::Op<PartParams> part_op{"_attention_part"};
const fn::Op<JoinParams> join_op{"_attention_join"};

// One projection's extents.
struct Projection {
  int64_t length, batch, heads, parts, depth;
  Projection(const Shape& shape, int64_t heads, int64_t parts)
      : length(shape[0]),
        batch(shape[1]),
        heads(heads),
        parts(parts),
        depth(shape[2] / (heads * parts)) {}
  // (batch * heads, length, depth)
  Shape matrices() const { return {batch * heads, length, depth}; }
};

void check_projection(const InferCall& call, size_t i, int64_t heads, int64_t parts) {
  const Shape& shape = call.shape(i);
  call.expect(shape.ndim() == 3, "input ", i, " must have 3 axes: (length, batch, projections)");
  constexpr int64_t kLimit = int64_t{1} << 31;  // so that their product does not overflow
  call.expect(heads >= 1 && heads < kLimit, "heads must be positive and below 2^31");
  call.expect(parts >= 1 && parts < kLimit, "parts must be positive and below 2^31");
  call.expect(shape[2] % (heads * parts) == 0, "the last axis of input ", i,
              " must be a multiple of ", heads * parts, ", heads times ", parts);
}

// A walk over part `which`, one matrix (length, depth) for each sample and head.
Strided walk_part(const Projection& p, int64_t which) {
  Strided walk;
  walk.offset = which * p.depth;
  const int64_t row = p.heads * p.parts * p.depth;
  walk.axis(p.batch, row);
  walk.axis(p.heads, p.parts * p.depth);
  walk.axis(p.length, p.batch * row);
  walk.axis(p.depth, 1);
  return walk;
}

NDArray matrices_of(const NDArray& x, const Projection& p, int64_t which) {
  NDArray out = NDArray::empty(p.matrices(), x.dtype());
  if (out.size() > 0) gather_strided(x, walk_part(p, which), out);
  return out;
}

void infer_part(InferCall& call) {
  const auto& p = call.params<PartParams>();
  call.expect_floating();
  check_projection(call, 0, p.heads, p.parts);
  call.expect(p.which >= 0 && p.which < p.parts, "which must be in [0, ", p.parts, ")");
  call.output(0, Projection(call.shape(0), p.heads, p.parts).matrices(), call.dtype(0));
}

OP(_attention_part)
    .inputs("data")
    .params<PartParams>()
    .infer(infer_part)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<PartParams>();
      if (call.out().size() == 0) return;
      const Projection from(call.in(0).shape(), p.heads, p.parts);
      gather_strided(call.in(0), walk_part(from, p.which), call.out());
    })
    .vjp([](Vjp& v) { v.grad(0, join_op(v.head(), JoinParams{v.params<PartParams>()})); })
    .doc("One part of interleaved projections: a matrix (length, depth) for each sample and head.");

OP(_attention_join)
    .inputs("data", "next")
    .params<JoinParams>()
    .optional_inputs(1,
                     [](const Params* p) -> uint32_t {
                       return p->as<JoinParams>().count > 1 ? 3 : 1;
                     })
    .infer([](InferCall& call) {
      const auto& [p, count] = call.params<JoinParams>();
      const Shape& shape = call.shape(0);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(shape.ndim() == 3 && p.heads >= 1 && shape[0] % p.heads == 0,
                  "data must have shape (batch * heads, length, depth)");
      call.expect(count == 1 || count == 2, "count must be 1 or 2");
      call.expect(count == 1 || call.shape(1) == shape, "next must have the shape of data");
      call.expect(p.which >= 0 && p.which < p.parts && count <= p.parts - p.which,
                  "which must be in [0, ", p.parts, "), and so must all that is given");
      const int64_t width = checked_size({p.heads, p.parts, shape[2]}, call.name());
      call.output(0, {shape[1], shape[0] / p.heads, width}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& [p, count] = call.params<JoinParams>();
      const NDArray& out = call.out();
      if (p.parts > count) fill_zero(out);
      if (call.in(0).size() == 0) return;
      const Projection to(out.shape(), p.heads, p.parts);
      Strided from;
      from.axis(to.batch, to.heads * to.length * to.depth);
      from.axis(to.heads, to.length * to.depth);
      from.axis(to.length, to.depth);
      from.axis(to.depth, 1);
      for (int64_t i = 0; i < count; ++i) {
        copy_strided(call.in(static_cast<size_t>(i)), from, out, walk_part(to, p.which + i));
      }
    })
    .keep_inputs({Keep::kShape, Keep::kShape})
    .tangent(joint_tangent)
    .vjp([](Vjp& v) {
      const auto& [p, count] = v.params<JoinParams>();
      for (int64_t i = 0; i < count; ++i) {
        if (!v.needs(static_cast<size_t>(i))) continue;
        v.grad(static_cast<size_t>(i),
               part_op(v.head(), PartParams{p.heads, p.parts, p.which + i}));
      }
    })
    .doc("Interleaved projections of zeros, with the matrices as one part, or as two neighbours.");

// ---- queries and keys

// queries * keys^T / sqrt(depth), for each sample and head.
void scores(const NDArray& queries, const Projection& q, const NDArray& keys, const Projection& k,
            int64_t key_part, const NDArray& out) {
  if (out.size() == 0) return;
  if (q.depth == 0) return fill_zero(out);
  const NDArray a = matrices_of(queries, q, 0), b = matrices_of(keys, k, key_part);
  run_tiles(fn::multiply.schema().tile, {a, 1 / std::sqrt(static_cast<double>(q.depth))}, a);
  Gemm g{.dtype = out.dtype(),
         .m = q.length,
         .n = k.length,
         .k = q.depth,
         .a = a.bytes(),
         .b = b.bytes(),
         .out = out.bytes()};
  g.transpose_b = true;
  g.batch = q.batch * q.heads;
  gemm(g);
}

// The gradients of the queries' and the keys' matrices.
std::pair<NDArray, NDArray> scores_grad(const NDArray& head, const NDArray& q, const NDArray& k) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.shape()[2]));
  const NDArray g = head * scale;
  return {fn::batch_dot(g, k, DotParams{}), fn::batch_dot(g, q, DotParams{.transpose_a = true})};
}

// attention * values, in the order (length, batch, heads * depth).
void attend(const NDArray& projections, const Projection& p, int64_t part, const NDArray& attention,
            const NDArray& out) {
  if (out.size() == 0) return;
  if (p.length == 0) return fill_zero(out);
  const NDArray values = matrices_of(projections, p, part);
  const int64_t queries = attention.shape()[1];
  const NDArray product = NDArray::empty(Shape{p.batch * p.heads, queries, p.depth}, out.dtype());
  Gemm g{.dtype = out.dtype(),
         .m = queries,
         .n = p.depth,
         .k = p.length,
         .a = attention.bytes(),
         .b = values.bytes(),
         .out = product.bytes()};
  g.batch = p.batch * p.heads;
  gemm(g);
  Strided walk;
  walk.axis(queries, p.depth);
  walk.axis(p.batch * p.heads, queries * p.depth);
  walk.axis(p.depth, 1);
  gather_strided(product, walk, out);
}

template <int64_t kParts>
void infer_attend(InferCall& call) {
  const int64_t heads = call.params<HeadsParams>().heads;
  call.expect_floating();
  call.expect_same_dtype();
  check_projection(call, 0, heads, kParts);
  const Projection p(call.shape(0), heads, kParts);
  const Shape& attention = call.shape(1);
  call.expect(attention.ndim() == 3 && attention[0] == p.batch * heads && attention[2] == p.length,
              "attention must have shape (", p.batch * heads, ", queries, ", p.length, ")");
  call.output(0, {attention[1], p.batch, heads * p.depth}, call.dtype(0));
}

template <int64_t kParts>
void run_attend(const KernelCall& call) {
  const Projection p(call.in(0).shape(), call.params<HeadsParams>().heads, kParts);
  attend(call.in(0), p, kParts - 1, call.in(1), call.out());
}

// The values are the last part.
template <int64_t kParts>
void attend_vjp(Vjp& v) {
  const int64_t heads = v.params<HeadsParams>().heads;
  const PartParams values{heads, kParts, kParts - 1};
  const NDArray head = part_op(v.head(), PartParams{heads, 1, 0});
  if (v.needs(0)) {
    v.grad(0, join_op(fn::batch_dot(v.input(1), head, DotParams{.transpose_a = true}),
                      JoinParams{values}));
  }
  if (v.needs(1)) {
    v.grad(1, fn::batch_dot(head, part_op(v.input(0), values), DotParams{.transpose_b = true}));
  }
}

OP(_contrib_interleaved_matmul_selfatt_qk)
    .inputs("queries_keys_values")
    .params<HeadsParams>()
    .infer([](InferCall& call) {
      const int64_t heads = call.params<HeadsParams>().heads;
      call.expect_floating();
      check_projection(call, 0, heads, 3);
      const int64_t length = call.shape(0)[0];
      call.output(0, {call.shape(0)[1] * heads, length, length}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const Projection p(call.in(0).shape(), call.params<HeadsParams>().heads, 3);
      scores(call.in(0), p, call.in(0), p, 1, call.out());
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const int64_t heads = v.params<HeadsParams>().heads;
      const PartParams queries{heads, 3, 0}, keys{heads, 3, 1};
      const NDArray x = v.input(0);
      const auto [dq, dk] = scores_grad(v.head(), part_op(x, queries), part_op(x, keys));
      v.grad(0, join_op(dq, dk, JoinParams{queries, 2}));
    })
    .doc(
        "Self-attention's scores, queries * keys^T / sqrt(depth): (batch * heads, length, length), "
        "from projections (length, batch, heads * 3 * depth).")
    .example(R"(
>>> qkv = mx.nd.array([[1, 2, 5], [3, 4, 6]]).reshape((2, 1, 3))  # query, key, value
>>> mx.nd.contrib.interleaved_matmul_selfatt_qk(qkv, heads=1).asnumpy().tolist()
[[[2.0, 4.0], [6.0, 12.0]]]
)");

OP(_contrib_interleaved_matmul_selfatt_valatt)
    .inputs("queries_keys_values", "attention")
    .params<HeadsParams>()
    .infer(infer_attend<3>)
    .kernel(run_attend<3>)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp(attend_vjp<3>)
    .doc(
        "Self-attention's result, attention * values: (length, batch, heads * depth), from "
        "projections (length, batch, heads * 3 * depth).")
    .example(R"(
>>> qkv = mx.nd.array([[1, 2, 5], [3, 4, 6]]).reshape((2, 1, 3))  # query, key, value
>>> attention = mx.nd.array([[[0.5, 0.5], [0, 1]]])
>>> y = mx.nd.contrib.interleaved_matmul_selfatt_valatt(qkv, attention, heads=1)
>>> y.asnumpy().ravel().tolist()
[5.5, 6.0]
)");

OP(_contrib_interleaved_matmul_encdec_qk)
    .inputs("queries", "keys_values")
    .params<HeadsParams>()
    .infer([](InferCall& call) {
      const int64_t heads = call.params<HeadsParams>().heads;
      call.expect_floating();
      call.expect_same_dtype();
      check_projection(call, 0, heads, 1);
      check_projection(call, 1, heads, 2);
      const Shape &q = call.shape(0), &kv = call.shape(1);
      call.expect(q[1] == kv[1] && 2 * q[2] == kv[2],
                  "queries and keys_values must have the same batch and depth");
      call.output(0, {q[1] * heads, q[0], kv[0]}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const int64_t heads = call.params<HeadsParams>().heads;
      scores(call.in(0), Projection(call.in(0).shape(), heads, 1), call.in(1),
             Projection(call.in(1).shape(), heads, 2), 0, call.out());
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const int64_t heads = v.params<HeadsParams>().heads;
      const PartParams queries{heads, 1, 0}, keys{heads, 2, 0};
      const auto [dq, dk] =
          scores_grad(v.head(), part_op(v.input(0), queries), part_op(v.input(1), keys));
      if (v.needs(0)) v.grad(0, join_op(dq, JoinParams{queries}));
      if (v.needs(1)) v.grad(1, join_op(dk, JoinParams{keys}));
    })
    .doc(
        "Attention's scores, queries * keys^T / sqrt(depth): (batch * heads, queries, keys), from "
        "queries (length, batch, heads * depth) and keys_values (length, batch, heads * 2 * "
        "depth).")
    .example(R"(
>>> q = mx.nd.array([1, 3]).reshape((2, 1, 1))  # two queries of depth 1
>>> kv = mx.nd.array([[2, 5], [4, 6]]).reshape((2, 1, 2))  # two keys, each with its value
>>> mx.nd.contrib.interleaved_matmul_encdec_qk(q, kv, heads=1).asnumpy().tolist()
[[[2.0, 4.0], [6.0, 12.0]]]
)");

OP(_contrib_interleaved_matmul_encdec_valatt)
    .inputs("keys_values", "attention")
    .params<HeadsParams>()
    .infer(infer_attend<2>)
    .kernel(run_attend<2>)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp(attend_vjp<2>)
    .doc(
        "Attention's result, attention * values: (queries, batch, heads * depth), from keys_values "
        "(length, batch, heads * 2 * depth).")
    .example(R"(
>>> kv = mx.nd.array([[2, 5], [4, 6]]).reshape((2, 1, 2))  # two keys, each with its value
>>> attention = mx.nd.array([[[0.5, 0.5], [0, 1], [1, 0]]])  # three queries
>>> y = mx.nd.contrib.interleaved_matmul_encdec_valatt(kv, attention, heads=1)
>>> y.asnumpy().ravel().tolist()
[5.5, 6.0, 5.0]
)");

}  // namespace
}  // namespace mxtape
