// Checked readers; see args.h.
#include "napi/args.h"

#include <cmath>

namespace toolgrad {
namespace {

std::string type_name(Napi::Value value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "boolean";
    case napi_number:
      return "number";
    case napi_string:
      return "string";
    case napi_symbol:
      return "symbol";
    case napi_function:
      return "function";
    case napi_bigint:
      return "bigint";
    default:
      break;
  }
  const Napi::Value constructor = value.As<Napi::Object>().Get("constructor");
  if (constructor.IsFunction()) {
    const std::string name = constructor.As<Napi::Object>().Get("name").ToString();
    if (!name.empty()) return name;
  }
  return "object";
}

// The value as a person would write it; containers are described by their length, long strings are cut.
std::string show(Napi::Value value) {
  constexpr size_t kLongest = 60;
  if (value.IsTypedArray())
    return "an array of " + std::to_string(value.As<Napi::TypedArray>().ElementLength()) + " elements";
  if (value.IsArray()) return "an array of " + std::to_string(value.As<Napi::Array>().Length()) + " elements";
  if (value.IsFunction()) return "a function";
  if (value.IsSymbol()) return "a symbol";
  if (value.IsObject()) return "an object";
  std::string text = value.ToString();
  if (text.size() > kLongest) {
    size_t cut = kLongest;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;  // not inside a UTF-8 sequence
    text = text.substr(0, cut) + "…";
  }
  return value.IsString() ? '"' + text + '"' : text;
}

std::string sentence(Napi::Value value, std::string_view what, std::string_view name) {
  return "Expected " + std::string(what) + " for " + std::string(name) + " but received " + show(value) + " of type " +
         type_name(value);
}

template <class T>
std::span<T> read_typed(Napi::Value value, napi_typedarray_type type, const char* type_label, std::string_view name,
                        int64_t length) {
  const std::string what =
      length == kAnyLength ? std::string(type_label) : std::string(type_label) + " of length " + std::to_string(length);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    throw_wrong_type(value, what, name);
  auto array = value.As<Napi::TypedArrayOf<T>>();
  if (length != kAnyLength && array.ElementLength() != static_cast<size_t>(length))
    throw_out_of_range(value, what, name);
  return {array.Data(), array.ElementLength()};
}

}  // namespace

void throw_wrong_type(Napi::Value value, std::string_view what, std::string_view name) {
  auto error = Napi::TypeError::New(value.Env(), sentence(value, what, name));
  error.Set("code", Napi::String::New(value.Env(), "ERR_INVALID_ARG_TYPE"));
  throw error;
}

void throw_out_of_range(Napi::Value value, std::string_view what, std::string_view name) {
  auto error = Napi::RangeError::New(value.Env(), sentence(value, what, name));
  error.Set("code", Napi::String::New(value.Env(), "ERR_OUT_OF_RANGE"));
  throw error;
}

double read_number(Napi::Value value, std::string_view name) {
  if (!value.IsNumber()) throw_wrong_type(value, "finite number", name);
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!std::isfinite(number)) throw_out_of_range(value, "finite number", name);
  return number;
}

int64_t read_integer(Napi::Value value, std::string_view name, int64_t min, int64_t max) {
  std::string what = "integer";
  if (min == 1 && max == kMaxSafeInteger) {
    what = "positive integer";
  } else if (min != -kMaxSafeInteger || max != kMaxSafeInteger) {
    what += " from " + std::to_string(min) + " to " + std::to_string(max);
  }
  if (!value.IsNumber()) throw_wrong_type(value, what, name);
  const double number = value.As<Napi::Number>().DoubleValue();
  const bool integral = std::isfinite(number) && std::trunc(number) == number;
  if (!integral || number < static_cast<double>(min) || number > static_cast<double>(max))
    throw_out_of_range(value, what, name);
  return static_cast<int64_t>(number);
}

int64_t read_positive_integer(Napi::Value value, std::string_view name) {
  return read_integer(value, name, 1);
}

bool read_boolean(Napi::Value value, std::string_view name) {
  if (!value.IsBoolean()) throw_wrong_type(value, "boolean", name);
  return value.As<Napi::Boolean>().Value();
}

std::string read_string(Napi::Value value, std::string_view name) {
  if (!value.IsString()) throw_wrong_type(value, "string", name);
  return value.As<Napi::String>().Utf8Value();
}

uint64_t read_id(Napi::Value value, std::string_view name) {
  constexpr const char* kWhat = "bigint from 0 to 2^64 - 1";
  if (!value.IsBigInt()) throw_wrong_type(value, kWhat, name);
  bool lossless = false;
  const uint64_t id = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) throw_out_of_range(value, kWhat, name);
  return id;
}

Napi::Object read_object(Napi::Value value, std::string_view name, std::initializer_list<const char*> keys) {
  if (!value.IsObject() || value.IsArray() || value.IsTypedArray() || value.IsFunction())
    throw_wrong_type(value, "object", name);
  auto object = value.As<Napi::Object>();
  if (keys.size() == 0) return object;
  const Napi::Array found = object.GetPropertyNames();
  for (uint32_t i = 0; i < found.Length(); ++i) {
    const std::string key = found.Get(i).ToString();
    bool known = false;
    std::string list;
    for (const char* candidate : keys) {
      known = known || key == candidate;
      list += (list.empty() ? "" : ", ") + std::string(candidate);
    }
    if (!known) throw_out_of_range(Napi::String::New(value.Env(), key), "one of the keys " + list, name);
  }
  return object;
}

Napi::Array read_array(Napi::Value value, std::string_view name) {
  if (!value.IsArray()) throw_wrong_type(value, "array", name);
  return value.As<Napi::Array>();
}

Napi::Value property(Napi::Object object, const char* key) {
  return object.Get(key);
}

bool is_absent(Napi::Value value) {
  return value.IsUndefined() || value.IsNull();
}

double number_or(Napi::Object object, const char* key, double fallback) {
  const Napi::Value value = property(object, key);
  return is_absent(value) ? fallback : read_number(value, key);
}

int64_t integer_or(Napi::Object object, const char* key, int64_t fallback, int64_t min, int64_t max) {
  const Napi::Value value = property(object, key);
  return is_absent(value) ? fallback : read_integer(value, key, min, max);
}

bool boolean_or(Napi::Object object, const char* key, bool fallback) {
  const Napi::Value value = property(object, key);
  return is_absent(value) ? fallback : read_boolean(value, key);
}

std::string string_or(Napi::Object object, const char* key, const std::string& fallback) {
  const Napi::Value value = property(object, key);
  return is_absent(value) ? fallback : read_string(value, key);
}

std::span<float> read_float32(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<float>(value, napi_float32_array, "Float32Array", name, length);
}
std::span<double> read_float64(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<double>(value, napi_float64_array, "Float64Array", name, length);
}
std::span<int32_t> read_int32(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<int32_t>(value, napi_int32_array, "Int32Array", name, length);
}
std::span<uint32_t> read_uint32(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<uint32_t>(value, napi_uint32_array, "Uint32Array", name, length);
}
std::span<uint16_t> read_uint16(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<uint16_t>(value, napi_uint16_array, "Uint16Array", name, length);
}
std::span<uint8_t> read_uint8(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<uint8_t>(value, napi_uint8_array, "Uint8Array", name, length);
}
std::span<int64_t> read_bigint64(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<int64_t>(value, napi_bigint64_array, "BigInt64Array", name, length);
}
std::span<uint64_t> read_biguint64(Napi::Value value, std::string_view name, int64_t length) {
  return read_typed<uint64_t>(value, napi_biguint64_array, "BigUint64Array", name, length);
}

}  // namespace toolgrad
