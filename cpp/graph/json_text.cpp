#include "graph/json_text.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace mxtape {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& text, uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

}  // namespace

void JsonReader::fail_at(const std::string& message) const {
  const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
  const size_t line_start = before.rfind('\n') + 1;  // 0 where there is none
  mxtape::fail(source_, ": line ", 1 + std::count(before.begin(), before.end(), '\n'), ", column ",
               before.size() - line_start + 1, ": ", message);
}

void JsonReader::fail_expected(std::string_view what) const {
  if (at_ >= text_.size()) fail("expected ", what, ", but the text ends here");
  const auto c = static_cast<unsigned char>(text_[at_]);
  if (c < 0x20 || c > 0x7E) fail("expected ", what, ", got byte ", static_cast<int>(c));
  fail("expected ", what, ", got '", text_[at_], "'");
}

char JsonReader::peek() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonReader::expect(char c) {
  if (peek() != c || at_ >= text_.size()) fail_expected(str_cat("'", c, "'"));
  ++at_;
}

void JsonReader::open(char c) {
  expect(c);
  if (++depth_ > kMaxDepth) fail("values are nested more than ", kMaxDepth, " deep");
}

bool JsonReader::closes(char c) {
  if (peek() != c) return false;
  ++at_, --depth_;
  return true;
}

bool JsonReader::continues(char close) {
  if (closes(close)) return false;
  if (peek() != ',') fail_expected(str_cat("',' or '", close, "'"));
  ++at_;
  return true;
}

uint32_t JsonReader::hex4() {
  uint32_t code = 0;
  const char* begin = text_.data() + at_;
  const char* end = text_.data() + std::min(at_ + 4, text_.size());
  const auto [stop, error] = std::from_chars(begin, end, code, 16);
  if (error != std::errc() || stop != begin + 4) fail("expected four hexadecimal digits after \\u");
  at_ += 4;
  return code;
}

void JsonReader::escape(std::string& value) {
  if (at_ >= text_.size()) fail_expected("an escape");
  static constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
  const char c = text_[at_++];
  if (const size_t known = letters.find(c); known != letters.npos) {
    value += meanings[known];
    return;
  }
  if (c != 'u') fail("unknown escape in a string");
  uint32_t code = hex4();
  if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
    at_ += 2;
    const uint32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  if (code >= 0xD800 && code < 0xE000) fail("half of a surrogate pair");
  append_utf8(value, code);
}

std::string JsonReader::string() {
  if (peek() != '"') fail_expected("a string");
  ++at_;
  std::string value;
  while (true) {
    const size_t stop = std::min(text_.find_first_of("\"\\", at_), text_.size());
    value += text_.substr(at_, stop - at_);
    at_ = stop;
    if (at_ >= text_.size()) fail("the text ends within a string");
    if (text_[at_++] == '"') return value;
    escape(value);
  }
}

int64_t JsonReader::integer() {
  const char c = peek();
  if (c != '-' && !is_digit(c)) fail_expected("an integer");
  int64_t value = 0;
  const char* begin = text_.data() + at_;
  const auto [stop, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  if (error == std::errc::result_out_of_range) fail("a number is too large");
  const size_t next = at_ + static_cast<size_t>(stop - begin);
  const char after = next < text_.size() ? text_[next] : '\0';
  if (error != std::errc() || after == '.' || after == 'e' || after == 'E') {
    fail("expected an integer, got another number");
  }
  at_ = next;
  return value;
}

uint32_t JsonReader::number() {
  const size_t start = at_;
  const int64_t value = integer();
  if (value < 0 || value > std::numeric_limits<uint32_t>::max()) {
    at_ = start, peek();
    fail("expected a number from 0 to 4294967295, got ", value);
  }
  return static_cast<uint32_t>(value);
}

void JsonReader::skip() {
  const char c = peek();
  if (c == '{') return object([this](const std::string&) { skip(); });
  if (c == '[') return array([this] { skip(); });
  if (c == '"') return static_cast<void>(string());
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(at_, word.size()) == word) {
      at_ += word.size();
      return;
    }
  }
  if (c != '-' && !is_digit(c)) fail_expected("a value");
  double value;
  const char* begin = text_.data() + at_;
  const auto [stop, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  if (stop == begin) fail_expected("a number");
  at_ += static_cast<size_t>(stop - begin);
}

void JsonReader::end() {
  peek();
  if (at_ < text_.size()) fail_expected("the end of the text");
}

void JsonWriter::begin(char open, char close, bool lines) {
  text_ += open;
  scopes_.push_back({close, lines});
}

void JsonWriter::end() {
  const Scope scope = scopes_.back();
  scopes_.pop_back();
  if (scope.lines && !scope.empty) new_line();
  text_ += scope.close;
}

void JsonWriter::item() {
  Scope& scope = scopes_.back();
  if (!scope.empty) text_ += ", ";
  scope.empty = false;
  if (scope.lines) new_line();
}

void JsonWriter::key(std::string_view name) {
  item();
  string(name);
  text_ += ": ";
}

// Other control characters than these, and what is beyond ASCII, stand for themselves.
void JsonWriter::string(std::string_view value) {
  text_ += '"';
  for (const char c : value) {
    switch (c) {
      case '"':
        text_ += "\\\"";
        break;
      case '\\':
        text_ += "\\\\";
        break;
      case '\n':
        text_ += "\\n";
        break;
      case '\r':
        text_ += "\\r";
        break;
      case '\t':
        text_ += "\\t";
        break;
      default:
        text_ += c;
    }
  }
  text_ += '"';
}

}  // namespace mxtape
