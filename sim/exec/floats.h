// Numbers: canonical NaN, flushing, half-precision formats, and arithmetic under a rounding mode.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace sim {

inline constexpr uint32_t kNaN32 = 0x7fffffffu;

inline uint32_t bits_of(float x) {
  return std::bit_cast<uint32_t>(x);
}
inline float float_of(uint32_t bits) {
  return std::bit_cast<float>(bits);
}
/// The hardware has one NaN for the results of single-precision arithmetic.
inline float canonical(float x) {
  return x == x ? x : float_of(kNaN32);
}
/// Subnormal numbers to zero of the same sign.
inline float flush(float x) {
  const uint32_t bits = bits_of(x);
  return float_of((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
inline float saturate(float x) {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;  // NaN becomes +0
}

enum class Round : uint8_t { kNearest, kZero, kDown, kUp };

// rounding.cc
float add_rounded(float a, float b, Round round);
float mul_rounded(float a, float b, Round round);
float fma_rounded(float a, float b, float c, Round round);
float div_rounded(float a, float b, Round round);
float sqrt_rounded(float a, Round round);
double add_rounded(double a, double b, Round round);
double mul_rounded(double a, double b, Round round);
double fma_rounded(double a, double b, double c, Round round);
double div_rounded(double a, double b, Round round);
double sqrt_rounded(double a, Round round);
float narrow_rounded(double a, Round round);
template <class F>
F integer_rounded(int64_t a, Round round);
template <class F>
F integer_rounded(uint64_t a, Round round);

// f16 and bf16. Rounding is to nearest even unless it says otherwise; a NaN becomes 0x7fff.
inline float from_half(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, rest = h & 0x7fffu;
  const float scaled = float_of(rest << 13) * 0x1p112f;  // subnormals come out right, too
  return float_of(sign | (rest >= 0x7c00u ? (rest << 13) | 0x7f800000u : bits_of(scaled)));
}
inline uint16_t to_half(float x) {
  const uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
  const uint32_t normal = (rest + 0xfffu + ((rest >> 13) & 1) - 0x38000000u) >> 13;
  // Below 2^-14 adding a half that is worth one ulp of the result makes the adder do the rounding.
  const uint32_t small = bits_of(float_of(rest) + 0.5f) - 0x3f000000u;
  const uint32_t finite = rest < 0x38800000u ? small : normal;
  const uint32_t result = rest > 0x7f800000u ? 0x7fffu : finite > 0x7c00u || rest >= 0x47800000u ? 0x7c00u : finite;
  return static_cast<uint16_t>((rest > 0x7f800000u ? 0u : sign) | result);
}
inline float from_bfloat(uint16_t h) {
  return float_of(static_cast<uint32_t>(h) << 16);
}
inline uint16_t to_bfloat(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded);
}
uint16_t to_half(float x, Round round);
uint16_t to_bfloat(float x, Round round);
/// To odd: no later rounding to fewer bits (by two or more) can go wrong.
float narrow_odd(double x);
/// a * b + c for a and b of at most 12 bits, rounded to odd.
float fma_odd(float a, float b, float c);

}  // namespace sim
