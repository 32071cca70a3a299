// setp, set, selp, slct.
#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

enum Compare : int { kEq, kNe, kLt, kLe, kGt, kGe, kLo, kLs, kHi, kHs, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan };

template <int C, class T>
inline bool holds(T a, T b) {
  const bool unordered = a != a || b != b;  // never for integers
  switch (C) {
    case kEq:
      return a == b;
    case kNe:
      return std::is_floating_point_v<T> ? !unordered && a != b : a != b;
    case kLt:
      return a < b;
    case kLe:
      return a <= b;
    case kGt:
      return a > b;
    case kGe:
      return a >= b;
    case kEqu:
      return unordered || a == b;
    case kNeu:
      return a != b;
    case kLtu:
      return unordered || a < b;
    case kLeu:
      return unordered || a <= b;
    case kGtu:
      return unordered || a > b;
    case kGeu:
      return unordered || a >= b;
    case kNum:
      return !unordered;
    default:
      return unordered;
  }
}

// How values are read: as they are, flushed, or widened from half precision.
struct Plain {
  template <class T>
  static T read(T x) {
    return x;
  }
};
struct Flushed {
  static float read(float x) { return flush(x); }
};
struct FromHalf {
  static float read(uint16_t x) { return from_half(x); }
};
struct FromBrain {
  static float read(uint16_t x) { return from_bfloat(x); }
};

template <int C, class T, class Read>
uint32_t compare(Warp& w, const Instr& in) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  return lanes_where([a, b](int l) { return holds<C>(Read::read(lane_of<T>(a, l)), Read::read(lane_of<T>(b, l))); });
}

enum Combine : uint32_t { kAlone, kAnd, kOr, kXor };
constexpr uint32_t kNegate = 4, kSecond = 8;

/// immediate: the combination; op[3] the predicate it is made with; more[0] the second result.
template <int C, class T, class Read>
void set_predicate(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t met = compare<C, T, Read>(w, in);
  const uint32_t how = in.flags;
  if (how == kAlone) return write_predicate(w, in.op[0], mask, met);
  const uint32_t other = (how & kNegate) != 0 ? ~*w.word(in.op[3]) : *w.word(in.op[3]);
  const auto combine = [&](uint32_t x) {
    return (how & 3) == kAnd ? x & other : (how & 3) == kOr ? x | other : (how & 3) == kXor ? x ^ other : x;
  };
  const uint32_t second = combine(~met);
  write_predicate(w, in.op[0], mask, combine(met));
  if ((how & kSecond) != 0) write_predicate(w, w.cta->run->kernel->slots[in.more], mask, second);
}
/// set: all ones or 1.0 in a register.
template <int C, class T, class Read>
void set_register(Warp& w, const Instr& in, uint32_t mask) {
  uint32_t met = compare<C, T, Read>(w, in);
  const uint32_t how = in.flags;
  if (how != kAlone) {
    const uint32_t other = (how & kNegate) != 0 ? ~*w.word(in.op[3]) : *w.word(in.op[3]);
    met = (how & 3) == kAnd ? met & other : (how & 3) == kOr ? met | other : met ^ other;
  }
  const uint32_t yes = static_cast<uint32_t>(in.immediate);
  write_lanes<uint32_t>(w.arena + in.op[0], mask, [met, yes](int l) { return (met >> l) & 1 ? yes : 0u; });
}

template <class T, class Read, bool Set>
Handler by_compare(int c) {
#define SIM_COMPARE(C) \
  case C:              \
    return Set ? &set_register<C, T, Read> : &set_predicate<C, T, Read>
  switch (c) {
    SIM_COMPARE(kEq);
    SIM_COMPARE(kNe);
    SIM_COMPARE(kLt);
    SIM_COMPARE(kLe);
    SIM_COMPARE(kGt);
    SIM_COMPARE(kGe);
    default:
      break;
  }
  if constexpr (std::is_floating_point_v<T> || !std::is_same_v<Read, Plain>) {
    switch (c) {
      SIM_COMPARE(kEqu);
      SIM_COMPARE(kNeu);
      SIM_COMPARE(kLtu);
      SIM_COMPARE(kLeu);
      SIM_COMPARE(kGtu);
      SIM_COMPARE(kGeu);
      SIM_COMPARE(kNum);
      SIM_COMPARE(kNan);
      default:
        break;
    }
  }
#undef SIM_COMPARE
  return nullptr;
}

template <bool Set>
Handler by_type(Type type, int c, bool ftz) {
  if (c >= kLo && c <= kHs) {  // unsigned names of the same comparisons
    constexpr int kSame[] = {kLt, kLe, kGt, kGe};
    if (type != Type::kU16 && type != Type::kU32 && type != Type::kU64) return nullptr;
    c = kSame[c - kLo];
  }
  if (ftz && type != Type::kF32 && type != Type::kF16 && type != Type::kBF16) return nullptr;
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return by_compare<uint16_t, Plain, Set>(c);
    case Type::kB32:
    case Type::kU32:
      return by_compare<uint32_t, Plain, Set>(c);
    case Type::kB64:
    case Type::kU64:
      return by_compare<uint64_t, Plain, Set>(c);
    case Type::kS16:
      return by_compare<int16_t, Plain, Set>(c);
    case Type::kS32:
      return by_compare<int32_t, Plain, Set>(c);
    case Type::kS64:
      return by_compare<int64_t, Plain, Set>(c);
    case Type::kF32:
      return ftz ? by_compare<float, Flushed, Set>(c) : by_compare<float, Plain, Set>(c);
    case Type::kF64:
      return by_compare<double, Plain, Set>(c);
    case Type::kF16:
      return by_compare<uint16_t, FromHalf, Set>(c);
    case Type::kBF16:
      return by_compare<uint16_t, FromBrain, Set>(c);
    default:
      return nullptr;
  }
}

int take_compare(Form& f) {
  return f.take_any({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu",
                     "geu", "num", "nan"});
}

void take_combine(Form& f) {
  const int combine = f.take_any({"and", "or", "xor"});
  if (combine < 0) {
    f.expect_count(3, 3);
    return;
  }
  f.expect_count(4, 4);
  f.out.flags = static_cast<uint32_t>(combine + 1) | (f.operand(3).negated ? kNegate : 0);
  f.out.op[3] = f.in(3, Type::kPred);
}

void setp(Form& f) {
  const int c = take_compare(f);
  const bool ftz = f.take("ftz");
  take_combine(f);
  const Type type = f.take_type();
  const ptx::Operand& target = f.operand(0);
  f.out.op[0] = f.to(0, Type::kPred);
  f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
  if (target.paired) {
    f.out.flags |= kSecond;
    f.more(f.to(target.parts[0], Type::kPred));
  }
  f.out.run = c < 0 ? nullptr : by_type<false>(type, c, ftz);
  if (f.out.run == nullptr) f.unknown("comparison and type");
}

void set(Form& f) {
  const int c = take_compare(f);
  const bool ftz = f.take("ftz");
  take_combine(f);
  const Type to = f.take_type(), type = f.take_type();
  if (to != Type::kU32 && to != Type::kS32 && to != Type::kF32) f.unknown("type of the result");
  f.out.op[0] = f.to(0, to), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
  f.out.immediate = to == Type::kF32 ? 0x3f800000 : 0xffffffff;
  f.out.run = c < 0 ? nullptr : by_type<true>(type, c, ftz);
  if (f.out.run == nullptr) f.unknown("comparison and type");
}

template <class T>
void select(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  alignas(64) T chosen[kLanes];
  std::memcpy(chosen, b, sizeof chosen);
  const uint32_t which = *w.word(in.op[3]);
  blend(chosen, reinterpret_cast<const T*>(a), in.flags != 0 ? ~which : which);
  if (mask == kFull) {
    std::memcpy(w.arena + in.op[0], chosen, sizeof chosen);
  } else {
    blend(reinterpret_cast<T*>(w.arena + in.op[0]), chosen, mask);
  }
}

void selp(Form& f) {
  const Type type = f.take_type();
  f.expect_count(4, 4);
  if (ptx::bits_of(type) < 16 || ptx::bits_of(type) > 64) f.unknown("type");
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
  f.out.op[3] = f.in(3, Type::kPred);
  f.out.flags = f.operand(3).negated ? 1 : 0;
  f.out.run = ptx::bits_of(type) == 64 ? &select<uint64_t> : &select<uint32_t>;
}

uint32_t by_sign(uint32_t a, uint32_t b, int32_t c) {
  return c >= 0 ? a : b;
}
uint32_t by_float_sign(uint32_t a, uint32_t b, float c) {
  return c >= 0 ? a : b;
}
uint64_t by_sign_wide(uint64_t a, uint64_t b, int32_t c) {
  return c >= 0 ? a : b;
}
uint64_t by_float_sign_wide(uint64_t a, uint64_t b, float c) {
  return c >= 0 ? a : b;
}

void slct(Form& f) {
  f.take("ftz");
  const Type type = f.take_type(), sign = f.take_type();
  const int bits = ptx::bits_of(type);
  if (bits < 16 || bits > 64 || (sign != Type::kS32 && sign != Type::kF32)) f.unknown("types");
  f.expect_count(4, 4);
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type), f.out.op[3] = f.in(3, sign);
  const bool wide = bits == 64;
  if (sign == Type::kS32) {
    f.out.run = wide ? &ternary<uint64_t, uint64_t, uint64_t, int32_t, by_sign_wide>
                     : &ternary<uint32_t, uint32_t, uint32_t, int32_t, by_sign>;
  } else {
    f.out.run = wide ? &ternary<uint64_t, uint64_t, uint64_t, float, by_float_sign_wide>
                     : &ternary<uint32_t, uint32_t, uint32_t, float, by_float_sign>;
  }
}

}  // namespace

void add_comparisons(Decoders& decoders) {
  decoders["setp"] = setp;
  decoders["set"] = set;
  decoders["selp"] = selp;
  decoders["slct"] = slct;
}

}  // namespace sim
