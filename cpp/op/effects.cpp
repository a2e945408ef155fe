#include "op/effects.h"

#include <cstring>

namespace mxtape {

void UndoneEffects::keep(const NDArray& array) {
  const char* bytes = array.bytes();
  before_.push_back({array.detached(), std::vector<char>(bytes, bytes + array.nbytes())});
}

UndoneEffects::~UndoneEffects() {
  current_ = outside_;
  // Backward: what was changed twice is in the end as it was at first.
  for (size_t i = before_.size(); i-- > 0;) {
    std::memcpy(before_[i].array.bytes(), before_[i].bytes.data(), before_[i].bytes.size());
    before_[i].array.mark_written();
  }
}

}  // namespace mxtape
