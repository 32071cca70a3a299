// Integer arithmetic: add, sub, mul, mad, div, rem, abs, neg, min, max, sad, the carry chain, mul24, dp4a.
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Twice =
    std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                       std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                                          std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;

template <class T>
T add(T a, T b) {
  return static_cast<T>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b));
}
template <class T>
T sub(T a, T b) {
  return static_cast<T>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b));
}
template <class T>
T mul_low(T a, T b) {
  using U = std::conditional_t<sizeof(T) == 2, uint32_t, Unsigned<T>>;  // no overflow of a promoted int
  return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
}
template <class T>
T mul_high(T a, T b) {
  return static_cast<T>((static_cast<Twice<T>>(a) * static_cast<Twice<T>>(b)) >> (8 * sizeof(T)));
}
template <class T>
Twice<T> mul_wide(T a, T b) {
  return static_cast<Twice<T>>(a) * static_cast<Twice<T>>(b);
}
template <class T>
T mad_low(T a, T b, T c) {
  return add<T>(mul_low<T>(a, b), c);
}
template <class T>
T mad_high(T a, T b, T c) {
  return add<T>(mul_high<T>(a, b), c);
}
template <class T>
Twice<T> mad_wide(T a, T b, Twice<T> c) {
  return add<Twice<T>>(mul_wide<T>(a, b), c);
}
template <class T>
T mul24_low(T a, T b) {
  const int64_t x = std::is_signed_v<T> ? static_cast<int64_t>(static_cast<int32_t>(a << 8) >> 8) : a & 0xffffff;
  const int64_t y = std::is_signed_v<T> ? static_cast<int64_t>(static_cast<int32_t>(b << 8) >> 8) : b & 0xffffff;
  return static_cast<T>(static_cast<uint64_t>(x) * static_cast<uint64_t>(y));
}
template <class T>
T mul24_high(T a, T b) {
  const int64_t x = std::is_signed_v<T> ? static_cast<int64_t>(static_cast<int32_t>(a << 8) >> 8) : a & 0xffffff;
  const int64_t y = std::is_signed_v<T> ? static_cast<int64_t>(static_cast<int32_t>(b << 8) >> 8) : b & 0xffffff;
  return static_cast<T>((static_cast<uint64_t>(x) * static_cast<uint64_t>(y)) >> 16);
}
/// By zero (a fault with checks): all bits set, as GPUs do it. The most negative number by -1 is itself.
template <class T>
T divide(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return sub<T>(0, a);
  }
  return static_cast<T>(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
  }
  return static_cast<T>(a % b);
}
template <class T>
T least(T a, T b) {
  return a < b ? a : b;
}
template <class T>
T most(T a, T b) {
  return a > b ? a : b;
}
template <class T>
T least_relu(T a, T b) {
  const T c = a < b ? a : b;
  return c > 0 ? c : 0;
}
template <class T>
T most_relu(T a, T b) {
  const T c = a > b ? a : b;
  return c > 0 ? c : 0;
}
template <class T>
T absolute(T a) {
  return a < 0 ? sub<T>(0, a) : a;
}
template <class T>
T negative(T a) {
  return sub<T>(0, a);
}
template <class T>
T sum_of_differences(T a, T b, T c) {
  return add<T>(c, a < b ? sub<T>(b, a) : sub<T>(a, b));
}
int32_t add_saturated(int32_t a, int32_t b) {
  const int64_t sum = int64_t{a} + b;
  return static_cast<int32_t>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}
int32_t sub_saturated(int32_t a, int32_t b) {
  const int64_t sum = int64_t{a} - b;
  return static_cast<int32_t>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}
int32_t mad_high_saturated(int32_t a, int32_t b, int32_t c) {
  return add_saturated(mul_high<int32_t>(a, b), c);
}

constexpr int64_t kCarryOut = 1, kCarryIn = 2;

/// a + b (or a - b) with the condition code as bit l of a predicate slot, more[0]. As on GPUs a subtraction is a + ~b + 1, so that
/// the code is the complement of the borrow: PTX does not say so, but nvcc's own 128-bit division reads it with addc.
template <class T, bool Minus>
void with_carry(Warp& w, const Instr& in, uint32_t mask) {
  uint32_t* carry = w.word(w.cta->run->kernel->slots[in.more]);
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  const uint32_t before = (in.immediate & kCarryIn) != 0 ? *carry : Minus ? kFull : 0;
  uint32_t after = *carry;
  write_each<T>(w.arena + in.op[0], mask, [&](int l) {
    using Wide = unsigned __int128;
    const T right = lane_of<T>(b, l);
    const Wide x = lane_of<T>(a, l), y = Minus ? static_cast<T>(~right) : right, c = (before >> l) & 1;
    const Wide sum = x + y + c;
    const bool out = ((sum >> (8 * sizeof(T))) & 1) != 0;
    after = (after & ~(1u << l)) | static_cast<uint32_t>(out) << l;
    return static_cast<T>(sum);
  });
  if ((in.immediate & kCarryOut) != 0) *carry = after;
}

template <class T, bool High>
void mad_with_carry(Warp& w, const Instr& in, uint32_t mask) {
  uint32_t* carry = w.word(w.cta->run->kernel->slots[in.more]);
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  const uint32_t before = (in.immediate & kCarryIn) != 0 ? *carry : 0;
  uint32_t after = *carry;
  using U = Unsigned<T>;
  write_each<T>(w.arena + in.op[0], mask, [&](int l) {
    using Wide = unsigned __int128;
    const T x = lane_of<T>(a, l), y = lane_of<T>(b, l);
    const U product = static_cast<U>(High ? mul_high<T>(x, y) : mul_low<T>(x, y));
    const Wide sum = Wide{product} + static_cast<U>(lane_of<T>(c, l)) + ((before >> l) & 1);
    const bool out = ((sum >> (8 * sizeof(T))) & 1) != 0;
    after = (after & ~(1u << l)) | static_cast<uint32_t>(out) << l;
    return static_cast<T>(static_cast<U>(sum));
  });
  if ((in.immediate & kCarryOut) != 0) *carry = after;
}

#define SIM_INTEGER_TYPES(type, result, F) \
  switch (type) {                          \
    case Type::kU16:                       \
      result = F(uint16_t);                \
      break;                               \
    case Type::kS16:                       \
      result = F(int16_t);                 \
      break;                               \
    case Type::kU32:                       \
      result = F(uint32_t);                \
      break;                               \
    case Type::kS32:                       \
      result = F(int32_t);                 \
      break;                               \
    case Type::kU64:                       \
      result = F(uint64_t);                \
      break;                               \
    case Type::kS64:                       \
      result = F(int64_t);                 \
      break;                               \
    default:                               \
      f.unknown("type");                   \
  }

#define SIM_BINARY(name)                               \
  Handler name##_handler(Form& f, Type type) {         \
    Handler result = nullptr;                          \
    SIM_INTEGER_TYPES(type, result, SIM_BINARY_##name) \
    return result;                                     \
  }
#define SIM_BINARY_add(T) (&binary<T, T, T, add<T>>)
#define SIM_BINARY_sub(T) (&binary<T, T, T, sub<T>>)
#define SIM_BINARY_mul_low(T) (&binary<T, T, T, mul_low<T>>)
#define SIM_BINARY_mul_high(T) (&binary<T, T, T, mul_high<T>>)
#define SIM_BINARY_mad_low(T) (&ternary<T, T, T, T, mad_low<T>>)
#define SIM_BINARY_mad_high(T) (&ternary<T, T, T, T, mad_high<T>>)
#define SIM_BINARY_least(T) (&binary<T, T, T, least<T>>)
#define SIM_BINARY_most(T) (&binary<T, T, T, most<T>>)
#define SIM_BINARY_sad(T) (&ternary<T, T, T, T, sum_of_differences<T>>)
SIM_BINARY(add)
SIM_BINARY(sub)
SIM_BINARY(mul_low)
SIM_BINARY(mul_high)
SIM_BINARY(mad_low)
SIM_BINARY(mad_high)
SIM_BINARY(least)
SIM_BINARY(most)
SIM_BINARY(sad)

/// Division runs only for the lanes of the mask: the others may hold anything. By zero PTX leaves the result open.
template <class T, T (*F)(T, T)>
void each_binary(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  if (w.cta->run->options.checks) {
    const uint32_t zeros = lanes_where([b](int l) { return lane_of<T>(b, l) == 0; }) & mask;
    if (zeros != 0)
      raise(w, in, std::countr_zero(zeros), 719, "an integer division by zero: PTX leaves the result open");
  }
  write_each<T>(w.arena + in.op[0], mask, [a, b](int l) { return F(lane_of<T>(a, l), lane_of<T>(b, l)); });
}
#define SIM_BINARY_divide(T) (&each_binary<T, divide<T>>)
#define SIM_BINARY_remainder(T) (&each_binary<T, remainder<T>>)
SIM_BINARY(divide)
SIM_BINARY(remainder)

void carry_form(Form& f, Type type, bool minus, int64_t how) {
  const bool wide = ptx::bits_of(type) == 64;
  if (ptx::bits_of(type) < 32) f.unknown("type");
  f.expect_count(3, 3);
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
  f.more(f.carry());
  f.out.immediate = how;
  f.out.run = minus ? (wide ? &with_carry<uint64_t, true> : &with_carry<uint32_t, true>)
                    : (wide ? &with_carry<uint64_t, false> : &with_carry<uint32_t, false>);
}

void mad_carry_form(Form& f, bool carry_in) {
  const bool carry_out = f.take("cc");
  const int part = f.take_any({"lo", "hi"});
  const Type type = f.take_type();
  if (part < 0) f.unknown("part");
  f.expect_count(4, 4);
  f.out.op[0] = f.to(0, type);
  for (size_t i = 1; i < 4; ++i) f.out.op[i] = f.in(i, type);
  f.more(f.carry());
  f.out.immediate = (carry_in ? kCarryIn : 0) | (carry_out ? kCarryOut : 0);
  const auto pick = [part](Handler low, Handler high) { return part == 0 ? low : high; };
  switch (type) {
    case Type::kU32:
      f.out.run = pick(&mad_with_carry<uint32_t, false>, &mad_with_carry<uint32_t, true>);
      break;
    case Type::kS32:
      f.out.run = pick(&mad_with_carry<int32_t, false>, &mad_with_carry<int32_t, true>);
      break;
    case Type::kU64:
      f.out.run = pick(&mad_with_carry<uint64_t, false>, &mad_with_carry<uint64_t, true>);
      break;
    case Type::kS64:
      f.out.run = pick(&mad_with_carry<int64_t, false>, &mad_with_carry<int64_t, true>);
      break;
    default:
      f.unknown("type");
  }
}

}  // namespace

void two_operands(Form& f, Type type, Handler handler) {
  f.expect_count(3, 3);
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
  f.out.run = handler;
}
void one_operand(Form& f, Type type, Handler handler) {
  f.expect_count(2, 2);
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type);
  f.out.run = handler;
}
void three_operands(Form& f, Type type, Handler handler) {
  f.expect_count(4, 4);
  f.out.op[0] = f.to(0, type);
  for (size_t i = 1; i < 4; ++i) f.out.op[i] = f.in(i, type);
  f.out.run = handler;
}

void integer_add(Form& f, Type type, bool minus) {
  if (f.take("cc")) return carry_form(f, type, minus, kCarryOut);
  if (f.take("sat")) {
    if (type != Type::kS32) f.unknown(".sat");
    return two_operands(
        f, type,
        minus ? &binary<int32_t, int32_t, int32_t, sub_saturated> : &binary<int32_t, int32_t, int32_t, add_saturated>);
  }
  two_operands(f, type, minus ? sub_handler(f, type) : add_handler(f, type));
}

void integer_multiply(Form& f, Type type, bool add) {
  const int part = f.take_any({"lo", "hi", "wide"});
  if (part < 0) f.unknown("part");
  if (part == 2) {
    f.expect_count(add ? 4 : 3, add ? 4 : 3);
    Type wide = Type::kNone;
    Handler mul = nullptr, mad = nullptr;
#define SIM_WIDE(T, result)                              \
  wide = result;                                         \
  mul = &binary<Twice<T>, T, T, mul_wide<T>>;            \
  mad = &ternary<Twice<T>, T, T, Twice<T>, mad_wide<T>>; \
  break
    switch (type) {
      case Type::kU16:
        SIM_WIDE(uint16_t, Type::kU32);
      case Type::kS16:
        SIM_WIDE(int16_t, Type::kS32);
      case Type::kU32:
        SIM_WIDE(uint32_t, Type::kU64);
      case Type::kS32:
        SIM_WIDE(int32_t, Type::kS64);
      default:
        f.unknown("type");
    }
#undef SIM_WIDE
    f.out.op[0] = f.to(0, wide), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
    if (add) f.out.op[3] = f.in(3, wide);
    f.out.run = add ? mad : mul;
    return;
  }
  if (add && f.take("sat")) {
    if (type != Type::kS32 || part != 1) f.unknown(".sat");
    return three_operands(f, type, &ternary<int32_t, int32_t, int32_t, int32_t, mad_high_saturated>);
  }
  if (add) return three_operands(f, type, part == 0 ? mad_low_handler(f, type) : mad_high_handler(f, type));
  two_operands(f, type, part == 0 ? mul_low_handler(f, type) : mul_high_handler(f, type));
}

void integer_least_most(Form& f, Type type, bool least_of) {
  if (f.take("relu")) {
    if (type != Type::kS32) f.unknown(".relu");
    return two_operands(f, type,
                        least_of ? &binary<int32_t, int32_t, int32_t, least_relu<int32_t>>
                                 : &binary<int32_t, int32_t, int32_t, most_relu<int32_t>>);
  }
  two_operands(f, type, least_of ? least_handler(f, type) : most_handler(f, type));
}

void integer_divide(Form& f, Type type) {
  two_operands(f, type, divide_handler(f, type));
}

void integer_sign(Form& f, Type type, bool negate) {
  switch (type) {
    case Type::kS16:
      return one_operand(
          f, type, negate ? &unary<int16_t, int16_t, negative<int16_t>> : &unary<int16_t, int16_t, absolute<int16_t>>);
    case Type::kS32:
      return one_operand(
          f, type, negate ? &unary<int32_t, int32_t, negative<int32_t>> : &unary<int32_t, int32_t, absolute<int32_t>>);
    case Type::kS64:
      return one_operand(
          f, type, negate ? &unary<int64_t, int64_t, negative<int64_t>> : &unary<int64_t, int64_t, absolute<int64_t>>);
    default:
      f.unknown("type");
  }
}

void add_integer(Decoders& decoders) {
  decoders["rem"] = [](Form& f) {
    const Type type = f.take_type();
    two_operands(f, type, remainder_handler(f, type));
  };
  decoders["sad"] = [](Form& f) {
    const Type type = f.take_type();
    three_operands(f, type, sad_handler(f, type));
  };
  decoders["addc"] = [](Form& f) {
    const bool out = f.take("cc");
    carry_form(f, f.take_type(), false, out ? kCarryIn | kCarryOut : kCarryIn);
  };
  decoders["subc"] = [](Form& f) {
    const bool out = f.take("cc");
    carry_form(f, f.take_type(), true, out ? kCarryIn | kCarryOut : kCarryIn);
  };
  decoders["madc"] = [](Form& f) { mad_carry_form(f, true); };
  decoders["mul24"] = [](Form& f) {
    const int part = f.take_any({"lo", "hi"});
    const Type type = f.take_type();
    if (part < 0 || (type != Type::kU32 && type != Type::kS32)) f.unknown("form");
    two_operands(f, type,
                 type == Type::kU32 ? (part == 0 ? &binary<uint32_t, uint32_t, uint32_t, mul24_low<uint32_t>>
                                                 : &binary<uint32_t, uint32_t, uint32_t, mul24_high<uint32_t>>)
                                    : (part == 0 ? &binary<int32_t, int32_t, int32_t, mul24_low<int32_t>>
                                                 : &binary<int32_t, int32_t, int32_t, mul24_high<int32_t>>));
  };
}

void integer_mad_with_carry(Form& f) {
  mad_carry_form(f, false);
}

}  // namespace sim
