// cvt: integers, floats, and packing of pairs. The frequent forms have vector handlers; every other pair of types goes
// through one careful conversion per lane.
#include <cmath>

#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/packed.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

/// What the slow path needs to know.
struct Conversion {
  Type to, from;
  uint8_t to_register, from_register;  // bits
  Round round;
  bool to_integer_value;  // .rni …: the result is an integer, whatever its type
  bool ftz, sat, relu;
};
static_assert(sizeof(Conversion) <= 12);

uint32_t pack_flags_of(const Conversion& c) {
  return static_cast<uint32_t>(c.to) | static_cast<uint32_t>(c.from) << 5 |
         static_cast<uint32_t>(c.to_register == 64   ? 2
                               : c.to_register == 32 ? 1
                                                     : 0)
             << 10 |
         static_cast<uint32_t>(c.from_register == 64 ? 1 : 0) << 12 | static_cast<uint32_t>(c.round) << 13 |
         static_cast<uint32_t>(c.to_integer_value) << 15 | static_cast<uint32_t>(c.ftz) << 16 |
         static_cast<uint32_t>(c.sat) << 17 | static_cast<uint32_t>(c.relu) << 18;
}
Conversion unpack_flags(uint32_t f) {
  constexpr uint8_t kBits[] = {16, 32, 64};
  return {static_cast<Type>(f & 31),
          static_cast<Type>((f >> 5) & 31),
          kBits[(f >> 10) & 3],
          static_cast<uint8_t>((f >> 12) & 1 ? 64 : 32),
          static_cast<Round>((f >> 13) & 3),
          ((f >> 15) & 1) != 0,
          ((f >> 16) & 1) != 0,
          ((f >> 17) & 1) != 0,
          ((f >> 18) & 1) != 0};
}

uint64_t extend(uint64_t bits, int size, bool sign) {
  if (size == 64) return bits;
  const uint64_t low = bits & ((uint64_t{1} << size) - 1);
  return sign && ((low >> (size - 1)) & 1) != 0 ? low | ~((uint64_t{1} << size) - 1) : low;
}

double integral(double x, Round round) {
  switch (round) {
    case Round::kNearest:
      return std::nearbyint(x);
    case Round::kZero:
      return std::trunc(x);
    case Round::kDown:
      return std::floor(x);
    default:
      return std::ceil(x);
  }
}

uint64_t float_to_integer(double x, const Conversion& c) {
  const int size = ptx::bits_of(c.to);
  const bool sign = ptx::is_signed(c.to);
  if (x != x) {
    const bool zero = c.from != Type::kF64 && size != 64;
    return zero ? 0 : uint64_t{1} << (size - 1);
  }
  const double whole = integral(x, c.round);
  const double high = std::ldexp(1.0, sign ? size - 1 : size), low = sign ? -high : 0.0;
  if (whole >= high)
    return sign ? (uint64_t{1} << (size - 1)) - 1 : size == 64 ? ~uint64_t{0} : (uint64_t{1} << size) - 1;
  if (whole < low) return sign ? uint64_t{1} << (size - 1) : 0;
  return sign ? static_cast<uint64_t>(static_cast<int64_t>(whole)) : static_cast<uint64_t>(whole);
}

uint64_t integer_to_integer(uint64_t bits, const Conversion& c) {
  const int size = ptx::bits_of(c.to);
  if (!c.sat) return bits;
  const bool from_signed = ptx::is_signed(c.from), sign = ptx::is_signed(c.to);
  const __int128 value = from_signed ? static_cast<__int128>(static_cast<int64_t>(bits)) : static_cast<__int128>(bits);
  const __int128 high = (static_cast<__int128>(1) << (sign ? size - 1 : size)) - 1, low = sign ? -high - 1 : 0;
  return static_cast<uint64_t>(value > high ? high : value < low ? low : value);
}

uint64_t finish_float(double exact, const Conversion& c) {
  // `exact` is a float, a double or a half precision number; one rounding from here.
  switch (c.to) {
    case Type::kF64: {
      double r = c.to_integer_value ? integral(exact, c.round) : exact;
      if (c.sat) r = r > 0 ? (r < 1 ? r : 1.0) : 0.0;
      return std::bit_cast<uint64_t>(r);
    }
    case Type::kF32: {
      float r = c.to_integer_value ? static_cast<float>(integral(exact, c.round)) : narrow_rounded(exact, c.round);
      r = canonical(r);
      if (c.ftz) r = flush(r);
      if (c.sat) r = saturate(r);
      if (c.relu && r <= 0) r = 0;
      return bits_of(r);
    }
    default: {
      double value = c.to_integer_value ? integral(exact, c.round) : exact;
      if (c.sat) value = value > 0 ? (value < 1 ? value : 1.0) : 0.0;
      if (c.relu && value <= 0) value = 0;
      const float narrow = narrow_odd(value);
      return c.to == Type::kF16 ? to_half(narrow, c.round) : to_bfloat(narrow, c.round);
    }
  }
}

uint64_t convert(uint64_t raw, const Conversion& c) {
  const bool to_float = ptx::is_float(c.to);
  if (!ptx::is_float(c.from)) {
    const bool sign = ptx::is_signed(c.from);
    const uint64_t value = extend(raw, ptx::bits_of(c.from), sign);
    if (!to_float) return integer_to_integer(value, c);
    if (c.to == Type::kF64) {
      return std::bit_cast<uint64_t>(sign ? integer_rounded<double>(static_cast<int64_t>(value), c.round)
                                          : integer_rounded<double>(value, c.round));
    }
    float single =
        sign ? integer_rounded<float>(static_cast<int64_t>(value), c.round) : integer_rounded<float>(value, c.round);
    if (c.to == Type::kF32) return bits_of(c.sat ? saturate(single) : single);
    // Beyond 2^24 everything is too large for f16; for bf16 double precision is exact enough to be rounded to odd.
    const double exact = sign ? static_cast<double>(static_cast<int64_t>(value)) : static_cast<double>(value);
    const float narrow = narrow_odd(exact);
    return c.to == Type::kF16 ? to_half(narrow, c.round) : to_bfloat(narrow, c.round);
  }
  double exact;
  switch (c.from) {
    case Type::kF64:
      exact = std::bit_cast<double>(raw);
      break;
    case Type::kF32:
      exact = c.ftz ? flush(float_of(static_cast<uint32_t>(raw))) : float_of(static_cast<uint32_t>(raw));
      break;
    case Type::kF16:
      exact = from_half(static_cast<uint16_t>(raw));
      break;
    default:
      exact = from_bfloat(static_cast<uint16_t>(raw));
      break;
  }
  return to_float ? finish_float(exact, c) : float_to_integer(exact, c);
}

void convert_each(Warp& w, const Instr& in, uint32_t mask) {
  const Conversion c = unpack_flags(in.flags);
  const int size = ptx::bits_of(c.to);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const std::byte* a = w.arena + in.op[1];
    const uint64_t raw = c.from_register == 64 ? lane_of<uint64_t>(a, l) : lane_of<uint32_t>(a, l);
    uint64_t value = convert(raw, c);
    if (!ptx::is_float(c.to)) value = extend(value, size, ptx::is_signed(c.to));
    std::byte* d = w.arena + in.op[0];
    if (c.to_register == 64) {
      reinterpret_cast<uint64_t*>(d)[l] = value;
    } else {
      reinterpret_cast<uint32_t*>(d)[l] = static_cast<uint32_t>(c.to_register == 16 ? value & 0xffff : value);
    }
  }
}

template <class S, class D>
D cast(S x) {
  return static_cast<D>(x);
}
template <class S>
Handler integer_handler(Type to) {
  switch (to) {
    case Type::kU16:
    case Type::kS16:
      return &unary<uint16_t, S, cast<S, uint16_t>>;
    case Type::kU32:
    case Type::kS32:
      return &unary<uint32_t, S, cast<S, uint32_t>>;
    case Type::kU64:
    case Type::kS64:
      return &unary<uint64_t, S, cast<S, uint64_t>>;
    default:
      return nullptr;
  }
}
/// Registers of exactly the types' sizes.
Handler fast_integer(Type to, Type from) {
  switch (from) {
    case Type::kU16:
      return integer_handler<uint16_t>(to);
    case Type::kS16:
      return integer_handler<int16_t>(to);
    case Type::kU32:
      return integer_handler<uint32_t>(to);
    case Type::kS32:
      return integer_handler<int32_t>(to);
    case Type::kU64:
      return integer_handler<uint64_t>(to);
    case Type::kS64:
      return integer_handler<int64_t>(to);
    default:
      return nullptr;
  }
}

template <class I, int Mode>
I to_integer(float x) {
  const float whole = Mode == 0   ? __builtin_rintf(x)
                      : Mode == 1 ? __builtin_truncf(x)
                      : Mode == 2 ? __builtin_floorf(x)
                                  : __builtin_ceilf(x);
  constexpr float kHigh = std::is_signed_v<I> ? 0x1p31f : 0x1p32f, kLow = std::is_signed_v<I> ? -0x1p31f : 0.0f;
  if (!(whole == whole)) return 0;
  if (whole >= kHigh) return static_cast<I>(std::is_signed_v<I> ? 0x7fffffffu : 0xffffffffu);
  if (whole < kLow) return static_cast<I>(std::is_signed_v<I> ? 0x80000000u : 0u);
  return static_cast<I>(whole);
}
template <class I>
Handler to_integer_handler(Round round) {
  constexpr Handler kModes[] = {&unary<I, float, to_integer<I, 0>>, &unary<I, float, to_integer<I, 1>>,
                                &unary<I, float, to_integer<I, 2>>, &unary<I, float, to_integer<I, 3>>};
  return kModes[static_cast<int>(round)];
}
template <int Mode>
float integral_value(float x) {
  return canonical(Mode == 0   ? __builtin_rintf(x)
                   : Mode == 1 ? __builtin_truncf(x)
                   : Mode == 2 ? __builtin_floorf(x)
                               : __builtin_ceilf(x));
}

template <uint16_t (*F)(float)>
void pack_pair(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  write_lanes<uint32_t>(w.arena + in.op[0], mask, [a, b](int l) {
    return static_cast<uint32_t>(F(lane_of<float>(a, l))) << 16 | F(lane_of<float>(b, l));
  });
}
void pack_pair_each(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  const Round round = static_cast<Round>(in.flags & 3);
  const bool relu = (in.flags & 4) != 0, half = (in.flags & 8) != 0, finite = (in.flags & 16) != 0;
  write_each<uint32_t>(w.arena + in.op[0], mask, [=](int l) {
    const auto one = [=](float x) -> uint32_t {
      if (relu && x <= 0) x = 0;
      uint16_t r = half ? to_half(x, round) : to_bfloat(x, round);
      if (finite && (r & 0x7fffu) == (half ? 0x7c00u : 0x7f80u)) --r;
      return r;
    };
    return one(lane_of<float>(a, l)) << 16 | one(lane_of<float>(b, l));
  });
}
/// Ties away from zero, or to even; the low 13 bits become zero.
template <bool Away>
uint32_t to_tf32(float x) {
  const uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return kNaN32;
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + (Away ? 0x1000u : 0xfffu + ((bits >> 13) & 1))) & ~0x1fffu;
}

void pair_form(Form& f, Type to, int rounding) {
  const bool relu = f.take("relu"), finite = f.take("satfinite");
  if (f.take_type() != Type::kF32 || rounding < 0 || rounding > 1) f.unknown("form");
  f.expect_count(3, 3);
  f.out.op[0] = f.to(0, Type::kB32), f.out.op[1] = f.in(1, Type::kF32), f.out.op[2] = f.in(2, Type::kF32);
  const bool half = to == Type::kF16x2;
  f.out.flags = static_cast<uint32_t>(rounding) | (relu ? 4u : 0) | (half ? 8u : 0) | (finite ? 16u : 0);
  f.out.run = f.out.flags == 0 ? &pack_pair<to_bfloat> : f.out.flags == 8 ? &pack_pair<to_half> : &pack_pair_each;
}

void cvt(Form& f) {
  if (eight_bit_conversion(f)) return;
  const int rounding = f.take_any({"rn", "rz", "rm", "rp"}), whole = f.take_any({"rni", "rzi", "rmi", "rpi"});
  const bool away = f.take("rna");
  const Type to = f.take_type();
  if (to == Type::kBF16x2 || to == Type::kF16x2) return pair_form(f, to, rounding);
  if (to == Type::kTF32) {
    if (f.take_type() != Type::kF32 || (!away && rounding != 0)) f.unknown("form");
    f.expect_count(2, 2);
    f.out.op[0] = f.to(0, Type::kB32), f.out.op[1] = f.in(1, Type::kF32);
    f.out.run = away ? &unary<uint32_t, float, to_tf32<true>> : &unary<uint32_t, float, to_tf32<false>>;
    return;
  }
  const Type from = f.take_type();
  if (ptx::bits_of(to) < 8 || ptx::bits_of(from) < 8 || ptx::bits_of(to) > 64 || away) f.unknown("types");
  for (Type type : {to, from}) {
    if (type >= Type::kB8 && type <= Type::kB128) f.unknown("types");
  }
  Conversion c{};
  c.to = to, c.from = from;
  c.ftz = f.take("ftz"), c.sat = f.take("sat"), c.relu = f.take("relu");
  const bool finite = f.take("satfinite");
  if (finite) f.unknown(".satfinite");
  const bool to_float = ptx::is_float(to), from_float = ptx::is_float(from);
  if (from_float && !to_float && whole < 0) f.unknown("a rounding to integers is needed");
  if (!from_float && !to_float && (whole >= 0 || rounding >= 0)) f.unknown("rounding");
  c.to_integer_value = whole >= 0;
  c.round = static_cast<Round>(whole >= 0 ? whole : rounding >= 0 ? rounding : 0);
  f.expect_count(2, 2);
  const auto carrier = [](int bits) { return bits <= 16 ? Type::kB16 : bits == 32 ? Type::kB32 : Type::kB64; };
  const int to_bits = ptx::bits_of(to), from_bits = ptx::bits_of(from);
  f.out.op[0] = f.to(0, carrier(to_bits), true);
  const ptx::Operand& source = f.operand(1);
  f.out.op[1] = source.kind == ptx::Operand::kRegister ? f.in(1, carrier(from_bits), true)
                : from_bits < 16                       ? f.in(1, Type::kU16)
                                                       : f.in(1, from);
  const int to_register = std::max(ptx::bits_of(f.register_type(f.operand(0))), std::max(16, to_bits));
  const int from_register = std::max(ptx::bits_of(f.register_type(source)), std::max(16, from_bits));
  c.to_register = static_cast<uint8_t>(to_register), c.from_register = static_cast<uint8_t>(from_register);
  f.out.flags = pack_flags_of(c);
  f.out.run = convert_each;
  if (to_register != std::max(16, to_bits) || from_register != std::max(16, from_bits) || c.sat || c.ftz || c.relu)
    return;
  Handler fast = nullptr;
  if (!to_float && !from_float) {
    fast = fast_integer(to, from);
  } else if (from == Type::kF32 && !to_float) {
    if (to == Type::kS32) fast = to_integer_handler<int32_t>(c.round);
    if (to == Type::kU32) fast = to_integer_handler<uint32_t>(c.round);
  } else if (to == Type::kF32 && !from_float && c.round == Round::kNearest) {
    if (from == Type::kS32) fast = &unary<float, int32_t, cast<int32_t, float>>;
    if (from == Type::kU32) fast = &unary<float, uint32_t, cast<uint32_t, float>>;
    if (from == Type::kS64) fast = &unary<float, int64_t, cast<int64_t, float>>;
    if (from == Type::kU64) fast = &unary<float, uint64_t, cast<uint64_t, float>>;
  } else if (from == Type::kF32 && to == Type::kF32 && c.to_integer_value) {
    constexpr Handler kModes[] = {&unary<float, float, integral_value<0>>, &unary<float, float, integral_value<1>>,
                                  &unary<float, float, integral_value<2>>, &unary<float, float, integral_value<3>>};
    fast = kModes[static_cast<int>(c.round)];
  } else if (from == Type::kF32 && to == Type::kF64 && !c.to_integer_value) {
    fast = &unary<double, float, cast<float, double>>;
  } else if (to == Type::kF32 && from == Type::kF16 && !c.to_integer_value) {
    fast = &unary<float, uint16_t, from_half>;
  } else if (to == Type::kF32 && from == Type::kBF16 && !c.to_integer_value) {
    fast = &unary<float, uint16_t, from_bfloat>;
  } else if (from == Type::kF32 && to == Type::kBF16 && c.round == Round::kNearest && !c.to_integer_value) {
    fast = &unary<uint16_t, float, to_bfloat>;
  } else if (from == Type::kF32 && to == Type::kF16 && c.round == Round::kNearest && !c.to_integer_value) {
    fast = &unary<uint16_t, float, to_half>;
  }
  if (fast != nullptr) f.out.run = fast;
}

}  // namespace

void add_conversions(Decoders& decoders) {
  decoders["cvt"] = cvt;
}

}  // namespace sim
