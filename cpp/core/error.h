#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace mxtape {

// Which Python exception an Error becomes at the border.
enum class ErrorKind { kMXNet, kType, kValue, kIndex, kAssertion, kNotImplemented };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  explicit Error(const std::string& message) : Error(ErrorKind::kMXNet, message) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(str_cat(parts...));
}

template <class... Parts>
[[noreturn]] void fail_as(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, str_cat(parts...));
}

}  // namespace mxtape
