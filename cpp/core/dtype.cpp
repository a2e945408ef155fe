#include "core/dtype.h"

namespace mxtape::detail {

void no_kernel(DType dtype) { fail("no kernel is compiled for ", dtype); }

}  // namespace mxtape::detail
