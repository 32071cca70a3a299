// Recursive-descent JSON reader over bytes; see json.h. Recursion is bounded by Limits::max_depth.
#include "engine/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/error.h"

namespace toolgrad::json {

Value::Value(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    storage_ = static_cast<int64_t>(value);
  } else {
    storage_ = value;
  }
}
Value::Value(Array value) : storage_(std::move(value)) {}
Value::Value(Object value) : storage_(std::move(value)) {}

const char* Value::kind() const {
  if (is_null()) return "null";
  if (is_bool()) return "boolean";
  if (is_int64() || is_uint64()) return "integer";
  if (is_double()) return "number";
  if (is_string()) return "string";
  return is_array() ? "array" : "object";
}

namespace {

[[noreturn]] void wrong_kind(const char* expected, const Value& found) {
  throw Error("ERR_JSON", std::string("expected ") + expected + ", found " + found.kind());
}

}  // namespace

bool Value::as_bool() const {
  if (!is_bool()) wrong_kind("a boolean", *this);
  return std::get<bool>(storage_);
}

int64_t Value::as_int64() const {
  if (is_uint64()) {
    throw Error("ERR_JSON",
                "integer " + std::to_string(std::get<uint64_t>(storage_)) + " does not fit a signed 64-bit integer");
  }
  if (!is_int64()) wrong_kind("an integer", *this);
  return std::get<int64_t>(storage_);
}

uint64_t Value::as_uint64() const {
  if (is_uint64()) return std::get<uint64_t>(storage_);
  if (!is_int64()) wrong_kind("a non-negative integer", *this);
  const int64_t value = std::get<int64_t>(storage_);
  if (value < 0) throw Error("ERR_JSON", "expected a non-negative integer, found " + std::to_string(value));
  return static_cast<uint64_t>(value);
}

double Value::as_double() const {
  if (is_int64()) return static_cast<double>(std::get<int64_t>(storage_));
  if (is_uint64()) return static_cast<double>(std::get<uint64_t>(storage_));
  if (!is_double()) wrong_kind("a number", *this);
  return std::get<double>(storage_);
}

const std::string& Value::as_string() const {
  if (!is_string()) wrong_kind("a string", *this);
  return std::get<std::string>(storage_);
}

const Array& Value::as_array() const {
  if (!is_array()) wrong_kind("an array", *this);
  return std::get<Array>(storage_);
}

const Object& Value::as_object() const {
  if (!is_object()) wrong_kind("an object", *this);
  return std::get<Object>(storage_);
}

const Value* Value::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& member : std::get<Object>(storage_)) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

const std::string* duplicate_key(const Object& object) {
  std::vector<const std::string*> keys;
  keys.reserve(object.size());
  for (const Member& member : object) keys.push_back(&member.key);
  std::sort(keys.begin(), keys.end(), [](const std::string* a, const std::string* b) { return *a < *b; });
  const auto twin =
      std::adjacent_find(keys.begin(), keys.end(), [](const std::string* a, const std::string* b) { return *a == *b; });
  return twin == keys.end() ? nullptr : *twin;
}

namespace {

// Length of the well-formed UTF-8 sequence at text[at], 0 when there is none.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> unsigned { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(at + 1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return tail(at + 1, low, high) && tail(at + 2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return tail(at + 1, low, high) && tail(at + 2) && tail(at + 3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string* out, uint32_t code) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (code >> 6)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (code >> 12)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (code >> 18)));
    out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

class Parser {
 public:
  Parser(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {}

  Value document() {
    Value value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) fail("unexpected text after the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error("ERR_JSON", what + " at byte " + std::to_string(at_));
  }

  bool done() const { return at_ >= text_.size(); }

  void skip_space() {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }

  char next(const char* expected) {
    skip_space();
    if (done()) fail(std::string("expected ") + expected + ", found the end");
    return text_[at_];
  }

  void literal(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) fail("expected a value");
    at_ += word.size();
  }

  Value parse_value(size_t depth) {
    if (++values_ > limits_.max_values) fail("more than " + std::to_string(limits_.max_values) + " values");
    switch (next("a value")) {
      case '{':
        return parse_object(depth + 1);
      case '[':
        return parse_array(depth + 1);
      case '"':
        return Value(parse_string());
      case 't':
        literal("true");
        return Value(true);
      case 'f':
        literal("false");
        return Value(false);
      case 'n':
        literal("null");
        return Value();
      default:
        return parse_number();
    }
  }

  void enter(size_t depth) {
    if (depth > limits_.max_depth) fail("nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    ++at_;
  }

  Value parse_object(size_t depth) {
    enter(depth);
    Object members;
    if (next("\"key\" or }") == '}') {
      ++at_;
      return Value(std::move(members));
    }
    for (;;) {
      if (next("\"key\"") != '"') fail("expected \"key\"");
      std::string key = parse_string();
      if (next("':'") != ':') fail("expected ':'");
      ++at_;
      members.push_back(Member{std::move(key), parse_value(depth)});
      const char separator = next("',' or '}'");
      if (separator != ',' && separator != '}') fail("expected ',' or '}'");
      ++at_;
      if (separator == '}') break;
    }
    if (const std::string* twin = duplicate_key(members))
      fail("duplicate key " + quote(*twin) + " in the object that ends");
    return Value(std::move(members));
  }

  Value parse_array(size_t depth) {
    enter(depth);
    Array items;
    if (next("a value or ]") == ']') {
      ++at_;
      return Value(std::move(items));
    }
    for (;;) {
      items.push_back(parse_value(depth));
      const char separator = next("',' or ']'");
      if (separator != ',' && separator != ']') fail("expected ',' or ']'");
      ++at_;
      if (separator == ']') break;
    }
    return Value(std::move(items));
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char digit = done() ? '\0' : text_[at_];
      if (digit >= '0' && digit <= '9') {
        code = code * 16 + static_cast<uint32_t>(digit - '0');
      } else if (digit >= 'a' && digit <= 'f') {
        code = code * 16 + static_cast<uint32_t>(digit - 'a' + 10);
      } else if (digit >= 'A' && digit <= 'F') {
        code = code * 16 + static_cast<uint32_t>(digit - 'A' + 10);
      } else {
        fail("expected four hexadecimal digits");
      }
    }
    return code;
  }

  void unicode_escape(std::string* out) {
    uint32_t code = hex4();
    if (code >= 0xdc00 && code <= 0xdfff) fail("lone low surrogate in a string");
    if (code >= 0xd800 && code <= 0xdbff) {
      if (text_.substr(at_, 2) != "\\u") fail("lone high surrogate in a string");
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("lone high surrogate in a string");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
  }

  std::string parse_string() {
    std::string out;
    ++at_;
    for (;;) {
      if (done()) fail("unterminated string");
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        ++at_;
        return out;
      }
      if (byte < 0x20) fail("control character in a string");
      if (byte != '\\') {
        const size_t length = utf8_length(text_, at_);
        if (length == 0) fail("invalid UTF-8 in a string");
        out.append(text_.substr(at_, length));
        at_ += length;
        continue;
      }
      ++at_;
      if (done()) fail("unterminated string");
      const char escape = text_[at_++];
      static constexpr std::string_view kNames = "\"\\/bfnrt";
      static constexpr std::string_view kBytes = "\"\\/\b\f\n\r\t";
      const size_t known = kNames.find(escape);
      if (known != std::string_view::npos) {
        out.push_back(kBytes[known]);
      } else if (escape == 'u') {
        unicode_escape(&out);
      } else {
        fail("unknown escape in a string");
      }
    }
  }

  size_t digits() {
    const size_t from = at_;
    while (!done() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - from;
  }

  Value parse_number() {
    const size_t from = at_;
    const bool negative = text_[at_] == '-';
    if (negative) ++at_;
    const size_t first = at_;
    const size_t count = digits();
    if (count == 0) fail("expected a value");
    if (count > 1 && text_[first] == '0') fail("number with a leading zero");
    bool integer = true;
    if (!done() && text_[at_] == '.') {
      integer = false;
      ++at_;
      if (digits() == 0) fail("expected digits after the decimal point");
    }
    if (!done() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      integer = false;
      ++at_;
      if (!done() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (digits() == 0) fail("expected digits in the exponent");
    }
    const char* begin = text_.data() + from;
    const char* end = text_.data() + at_;
    if (integer) {
      int64_t small = 0;
      if (std::from_chars(begin, end, small).ec == std::errc()) return Value(small);
      uint64_t large = 0;
      if (!negative && std::from_chars(begin, end, large).ec == std::errc()) return Value(large);
      fail("integer does not fit 64 bits");
    }
    double real = 0;
    if (std::from_chars(begin, end, real).ec != std::errc() || !std::isfinite(real)) fail("number out of range");
    return Value(real);
  }

  std::string_view text_;
  Limits limits_;
  size_t at_ = 0;
  size_t values_ = 0;
};

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

Value parse(std::string_view text, const Limits& limits) {
  return Parser(text, limits).document();
}

std::string quote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == '"' || byte == '\\') {
      out.push_back('\\');
      out.push_back(character);
    } else if (byte < 0x20) {
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(character);
    }
  }
  out.push_back('"');
  return out;
}

}  // namespace toolgrad::json
