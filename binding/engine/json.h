// A small strict JSON reader for file headers, and the value type that also carries GGUF metadata.
//
// Invariants: integers keep all 64 bits (never through a double); object members keep their order; a duplicate key, a
// control character, invalid UTF-8, a lone surrogate, a number that fits no 64-bit integer or double, or anything after
// the value is an error. Depth and number of values are bounded, so memory is bounded by Limits whatever the input.
// Errors are Error{"ERR_JSON"} with the byte position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace toolgrad::json {

class Value;
struct Member;
using Array = std::vector<Value>;
using Object = std::vector<Member>;

class Value {
 public:
  Value() = default;
  explicit Value(bool value) : storage_(value) {}
  explicit Value(int64_t value) : storage_(value) {}
  explicit Value(uint64_t value);
  explicit Value(double value) : storage_(value) {}
  explicit Value(std::string value) : storage_(std::move(value)) {}
  explicit Value(const char*) = delete;  // would become a bool
  explicit Value(Array value);
  explicit Value(Object value);

  bool is_null() const { return std::holds_alternative<std::monostate>(storage_); }
  bool is_bool() const { return std::holds_alternative<bool>(storage_); }
  /// An integer literal: int64 when it fits, uint64 only above the int64 range.
  bool is_int64() const { return std::holds_alternative<int64_t>(storage_); }
  bool is_uint64() const { return std::holds_alternative<uint64_t>(storage_); }
  bool is_double() const { return std::holds_alternative<double>(storage_); }
  bool is_string() const { return std::holds_alternative<std::string>(storage_); }
  bool is_array() const { return std::holds_alternative<Array>(storage_); }
  bool is_object() const { return std::holds_alternative<Object>(storage_); }

  /// Each as_* throws Error{"ERR_JSON"} naming the kind found when the value is of another kind.
  bool as_bool() const;
  int64_t as_int64() const;  // any integer that fits
  uint64_t as_uint64() const;
  double as_double() const;  // any number
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;

  /// "null", "boolean", "integer", "number", "string", "array" or "object".
  const char* kind() const;
  /// The member called `key` of an object; null when absent or when this is not an object.
  const Value* find(std::string_view key) const;

 private:
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> storage_;
};

struct Member {
  std::string key;
  Value value;
};

struct Limits {
  size_t max_depth = 64;
  size_t max_values = 1'000'000;  // scalars, arrays and objects together
};

/// Parse exactly one JSON value with optional white space around it.
Value parse(std::string_view text, const Limits& limits = {});

/// `text` (UTF-8) as a JSON string literal with its quotes.
std::string quote(std::string_view text);

/// True when `text` is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text);

/// The first key that occurs twice, or null. Costs n log n.
const std::string* duplicate_key(const Object& object);

}  // namespace toolgrad::json
