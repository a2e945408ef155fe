#include "ops/vision/regions.h"

#include <Eigen/Core>

namespace mxtape {

void check_regions(const CheckCall& call, size_t rois, int64_t images, bool negative_allowed) {
  const Shape& shape = call.shape(rois);
  dispatch<FloatingTypes>(call.dtype(rois), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* roi = call.input(rois).data<T>();
    for (int64_t r = 0; r < shape[0]; ++r, roi += shape[1]) {
      const auto image = static_cast<double>(static_cast<compute_type<T>>(roi[0]));
      const bool ok = image < static_cast<double>(images) && (negative_allowed || image > -1);
      call.expect(ok, "rois[", r, ", 0] is ", image, ", data has ", images, " images");
    }
  });
}

}  // namespace mxtape
