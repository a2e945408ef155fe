#include "core/error.h"

#include <sstream>

namespace mxtape {

std::string joined(MessageParts parts) {
  std::ostringstream out;
  for (const MessagePart& part : parts) out << part;
  return out.str();
}

void fail_with(ErrorKind kind, MessageParts parts) { throw Error(kind, joined(parts)); }

}  // namespace mxtape
