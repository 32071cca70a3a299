#include "rounding.h"

#include <cstring>

namespace conformance {
namespace {

using Wide = unsigned __int128;

__float128 power(int exponent) {
  Wide bits = static_cast<Wide>(static_cast<unsigned>(exponent + 16383)) << 112;
  __float128 result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}
bool negative(__float128 x) {
  Wide bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits >> 127) != 0;
}

}  // namespace

__float128 decode(uint64_t bits, const Format& f) {
  const int fraction_bits = f.precision - 1;
  const int low = f.bits - 1 - f.exponent_bits - fraction_bits;  // bits below the fraction: none but for tf32
  const uint64_t fraction = (bits >> low) & ((uint64_t{1} << fraction_bits) - 1);
  const int field = static_cast<int>((bits >> (f.bits - 1 - f.exponent_bits)) & ((1u << f.exponent_bits) - 1));
  const bool minus = ((bits >> (f.bits - 1)) & 1) != 0;
  __float128 value;
  if (field == (1 << f.exponent_bits) - 1) {
    value = fraction != 0 ? __float128(__builtin_nan("")) : __float128(__builtin_inf());
  } else if (field == 0) {
    value = static_cast<__float128>(fraction) * power(f.least - fraction_bits);
  } else {
    value =
        static_cast<__float128>(fraction | uint64_t{1} << fraction_bits) * power(f.least + field - 1 - fraction_bits);
  }
  return minus ? -value : value;
}

Exact sum(__float128 a, __float128 b) {
  const __float128 total = a + b;
  if (total - total != 0) return {total, 0};
  const __float128 part = total - a;
  const __float128 error = (a - (total - part)) + (b - part);
  return {total, error > 0 ? 1 : error < 0 ? -1 : 0};
}

uint64_t encode(Exact exact, const Format& f, Mode mode, uint64_t nan) {
  const __float128 value = exact.value;
  if (value != value) return nan;
  const bool minus = negative(value);
  const uint64_t sign = static_cast<uint64_t>(minus) << (f.bits - 1);
  const int fraction_bits = f.precision - 1, shift_up = f.bits - 1 - f.exponent_bits - fraction_bits;
  const uint64_t infinite = ((uint64_t{1} << f.exponent_bits) - 1) << fraction_bits;
  if (value - value != 0) return sign | infinite << shift_up;
  if (value == 0 && exact.sticky == 0) return sign;
  Wide bits;
  std::memcpy(&bits, &value, sizeof bits);
  int exponent = static_cast<int>((bits >> 112) & 0x7fff) - 16383;
  Wide significand = (bits & ((Wide{1} << 112) - 1)) | Wide{1} << 112;
  // One more bit for the sticky part; a sticky part of the other sign is borrowed from it.
  int sticky = exact.sticky * (minus ? -1 : 1);
  significand <<= 2;
  if (sticky < 0) significand -= 1;
  if (sticky > 0) significand |= 1;
  if (significand < Wide{1} << 114) significand <<= 1, --exponent;  // the borrow went through
  const int least_shift = 114 - fraction_bits;
  const int shift = exponent >= f.least ? least_shift : least_shift + (f.least - exponent);
  Wide kept = shift > 126 ? 0 : significand >> shift;
  const Wide rest = shift > 126 ? significand : significand & ((Wide{1} << shift) - 1);
  const bool inexact = rest != 0;
  const Wide half = shift > 126 ? ~Wide{0} : Wide{1} << (shift - 1);
  bool up = false;
  switch (mode) {
    case Mode::kNearest:
      up = rest > half || (rest == half && (kept & 1) != 0);
      break;
    case Mode::kAway:
      up = rest >= half;
      break;
    case Mode::kZero:
      break;
    case Mode::kDown:
      up = inexact && minus;
      break;
    case Mode::kUp:
      up = inexact && !minus;
      break;
  }
  if (up) ++kept;
  uint64_t result;
  if (exponent >= f.least) {
    result = (static_cast<uint64_t>(exponent - f.least) << fraction_bits) + static_cast<uint64_t>(kept);
    // The hidden bit adds one to the exponent field, as it should.
  } else {
    result = static_cast<uint64_t>(kept);
  }
  if (exponent > (1 << (f.exponent_bits - 1)) || result >= infinite) {
    const bool to_infinity = mode == Mode::kNearest || mode == Mode::kAway || (mode == Mode::kUp && !minus) ||
                             (mode == Mode::kDown && minus);
    result = to_infinity ? infinite : infinite - 1;
  }
  return sign | result << shift_up;
}

__float128 integral(__float128 value, Mode mode) {
  if (value != value || value - value != 0) return value;
  const bool minus = negative(value);
  const __float128 size = minus ? -value : value;
  if (size >= power(100)) return value;
  const Wide whole = static_cast<Wide>(size);
  const __float128 rest = size - static_cast<__float128>(whole);
  bool up = false;
  if (mode == Mode::kNearest) up = rest > 0.5 || (rest == 0.5 && (whole & 1) != 0);
  if (mode == Mode::kUp) up = rest > 0 && !minus;
  if (mode == Mode::kDown) up = rest > 0 && minus;
  const __float128 result = static_cast<__float128>(whole + (up ? 1 : 0));
  return minus ? -result : result;
}

bool is_nan(uint64_t bits, const Format& f) {
  return is_nan(decode(bits, f));
}

bool is_subnormal(uint64_t bits, const Format& f) {
  const __float128 value = decode(bits, f);
  const __float128 size = value < 0 ? -value : value;
  return size > 0 && size < power(f.least);
}

uint64_t flush(uint64_t bits, const Format& f) {
  return is_subnormal(bits, f) ? bits & (uint64_t{1} << (f.bits - 1)) : bits;
}

uint64_t distance(uint64_t a, uint64_t b, const Format& f) {
  if (a == b) return 0;
  if (is_nan(a, f) || is_nan(b, f)) return is_nan(a, f) && is_nan(b, f) ? 0 : ~uint64_t{0};
  const uint64_t sign = uint64_t{1} << (f.bits - 1);
  const auto ordered = [&](uint64_t x) { return (x & sign) != 0 ? sign - (x & (sign - 1)) : sign + x; };
  const uint64_t x = ordered(a), y = ordered(b);
  return x > y ? x - y : y - x;
}

}  // namespace conformance
