#pragma once

#include "core/ndarray.h"
#include "graph/graph.h"

namespace mxtape {

// The recorded graph that leads to `array`, under the names that MXNet gives: "node_0" and so on
// for calls, "var0" for variables, "null0" for other arrays. Throws Error when it was not recorded
// or has been freed.
Graph trace(const NDArray& array);

}  // namespace mxtape
