#include "exec/packed.h"

#include <algorithm>

#include "exec/floats.h"
#include "exec/lanes.h"

namespace sim {
namespace {

using ptx::Type;

enum Operation : int { kAdd, kMin, kMax };

template <Operation O, class T, bool Relu>
uint32_t pair(uint32_t a, uint32_t b) {
  uint32_t result = 0;
  for (int shift : {0, 16}) {
    const T x = static_cast<T>(a >> shift), y = static_cast<T>(b >> shift);
    int r = O == kAdd ? x + y : O == kMin ? std::min(x, y) : std::max(x, y);
    if (Relu) r = std::max(r, 0);
    result |= (static_cast<uint32_t>(r) & 0xffff) << shift;
  }
  return result;
}
template <Operation O>
Handler handler_of(bool sign, bool relu) {
  if (relu) return &binary<uint32_t, uint32_t, uint32_t, pair<O, int16_t, true>>;
  return sign ? &binary<uint32_t, uint32_t, uint32_t, pair<O, int16_t, false>>
              : &binary<uint32_t, uint32_t, uint32_t, pair<O, uint16_t, false>>;
}

/// e4m3 (no infinities, NaN 0x7f, the largest number 448) or e5m2 (57344).
struct Eight {
  int mantissa, bias;
  uint32_t largest, nan;
};
constexpr Eight kE4M3{3, 7, 0x7e, 0x7f}, kE5M2{2, 15, 0x7b, 0x7f};

/// Rounded to nearest even; what is too large becomes the largest number.
uint32_t to_eight(float x, const Eight& f, bool relu) {
  const uint32_t bits = bits_of(x), sign = bits >> 31;
  if (x != x) return f.nan;
  if (relu && sign != 0) return 0;
  const float size = float_of(bits & 0x7fffffffu);
  int exponent = static_cast<int>(bits_of(size) >> 23) - 127;
  exponent = std::max(exponent, 1 - f.bias);  // below that numbers are subnormal
  const double steps = __builtin_ldexp(static_cast<double>(size), f.mantissa - exponent);
  // A carry out of the mantissa goes on into the exponent, as it should.
  const double whole = __builtin_rint(steps);
  const double code = whole + static_cast<double>(exponent + f.bias - 1) * (1 << f.mantissa);
  const uint32_t number = code > f.largest ? f.largest : static_cast<uint32_t>(code);
  return sign << 7 | number;
}
float from_eight(uint32_t code, const Eight& f) {
  const uint32_t rest = code & 0x7f, exponent = rest >> f.mantissa, fraction = rest & ((1u << f.mantissa) - 1);
  float size;
  if (f.mantissa == 3 ? rest == f.nan : rest > 0x7c) {
    return float_of(kNaN32);
  } else if (f.mantissa == 2 && rest == 0x7c) {
    size = __builtin_inff();
  } else if (exponent == 0) {
    size = __builtin_ldexpf(static_cast<float>(fraction), 1 - f.bias - f.mantissa);
  } else {
    size = __builtin_ldexpf(static_cast<float>(fraction | 1u << f.mantissa),
                            static_cast<int>(exponent) - f.bias - f.mantissa);
  }
  return (code & 0x80) != 0 ? -size : size;
}

constexpr uint32_t kIsE5M2 = 1, kRelu = 2;
const Eight& format_of(const Instr& in) {
  return (in.flags & kIsE5M2) != 0 ? kE5M2 : kE4M3;
}

void from_singles(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  const Eight& f = format_of(in);
  const bool relu = (in.flags & kRelu) != 0;
  write_each<uint16_t>(w.arena + in.op[0], mask, [&](int l) {
    return static_cast<uint16_t>(to_eight(lane_of<float>(a, l), f, relu) << 8 |
                                 to_eight(lane_of<float>(b, l), f, relu));
  });
}
void from_halves(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* a = w.arena + in.op[1];
  const Eight& f = format_of(in);
  const bool relu = (in.flags & kRelu) != 0;
  write_each<uint16_t>(w.arena + in.op[0], mask, [&](int l) {
    const uint32_t word = lane_of<uint32_t>(a, l);
    return static_cast<uint16_t>(to_eight(from_half(static_cast<uint16_t>(word >> 16)), f, relu) << 8 |
                                 to_eight(from_half(static_cast<uint16_t>(word)), f, relu));
  });
}
void to_halves(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* a = w.arena + in.op[1];
  const Eight& f = format_of(in);
  const bool relu = (in.flags & kRelu) != 0;
  write_each<uint32_t>(w.arena + in.op[0], mask, [&](int l) {
    const auto one = [&](uint32_t code) -> uint32_t {
      const float x = from_eight(code, f);
      return relu && x <= 0 ? 0 : to_half(x);
    };
    const uint32_t word = lane_of<uint32_t>(a, l);
    return one(word >> 8) << 16 | one(word);
  });
}

}  // namespace

bool paired_integers(Form& f, const std::string& what) {
  const int type = f.take_any({"u16x2", "s16x2"});
  if (type < 0) return false;
  const bool relu = what != "add" && type == 1 && f.take("relu");
  f.expect_count(3, 3);
  f.out.op[0] = f.to(0, Type::kB32), f.out.op[1] = f.in(1, Type::kB32), f.out.op[2] = f.in(2, Type::kB32);
  f.out.run = what == "add"   ? handler_of<kAdd>(type == 1, false)
              : what == "min" ? handler_of<kMin>(type == 1, relu)
                              : handler_of<kMax>(type == 1, relu);
  return true;
}

bool eight_bit_conversion(Form& f) {
  const int format = f.take_any({"e4m3x2", "e5m2x2"});
  if (format < 0) return false;
  f.out.flags = (format == 1 ? kIsE5M2 : 0) | (f.take("relu") ? kRelu : 0);
  if (!f.take("rn")) f.unknown("rounding");
  const bool finite = f.take("satfinite");
  // The destination is named first; here the 8-bit name is taken already.
  const bool to_eight_bits =
      f.source.modifiers.size() >= 2 && f.source.modifiers.back().find("x2") == std::string::npos;
  const Type other = f.take_type();
  if (to_eight_bits || (other == Type::kF16x2 && f.source.modifiers.back() == "f16x2")) {
    if (!finite || (other != Type::kF32 && other != Type::kF16x2)) f.unknown("form");
    const bool singles = other == Type::kF32;
    f.expect_count(singles ? 3 : 2, singles ? 3 : 2);
    f.out.op[0] = f.to(0, Type::kB16);
    f.out.op[1] = f.in(1, singles ? Type::kF32 : Type::kB32);
    if (singles) f.out.op[2] = f.in(2, Type::kF32);
    f.out.run = singles ? from_singles : from_halves;
    return true;
  }
  if (other != Type::kF16x2 || finite) f.unknown("form");
  f.expect_count(2, 2);
  f.out.op[0] = f.to(0, Type::kB32), f.out.op[1] = f.in(1, Type::kB16);
  f.out.run = to_halves;
  return true;
}

}  // namespace sim
