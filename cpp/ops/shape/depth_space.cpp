#include "op/declare.h"
#include "ops/shared/strided.h"

// Blocks of an image's pixels as channels, and back.
namespace mxtape {
namespace {

struct BlockParams {
  int64_t block_size = 0;
  template <class V>
  void visit(V& v) {
    v.required("block_size", block_size, "Height and width of a block of pixels.");
  }
};
const fn::Op<BlockParams> depth_to_space{"depth_to_space"}, space_to_depth{"space_to_depth"};

int64_t block_of(const InferCall& call) {
  const int64_t block = call.params<BlockParams>().block_size;
  call.expect(call.shape(0).ndim() == 4, "data must have four axes: batch, channel, height, width");
  call.expect(block > 0 && block < int64_t{1} << 31, "block_size must be positive");
  return block;
}

// The elements of `data`, of shape (batch, channels, height * b, width * b), in the order
// (batch, row in block, column in block, channels, height, width).
Strided blocks(const Shape& data, int64_t b) {
  const Ints stride = dense_strides(data);
  Strided walk;
  walk.axis(data[0], stride[0]);
  walk.axis(b, stride[2]);
  walk.axis(b, stride[3]);
  walk.axis(data[1], stride[1]);
  walk.axis(data[2] / b, b * stride[2]);
  walk.axis(data[3] / b, b * stride[3]);
  return walk;
}

// `data`, of shape (batch, b * b * channels, height, width), in the same order: as it lies.
Strided channels(const Shape& data, int64_t b) {
  const Ints stride = dense_strides(data);
  const int64_t count = data[1] / (b * b);
  Strided walk;
  walk.axis(data[0], stride[0]);
  walk.axis(b, b * count * stride[1]);
  walk.axis(b, count * stride[1]);
  walk.axis(count, stride[1]);
  walk.axis(data[2], stride[2]);
  walk.axis(data[3], stride[3]);
  return walk;
}

OP(depth_to_space)
    .inputs("data")
    .params<BlockParams>()
    .infer([](InferCall& call) {
      const int64_t b = block_of(call);
      const Shape& in = call.shape(0);
      call.expect(in[1] % (b * b) == 0, "the number of channels must be a multiple of ", b, " * ",
                  b);
      const Shape shape{in[0], in[1] / (b * b), in[2] * b, in[3] * b};
      checked_size(shape, call.name());
      call.output(0, shape, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      const int64_t b = call.params<BlockParams>().block_size;
      if (out.size() > 0) copy_strided(in, channels(in.shape(), b), out, blocks(out.shape(), b));
    })
    .vjp([](Vjp& v) { v.grad(0, space_to_depth(v.head(), v.params<BlockParams>())); })
    .method()
    .doc(
        "Channels as blocks of pixels: (batch, b * b * channels, height, width) becomes (batch, "
        "channels, height * b, width * b).")
    .example(R"(
>>> x = mx.nd.array([1, 2, 3, 4]).reshape((1, 4, 1, 1))
>>> mx.nd.depth_to_space(x, block_size=2).asnumpy().tolist()
[[[[1.0, 2.0], [3.0, 4.0]]]]
)");

OP(space_to_depth)
    .inputs("data")
    .params<BlockParams>()
    .infer([](InferCall& call) {
      const int64_t b = block_of(call);
      const Shape& in = call.shape(0);
      call.expect(in[2] % b == 0 && in[3] % b == 0, "height and width must be multiples of ", b);
      const Shape shape{in[0], in[1] * b * b, in[2] / b, in[3] / b};
      call.output(0, shape, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      const int64_t b = call.params<BlockParams>().block_size;
      if (out.size() > 0) gather_strided(in, blocks(in.shape(), b), out);
    })
    .vjp([](Vjp& v) { v.grad(0, depth_to_space(v.head(), v.params<BlockParams>())); })
    .method()
    .doc(
        "Blocks of pixels as channels: (batch, channels, height * b, width * b) becomes (batch, b "
        "* b * channels, height, width).")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2], [3, 4]]]])
>>> y = mx.nd.space_to_depth(image, block_size=2)
>>> y.shape, y.asnumpy().ravel().tolist()
((1, 4, 1, 1), [1.0, 2.0, 3.0, 4.0])
)");

}  // namespace
}  // namespace mxtape
