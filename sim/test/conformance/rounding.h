// A plain reference for rounded arithmetic, independent of the simulator: numbers are exact quadruple-precision values
// with a sticky part, rounded by integer arithmetic to any format.
#pragma once

#include <cstdint>

namespace conformance {

struct Format {
  int precision;  // bits of the significand
  int least;      // exponent of the smallest normal number
  int exponent_bits;
  int bits;  // of the encoding (tf32: 32, low 13 zero)
};
inline constexpr Format kF16{11, -14, 5, 16}, kBF16{8, -126, 8, 16}, kF32{24, -126, 8, 32}, kF64{53, -1022, 11, 64};

enum class Mode { kNearest, kZero, kDown, kUp, kAway };  // kAway: nearest, ties away from zero

/// value + a part too small to show, of the sign of `sticky`.
struct Exact {
  __float128 value;
  int sticky = 0;
};

__float128 decode(uint64_t bits, const Format& format);
/// To the format; NaN gives `nan`, overflow what the mode says.
uint64_t encode(Exact exact, const Format& format, Mode mode, uint64_t nan);
Exact sum(__float128 a, __float128 b);
inline Exact product(__float128 a, __float128 b) {
  return {a * b, 0};  // of formats of up to 53 bits
}
/// To an integer value; NaN stays.
__float128 integral(__float128 value, Mode mode);

inline bool is_nan(__float128 x) {
  return x != x;
}
bool is_nan(uint64_t bits, const Format& format);
bool is_subnormal(uint64_t bits, const Format& format);
/// Subnormal numbers become zeros of their sign.
uint64_t flush(uint64_t bits, const Format& format);
/// The number of representable values between two (of the same format); large when the signs or kinds differ.
uint64_t distance(uint64_t a, uint64_t b, const Format& format);

}  // namespace conformance
