#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace mxtape {

// Reads JSON from a text, a value at a time, in the order in which the text has them. What does not
// fit is an Error with line and column. Nothing beyond the text is read, whatever is in it, and
// values may be nested 128 deep.
class JsonReader {
 public:
  // `source` is what errors call the text.
  JsonReader(std::string_view text, std::string source) : text_(text), source_(std::move(source)) {}

  // An object: field(key) reads the value that belongs to the key.
  template <class Field>
  void object(Field field) {
    open('{');
    if (closes('}')) return;
    do {
      const std::string key = string();
      expect(':');
      field(key);
    } while (continues('}'));
  }
  // An array: item() reads the next value.
  template <class Item>
  void array(Item item) {
    open('[');
    if (closes(']')) return;
    do {
      item();
    } while (continues(']'));
  }
  std::string string();
  // An integer from 0 to 2^32 - 1.
  uint32_t number();
  // An integer.
  int64_t integer();
  // Passes over any value.
  void skip();
  // Nothing else may follow.
  void end();

  // The text up to here does not say what it should.
  template <class... Parts>
  [[noreturn, gnu::cold]] void fail(const Parts&... parts) const {
    fail_at(str_cat(parts...));
  }
  const std::string& source() const { return source_; }

 private:
  static constexpr int kMaxDepth = 128;

  [[noreturn, gnu::cold]] void fail_at(const std::string& message) const;
  [[noreturn, gnu::cold]] void fail_expected(std::string_view what) const;
  char peek();
  void expect(char c);
  void open(char c);
  bool closes(char c);
  bool continues(char close);
  void escape(std::string& value);
  uint32_t hex4();

  std::string_view text_;
  std::string source_;
  size_t at_ = 0;
  int depth_ = 0;
};

// Writes JSON as MXNet does: two spaces for a level, and a space before the end of a line that ends
// in a comma.
class JsonWriter {
 public:
  // With `lines`, each item stands on a line of its own.
  void begin_object(bool lines) { begin('{', '}', lines); }
  void begin_array(bool lines) { begin('[', ']', lines); }
  void end();
  // Comes before each item of an array; key() before each value of an object.
  void item();
  void key(std::string_view name);
  void string(std::string_view value);
  void number(uint64_t value) { text_ += std::to_string(value); }

  std::string take() { return std::move(text_); }

 private:
  struct Scope {
    char close;
    bool lines;
    bool empty = true;
  };
  void begin(char open, char close, bool lines);
  void new_line() { text_.append(1, '\n').append(2 * scopes_.size(), ' '); }

  std::string text_;
  std::vector<Scope> scopes_;
};

}  // namespace mxtape
