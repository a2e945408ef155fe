#pragma once

#include "core/storage.h"

namespace mxtape {

// Memory for an array of zeros. `zeroed` says whether it holds them already: a large block that is
// new to this process has pages that the system fills when they are first touched, and an array
// that nobody reads or writes costs nothing.
Ref<Storage> allocate_zeros(size_t nbytes, bool& zeroed);

}  // namespace mxtape
