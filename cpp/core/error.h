#pragma once

#include <initializer_list>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>

namespace mxtape {

// Which Python exception an Error becomes at the border.
enum class ErrorKind { kMXNet, kType, kValue, kIndex, kAssertion, kNotImplemented, kMemory };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  explicit Error(const std::string& message) : Error(ErrorKind::kMXNet, message) {}
  ErrorKind kind() const { return kind_; }

  // Whether the message says what the call was given: shapes, dtypes, parameters. Helpers of
  // inference know an axis or a shape but not the call; InferCall adds it to what they throw.
  bool names_call() const { return names_call_; }
  Error& set_names_call() {
    names_call_ = true;
    return *this;
  }

 private:
  ErrorKind kind_;
  bool names_call_ = false;
};

// One part of a message, by reference: anything that prints. Messages are made of these so that the
// code which prints exists once for each type, and not for each message.
class MessagePart {
 public:
  template <class T>
  explicit MessagePart(const T& value) : value_(&value), print_(print<T>) {}
  explicit MessagePart(const char* text) : value_(text), print_(print_text) {}

  friend std::ostream& operator<<(std::ostream& out, const MessagePart& part) {
    part.print_(out, part.value_);
    return out;
  }

 private:
  template <class T>
  static void print(std::ostream& out, const void* value) {
    out << *static_cast<const T*>(value);
  }
  static void print_text(std::ostream& out, const void* text) {
    out << static_cast<const char*>(text);
  }

  const void* value_;
  void (*print_)(std::ostream&, const void*);
};

using MessageParts = std::initializer_list<MessagePart>;
std::string joined(MessageParts parts);
[[noreturn, gnu::cold]] void fail_with(ErrorKind kind, MessageParts parts);

template <class... Parts>
[[gnu::cold]] std::string str_cat(const Parts&... parts) {
  return joined({MessagePart(parts)...});
}

template <class... Parts>
[[noreturn, gnu::cold]] void fail(const Parts&... parts) {
  fail_with(ErrorKind::kMXNet, {MessagePart(parts)...});
}

template <class... Parts>
[[noreturn, gnu::cold]] void fail_as(ErrorKind kind, const Parts&... parts) {
  fail_with(kind, {MessagePart(parts)...});
}

}  // namespace mxtape
