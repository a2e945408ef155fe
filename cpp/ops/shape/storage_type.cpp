#include "op/declare.h"
#include "ops/shared/strided.h"

// Conversion between storage types, of which there is one.
namespace mxtape {
namespace {

enum class StorageType : int32_t { kCsr, kDefault, kRowSparse };

struct CastStorageParams {
  StorageType stype = StorageType::kDefault;
  template <class V>
  void visit(V& v) {
    v.required("stype", stype, "Storage type of the result; only 'default' exists.",
               {"csr", "default", "row_sparse"});
  }
};

OP(cast_storage)
    .inputs("data")
    .params<CastStorageParams>()
    .infer([](InferCall& call) {
      call.expect(call.params<CastStorageParams>().stype == StorageType::kDefault,
                  "there are no sparse arrays: stype must be 'default'");
      infer_same_shape(call);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      if (in.size() > 0) copy_strided(in, dense(in), out, dense(out));
    })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("A copy of the array in another storage type: 'default'.")
    .example(R"(
>>> mx.nd.cast_storage(mx.nd.array([1, 2]), stype="default").asnumpy().tolist()
[1.0, 2.0]
)");

}  // namespace
}  // namespace mxtape
