// Element types and the scalar conversions between them.
//
// bf16 and f16 values are carried as their bit pattern in a uint16_t. All conversions round to nearest, ties to even; a
// NaN stays a NaN (made quiet); overflow gives infinity. Integer arithmetic only, so the result depends on no compiler
// flag and no rounding mode. Plain C++17 without standard-library types in the conversions, so that other compilers can
// share the header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace toolgrad {

enum class DType : uint8_t { kF32, kBF16, kF16, kI32, kU8 };

/// Bytes per element.
constexpr size_t dtype_size(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kU8:
      return 1;
  }
  return 0;
}

/// Name as users write it: "float32", "bfloat16", "float16", "int32", "uint8".
constexpr const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kBF16:
      return "bfloat16";
    case DType::kF16:
      return "float16";
    case DType::kI32:
      return "int32";
    case DType::kU8:
      return "uint8";
  }
  return "unknown";
}

/// The type called `name` (see dtype_name); false, leaving `out` alone, when there is none.
inline bool dtype_from_name(const char* name, DType* out) {
  constexpr DType kAll[] = {DType::kF32, DType::kBF16, DType::kF16, DType::kI32, DType::kU8};
  for (DType dtype : kAll) {
    if (std::strcmp(name, dtype_name(dtype)) == 0) {
      *out = dtype;
      return true;
    }
  }
  return false;
}

inline uint32_t f32_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float f32_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float bf16_to_f32(uint16_t bits) {
  return f32_from_bits(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = f32_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN: quiet, payload kept
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1fu) {
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return f32_from_bits(sign | 0x7f800000u | (mantissa << 13) | quiet);
  }
  if (exponent != 0) return f32_from_bits(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  if (mantissa == 0) return f32_from_bits(sign);
  uint32_t shift = 0;  // subnormal half: normalise
  while ((mantissa & 0x400u) == 0) {
    mantissa <<= 1;
    ++shift;
  }
  return f32_from_bits(sign | ((113u - shift) << 23) | ((mantissa & 0x3ffu) << 13));
}

inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = f32_bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to infinity
  if (magnitude >= 0x38800000u) {                                              // normal half
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
  if (magnitude < 0x33000000u) return static_cast<uint16_t>(sign);  // below half of the least subnormal
  const uint32_t shift = 126u - (magnitude >> 23);                  // 14..24
  const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  const uint32_t kept = mantissa >> shift;
  const uint32_t dropped = mantissa & ((1u << shift) - 1u);
  const uint32_t half = 1u << (shift - 1u);
  const uint32_t up = dropped > half || (dropped == half && (kept & 1u) != 0) ? 1u : 0u;
  return static_cast<uint16_t>(sign | (kept + up));
}

}  // namespace toolgrad
