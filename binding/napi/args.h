// Checked readers for JavaScript values. Each throws TypeError (wrong type) or RangeError (right type, wrong value)
// with a code and the sentence `Expected <what> for <name> but received <value> of type <type>`.
//
// A span borrows the memory of a typed array: it is valid while the array is alive and not transferred. A job that uses
// it after the call returns must keep the array (job.h, Keep).
#pragma once

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace toolgrad {

constexpr int64_t kMaxSafeInteger = 9007199254740991;  // 2^53 - 1

// Throws the TypeError / RangeError of this file; `what` is the expectation ("positive integer").
[[noreturn]] void throw_wrong_type(Napi::Value value, std::string_view what, std::string_view name);
[[noreturn]] void throw_out_of_range(Napi::Value value, std::string_view what, std::string_view name);

double read_number(Napi::Value value, std::string_view name);  // finite
int64_t read_integer(Napi::Value value, std::string_view name, int64_t min = -kMaxSafeInteger,
                     int64_t max = kMaxSafeInteger);
int64_t read_positive_integer(Napi::Value value, std::string_view name);
bool read_boolean(Napi::Value value, std::string_view name);
std::string read_string(Napi::Value value, std::string_view name);
uint64_t read_id(Napi::Value value, std::string_view name);  // BigInt in [0, 2^64)

// A plain object; with `keys`, any other own key is an error that names it.
Napi::Object read_object(Napi::Value value, std::string_view name, std::initializer_list<const char*> keys = {});
Napi::Array read_array(Napi::Value value, std::string_view name);

// The property `key` of `object`, undefined when absent.
Napi::Value property(Napi::Object object, const char* key);
bool is_absent(Napi::Value value);  // undefined or null

double number_or(Napi::Object object, const char* key, double fallback);
int64_t integer_or(Napi::Object object, const char* key, int64_t fallback, int64_t min = -kMaxSafeInteger,
                   int64_t max = kMaxSafeInteger);
bool boolean_or(Napi::Object object, const char* key, bool fallback);
std::string string_or(Napi::Object object, const char* key, const std::string& fallback);

constexpr int64_t kAnyLength = -1;

// Typed arrays as spans; `length` is the exact number of elements expected, or kAnyLength.
std::span<float> read_float32(Napi::Value value, std::string_view name, int64_t length = kAnyLength);
std::span<double> read_float64(Napi::Value value, std::string_view name, int64_t length = kAnyLength);
std::span<int32_t> read_int32(Napi::Value value, std::string_view name, int64_t length = kAnyLength);
std::span<uint32_t> read_uint32(Napi::Value value, std::string_view name, int64_t length = kAnyLength);
std::span<uint16_t> read_uint16(Napi::Value value, std::string_view name, int64_t length = kAnyLength);  // bf16 bits
std::span<uint8_t> read_uint8(Napi::Value value, std::string_view name, int64_t length = kAnyLength);
std::span<int64_t> read_bigint64(Napi::Value value, std::string_view name, int64_t length = kAnyLength);
std::span<uint64_t> read_biguint64(Napi::Value value, std::string_view name, int64_t length = kAnyLength);

// Argument `index` of a call, undefined when it was not given.
inline Napi::Value argument(const Napi::CallbackInfo& info, size_t index) {
  return info[index];
}

}  // namespace toolgrad
