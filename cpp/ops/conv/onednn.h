#pragma once

// oneDNN, for the heavy float32 layers. Only the files ops/onednn*.cpp see its own headers, through
// ops/conv/onednn_primitive.h; everybody else calls what those files offer.
namespace mxtape::onednn {

// Whether oneDNN is built in and was not switched off by MXTAPE_ONEDNN=0 in the environment, which
// is read once.
bool enabled();

}  // namespace mxtape::onednn
