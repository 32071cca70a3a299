// Bits: and, or, xor, not, cnot, shifts, shf, lop3, prmt, bfe, bfi, bfind, brev, popc, clz, dp4a, dp2a.
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
T both(T a, T b) {
  return a & b;
}
template <class T>
T either(T a, T b) {
  return a | b;
}
template <class T>
T differ(T a, T b) {
  return a ^ b;
}
template <class T>
T invert(T a) {
  return static_cast<T>(~a);
}
template <class T>
T is_zero(T a) {
  return a == 0 ? 1 : 0;
}
template <class T>
T shift_left(T a, uint32_t by) {
  return by >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << by);
}
template <class T>
T shift_right(T a, uint32_t by) {
  const uint32_t top = 8 * sizeof(T) - 1;
  if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> (by > top ? top : by));
  return by > top ? T{0} : static_cast<T>(a >> by);
}
template <bool Clamp>
uint32_t funnel_left(uint32_t low, uint32_t high, uint32_t by) {
  const uint32_t n = Clamp ? (by > 32 ? 32 : by) : by & 31;
  const uint64_t both_words = uint64_t{high} << 32 | low;
  return static_cast<uint32_t>((both_words << n) >> 32);
}
template <bool Clamp>
uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t by) {
  const uint32_t n = Clamp ? (by > 32 ? 32 : by) : by & 31;
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) >> n);
}

void lop3_all(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  // Sum of the minterms of the table; each is all ones or zero.
  uint32_t term[8];
  for (int i = 0; i < 8; ++i) term[i] = (in.immediate >> i) & 1 ? ~0u : 0u;
  write_lanes<uint32_t>(w.arena + in.op[0], mask, [&](int l) {
    const uint32_t x = lane_of<uint32_t>(a, l), y = lane_of<uint32_t>(b, l), z = lane_of<uint32_t>(c, l);
    const uint32_t low = (~z & ((~y & term[0]) | (y & term[2]))) | (z & ((~y & term[1]) | (y & term[3])));
    const uint32_t high = (~z & ((~y & term[4]) | (y & term[6]))) | (z & ((~y & term[5]) | (y & term[7])));
    return (~x & low) | (x & high);
  });
}

uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t pick = (selector >> (4 * i)) & 15;
    const uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (pick & 7))) & 0xff;
    const uint32_t replicated = (byte & 0x80) != 0 ? 0xff : 0;
    result |= ((pick & 8) != 0 ? replicated : byte) << (8 * i);
  }
  return result;
}
uint32_t permute_f4e(uint32_t a, uint32_t b, uint32_t by) {
  return static_cast<uint32_t>((uint64_t{b} << 32 | a) >> (8 * (by & 3)));
}
uint32_t permute_b4e(uint32_t a, uint32_t b, uint32_t by) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i)
    result |= static_cast<uint32_t>((bytes >> (8 * (((by & 3) - i) & 7))) & 0xff) << (8 * i);
  return result;
}
uint32_t permute_rc8(uint32_t a, uint32_t, uint32_t by) {
  return ((a >> (8 * (by & 3))) & 0xff) * 0x01010101u;
}
uint32_t permute_ecl(uint32_t a, uint32_t, uint32_t by) {
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) result |= ((a >> (8 * (i > (by & 3) ? i : by & 3))) & 0xff) << (8 * i);
  return result;
}
uint32_t permute_ecr(uint32_t a, uint32_t, uint32_t by) {
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) result |= ((a >> (8 * (i < (by & 3) ? i : by & 3))) & 0xff) << (8 * i);
  return result;
}
uint32_t permute_rc16(uint32_t a, uint32_t, uint32_t by) {
  return ((a >> (16 * (by & 1))) & 0xffff) * 0x00010001u;
}

/// Bits [from, from + count) of a; what lies beyond them or beyond a is zero or the sign, as the manual has it.
template <class T>
T extract(T a, uint32_t from, uint32_t count) {
  using U = std::make_unsigned_t<T>;
  const uint32_t size = 8 * sizeof(T), position = from & 0xff, length = count & 0xff;
  const U bits = static_cast<U>(a);
  const uint32_t inside = position >= size ? 0 : size - position, n = length < inside ? length : inside;
  const U keep = n >= size ? ~U{0} : static_cast<U>((U{1} << n) - 1);
  U result = n == 0 ? U{0} : static_cast<U>(bits >> position) & keep;
  if (std::is_signed_v<T> && length != 0) {
    const uint32_t at = position + length - 1;
    if (((bits >> (at >= size ? size - 1 : at)) & 1) != 0) result |= static_cast<U>(~keep);
  }
  return static_cast<T>(result);
}
template <class T>
T insert(T a, T b, uint32_t from, uint32_t count) {
  const uint32_t size = 8 * sizeof(T), position = from & 0xff, length = count & 0xff;
  if (length == 0 || position >= size) return b;
  const T ones = length >= size ? ~T{0} : static_cast<T>((T{1} << length) - 1);
  const T keep = static_cast<T>(ones << position);
  return static_cast<T>((b & ~keep) | ((a << position) & keep));
}
template <class T>
void insert_all(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  const std::byte* d = w.arena + w.cta->run->kernel->slots[in.more];
  write_lanes<T>(w.arena + in.op[0], mask, [=](int l) {
    return insert<T>(lane_of<T>(a, l), lane_of<T>(b, l), lane_of<uint32_t>(c, l), lane_of<uint32_t>(d, l));
  });
}
template <class T, bool Amount>
uint32_t find_top(T a) {
  using U = std::make_unsigned_t<T>;
  U bits = static_cast<U>(a);
  if (std::is_signed_v<T> && a < 0) bits = ~bits;
  if (bits == 0) return ~0u;
  const uint32_t at = static_cast<uint32_t>(8 * sizeof(T) - 1) - static_cast<uint32_t>(std::countl_zero(bits));
  return Amount ? static_cast<uint32_t>(8 * sizeof(T) - 1) - at : at;
}
/// `width` bits from `position`.
template <bool Clamp>
uint32_t mask_of(uint32_t position, uint32_t width) {
  const uint32_t from = position & 31, end = from + (width & 31);
  const uint32_t above = end >= 32 || (Clamp && width >= 32) ? 0 : ~0u << end;
  return Clamp && position >= 32 ? 0 : (~0u << from) & ~above;
}
/// The lowest `width` bits, extended.
template <bool Clamp, bool Sign>
uint32_t extend_from(uint32_t a, uint32_t width) {
  const uint32_t n = width & 31;
  const uint32_t above = Clamp && width >= 32 ? 0 : ~0u << n;
  const bool ones_above = Sign && n != 0 && above != 0 && ((a >> (n - 1)) & 1) != 0;
  return (a & ~above) | (ones_above ? above : 0);
}
template <class T>
T reverse(T a) {
  T result = 0;
  for (size_t i = 0; i < 8 * sizeof(T); ++i) result |= ((a >> i) & 1) << (8 * sizeof(T) - 1 - i);
  return result;
}
template <class T>
uint32_t ones(T a) {
  return static_cast<uint32_t>(std::popcount(a));
}
template <class T>
uint32_t leading_zeros(T a) {
  return static_cast<uint32_t>(std::countl_zero(a));
}
template <class A, class B>
uint32_t dot4(uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 4; ++i) {
    c += static_cast<uint32_t>(static_cast<int32_t>(static_cast<A>(a >> (8 * i))) *
                               static_cast<int32_t>(static_cast<B>(b >> (8 * i))));
  }
  return c;
}

/// Two 16-bit numbers of a with two bytes of b, its lower or upper ones.
template <class A, class B, bool High>
uint32_t dot2(uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 2; ++i) {
    const int32_t x = static_cast<A>(a >> (16 * i)), y = static_cast<B>(b >> (8 * i + (High ? 16 : 0)));
    c += static_cast<uint32_t>(x * y);
  }
  return c;
}
template <bool High>
Handler dot2_handler(bool a_signed, bool b_signed) {
  constexpr Handler kForms[2][2] = {{&ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot2<uint16_t, uint8_t, High>>,
                                     &ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot2<uint16_t, int8_t, High>>},
                                    {&ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot2<int16_t, uint8_t, High>>,
                                     &ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot2<int16_t, int8_t, High>>}};
  return kForms[a_signed][b_signed];
}

template <uint32_t (*F)(uint32_t, uint32_t)>
void predicates(Warp& w, const Instr& in, uint32_t mask) {
  write_predicate(w, in.op[0], mask, F(*w.word(in.op[1]), *w.word(in.op[2])));
}

void bitwise(Form& f, Handler pred, Handler b16, Handler b32, Handler b64) {
  const Type type = f.take_type();
  switch (type) {
    case Type::kPred:
      return two_operands(f, type, pred);
    case Type::kB16:
      return two_operands(f, type, b16);
    case Type::kB32:
      return two_operands(f, type, b32);
    case Type::kB64:
      return two_operands(f, type, b64);
    default:
      f.unknown("type");
  }
}

void shift(Form& f, Type type, Handler handler) {
  f.expect_count(3, 3);
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, Type::kU32);
  f.out.run = handler;
}

void shift_right_form(Form& f) {
  const Type type = f.take_type();
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return shift(f, type, &binary<uint16_t, uint16_t, uint32_t, shift_right<uint16_t>>);
    case Type::kB32:
    case Type::kU32:
      return shift(f, type, &binary<uint32_t, uint32_t, uint32_t, shift_right<uint32_t>>);
    case Type::kB64:
    case Type::kU64:
      return shift(f, type, &binary<uint64_t, uint64_t, uint32_t, shift_right<uint64_t>>);
    case Type::kS16:
      return shift(f, type, &binary<int16_t, int16_t, uint32_t, shift_right<int16_t>>);
    case Type::kS32:
      return shift(f, type, &binary<int32_t, int32_t, uint32_t, shift_right<int32_t>>);
    case Type::kS64:
      return shift(f, type, &binary<int64_t, int64_t, uint32_t, shift_right<int64_t>>);
    default:
      f.unknown("type");
  }
}

void prmt(Form& f) {
  using H = Handler;
  const H kModes[] = {
      &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute_f4e>,
      &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute_b4e>,
      &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute_rc8>,
      &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute_ecl>,
      &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute_ecr>,
      &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute_rc16>,
  };
  const int mode = f.take_any({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  if (f.take_type() != Type::kB32) f.unknown("type");
  three_operands(f, Type::kB32, mode < 0 ? &ternary<uint32_t, uint32_t, uint32_t, uint32_t, permute> : kModes[mode]);
}

void bfe(Form& f) {
  const Type type = f.take_type();
  f.expect_count(4, 4);
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type);
  f.out.op[2] = f.in(2, Type::kU32), f.out.op[3] = f.in(3, Type::kU32);
  switch (type) {
    case Type::kU32:
      f.out.run = &ternary<uint32_t, uint32_t, uint32_t, uint32_t, extract<uint32_t>>;
      break;
    case Type::kS32:
      f.out.run = &ternary<int32_t, int32_t, uint32_t, uint32_t, extract<int32_t>>;
      break;
    case Type::kU64:
      f.out.run = &ternary<uint64_t, uint64_t, uint32_t, uint32_t, extract<uint64_t>>;
      break;
    case Type::kS64:
      f.out.run = &ternary<int64_t, int64_t, uint32_t, uint32_t, extract<int64_t>>;
      break;
    default:
      f.unknown("type");
  }
}

void to_count(Form& f, Type type, Handler handler) {
  f.expect_count(2, 2);
  f.out.op[0] = f.to(0, Type::kU32), f.out.op[1] = f.in(1, type);
  f.out.run = handler;
}

void bfind(Form& f) {
  const bool amount = f.take("shiftamt");
  const Type type = f.take_type();
#define SIM_FIND(T) \
  to_count(f, type, amount ? &unary<uint32_t, T, find_top<T, true>> : &unary<uint32_t, T, find_top<T, false>>)
  switch (type) {
    case Type::kU32:
      return SIM_FIND(uint32_t);
    case Type::kS32:
      return SIM_FIND(int32_t);
    case Type::kU64:
      return SIM_FIND(uint64_t);
    case Type::kS64:
      return SIM_FIND(int64_t);
    default:
      f.unknown("type");
  }
#undef SIM_FIND
}

}  // namespace

void add_logic(Decoders& decoders) {
  decoders["and"] = [](Form& f) {
    bitwise(f, &predicates<both<uint32_t>>, &binary<uint16_t, uint16_t, uint16_t, both<uint16_t>>,
            &binary<uint32_t, uint32_t, uint32_t, both<uint32_t>>,
            &binary<uint64_t, uint64_t, uint64_t, both<uint64_t>>);
  };
  decoders["or"] = [](Form& f) {
    bitwise(f, &predicates<either<uint32_t>>, &binary<uint16_t, uint16_t, uint16_t, either<uint16_t>>,
            &binary<uint32_t, uint32_t, uint32_t, either<uint32_t>>,
            &binary<uint64_t, uint64_t, uint64_t, either<uint64_t>>);
  };
  decoders["xor"] = [](Form& f) {
    bitwise(f, &predicates<differ<uint32_t>>, &binary<uint16_t, uint16_t, uint16_t, differ<uint16_t>>,
            &binary<uint32_t, uint32_t, uint32_t, differ<uint32_t>>,
            &binary<uint64_t, uint64_t, uint64_t, differ<uint64_t>>);
  };
  decoders["not"] = [](Form& f) {
    const Type type = f.take_type();
    switch (type) {
      case Type::kPred:
        return one_operand(f, type, [](Warp& w, const Instr& in, uint32_t mask) {
          write_predicate(w, in.op[0], mask, ~*w.word(in.op[1]));
        });
      case Type::kB16:
        return one_operand(f, type, &unary<uint16_t, uint16_t, invert<uint16_t>>);
      case Type::kB32:
        return one_operand(f, type, &unary<uint32_t, uint32_t, invert<uint32_t>>);
      case Type::kB64:
        return one_operand(f, type, &unary<uint64_t, uint64_t, invert<uint64_t>>);
      default:
        f.unknown("type");
    }
  };
  decoders["cnot"] = [](Form& f) {
    const Type type = f.take_type();
    switch (type) {
      case Type::kB16:
        return one_operand(f, type, &unary<uint16_t, uint16_t, is_zero<uint16_t>>);
      case Type::kB32:
        return one_operand(f, type, &unary<uint32_t, uint32_t, is_zero<uint32_t>>);
      case Type::kB64:
        return one_operand(f, type, &unary<uint64_t, uint64_t, is_zero<uint64_t>>);
      default:
        f.unknown("type");
    }
  };
  decoders["shl"] = [](Form& f) {
    const Type type = f.take_type();
    switch (type) {
      case Type::kB16:
        return shift(f, type, &binary<uint16_t, uint16_t, uint32_t, shift_left<uint16_t>>);
      case Type::kB32:
        return shift(f, type, &binary<uint32_t, uint32_t, uint32_t, shift_left<uint32_t>>);
      case Type::kB64:
        return shift(f, type, &binary<uint64_t, uint64_t, uint32_t, shift_left<uint64_t>>);
      default:
        f.unknown("type");
    }
  };
  decoders["shr"] = shift_right_form;
  decoders["shf"] = [](Form& f) {
    const int side = f.take_any({"l", "r"}), mode = f.take_any({"clamp", "wrap"});
    if (side < 0 || mode < 0 || f.take_type() != Type::kB32) f.unknown("form");
    const Handler kForms[2][2] = {{&ternary<uint32_t, uint32_t, uint32_t, uint32_t, funnel_left<true>>,
                                   &ternary<uint32_t, uint32_t, uint32_t, uint32_t, funnel_left<false>>},
                                  {&ternary<uint32_t, uint32_t, uint32_t, uint32_t, funnel_right<true>>,
                                   &ternary<uint32_t, uint32_t, uint32_t, uint32_t, funnel_right<false>>}};
    three_operands(f, Type::kB32, kForms[side][mode]);
  };
  decoders["lop3"] = [](Form& f) {
    if (f.take_type() != Type::kB32) f.unknown("type");
    f.expect_count(5, 5);
    f.out.op[0] = f.to(0, Type::kB32);
    for (size_t i = 1; i < 4; ++i) f.out.op[i] = f.in(i, Type::kB32);
    if (f.operand(4).kind != ptx::Operand::kInteger || f.operand(4).bits > 255) f.unknown("table");
    f.out.immediate = static_cast<int64_t>(f.operand(4).bits);
    f.out.run = lop3_all;
  };
  decoders["prmt"] = prmt;
  decoders["bmsk"] = [](Form& f) {
    const int mode = f.take_any({"clamp", "wrap"});
    if (mode < 0 || f.take_type() != Type::kB32) f.unknown("form");
    two_operands(f, Type::kB32,
                 mode == 0 ? &binary<uint32_t, uint32_t, uint32_t, mask_of<true>>
                           : &binary<uint32_t, uint32_t, uint32_t, mask_of<false>>);
  };
  decoders["szext"] = [](Form& f) {
    const int mode = f.take_any({"clamp", "wrap"});
    const Type type = f.take_type();
    if (mode < 0 || (type != Type::kU32 && type != Type::kS32)) f.unknown("form");
    const Handler kForms[2][2] = {{&binary<uint32_t, uint32_t, uint32_t, extend_from<true, false>>,
                                   &binary<uint32_t, uint32_t, uint32_t, extend_from<true, true>>},
                                  {&binary<uint32_t, uint32_t, uint32_t, extend_from<false, false>>,
                                   &binary<uint32_t, uint32_t, uint32_t, extend_from<false, true>>}};
    two_operands(f, type, kForms[mode][type == Type::kS32]);
  };
  decoders["bfe"] = bfe;
  decoders["bfi"] = [](Form& f) {
    const Type type = f.take_type();
    if (type != Type::kB32 && type != Type::kB64) f.unknown("type");
    f.expect_count(5, 5);
    f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
    f.out.op[3] = f.in(3, Type::kU32);
    f.more(f.in(4, Type::kU32));
    f.out.run = type == Type::kB32 ? &insert_all<uint32_t> : &insert_all<uint64_t>;
  };
  decoders["bfind"] = bfind;
  decoders["brev"] = [](Form& f) {
    const Type type = f.take_type();
    if (type == Type::kB32) return one_operand(f, type, &unary<uint32_t, uint32_t, reverse<uint32_t>>);
    if (type == Type::kB64) return one_operand(f, type, &unary<uint64_t, uint64_t, reverse<uint64_t>>);
    f.unknown("type");
  };
  decoders["popc"] = [](Form& f) {
    const Type type = f.take_type();
    if (type == Type::kB32) return to_count(f, type, &unary<uint32_t, uint32_t, ones<uint32_t>>);
    if (type == Type::kB64) return to_count(f, type, &unary<uint32_t, uint64_t, ones<uint64_t>>);
    f.unknown("type");
  };
  decoders["clz"] = [](Form& f) {
    const Type type = f.take_type();
    if (type == Type::kB32) return to_count(f, type, &unary<uint32_t, uint32_t, leading_zeros<uint32_t>>);
    if (type == Type::kB64) return to_count(f, type, &unary<uint32_t, uint64_t, leading_zeros<uint64_t>>);
    f.unknown("type");
  };
  decoders["dp4a"] = [](Form& f) {
    const Type a = f.take_type(), b = f.take_type();
    const Handler kForms[2][2] = {{&ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot4<uint8_t, uint8_t>>,
                                   &ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot4<uint8_t, int8_t>>},
                                  {&ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot4<int8_t, uint8_t>>,
                                   &ternary<uint32_t, uint32_t, uint32_t, uint32_t, dot4<int8_t, int8_t>>}};
    if (ptx::bits_of(a) != 32 || ptx::bits_of(b) != 32) f.unknown("types");
    three_operands(f, Type::kB32, kForms[a == Type::kS32][b == Type::kS32]);
  };
  decoders["dp2a"] = [](Form& f) {
    const int half = f.take_any({"lo", "hi"});
    const Type a = f.take_type(), b = f.take_type();
    if (half < 0 || ptx::bits_of(a) != 32 || ptx::bits_of(b) != 32) f.unknown("form");
    three_operands(f, Type::kB32,
                   half == 0 ? dot2_handler<false>(a == Type::kS32, b == Type::kS32)
                             : dot2_handler<true>(a == Type::kS32, b == Type::kS32));
  };
}

}  // namespace sim
