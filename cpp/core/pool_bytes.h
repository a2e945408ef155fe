#pragma once

#include "core/storage.h"

namespace mxtape {

// What a storage takes of the pool: its header, its memory where that is the pool's and there, and
// what is unused in their blocks.
size_t pool_bytes(const Storage& storage);

}  // namespace mxtape
