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

bool is_pair(Type type) {
  return type == Type::kF16x2 || type == Type::kBF16x2;
}

/// A comparison chosen at run time, for the halves of pairs.
bool half_holds(int c, uint16_t a, uint16_t b, bool brain, bool ftz) {
  const auto read = [=](uint16_t h) {
    if (ftz && (h & (brain ? 0x7f80u : 0x7c00u)) == 0) h &= 0x8000u;
    return brain ? from_bfloat(h) : from_half(h);
  };
  const float x = read(a), y = read(b);
  const bool unordered = x != x || y != y;
  if (c == kNum || c == kNan) return unordered == (c == kNan);
  if (unordered) return c >= kEqu;
  switch (c >= kEqu ? c - kEqu : c) {
    case 0:
      return x == y;
    case 1:
      return x != y;
    case 2:
      return x < y;
    case 3:
      return x <= y;
    case 4:
      return x > y;
    default:
      return x >= y;
  }
}

constexpr uint32_t kBrain = 16, kFlushHalves = 32, kCompareShift = 8;

/// Of one half (0 or 1) of each lane's pair, combined with the predicate op[3] as flags say.
uint32_t half_met(Warp& w, const Instr& in, int half) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  const int c = static_cast<int>(in.flags >> kCompareShift);
  const bool brain = (in.flags & kBrain) != 0, ftz = (in.flags & kFlushHalves) != 0;
  const uint32_t met = lanes_where([=](int l) {
    return half_holds(c, static_cast<uint16_t>(lane_of<uint32_t>(a, l) >> (16 * half)),
                      static_cast<uint16_t>(lane_of<uint32_t>(b, l) >> (16 * half)), brain, ftz);
  });
  if ((in.flags & 3) == kAlone) return met;
  const uint32_t other = (in.flags & kNegate) != 0 ? ~*w.word(in.op[3]) : *w.word(in.op[3]);
  return (in.flags & 3) == kAnd ? met & other : (in.flags & 3) == kOr ? met | other : met ^ other;
}
void set_pair_predicates(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t low = half_met(w, in, 0), high = half_met(w, in, 1);
  write_predicate(w, in.op[0], mask, low);
  if (in.more_count > 0) write_predicate(w, w.cta->run->kernel->slots[in.more], mask, high);
}
/// immediate: what a true half gives; size: the number of halves.
void set_halves(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t low = half_met(w, in, 0), high = in.size == 2 ? half_met(w, in, 1) : 0;
  const uint32_t yes = static_cast<uint32_t>(in.immediate);
  write_lanes<uint32_t>(w.arena + in.op[0], mask,
                        [=](int l) { return ((low >> l) & 1 ? yes : 0u) | ((high >> l) & 1 ? yes << 16 : 0u); });
}
void half_flags(Form& f, Type type, int c, bool ftz) {
  if (c < 0 || (c >= kLo && c <= kHs)) f.unknown("comparison");
  f.out.flags |= static_cast<uint32_t>(c) << kCompareShift;
  if (type == Type::kBF16 || type == Type::kBF16x2) f.out.flags |= kBrain;
  if (ftz) f.out.flags |= kFlushHalves;
}

void setp(Form& f) {
  const int c = take_compare(f);
  const bool ftz = f.take("ftz");
  take_combine(f);
  const Type type = f.take_type();
  if (is_pair(type)) {
    const ptx::Operand& pair = f.operand(0);
    half_flags(f, type, c, ftz);
    f.out.op[0] = f.to(0, Type::kPred);
    f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
    if (pair.paired) f.more(f.to(pair.parts[0], Type::kPred));
    f.out.run = set_pair_predicates;
    return;
  }
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
  const bool half = type == Type::kF16 || type == Type::kBF16;
  if (is_pair(type) || (half && ptx::bits_of(to) == 16)) {
    const bool sign = to == Type::kU16 || to == Type::kS16 || to == Type::kU32 || to == Type::kS32;
    if (!sign && to != type) f.unknown("types");
    half_flags(f, type, c, ftz);
    f.out.op[0] = f.to(0, to), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, type);
    f.out.immediate = sign ? 0xffff : (f.out.flags & kBrain) != 0 ? 0x3f80 : 0x3c00;
    f.out.size = is_pair(type) ? 2 : 1;
    f.out.run = set_halves;
    return;
  }
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
