// Any text as the JSON of a symbol: a graph that is written and read again as it is, or an Error.

#include "graph/json.h"

#include "bytes.h"

namespace mxtape::fuzz {

void read_bytes(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string written = graph_to_json(graph_from_json(text, "input"));
  std::string again;
  try {
    again = graph_to_json(graph_from_json(written, "what was written"));
  } catch (const Error& error) {
    require(false, error.what());
  }
  require(written == again, "the same text");
}

}  // namespace mxtape::fuzz
